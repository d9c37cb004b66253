"""Small Time and Freq networks for the tests of their fused execution."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from tonearm.core.types import InputSpec
from tonearm.models import create, fused_execution
from tonearm.models.time_freq import LongKernelNetwork

SHAPE = InputSpec(1, 24, 40)
FIELDS: dict[str, Any] = {"variant": "mel", "divisors": "2,3", "widths": "4,5,6", "separable_length": 3}
BATCH = 3


def build(name: str) -> LongKernelNetwork:
    """The same network every time, with no scale of one and no offset of zero: all of them must be read."""
    torch.manual_seed(5)
    made = create(name, SHAPE, 3, **FIELDS)
    for p in made.parameters():
        p.data += 0.1 * torch.randn_like(p)
    return cast(LongKernelNetwork, made)


def batch() -> Tensor:
    """Random examples, the same every time."""
    return torch.randn(BATCH, *SHAPE.shape, generator=torch.Generator().manual_seed(6))


def count_fused(patch: pytest.MonkeyPatch) -> list[int]:
    """A list that gets one entry each time that the fused execution runs."""
    calls: list[int] = []
    run = LongKernelNetwork.trunk_output

    def counted(self: LongKernelNetwork, along: Tensor) -> Tensor:
        calls.append(1)
        return run(self, along)

    patch.setattr(LongKernelNetwork, "trunk_output", counted)
    return calls


def layers(network: nn.Module) -> dict[str, nn.Module]:
    """The modules that are called in a forward pass, by name."""
    return {n: m for n, m in network.named_modules() if not isinstance(m, nn.ModuleList)}


def train(network: nn.Module, x: Tensor, steps: int = 3) -> list[float]:
    """Losses of some steps."""
    optimizer, losses = torch.optim.SGD(network.parameters(), lr=0.05), []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(x), torch.arange(BATCH))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def assert_equal_both_ways(network: LongKernelNetwork, x: Tensor, training: bool = True) -> None:
    """Outputs, gradients and running statistics with the fused execution allowed and forbidden."""
    found = []
    for allowed in (True, False):
        one = copy.deepcopy(network)
        if training:
            one.train()
        with fused_execution(allowed):
            logits = one(x)
            nn.functional.cross_entropy(logits, torch.arange(len(x))).backward()
        found.append((logits, [p.grad for p in one.parameters()], list(one.buffers())))
    for fused, plain in zip(*found, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-3, atol=1e-5)
