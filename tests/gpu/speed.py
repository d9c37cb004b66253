"""How fast the card is: training steps, extraction, memory; as ratios to eager float32 and to the CPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from tests.benchmarks.training import OUTPUTS
from tests.gpu.data import sound
from tests.gpu.device import Case, Sizes, peak_megabytes, seconds_of
from tests.gpu.report import Report, reason
from tonearm.core.precision import float32_products, is_gpu
from tonearm.features.batched import extract_batch
from tonearm.features.engine import compute
from tonearm.features.presets import THESIS_PRESETS, as_representation
from tonearm.models import create
from tonearm.training.optim import OptimConfig, build_optimizer

VARIANTS = ("tf32", "bfloat16", "channels_last", "tuned")  # the last: cudnn.benchmark


def training_step(case: Case, device: str, variant: str = "float32", compiler: str = "inductor") -> Callable[[], Any]:
    """Forward, backward and the optimiser on one batch, run the way that ``variant`` says."""
    model, representation, batch, shape = case
    torch.manual_seed(0)
    network = create(model, shape, OUTPUTS, representation=representation, dropout=0.0).to(device).train()
    x, target = torch.randn(batch, *shape.shape).to(device), (torch.arange(batch) % OUTPUTS).to(device)
    if variant == "channels_last":
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = x.contiguous(memory_format=torch.channels_last)
    forward = torch.compile(network, backend=compiler) if variant == "compile" else network
    optimiser = build_optimizer(network, OptimConfig())
    mixed = torch.autocast(device, torch.bfloat16) if variant == "bfloat16" else nullcontext()

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with mixed:
            logits = forward(x)
        F.cross_entropy(logits.float(), target).backward()
        optimiser.step()

    return step


def timed(case: Case, device: str, variant: str, sizes: Sizes) -> float:
    """Seconds of a training step."""
    torch.backends.cudnn.benchmark = variant == "tuned"
    try:
        with float32_products(tf32=variant == "tf32"):
            return seconds_of(training_step(case, device, variant), device, sizes.steps, sizes.repetitions)
    finally:
        torch.backends.cudnn.benchmark = False


def steps(report: Report, device: str, sizes: Sizes) -> None:
    """Of each network the step in eager float32, and how many times faster the other ways are."""
    for case in report.in_time(sizes.steps_of, lambda c: c[0]):
        with report.row(case[0]):
            cpu = timed(case, "cpu", "float32", replace(sizes, steps=1, repetitions=1))
            eager = timed(case, device, "float32", sizes)
            values: dict[str, Any] = {"batch": case[2], "float32_ms": eager * 1e3, "cpu_ms": cpu * 1e3,
                                      "to_cpu": cpu / eager}  # fmt: skip
            texts = [f"{eager * 1e3:.2f} ms, {cpu / eager:.1f} x the CPU"]
            for variant in VARIANTS:
                try:
                    values[variant] = eager / timed(case, device, variant, sizes)
                    texts.append(f"{variant} {values[variant]:.2f}")
                except Exception as error:  # a way that a network cannot be run is a finding
                    values[variant] = None
                    texts.append(f"{variant} cannot ({reason(error)[:60]})")
            report.add(case[0], "measured", "; ".join(texts), **values)


def compiled(report: Report, device: str, case: Case, sizes: Sizes) -> None:
    """torch.compile against eager float32; in a process of its own, since compiling cannot be stopped."""
    with report.row(f"compile {case[0]}"):
        eager = timed(case, device, "float32", sizes)
        started = time.perf_counter()
        step = training_step(case, device, "compile", sizes.compiler)
        step()
        first = time.perf_counter() - started
        with float32_products():
            fast = seconds_of(step, device, sizes.steps, sizes.repetitions)
        report.add(f"compile {case[0]}", "measured", f"{eager / fast:.2f} x eager float32; first step {first:.0f} s",
                   ratio=eager / fast, first_step_s=first)  # fmt: skip


def extraction(report: Report, device: str, sizes: Sizes) -> None:
    """Clips a second of each representation of the thesis and of all six, copies to and from the card included."""
    waveforms = [sound(sizes.seconds, 22050, 1, i) for i in range(min(4, sizes.clips))]
    clips = [{(22050, 1): waveforms[i % len(waveforms)]} for i in range(sizes.clips)]
    for name in report.in_time(("all six", *THESIS_PRESETS)):
        with report.row(name):
            configs = [as_representation(n) for n in (THESIS_PRESETS if name == "all six" else (name,))]
            seconds = []
            for _ in range(1 + sizes.repetitions):  # by the clock: the copies are part of it
                started = time.perf_counter()
                extract_batch(clips, configs, device)
                seconds.append(time.perf_counter() - started)
            card = len(clips) / sorted(seconds[1:])[(len(seconds) - 1) // 2]
            compute(waveforms[0], configs)
            started = time.perf_counter()
            for w in waveforms:
                compute(w, configs)
            cpu = len(waveforms) / (time.perf_counter() - started)
            report.add(name, "measured", f"{card:.0f} clips/s, {card / cpu:.1f} x the CPU's {cpu:.1f} (one process)",
                       clips_per_second=card, cpu_clips_per_second=cpu, to_cpu=card / cpu)  # fmt: skip


def memory(report: Report, device: str, sizes: Sizes) -> None:
    """The most that tensors took in a training step of each network."""
    for case in report.in_time(sizes.steps_of, lambda c: c[0]):
        with report.row(case[0]):
            peak = {v: peak_megabytes(lambda c=case, v=v: training_step(c, device, v)(), device)  # type: ignore[misc]
                    for v in ("float32", "bfloat16")}  # fmt: skip
            if not is_gpu(device):
                report.add(case[0], "not run", "a CPU's memory is not counted")
                continue
            report.add(case[0], "measured", f"batch {case[2]}: {peak['float32']:.0f} MiB, in bfloat16 "
                       f"{peak['bfloat16']:.0f}", batch=case[2], **peak)  # fmt: skip
