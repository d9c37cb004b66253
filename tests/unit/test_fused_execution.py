"""The fused execution of Time and Freq is a matter of speed only: switch, tracing, functional transforms, copies."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from tests.unit.fused_networks import (
    BATCH,
    assert_equal_both_ways,
    batch,
    build,
    count_fused,
    train,
)
from tonearm.core.errors import ConfigError, TrainingError
from tonearm.models import fused_execution
from tonearm.models.blocks import Separable
from tonearm.models.time_freq import LongKernelNetwork


@pytest.fixture(params=["time", "freq"])
def network(request: pytest.FixtureRequest) -> LongKernelNetwork:
    return build(str(request.param))


@pytest.fixture
def x() -> Tensor:
    return batch()


@pytest.fixture
def fused_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    return count_fused(monkeypatch)


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TONEARM_FUSED", raising=False)


def test_it_is_used_for_untouched_networks(network: LongKernelNetwork, x: Tensor, fused_calls: list[int]) -> None:
    train(network, x)
    network.eval()(x)
    assert len(fused_calls) == 4
    assert_equal_both_ways(network, x)
    assert_equal_both_ways(network.eval(), x, training=False)


def test_the_switch_turns_it_off(
    network: LongKernelNetwork, x: Tensor, fused_calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with fused_execution(False):
        network(x)
        with fused_execution(True):
            network(x)
            assert len(fused_calls) == 1
        network(x)
    assert len(fused_calls) == 1
    monkeypatch.setenv("TONEARM_FUSED", "0")
    network(x)
    assert len(fused_calls) == 1
    with fused_execution(True):  # the nearer one counts
        network(x)
    monkeypatch.setenv("TONEARM_FUSED", "1")
    network(x)
    assert len(fused_calls) == 3
    monkeypatch.setenv("TONEARM_FUSED", "nope")
    with pytest.raises(ConfigError, match="TONEARM_FUSED is 'nope': set it to 0 or 1"):
        network(x)


def test_functional_transforms(network: LongKernelNetwork, x: Tensor) -> None:
    network.eval()
    weights = {n: p.detach() for n, p in network.named_parameters()}
    target = torch.arange(BATCH)

    def loss(weights: dict[str, Tensor], x: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(torch.func.functional_call(network, weights, (x,)), target)

    torch.testing.assert_close(torch.func.functional_call(network, weights, (x,)), network(x))
    nn.functional.cross_entropy(network(x), target).backward()
    found = torch.func.grad(loss)(weights, x, target)
    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(weights, x.unsqueeze(1), target.unsqueeze(1))
    for name, p in network.named_parameters():
        torch.testing.assert_close(found[name], p.grad, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(each[name].mean(0), p.grad, rtol=1e-3, atol=1e-5)
    direction = {n: torch.ones_like(w) for n, w in weights.items()}
    _, slope = torch.func.jvp(lambda w: loss(w, x, target), (weights,), (direction,))
    torch.testing.assert_close(slope, sum(g.sum() for g in found.values()), rtol=1e-3, atol=1e-4)
    stacked, buffers = torch.func.stack_module_state([network, copy.deepcopy(network)])
    logits = torch.func.vmap(lambda p, b: torch.func.functional_call(network, (p, b), (x,)))(stacked, buffers)
    torch.testing.assert_close(logits[1], network(x), rtol=1e-4, atol=1e-5)


def test_forward_mode(network: LongKernelNetwork, x: Tensor) -> None:
    network.eval()
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
        assert torch.autograd.forward_ad.unpack_dual(network(dual)).tangent is not None


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_traces_are_the_network(network: LongKernelNetwork, x: Tensor) -> None:
    network.eval()
    wanted, other = network(x), torch.flip(x, (0, 3))
    traced = torch.jit.trace(network, x)
    exported = torch.export.export(network, (x,)).module()
    compiled = torch.compile(network, backend="eager")
    for one in (traced, exported, compiled):
        torch.testing.assert_close(one(x), wanted, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one(other), network(other), rtol=1e-4, atol=1e-5)
    stored = io.BytesIO()
    torch.jit.save(traced, stored)
    stored.seek(0)
    torch.testing.assert_close(torch.jit.load(stored)(x), wanted, rtol=1e-4, atol=1e-5)


def test_operations_are_counted(network: LongKernelNetwork, x: Tensor) -> None:
    counts = []
    for allowed in (True, False):
        with fused_execution(allowed), FlopCounterMode(display=False) as counter:
            network(x)
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0


def test_modes_that_look_at_functions_see_the_layers(network: LongKernelNetwork, x: Tensor) -> None:
    class Seen(TorchFunctionMode):
        names: list[str]

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.names.append(getattr(func, "__name__", ""))
            return func(*args, **(kwargs or {}))

    found = []
    for allowed in (True, False):
        with fused_execution(allowed), Seen() as seen:
            seen.names = []
            network(x)
        found.append([n for n in seen.names if n.startswith("conv")])
    assert found[0] == found[1] and found[0]


def test_a_default_device_is_no_such_mode(network: LongKernelNetwork, x: Tensor, fused_calls: list[int]) -> None:
    with torch.device("cpu"):
        network(x)
    assert fused_calls


def test_patched_classes_are_called(
    network: LongKernelNetwork, x: Tensor, fused_calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = network.eval()(x)
    fused_calls.clear()
    for kind in (nn.BatchNorm2d, nn.Conv2d, Separable):
        with monkeypatch.context() as patch:
            real = kind.forward
            patch.setattr(kind, "forward", lambda self, x, real=real: 2 * real(self, x))
            assert not torch.allclose(network(x), wanted, rtol=1e-3)
    assert not fused_calls


def test_copies_and_pickles(network: LongKernelNetwork, x: Tensor, fused_calls: list[int]) -> None:
    train(network, x)  # with memory kept and gradients there
    for one in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):  # noqa: S301  # our own
        fused_calls.clear()
        assert torch.equal(one.eval()(x), network.eval()(x))
        assert len(fused_calls) == 2
    network.separable[0].register_forward_hook(print)
    copy.deepcopy(network)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_quantised_heads_run(network: LongKernelNetwork, x: Tensor) -> None:
    network.classifier.weight.data /= 10
    quantised = torch.ao.quantization.quantize_dynamic(network.eval(), {nn.Linear})
    torch.testing.assert_close(quantised(x), network(x), rtol=0.1, atol=0.1)


def test_defaults_of_torch_do_not_reach_it(network: LongKernelNetwork, x: Tensor) -> None:
    wanted = network.eval()(x)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(network(x), wanted) or torch.allclose(network(x), wanted, atol=1e-5)
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.device("meta"):
        torch.testing.assert_close(network(x), wanted, rtol=1e-4, atol=1e-5)


def test_second_derivatives_say_how(network: LongKernelNetwork, x: Tensor) -> None:
    weight = network.long[0].weight
    with pytest.raises(TrainingError, match="fused_execution"):
        gradient = torch.autograd.grad(network(x).sum(), weight, create_graph=True)[0]
        gradient.square().sum().backward()
    with fused_execution(False):
        gradient = torch.autograd.grad(network(x).sum(), weight, create_graph=True)[0]
        gradient.square().sum().backward()
    assert weight.grad is not None
