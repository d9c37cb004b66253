"""Adam for a table's rows: what Adam gives, at the cost of the rows that a batch reads."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from tonearm.core.types import InputSpec
from tonearm.models import create
from tonearm.models.artist_table import ArtistTable
from tonearm.training.optim import OptimConfig, build_optimizer, limit_norm, settle
from tonearm.training.row_adam import RowAdam

ARTISTS, DIM = 40, 6


def network_of(artists: int = ARTISTS) -> ArtistTable:
    torch.manual_seed(5)
    network = create("artist_table", InputSpec(1, artists, 1), DIM)
    assert isinstance(network, ArtistTable)
    return network


def plain_adam(network: ArtistTable, optim: OptimConfig) -> torch.optim.Optimizer:
    """PyTorch's own, of dense gradients."""
    kind = torch.optim.AdamW if optim.optimizer == "adamw" else torch.optim.Adam
    return kind(network.parameters(), lr=optim.lr, weight_decay=optim.weight_decay)


def batches_of(steps: int, artists: int = ARTISTS, pairs: int = 3) -> list[tuple[Tensor, Tensor]]:
    rng = np.random.default_rng(7)
    return [
        (torch.from_numpy(rng.integers(0, artists, (pairs, 2))), torch.from_numpy(rng.integers(0, 2, pairs)).float())
        for _ in range(steps)
    ]


def train(
    network: ArtistTable,
    optimizer: torch.optim.Optimizer,
    batches: list[tuple[Tensor, Tensor]],
    rate: Callable[[int], float] = lambda step: 1e-2,
    clip: float | None = None,
    first: int = 0,
    epsilon: float = 1e-8,
) -> list[float]:
    """The loss of each step."""
    losses = []
    for group in optimizer.param_groups:
        group["eps"] = epsilon
    for step, (pairs, target) in enumerate(batches, start=first):
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.zero_grad(set_to_none=True)
        loss = F.binary_cross_entropy_with_logits(network(pairs)[:, 0], target)
        loss.backward()
        if clip is not None:
            limit_norm(network, clip)
        optimizer.step()
        losses.append(float(loss.detach()))
    settle(optimizer)
    return losses


def both(
    optim: OptimConfig, batches: list[tuple[Tensor, Tensor]], **options: Any
) -> tuple[tuple[ArtistTable, list[float]], tuple[ArtistTable, list[float]]]:
    """A network and its losses, trained by ours and by PyTorch's optimiser."""
    ours, theirs = network_of(), network_of()
    optimizer = build_optimizer(ours, optim)
    assert isinstance(optimizer, RowAdam)
    return (
        (ours, train(ours, optimizer, batches, **options)),
        (theirs, train(theirs, plain_adam(theirs, optim), batches, **options)),
    )


# --- equal to Adam


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({}, {"rate": lambda step: 1e-2 * 0.99**step}),
        ({}, {"rate": lambda step: 1e-2 if step % 3 else 0.0}),
        ({}, {"clip": 1e-2}),
        ({"optimizer": "adamw", "weight_decay": 0.1}, {"rate": lambda step: 1e-2 if step < 60 else 1e-3}),
    ],
    ids=["adam", "falling rate", "no rate at times", "limited norm", "adamw"],
)
def test_many_steps_are_those_of_adam(fields: dict[str, Any], options: dict[str, Any]) -> None:
    """But for rounding, where epsilon is nothing; as it is, rows that wait take it as a mean."""
    start = network_of().table.weight
    for epsilon, tolerance in ((1e-20, 1e-5), (1e-8, 1e-3)):
        (ours, losses), (theirs, wanted) = both(OptimConfig(**fields), batches_of(150), epsilon=epsilon, **options)
        assert losses == pytest.approx(wanted, rel=5 * tolerance, abs=tolerance)
        torch.testing.assert_close(ours.table.weight, theirs.table.weight, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close((ours.scale, ours.bias), (theirs.scale, theirs.bias), rtol=tolerance, atol=1e-6)
        moved = (theirs.table.weight - start).abs().mean()
        assert (ours.table.weight - theirs.table.weight).abs().mean() < tolerance * moved


def test_row_that_is_read_once_goes_on_moving_as_adam_moves_it() -> None:
    """And not, as a lazy Adam would have it, a third of that way or less."""
    batches = batches_of(1, pairs=2) + batches_of(60, artists=10, pairs=2)
    batches[0] = (torch.tensor([[20, 21], [22, 23]]), torch.tensor([1.0, 0.0]))
    (ours, _), (theirs, _) = both(OptimConfig(), batches)
    start, once = network_of().table.weight[20:24], network_of()
    train(once, build_optimizer(once, OptimConfig()), batches[:1])
    torch.testing.assert_close(ours.table.weight[20:24], theirs.table.weight[20:24], rtol=1e-4, atol=1e-6)
    far, first = ((n.table.weight[20:24] - start).abs().mean() for n in (ours, once))
    assert far > 3 * first > 0


def test_first_step_changes_the_rows_of_the_batch_as_adam_does_and_no_other() -> None:
    (ours, _), (theirs, _) = both(OptimConfig(), batches_of(1))
    read = batches_of(1)[0][0].unique()
    others = sorted(set(range(ARTISTS)) - set(read.tolist()))
    start = network_of().table.weight
    torch.testing.assert_close(ours.table.weight[read], theirs.table.weight[read], rtol=1e-6, atol=1e-7)
    assert torch.equal(ours.table.weight[others], start[others]) and not torch.equal(ours.table.weight, start)


def test_penalty_counts_for_the_rows_of_the_batch_only() -> None:
    (ours, _), (theirs, _) = both(OptimConfig(weight_decay=0.5), batches_of(1))
    read = batches_of(1)[0][0].unique()
    others = sorted(set(range(ARTISTS)) - set(read.tolist()))
    torch.testing.assert_close(ours.table.weight[read], theirs.table.weight[read], rtol=1e-6, atol=1e-7)
    assert torch.equal(ours.table.weight[others], network_of().table.weight[others])
    assert not torch.equal(theirs.table.weight[others], network_of().table.weight[others])


# --- what a step costs


def test_step_makes_nothing_of_the_table_s_size() -> None:
    """Neither gradient nor moments nor weights are gone through, but for the rows that are looked up and put back."""
    artists = 3000
    network = network_of(artists)
    optimizer = build_optimizer(network, OptimConfig())
    train(network, optimizer, batches_of(3, artists))  # makes the moments
    whole, touched = network.table.weight.numel(), set[str]()
    free = {"embedding", "index_select", "index_put_", "detach", "alias"}

    class Touched(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            found = func(*args, **(kwargs or {}))
            sizes = [t.numel() for t in (*args, found) if isinstance(t, Tensor) and not t.is_sparse]
            if max(sizes, default=0) >= whole:
                touched.add(func.__name__.partition(".")[0])
            return found

    for pairs, target in batches_of(4, artists):
        with Touched():
            optimizer.zero_grad(set_to_none=True)
            F.binary_cross_entropy_with_logits(network(pairs)[:, 0], target).backward()
            assert network.table.weight.grad is not None and network.table.weight.grad.is_sparse
            limit_norm(network, 1e-3)
            optimizer.step()
    assert "embedding" in touched and touched <= free
    with Touched():
        F.binary_cross_entropy_with_logits(network_of(artists)(pairs)[:, 0], target).backward()
    assert not touched <= free  # a dense gradient would be seen


# --- going on


def test_state_is_adam_s_and_either_goes_on_from_the_other_s() -> None:
    optim, batches = OptimConfig(), batches_of(80)
    wanted = network_of()
    adam = plain_adam(wanted, optim)
    train(wanted, adam, batches[:40])
    ours = copy.deepcopy(wanted)
    optimizer = build_optimizer(ours, optim)
    optimizer.load_state_dict(copy.deepcopy(adam.state_dict()))
    train(ours, optimizer, batches[40:60], first=40)
    train(wanted, adam, batches[40:60], first=40)
    torch.testing.assert_close(ours.table.weight, wanted.table.weight, rtol=1e-4, atol=2e-5)
    back = copy.deepcopy(ours)
    back.table.sparse = False
    again = plain_adam(back, optim)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for network, one in ((back, again), (wanted, adam)):
        train(network, one, batches[60:], first=60)
    torch.testing.assert_close(back.table.weight, wanted.table.weight, rtol=1e-4, atol=3e-5)


def test_state_that_is_asked_for_in_between_holds_rows_that_are_up_to_date() -> None:
    one, other = network_of(), network_of()
    asked, unasked = build_optimizer(one, OptimConfig()), build_optimizer(other, OptimConfig())
    train(other, unasked, batches_of(30))
    for pairs, target in batches_of(30):
        asked.zero_grad(set_to_none=True)
        F.binary_cross_entropy_with_logits(one(pairs)[:, 0], target).backward()
        for group in asked.param_groups:
            group["lr"] = 1e-2
        asked.step()
    state = asked.state_dict()["state"][0]
    torch.testing.assert_close(state["exp_avg"], unasked.state_dict()["state"][0]["exp_avg"], rtol=1e-5, atol=1e-8)
    assert torch.equal(one.table.weight, other.table.weight)


# --- other gradients


def test_weights_of_artists_give_a_dense_gradient_and_adam_s_steps() -> None:
    ours, theirs = network_of(), network_of()
    optim = OptimConfig(lr=1e-2)
    networks = ((ours, build_optimizer(ours, optim)), (theirs, plain_adam(theirs, optim)))
    torch.manual_seed(1)
    x, y = torch.rand(10, 5, ARTISTS), torch.rand(10, 5, DIM)
    for network, optimizer in networks:
        for weights, target in zip(x, y, strict=True):
            optimizer.zero_grad(set_to_none=True)
            F.mse_loss(network(weights), target).backward()
            optimizer.step()
        settle(optimizer)
    torch.testing.assert_close(ours.table.weight, theirs.table.weight, rtol=1e-5, atol=1e-6)


def test_sgd_changes_the_whole_table_as_before() -> None:
    ours = network_of()
    build_optimizer(ours, OptimConfig())
    optimizer = build_optimizer(ours, OptimConfig(optimizer="sgd", weight_decay=0.1))
    train(ours, optimizer, batches_of(2))
    assert type(optimizer) is torch.optim.SGD and ours.table.weight.grad is not None
    assert not ours.table.weight.grad.is_sparse


def test_table_that_does_not_learn_is_left_alone() -> None:
    network = network_of()
    network.table.weight.requires_grad = False
    optimizer = build_optimizer(network, OptimConfig())
    train(network, optimizer, batches_of(3))
    assert torch.equal(network.table.weight, network_of().table.weight) and not isinstance(optimizer, RowAdam)


def test_norm_is_of_the_sums_of_a_row_s_gradients() -> None:
    sparse, dense = network_of(), network_of()
    build_optimizer(sparse, OptimConfig())
    pairs, target = torch.tensor([[1, 2], [1, 3], [1, 2]]), torch.tensor([1.0, 0.0, 1.0])
    for network in (sparse, dense):
        F.binary_cross_entropy_with_logits(network(pairs)[:, 0], target).backward()
        limit_norm(network, 1e-2)
    assert sparse.table.weight.grad is not None and dense.table.weight.grad is not None
    torch.testing.assert_close(sparse.table.weight.grad.to_dense(), dense.table.weight.grad, rtol=1e-5, atol=1e-9)


def test_optimiser_that_is_gone_leaves_no_trace_at_the_table() -> None:
    network = network_of()
    optimizer = build_optimizer(network, OptimConfig())
    assert len(network.table._forward_pre_hooks) == 1
    train(network, optimizer, batches_of(2))
    del optimizer
    gc.collect()
    assert not network.table._forward_pre_hooks
