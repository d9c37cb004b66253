"""What a network gives for the tracks of a split: window by window, or pooled."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import torch
from torch import nn

from tonearm.core.precision import float32_products, is_gpu
from tonearm.core.types import FloatArray
from tonearm.datasets.manifest import Split
from tonearm.models.base import WINDOWS_AT_ONCE, Inputs, Network, in_chunks
from tonearm.tasks.base import Task
from tonearm.training.batches import Examples
from tonearm.training.optim import OptimConfig
from tonearm.training.prefetch import pinned_inputs, prefetched


def windows_at_once(optim: OptimConfig, device: str) -> int:
    """Windows that evaluation puts through a network together: on a GPU no more than train together in any round,
    which do fit."""
    return min(optim.smallest_batch, WINDOWS_AT_ONCE) if is_gpu(device) else WINDOWS_AT_ONCE


def predict_split(
    model: Network, task: Task, examples: Examples, split: Split, device: str = "cpu", at_once: int = WINDOWS_AT_ONCE
) -> FloatArray:
    """Track predictions (tracks, outputs) of a split, from its tracks' windows."""
    return np.concatenate([task.pool(logits) for logits in window_logits(model, examples, split, device, at_once)])


def window_logits(
    model: Network, examples: Examples, split: Split, device: str = "cpu", at_once: int = WINDOWS_AT_ONCE
) -> Iterator[FloatArray]:
    """Logits (tracks, windows, outputs) of a split's tracks, some tracks at a time, in their order; of a network that
    hears a track at once there is one window.

    In float32, whatever the training computed in. ``at_once`` windows go through the network together.
    """
    model.eval()
    batches = prefetched(examples.evaluation(split), device, lambda item: (pinned_inputs(item[0]), item[1]))
    with closing(batches):
        for inputs, each in batches:
            with torch.inference_mode(), float32_products():
                given, count = model.gather(on_device(inputs, device), each)
                logits = in_chunks(model, given, at_once).float().cpu().numpy()
            yield logits.reshape(-1, count, *logits.shape[1:])


def on_device(inputs: Inputs, device: str | torch.device) -> Inputs:
    """Examples where the network is."""
    if isinstance(inputs, torch.Tensor):
        return inputs.to(device, non_blocking=True)
    return {name: values.to(device, non_blocking=True) for name, values in inputs.items()}


def device_of(network: nn.Module) -> torch.device:
    """Where a network is: its first parameter or buffer; on the CPU if it has none."""
    first = next(itertools.chain(network.parameters(), network.buffers()), None)
    return torch.device("cpu") if first is None else first.device
