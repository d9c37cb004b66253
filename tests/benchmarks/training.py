"""Training steps of our models: against plain PyTorch, or, with ``--variants``, against other ways to run them.

``python -m tests.benchmarks.training``: what is compared takes turns in one run, so that whatever else the machine
does meets both. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import shutil
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.unit.reference_models import reference
from tonearm.core.types import InputSpec
from tonearm.models import create
from tonearm.training.optim import OptimConfig, build_optimizer

OUTPUTS = 16
#: model, batch, freq_bins, frames, threads
CASES = [
    ("time", 8, 256, 215, 1),
    ("freq", 8, 256, 215, 1),
    ("simple", 8, 256, 215, 1),
    ("time", 16, 256, 215, 1),
    ("freq", 16, 256, 215, 1),
    ("time", 16, 256, 643, 2),
    ("freq", 16, 256, 643, 2),
    ("simple", 16, 256, 643, 2),
]
#: model, representation, batch, shape of an example, whether channels_last could serve it and is not its default
VARIANT_CASES: list[tuple[str, str | None, int, InputSpec, bool]] = [
    ("simple", "mel", 16, InputSpec(1, 256, 215), False),
    ("time", "mel", 8, InputSpec(1, 256, 215), True),
    ("freq", "mel", 8, InputSpec(1, 256, 215), True),
    ("rnn", "mfcc", 16, InputSpec(1, 12, 215), False),
    ("playlist_cnn", None, 8, InputSpec(1, 64, 2584), False),
    ("temporal_pooling", None, 8, InputSpec(1, 128, 599), False),
    ("spec2d", None, 8, InputSpec(2, 24, 2584), False),
]
VARIANTS = ("bfloat16", "channels_last", "compile", "kept_memory")
NO_COMPILER = "no C++ compiler (g++ or clang++) is installed"
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def training_step(network: nn.Module, batch: int, freq_bins: int, frames: int) -> Callable[[], None]:
    """Forward, backward and Adam on one batch."""
    network.train()
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    x, target = torch.randn(batch, 1, freq_bins, frames), torch.arange(batch) % OUTPUTS

    def step() -> None:
        optimiser.zero_grad()
        F.cross_entropy(network(x), target).backward()
        optimiser.step()

    return step


def measure(model: str, batch: int, freq_bins: int, frames: int, threads: int, repetitions: int) -> dict[str, object]:
    """Medians of both, ms a sample, and their ratio."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    ours = create(model, InputSpec(1, freq_bins, frames), OUTPUTS, representation="mel")
    plain = reference(model, freq_bins, frames, OUTPUTS)
    steps = [training_step(n, batch, freq_bins, frames) for n in (plain, ours)]
    seconds: list[list[float]] = [[], []]
    for repetition in range(repetitions + 2):
        for step, kept in zip(steps, seconds, strict=True):
            started = time.perf_counter()
            step()
            if repetition >= 2:  # the first ones compile and allocate
                kept.append(time.perf_counter() - started)
    slow, fast = (statistics.median(kept) * 1e3 / batch for kept in seconds)
    ratio = statistics.median(a / b for a, b in zip(*seconds, strict=True))
    return {
        "model": model,
        "shape": f"{batch}x1x{freq_bins}x{frames}",
        "threads": threads,
        "reference_ms_per_sample": round(slow, 2),
        "ours_ms_per_sample": round(fast, 2),
        "ratio": round(ratio, 2),
    }


def compare_with_plain(repetitions: int, only: str | None) -> list[dict[str, object]]:
    """Every case's row, printed as it comes."""
    print(f"{'model':8}{'batch':>18}{'threads':>9}{'plain ms':>10}{'ours ms':>9}{'ratio':>7}   (a sample, a step)")
    results = []
    for case in CASES:
        if only in (None, case[0]):
            r = measure(*case, repetitions=repetitions)
            results.append(r)
            print(
                f"{r['model']:8}{r['shape']:>18}{r['threads']:>9}{r['reference_ms_per_sample']:>10}"
                f"{r['ours_ms_per_sample']:>9}{r['ratio']:>7}",
                flush=True,
            )
    return results


def variant_step(name: str, network: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    """A step as ``training/fit.py`` makes it, run the way that ``name`` says; it gives the logits before it."""
    network.train()
    if name == "channels_last":
        network, x = network.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)  # type: ignore[call-overload]
    forward = torch.compile(network) if name == "compile" else network
    optimiser, target = build_optimizer(network, OptimConfig()), torch.arange(len(x)) % OUTPUTS

    def step() -> Tensor:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16) if name == "bfloat16" else nullcontext():
            logits: Tensor = forward(x)
        F.cross_entropy(logits.float(), target).backward()
        optimiser.step()
        return logits.detach().float()

    return step


def timed(step: Callable[[], Tensor]) -> tuple[float, float]:
    """Seconds on the clock and of all threads' work."""
    clock, work = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - clock, time.process_time() - work


def keep_memory(keep: bool) -> None:
    """Let glibc keep all freed memory, or give large arrays back to the system, as it does by default."""
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0 if keep else 65536)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1 if keep else 64 * 2**20)
    if not keep:
        libc.malloc_trim(0)


def in_turns(
    steps: dict[str, Callable[[], Tensor]], repetitions: int, kept_memory: bool
) -> dict[str, list[tuple[float, float]]]:
    """Times of all steps; kept memory, a setting of the process, is measured on the default step right after."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(repetitions):
        for name, step in steps.items():
            times[name].append(timed(step))
    if kept_memory:
        try:
            keep_memory(True)
            steps["default"]()  # takes from the system what the following ones use again
            times["kept_memory"] = [timed(steps["default"]) for _ in range(repetitions)]
        finally:
            keep_memory(False)
    return times


def measure_variants(
    case: tuple[str, str | None, int, InputSpec, bool], threads: int, repetitions: int
) -> dict[str, object]:
    """The default's ms a sample; of each variant the ratio default / variant, by the clock and in processor time."""
    model, representation, batch, shape, layout = case
    torch.set_num_threads(threads)
    torch._dynamo.reset()
    torch.manual_seed(1)
    x = torch.randn(batch, *shape.shape)
    steps: dict[str, Callable[[], Tensor]] = {}
    row: dict[str, object] = {"model": model, "shape": "x".join(map(str, x.shape)), "threads": threads}
    wanted = torch.empty(0)
    for name in ("default", *VARIANTS[:-1]):
        if (name == "channels_last" and not layout) or (name == "compile" and threads > 1):
            continue  # compiling again for other threads takes most of a minute
        if name == "compile" and not (shutil.which("g++") or shutil.which("clang++")):
            row[name] = {"error": NO_COMPILER}
            continue
        torch.manual_seed(0)
        step = variant_step(name, create(model, shape, OUTPUTS, representation=representation, dropout=0.0), x)
        try:
            started = time.perf_counter()
            logits = step()  # the first one compiles
            first = time.perf_counter() - started
            step()
        except Exception as error:  # what cannot run at all is a finding too
            row[name] = {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:80]}"}
            continue
        wanted = logits if name == "default" else wanted
        off = float((logits - wanted).abs().max() / wanted.abs().max())
        steps[name], row[name] = step, {"first_step_s": round(first, 2), "outputs_off_by": float(f"{off:.1e}")}
    glibc = hasattr(ctypes.CDLL(None), "mallopt")
    times = in_turns(steps, repetitions, glibc)
    for name, seconds in times.items():
        clock, work = (statistics.median(kind) for kind in zip(*seconds, strict=True))
        ratios = [
            tuple(a / b for a, b in zip(*pair, strict=True)) for pair in zip(times["default"], seconds, strict=True)
        ]
        clock_ratio, work_ratio = (statistics.median(kind) for kind in zip(*ratios, strict=True))
        entry = {"ms_per_sample": clock * 1e3 / batch, "cpu_ms_per_sample": work * 1e3 / batch,
                 "ratio": clock_ratio, "cpu_ratio": work_ratio}  # fmt: skip
        row[name] = {**row.get(name, {}), **{k: round(v, 2) for k, v in entry.items()}}  # type: ignore[dict-item]
    return row


def shown(value: object) -> str:
    """A cell of the table: ratio by the clock, and in processor time."""
    if not isinstance(value, dict):
        return "-"
    return f"{value['ratio']:.2f} ({value['cpu_ratio']:.2f})" if "ratio" in value else "fails"


def compare_variants(repetitions: int, only: str | None) -> list[dict[str, object]]:
    """Every case's row, printed as it comes."""
    print("default: float32, ms a sample and step; variants: how many times faster by the clock (in processor time)")
    print(f"{'model':17}{'batch':>14}{'threads':>8}{'default ms':>11}" + "".join(f"{v:>15}" for v in VARIANTS))
    results = []
    for case in VARIANT_CASES:
        for threads in (1, 2) if only in (None, case[0]) else ():
            row = measure_variants(case, threads, repetitions)
            results.append(row)
            default = row["default"]
            assert isinstance(default, dict)
            cells = "".join(f"{shown(row.get(v)):>15}" for v in VARIANTS)
            print(f"{row['model']:17}{row['shape']:>14}{threads:>8}{default['ms_per_sample']:>11}{cells}")
            for name in VARIANTS:
                value = row.get(name)
                if isinstance(value, dict) and "error" in value:
                    print(f"    {name}: {value['error']}")
            print(end="", flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, help="timed steps of each, a case (default 9; 3 of variants)")
    parser.add_argument("--model", help="only this model")
    parser.add_argument("--variants", action="store_true", help="bfloat16, channels_last, torch.compile, kept memory")
    arguments = parser.parse_args()
    if arguments.variants:
        results = compare_variants(arguments.repetitions or 3, arguments.model)
    else:
        results = compare_with_plain(arguments.repetitions or 9, arguments.model)
    name = "training_variants" if arguments.variants else "training"
    print(json.dumps({"benchmark": name, "torch": torch.__version__, "results": results}))


if __name__ == "__main__":
    main()
