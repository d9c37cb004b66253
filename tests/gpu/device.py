"""The card, or the CPU in its place: sizes, time and memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from tests.benchmarks.training import VARIANT_CASES
from tonearm.core.precision import is_gpu
from tonearm.core.types import InputSpec
from tonearm.models import ModelConfig
from tonearm.models.simple import SimpleConfig
from tonearm.models.time_freq import TimeConfig

Case = tuple[str, str | None, int, InputSpec]


@dataclass(frozen=True)
class Sizes:
    """How large everything is that is computed.

    Attributes
    ----------
    seconds
        Of the clips that are extracted.
    clips
        In a batch of them.
    bands, frames
        Of a training window.
    tracks
        For training; a quarter as many validate.
    steps
        Timed at once.
    repetitions
        Of which the median counts.
    sharing_seconds
        That two processes train side by side.
    steps_of
        Networks whose step is timed: model, representation, batch, and the shape of an example.
    compiler
        Backend of torch.compile.
    patience
        Times as long as a section may take: what only tries whether it runs may do so on a busy machine.
    loops
        Models of the real loop that is timed, with fields that make them small.
    """

    seconds: float = 30.0
    clips: int = 32
    bands: int = 256
    frames: int = 215
    tracks: int = 64
    steps: int = 10
    repetitions: int = 5
    sharing_seconds: float = 5.0
    steps_of: tuple[Case, ...] = tuple(case[:4] for case in VARIANT_CASES)
    loops: tuple[ModelConfig, ...] = (SimpleConfig(), TimeConfig())
    compiler: str = "inductor"
    patience: float = 1.0


SMALL = SimpleConfig(variant="chroma", width=1)
QUICK = Sizes(
    seconds=1.0, clips=2, bands=32, frames=40, tracks=8, steps=1, repetitions=1, sharing_seconds=0.1,
    steps_of=(("simple", "chroma", 4, InputSpec(1, 32, 40)), ("rnn", "mfcc", 4, InputSpec(1, 12, 40))), loops=(SMALL,),
    compiler="eager", patience=10.0,
)  # fmt: skip


def synchronize(device: str) -> None:
    """Wait until the card has done what it was given."""
    if is_gpu(device):
        torch.cuda.synchronize()


def seconds_of(call: Callable[[], Any], device: str, steps: int, repetitions: int, warm: int = 2) -> float:
    """Median seconds of one of ``steps`` calls in a row; on a card by its own events."""
    for _ in range(warm):  # which load kernels and allocate
        call()
    return statistics.median(_timed(call, device, steps) for _ in range(repetitions)) / steps


def _timed(call: Callable[[], Any], device: str, steps: int) -> float:
    synchronize(device)
    if not is_gpu(device):
        started = time.perf_counter()
        for _ in range(steps):
            call()
        return time.perf_counter() - started
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    for _ in range(steps):
        call()
    last.record()
    last.synchronize()
    return float(first.elapsed_time(last)) / 1e3


def peak_megabytes(call: Callable[[], Any], device: str) -> float:
    """The most memory that tensors took during a call, in MiB; 0 on a CPU, where it is not counted."""
    if not is_gpu(device):
        call()
        return 0.0
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / 2**20


def describe(device: str) -> dict[str, Any]:
    """What the figures were measured on."""
    found: dict[str, Any] = {"device": device, "torch": torch.__version__, "cpu_threads": torch.get_num_threads()}
    if is_gpu(device):
        card = torch.cuda.get_device_properties(torch.device(device))
        found |= {"name": card.name, "gigabytes": round(card.total_memory / 2**30, 1), "cuda": torch.version.cuda,
                  "cudnn": torch.backends.cudnn.version(), "capability": f"{card.major}.{card.minor}"}  # fmt: skip
    return found
