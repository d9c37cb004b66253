"""Augmentation: what it does to windows, that it is a function of seed, epoch and step, and that off is off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.builders import tiny_config, toy_batches
from tonearm.core.errors import ConfigError
from tonearm.core.seeding import derive_seed
from tonearm.core.types import InputSpec
from tonearm.features import Mel
from tonearm.features.augment import AugmentConfig, apply_gain, augment, draw_gains, mask, mixup, shift, step_seed
from tonearm.features.store import track_key
from tonearm.tasks.base import Task
from tonearm.training.batches import Batch, Batches
from tonearm.training.bundle import build_network
from tonearm.training.fit import EpochReport, batch_loss, fit
from tonearm.training.optim import Schedule, build_optimizer

ALONE: dict[str, dict[str, Any]] = {
    "time": {"time_masks": 2, "time_mask_share": 0.2},
    "freq": {"freq_masks": 2, "freq_mask_share": 0.2},
    "gain": {"gain_db": 6.0},
    "shift": {"shift_share": 0.5},
    "mixup": {"mixup_alpha": 0.4},
}
ALL = {k: v for fields in ALONE.values() for k, v in fields.items()}


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


def toy(features: Path, fields: dict[str, Any], **changes: Any) -> Batches:
    return toy_batches(features, tiny_config({"augment": AugmentConfig(**fields), **changes}))


def reports(batches: Batches, state: dict[str, Any] | None = None) -> Iterator[EpochReport]:
    config = batches.config
    torch.manual_seed(1)
    return fit(build_network(config, 3), config.task, batches, config.optim, config.seed, state)


def as_lists(batches: list[Batch]) -> list[Any]:
    return [[v.tolist() if isinstance(v, torch.Tensor) else v for v in vars(b).values()] for b in batches]


def ramps(examples: int = 64, channels: int = 2, rows: int = 20, frames: int = 50) -> torch.Tensor:
    """Windows in which every value occurs once."""
    values = torch.arange(examples * channels * rows * frames, dtype=torch.float32)
    return values.reshape(examples, channels, rows, frames) / len(values)


@pytest.mark.parametrize("name", [*ALONE, "all"])
def test_batches_do_not_depend_on_what_was_drawn_before(features: Path, name: str) -> None:
    batches = toy(features, ALONE.get(name, ALL))
    wanted = as_lists(list(batches.train(2)))
    list(batches.train(7))
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    assert as_lists(list(batches.train(2))) == wanted
    assert torch.equal(torch.random.get_rng_state(), before)  # dropout's draws stay what they were
    assert as_lists(list(toy(features, {}).train(2))) != wanted


@pytest.mark.parametrize("name", ALONE)
def test_each_step_epoch_and_seed_draws_anew(name: str) -> None:
    config = AugmentConfig(**ALONE[name])

    def draw(*of: int) -> list[float]:
        moment = step_seed(*of)
        return [*augment(ramps(), config, moment)[0].flatten().tolist(), *draw_gains(config, 64, moment)]

    draws = [draw(0, 1, 0), draw(0, 1, 1), draw(0, 2, 0), draw(1, 1, 0)]
    assert all(a != b for i, a in enumerate(draws) for b in draws[:i])
    assert draw(0, 1, 0) == draws[0]


def test_operations_do_not_change_what_others_draw() -> None:
    a, b = (augment(ramps(), AugmentConfig(**fields), 1)[1] for fields in (ALONE["mixup"], ALL))
    assert a and b and a.weight == b.weight and torch.equal(a.partners, b.partners)
    both = mask(ramps(), AugmentConfig(**ALONE["time"], **ALONE["freq"]), 1)
    time, freq = (mask(ramps(), AugmentConfig(**ALONE[k]), 1) for k in ("time", "freq"))
    assert torch.equal(both != ramps(), (time != ramps()) | (freq != ramps()))


def plain_epoch(batches: Batches, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches as they were before there was augmentation, written out."""
    config = batches.config
    rng = np.random.default_rng(derive_seed("batches", config.seed, epoch))
    tracks, targets = batches.tracks("train"), batches.targets("train")
    order = rng.permutation(np.repeat(np.arange(len(tracks)), config.window.train_per_track))
    for start in range(0, len(order), config.optim.batch_size):
        chosen, windows = order[start : start + config.optim.batch_size], []
        for i in chosen:
            stored = batches.readers[""].store.read(track_key(tracks[i].content, config.clip))
            first = int(rng.integers(0, stored.frames - 40 + 1))
            part = slice(first, first + 40)
            deviation = np.maximum(stored.stats.frame_deviation[..., part], 1e-3)
            values = stored.values[..., part].astype(np.float32)
            windows.append((values - stored.stats.frame_mean[..., part]) / deviation)
        yield torch.from_numpy(np.stack(windows).reshape(len(chosen), 1, 32, 40)), torch.from_numpy(targets[chosen])


def test_without_augmentation_batches_and_losses_are_what_they_were(features: Path) -> None:
    assert tiny_config().augment == AugmentConfig()
    config = tiny_config({"model.dropout": 0.3, "optim.epochs": 2})
    batches = toy_batches(features, config)
    torch.manual_seed(1)
    model = build_network(config, 3)
    optimizer, wanted = build_optimizer(model, config.optim), []
    for epoch in (1, 2):
        torch.manual_seed(derive_seed("dropout", config.seed, epoch))
        model.train()
        plain, total, examples = list(plain_epoch(batches, epoch)), 0.0, 0
        for batch, (inputs, targets) in zip(batches.train(epoch), plain, strict=True):
            assert torch.equal(batch.inputs, inputs) and torch.equal(batch.targets, targets)
            assert batch.mixed_targets is None and batch.mix == 1.0
        for step, (inputs, targets) in enumerate(plain):
            optimizer.param_groups[0]["lr"] = Schedule(config.optim).rate(5e-3, (epoch - 1) * 5 + step, 5)
            optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            total, examples = total + float(loss.detach()) * len(targets), examples + len(targets)
        wanted.append(total / examples)
    assert [r.metrics["train_loss"] for r in reports(batches)] == wanted


def test_evaluation_is_never_augmented(features: Path) -> None:
    ((plain, each),), ((augmented, _),) = (toy(features, f).evaluation("validation") for f in ({}, ALL))
    assert len(plain) == 9 * each and torch.equal(plain, augmented)


@pytest.mark.parametrize("name", [*ALONE, "all"])
def test_shape_and_type_stay_and_the_input_is_not_changed(name: str) -> None:
    inputs = ramps()
    got, mix = augment(inputs, AugmentConfig(**ALONE.get(name, ALL)), 4)
    assert got.shape == inputs.shape and got.dtype == torch.float32 and torch.equal(inputs, ramps())
    assert (mix is None) == (name not in ("mixup", "all"))
    assert AugmentConfig(**ALONE.get(name, ALL)).enabled and not AugmentConfig().enabled


@pytest.mark.parametrize(("axis", "across", "widest"), [("time", 2, 15), ("freq", 3, 6)])  # 0.3 of 50, of 20
def test_a_mask_hides_one_stretch_of_up_to_its_share(axis: str, across: int, widest: int) -> None:
    inputs = ramps(512)
    got = mask(inputs, AugmentConfig(**{f"{axis}_masks": 1, f"{axis}_mask_share": 0.3}), 0)
    hidden = got != inputs
    assert torch.equal(hidden[:, 0], hidden[:, 1])  # the same in all channels
    lines = hidden.all(dim=across)[:, 0]  # (examples, frames or rows)
    assert torch.equal(hidden.any(dim=across)[:, 0], lines)  # whole columns or rows
    widths = lines.sum(dim=1)
    assert sorted(set(widths.tolist())) == list(range(widest + 1))
    assert float(widths.float().mean()) == pytest.approx(widest / 2, rel=0.1)
    edges = torch.nn.functional.pad(lines.int(), (1, 1)).diff(dim=1)
    assert int((edges == 1).sum(dim=1).max()) == 1  # one stretch
    assert lines.any(dim=0).all()  # anywhere, the last line included
    assert torch.equal(got[hidden], inputs.mean(dim=(2, 3), keepdim=True).expand_as(inputs)[hidden])
    three = mask(inputs, AugmentConfig(**{f"{axis}_masks": 3, f"{axis}_mask_share": 0.3}), 0) != inputs
    assert widest < int(three.all(dim=across)[:, 0].sum(dim=1).max()) <= 3 * widest


def test_shift_rotates_each_example_along_time() -> None:
    rotations = {s: torch.roll(ramps(512), s, dims=3) for s in range(-10, 11)}
    got = shift(ramps(512), 0.2, 0)
    found = {next(s for s in rotations if torch.equal(x, rotations[s][i])) for i, x in enumerate(got)}
    assert found == set(range(-10, 11))  # 0.2 of 50 frames, either way, both ends included


def test_gain_is_uniform_in_decibels_that_are_added_and_multiply_amplitudes() -> None:
    gains = draw_gains(AugmentConfig(gain_db=6.0), 4000, 0)
    assert gains.shape == (4000,) and -6 <= gains.min() < -5.9 and 5.9 < gains.max() <= 6
    assert abs(gains.mean()) < 0.2 and gains.std() == pytest.approx(12 / 12**0.5, rel=0.05)
    values = np.array([-80.0, -3.0, 0.5], dtype=np.float32)
    np.testing.assert_array_equal(apply_gain(values, 6.0, "dB"), values + 6)
    np.testing.assert_allclose(apply_gain(values, 20.0, "amplitude"), values * 10, rtol=1e-6)
    assert {apply_gain(values, 1.5, u).dtype for u in ("dB", "amplitude")} == {np.dtype(np.float32)}
    with pytest.raises(ConfigError, match="unit 'ratio'"):
        apply_gain(values, 6.0, "ratio")


@pytest.mark.parametrize("how", ["none", "frame", "track", "amplitude"])
def test_gain_comes_before_normalisation(features: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "amplitude":
        monkeypatch.setattr(Mel, "unit", how)
    change = {"feature.normalisation": "none" if how == "amplitude" else how}
    plain, batches = toy(features, {}, **change), toy(features, ALONE["gain"], **change)
    key = {t.track_id: track_key(t.content, batches.config.clip) for t in batches.tracks("train")}
    for step, (a, b) in enumerate(zip(plain.train(1), batches.train(1), strict=True)):
        gains = draw_gains(batches.config.augment, len(b.track_ids), step_seed(0, 1, step))
        for x, y, gain, track_id in zip(a.inputs.numpy(), b.inputs.numpy(), gains, b.track_ids, strict=True):
            stats = batches.readers[""].store.read(key[track_id]).stats
            if how == "amplitude":
                np.testing.assert_allclose(y, x * 10 ** (gain / 20), rtol=1e-5)
            elif how == "frame":  # one shift a frame, by the gain in deviations of that frame
                shifts, deviations = (y - x).mean(axis=(0, 1)), stats.frame_deviation.ravel()
                np.testing.assert_allclose(y - x, np.broadcast_to(shifts, x.shape), atol=1e-4)
                starts = range(len(deviations) - len(shifts) + 1)
                assert any(np.allclose(shifts, gain / deviations[s : s + len(shifts)], atol=1e-4) for s in starts)
            else:
                by = gain / (stats.deviation if how == "track" else 1.0)
                np.testing.assert_allclose(y - x, np.full_like(x, by), atol=2e-5)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_mixup_weights_follow_the_beta_distribution(alpha: float) -> None:
    weights = np.array([mixup(ramps(2, 1, 1, 1), alpha, step_seed(0, 1, s))[1].weight for s in range(2000)])
    assert weights.min() >= 0 and weights.max() <= 1 and weights.mean() == pytest.approx(0.5, abs=0.03)
    assert weights.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_batches_are_mixed_with_their_partners_and_carry_their_targets(features: Path) -> None:
    pairs = list(zip(*(toy(features, f).train(1) for f in ({}, ALONE["mixup"])), strict=True))
    for step, (plain, mixed) in enumerate(pairs):
        _, mix = mixup(plain.inputs, 0.4, step_seed(0, 1, step))
        partners = mix.partners.tolist()
        assert sorted(partners) == list(range(len(partners))) != partners and mixed.mix == mix.weight
        torch.testing.assert_close(mixed.inputs, mix.weight * plain.inputs + (1 - mix.weight) * plain.inputs[partners])
        assert torch.equal(mixed.targets, plain.targets) and mixed.mixed_targets is not None
        assert mixed.mixed_targets.tolist() == plain.targets[partners].tolist()
    assert len({b.mix for _, b in pairs}) == len(pairs)


class Squared(Task):
    """Mean squared error."""

    def loss(self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        return ((logits[:, 0] - target) ** 2).mean()


def test_mixed_loss_is_the_weighted_sum_of_both_losses() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, -1.0]], dtype=torch.float64)
    inputs, one, two = torch.zeros(2, 1, 1, 1), torch.tensor([0, 1]), torch.tensor([2, 0])
    total = np.log(np.exp(2) + 1 + np.exp(-1))
    first, second = (np.log(3) + total - 0) / 2, (np.log(3) + total - 2) / 2
    task = tiny_config().task
    got = float(batch_loss(task, logits, Batch(inputs, one, ["a", "b"], two, 0.75)))
    assert got == pytest.approx(0.75 * first + 0.25 * second, abs=1e-12)
    assert float(batch_loss(task, logits, Batch(inputs, one, ["a", "b"]))) == pytest.approx(first, abs=1e-12)
    years = Batch(inputs, torch.tensor([1.0, 2.0]), ["a", "b"], torch.tensor([2.0, 1.0]), 0.25)
    assert float(batch_loss(Squared(), logits, years)) == pytest.approx(0.25 * 0.5 + 0.75 * 2.5)


@pytest.mark.parametrize("after", [1, 3])
def test_resumed_training_equals_an_undisturbed_one_with_all_augmentation(features: Path, after: int) -> None:
    batches = toy(features, ALL, **{"model.dropout": 0.3, "optim.schedule": "cosine"})
    whole = list(reports(batches))
    state = [r.state for r, _ in zip(reports(batches), range(after), strict=False)][-1]
    for a, b in zip(reports(batches, state), whole[after:], strict=True):
        assert a.metrics["train_loss"] == b.metrics["train_loss"] and np.array_equal(a.predictions, b.predictions)
        assert all(torch.equal(v, b.state["model"][k]) for k, v in a.state["model"].items())


def test_loop_learns_with_all_augmentation_and_learns_otherwise(features: Path) -> None:
    plain, augmented = (list(reports(toy(features, f, **{"optim.lr": 1e-2, "optim.epochs": 10}))) for f in ({}, ALL))
    assert plain[0].metrics["train_loss"] != augmented[0].metrics["train_loss"]
    assert max(r.metrics["validation_f1_micro"] for r in augmented) >= 0.88  # 8 of 9; guessing hits 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"time_masks": -1}, r"time_masks is -1: it must be at least 0"),
        ({"time_mask_share": 1.5}, r"time_mask_share is 1\.5: .* narrower than the window"),
        ({"freq_mask_share": 0.0}, r"freq_mask_share is 0\.0: .* switch masks off by freq_masks=0"),
        ({"freq_mask_share": float("nan")}, r"freq_mask_share is nan"),
        ({"time_masks": 2, "time_mask_share": 0.5}, r"time_masks 2 of up to 0\.5 .* could hide all"),
        ({"gain_db": -1.0}, r"gain_db is -1\.0: it must be within 0, which is off, and 60"),
        ({"shift_share": 1.1, "mixup_alpha": float("inf")}, r"shift_share is 1\.1.*\n.*augment\.mixup_alpha is inf"),
        ({"time_masks": 1, "time_mask_share": 0.02}, r"time_mask_share 0\.02 of 40 frames is less than one"),
        ({"freq_masks": 1, "freq_mask_share": 0.03}, r"freq_mask_share 0\.03 of 32 rows is less than one"),
        ({"shift_share": 0.01}, r"shift_share 0\.01 of 40 frames is less than one"),
    ],
)
def test_values_that_cannot_work_are_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"augment\.{message}"):
        tiny_config({f"augment.{k}": v for k, v in fields.items()})


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        AugmentConfig(time_masks=-1, freq_mask_share=2.0, gain_db=-1.0, shift_share=-1.0, mixup_alpha=-1.0)
    assert len(caught.value.problems) == 5
    wave = AugmentConfig(freq_masks=1, gain_db=3.0, mixup_alpha=0.1).problems_with(InputSpec(1, 1, 22050), "amplitude")
    assert len(wave) == 1 and "0.1 of 1 rows is less than one" in wave[0]


@pytest.mark.parametrize("unit", ["ratio", "cepstrum"])
def test_decibels_are_refused_where_they_have_no_meaning(monkeypatch: pytest.MonkeyPatch, unit: str) -> None:
    monkeypatch.setattr(Mel, "unit", unit)
    assert tiny_config({"augment.shift_share": 0.5, "augment.mixup_alpha": 0.2}).augment.enabled
    with pytest.raises(ConfigError, match=rf"augment\.gain_db is 6, but .* unit '{unit}'"):
        tiny_config({"augment.gain_db": 6})
