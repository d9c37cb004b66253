"""The fused execution of Time and Freq is a matter of speed only: hooks, other weights and layers take effect."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import MethodType
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.utils import parametrizations, prune

from tests.unit.fused_networks import (
    FIELDS,
    SHAPE,
    assert_equal_both_ways,
    batch,
    build,
    count_fused,
    layers,
    train,
)
from tonearm.models import TimeConfig, fused_execution
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


HOOKS: dict[str, Callable[[nn.Module, Callable[..., None]], Any]] = {
    "forward": lambda m, hook: m.register_forward_hook(hook),
    "forward_pre": lambda m, hook: m.register_forward_pre_hook(hook),
    "forward_kwargs": lambda m, hook: m.register_forward_hook(lambda m, *_: hook(m), with_kwargs=True),
    "backward": lambda m, hook: m.register_full_backward_hook(hook),
    "backward_pre": lambda m, hook: m.register_full_backward_pre_hook(hook),
}


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("kind", HOOKS)
def test_hooks_of_every_layer_fire(network: LongKernelNetwork, x: Tensor, kind: str) -> None:
    for name, layer in layers(network).items():
        fired: list[nn.Module] = []

        def hook(module: nn.Module, *_: Any, fired: list[nn.Module] = fired) -> None:
            fired.append(module)

        handle = HOOKS[kind](layer, hook)
        network(x).sum().backward()
        assert fired == [layer], name
        handle.remove()


def test_hooks_for_all_modules_fire(network: LongKernelNetwork, x: Tensor) -> None:
    for register in (register_module_forward_hook, register_module_forward_pre_hook):
        fired: set[nn.Module] = set()
        handle = register(lambda module, *_: fired.add(module))  # noqa: B023  # called within the same turn
        try:
            network(x)
        finally:
            handle.remove()
        assert fired == set(layers(network).values())


def test_grad_cam_sees_what_a_layer_gave_and_its_gradient(network: LongKernelNetwork, x: Tensor) -> None:
    seen: dict[str, Tensor] = {}
    network.eval()
    network.flatten.register_forward_hook(lambda _m, _i, out: seen.update(maps=out))
    network.flatten.register_full_backward_hook(lambda _m, _i, out: seen.update(gradient=out[0]))
    logits = network(x)
    logits[:, 1].sum().backward()
    assert (seen["maps"] < 0).any()  # what the layer gave, not what was made of it afterwards
    torch.testing.assert_close(logits, network.classifier(seen["maps"].relu().mean(dim=(2, 3))))
    assert seen["gradient"].abs().max() > 0


def test_a_hook_that_changes_a_layer_changes_the_output(network: LongKernelNetwork, x: Tensor) -> None:
    network.eval()
    before = network(x)
    handle = network.separable[0].register_forward_hook(lambda _m, _i, out: out * 0)
    assert not torch.allclose(network(x), before)
    handle.remove()
    torch.testing.assert_close(network(x), before)


REPARAMETRISED: dict[str, Callable[[nn.Module], Any]] = {
    "prune": lambda m: prune.l1_unstructured(m, "weight", amount=0.5),
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "old weight_norm": nn.utils.weight_norm,
    "old spectral_norm": nn.utils.spectral_norm,
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("how", REPARAMETRISED)
@pytest.mark.parametrize("place", ["long.0", "separable.0.depthwise", "separable.1.pointwise", "flatten.depthwise"])
def test_reparametrised_weights_train(network: LongKernelNetwork, x: Tensor, how: str, place: str) -> None:
    REPARAMETRISED[how](network.get_submodule(place))
    network.train()
    plain = copy.deepcopy(network) if "old" not in how and how != "prune" else None
    losses = train(network, x)
    assert losses[-1] < losses[0]
    if plain is not None:
        with fused_execution(False):
            assert losses == train(plain, x)


def test_pruning_made_permanent_is_fused_again(network: LongKernelNetwork, x: Tensor, fused_calls: list[int]) -> None:
    layer = network.separable[0].pointwise
    prune.l1_unstructured(layer, "weight", amount=0.5)
    pruned = network.eval()(x)
    assert not fused_calls
    prune.remove(layer, "weight")
    torch.testing.assert_close(network(x), pruned, rtol=1e-4, atol=1e-5)
    assert fused_calls


def test_overridden_parts_are_used(x: Tensor, fused_calls: list[int]) -> None:
    class Louder(LongKernelNetwork):
        def long_layer(self, x: Tensor) -> Tensor:
            return 2 * super().long_layer(x) + 1

    class Other(LongKernelNetwork):
        def plain_features(self, x: Tensor) -> Tensor:
            return super().plain_features(x) + 1

    class Headless(LongKernelNetwork):
        """Overrides nothing that the fused execution stands for."""

        def forward(self, x: Any) -> Tensor:
            return self.embed(x)

    def made(kind: type[LongKernelNetwork]) -> LongKernelNetwork:
        torch.manual_seed(1)
        return kind(1, 3, TimeConfig(**FIELDS).plan(SHAPE), 0.0).eval()

    base = made(LongKernelNetwork)
    for kind in (Louder, Other):
        fused_calls.clear()
        assert not torch.allclose(made(kind)(x), base.eval()(x))
        assert len(fused_calls) == 1  # of the base
    fused_calls.clear()
    torch.testing.assert_close(made(Headless)(x), base.embed(x))
    assert len(fused_calls) == 2

    replaced = made(LongKernelNetwork)
    replaced.long_layer = lambda x: LongKernelNetwork.long_layer(replaced, x) * 2  # type: ignore[method-assign]
    assert not torch.allclose(replaced(x), base(x))


def _no_norm(network: LongKernelNetwork) -> None:
    network.long_norm = nn.Identity()  # type: ignore[assignment]


def _group_norm(network: LongKernelNetwork) -> None:
    network.separable[0].norm = nn.GroupNorm(2, 4)


def _fewer_layers(network: LongKernelNetwork) -> None:
    network.separable[1] = nn.Conv2d(4, 5, 1)


def _offsets(network: LongKernelNetwork) -> None:
    network.separable[0].pointwise.bias = nn.Parameter(torch.ones(4))


def _narrower(network: LongKernelNetwork) -> None:
    first, second = network.separable
    first.pointwise.weight = nn.Parameter(first.pointwise.weight[:3].detach())
    first.norm = nn.BatchNorm2d(3)
    second.depthwise = nn.Conv2d(3, 3, second.kernel, groups=3, bias=False)
    second.pointwise.weight = nn.Parameter(second.pointwise.weight[:, :3].detach())


def _dilation(network: LongKernelNetwork) -> None:
    network.separable[1].depthwise.dilation = (2, 2)


def _own_forward(network: LongKernelNetwork) -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return cast(Tensor, type(self).forward(self, x)) + 1

    layer = network.separable[0]
    layer.forward = MethodType(forward, layer)


def _frozen_statistics(network: LongKernelNetwork) -> None:
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _one_frozen(network: LongKernelNetwork) -> None:
    network.train().separable[0].norm.eval()


def _no_running_statistics(network: LongKernelNetwork) -> None:
    network.separable[0].norm = nn.BatchNorm2d(4, track_running_stats=False)


def _no_scale(network: LongKernelNetwork) -> None:
    network.long_norm = nn.BatchNorm2d(network.long_norm.num_features, affine=False)


def _other_head(network: LongKernelNetwork) -> None:
    network.classifier = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))  # type: ignore[assignment]


def _no_head(network: LongKernelNetwork) -> None:
    network.classifier = nn.Identity()  # type: ignore[assignment]


def _frozen_weights(network: LongKernelNetwork) -> None:
    network.long.requires_grad_(False)
    network.separable[0].requires_grad_(False)


CHANGES = (
    _no_norm, _group_norm, _fewer_layers, _offsets, _narrower, _dilation, _own_forward, _frozen_statistics,
    _one_frozen, _no_running_statistics, _no_scale, _other_head, _no_head, _frozen_weights,
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.__name__.strip("_"))
def test_a_changed_network_is_one_network_both_ways(
    network: LongKernelNetwork, x: Tensor, change: Callable[[LongKernelNetwork], None]
) -> None:
    change(network)
    assert_equal_both_ways(network, x, training=False)
    assert_equal_both_ways(network.eval(), x, training=False)
