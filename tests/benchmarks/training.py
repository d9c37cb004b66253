"""Training steps of our models against plain PyTorch: ``python -m tests.benchmarks.training``.

Both take turns in one run, so that whatever else the machine does meets both. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from tests.unit.reference_models import reference
from tonearm.core.types import InputSpec
from tonearm.models import create

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=9, help="timed steps of each, a case")
    parser.add_argument("--model", help="only this model")
    arguments = parser.parse_args()
    print(f"{'model':8}{'batch':>18}{'threads':>9}{'plain ms':>10}{'ours ms':>9}{'ratio':>7}   (a sample, a step)")
    results = []
    for case in CASES:
        if arguments.model in (None, case[0]):
            r = measure(*case, repetitions=arguments.repetitions)
            results.append(r)
            print(
                f"{r['model']:8}{r['shape']:>18}{r['threads']:>9}{r['reference_ms_per_sample']:>10}"
                f"{r['ours_ms_per_sample']:>9}{r['ratio']:>7}",
                flush=True,
            )
    print(json.dumps({"benchmark": "training", "torch": torch.__version__, "results": results}))


if __name__ == "__main__":
    main()
