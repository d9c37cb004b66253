"""Batches from a thread, losses that are looked at later, and what a GPU's share leaves for tensors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.builders import tiny_config, toy_batches
from tests.unit.toy_problems import SQUARES, Line, Points
from tonearm.core.errors import ConfigError, TrainingError
from tonearm.core.precision import float32_products, is_gpu
from tonearm.training import fit as fit_module
from tonearm.training.fit import fit
from tonearm.training.logits import windows_at_once
from tonearm.training.losses import losses_at_once
from tonearm.training.optim import OptimConfig, Round
from tonearm.training.prefetch import in_thread
from tonearm.training.sharing import memory_fraction


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "prefetch"]


def test_items_come_in_order_and_the_thread_ends() -> None:
    assert list(in_thread(range(100), ahead=3)) == list(range(100))
    assert threads() == []


def test_no_more_than_so_many_are_made_before_they_are_taken() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for i in range(50):
            made.append(i)
            yield i

    taken = in_thread(items(), ahead=2)
    for i in range(5):
        assert next(taken) == i
        assert len(made) <= i + 1 + 2 + 1  # taken, waiting, and the one that waits to be put
    taken.close()  # type: ignore[attr-defined]
    assert threads() == [] and len(made) < 10


def test_what_fails_in_the_thread_is_raised_where_it_is_waited_for() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise TrainingError("the store is damaged")

    found = in_thread(items())
    assert next(found) == 1
    with pytest.raises(TrainingError, match="the store is damaged"):
        next(found)
    assert threads() == []


def test_the_thread_ends_where_the_loop_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    points = Points([[1.0], [1e30], [1.0], [1.0]] * 4, [0.0] * 16)
    monkeypatch.setattr(fit_module, "prefetched", lambda items, device, pin: in_thread(items))
    optim = OptimConfig(batch_size=1, epochs=1, optimizer="sgd", lr=0.01)
    with pytest.raises(TrainingError, match="loss is inf") as failed:
        list(fit(Line(1.0), SQUARES, points, optim))
    assert failed.tb is not None and threads() == []  # although the traceback still holds the loop


def test_batches_from_a_thread_are_those_of_the_loop(tmp_path: Path) -> None:
    batches = toy_batches(
        tmp_path, tiny_config({"augment.time_masks": 2, "augment.mixup_alpha": 0.4, "augment.gain_db": 3.0})
    )
    torch.manual_seed(1)
    for one, other in zip(batches.train(1), in_thread(batches.train(1)), strict=True):
        torch.rand(3)  # the loop draws too, as dropout does
        assert torch.equal(one.inputs, other.inputs) and torch.equal(one.targets, other.targets)  # type: ignore[arg-type]
        assert one.track_ids == other.track_ids and one.mix == other.mix


def test_losses_that_are_looked_at_later_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    points = Points([[1.0], [2.0], [3.0]], [1.0, 1.0, 2.0])
    optim = OptimConfig(batch_size=1, epochs=3, optimizer="sgd", lr=0.01)
    wanted = [r.metrics["train_loss"] for r in fit(Line(1.0), SQUARES, points, optim)]
    monkeypatch.setattr(fit_module, "losses_at_once", lambda device: 2)
    assert [r.metrics["train_loss"] for r in fit(Line(1.0), SQUARES, points, optim)] == wanted


def test_a_loss_that_is_looked_at_later_names_its_own_step_and_tracks(monkeypatch: pytest.MonkeyPatch) -> None:
    points = Points([[1.0], [1e30], [1.0], [1.0]], [0.0, 0.0, 0.0, 0.0])
    monkeypatch.setattr(fit_module, "losses_at_once", lambda device: 32)
    with pytest.raises(TrainingError, match=r"loss is inf at step 1 .* tracks point1; of the step before point0"):
        list(fit(Line(1.0), SQUARES, points, OptimConfig(batch_size=1, epochs=1, optimizer="sgd", lr=0.01)))


def test_products_are_as_exact_as_was_said_and_then_as_before() -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with float32_products():
        assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == ("highest", False)
        with float32_products(tf32=True):
            assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == ("high", True)
        assert torch.get_float32_matmul_precision() == "highest"
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_blocks_of_threads_that_end_in_another_order_leave_what_was_before() -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    first, second = float32_products(), float32_products(tf32=True)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.get_float32_matmul_precision() == "high"  # the second one still runs
    second.__exit__(None, None, None)
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_a_gpu_evaluates_as_many_windows_as_it_trains_with() -> None:
    few, many = OptimConfig(batch_size=8), OptimConfig(batch_size=128)
    assert [windows_at_once(few, "cpu"), windows_at_once(few, "cuda"), windows_at_once(many, "cuda:1")] == [64, 8, 64]
    rounds = OptimConfig(batch_size=32, rounds=(Round(lr=1e-4, batch_size=64), Round(lr=1e-5, batch_size=16)))
    assert windows_at_once(rounds, "cuda") == 16  # whichever round came last


def test_one_word_decides_what_a_gpu_is() -> None:
    assert [is_gpu(d) for d in ("cuda", "cuda:1", "cpu")] == [True, True, False]
    with pytest.raises(ConfigError, match="device 'mps': there is no such device here; use cpu"):
        is_gpu("mps")
    assert [losses_at_once(d) for d in ("cuda", "cuda:1", "cpu")] == [32, 32, 1]


def test_of_a_shared_gpu_each_process_leaves_room_for_its_context() -> None:
    assert memory_fraction(0.5, 24 * 2**30) == pytest.approx(0.5 - 0.6 * 1000 / 1024 / 24, abs=1e-3)
    four = 4 * memory_fraction(0.25, 8 * 2**30)
    assert (1 - four) * 8 * 1024 == pytest.approx(4 * 600)  # MiB
    with pytest.raises(TrainingError, match=r"0\.05 of a GPU of 8\.0 GiB is 410 MiB.*raise gpus"):
        memory_fraction(0.05, 8 * 2**30)
