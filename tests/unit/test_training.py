"""Batches, the loop, trials that resume and replay, and bundles."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.builders import CLASSES, tiny_config, toy_batches, toy_tracks
from tonearm.core.errors import BundleError, TrainingError
from tonearm.tasks import SingleLabel
from tonearm.training import trial as trial_module
from tonearm.training.batches import Batches
from tonearm.training.bundle import Bundle, build_network, embed_windows, load_bundle, save_bundle
from tonearm.training.config import OptimConfig, TrialConfig
from tonearm.training.fit import EpochReport, fit, predict_split
from tonearm.training.optim import learning_rate
from tonearm.training.plots import confusion_plot, learning_curves
from tonearm.training.trial import TrialFolder, run_trial


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.fixture
def batches(features: Path) -> Batches:
    return toy_batches(features, tiny_config())


def reports(batches: Batches, config: TrialConfig, state: dict[str, Any] | None = None) -> Iterator[EpochReport]:
    torch.manual_seed(1)
    model = build_network(config, len(batches.classes))
    return fit(model, config.task, batches, config.optim, config.seed, state)


def without_seconds(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in h.items() if k not in ("epoch_seconds", "replayed")} for h in history]


# --- batches


def test_batches_have_the_promised_shapes(batches: Batches) -> None:
    got = list(batches.train(1))
    assert [b.inputs.shape for b in got] == [(8, 1, 32, 40)] * 4 + [(4, 1, 32, 40)]
    assert len(got) == batches.steps_per_epoch
    assert all(b.inputs.dtype == torch.float32 and b.targets.dtype == torch.int64 for b in got)
    label_of = {t.track_id: t.label for t in toy_tracks()}
    assert all(CLASSES[c] == label_of[i] for b in got for c, i in zip(b.targets.tolist(), b.track_ids, strict=True))


def test_every_training_track_is_seen_equally_often_and_no_other(batches: Batches) -> None:
    seen = [i for b in batches.train(1) for i in b.track_ids]
    assert sorted(seen) == sorted([t.track_id for t in batches.tracks("train")] * 2)


def test_order_depends_on_seed_and_epoch_alone(features: Path, batches: Batches) -> None:
    def epoch(n: int, seed: int = 0) -> list[float]:
        config = tiny_config({"seed": seed})
        return [float(b.inputs.sum()) for b in toy_batches(features, config).train(n)]

    list(batches.train(5))
    assert epoch(2) == epoch(2)
    assert epoch(2) != epoch(3) and epoch(2) != epoch(2, seed=1)


def test_a_batch_of_one_is_left_out(features: Path) -> None:
    got = list(toy_batches(features, tiny_config({"optim.batch_size": 5})).train(1))
    assert [len(b.track_ids) for b in got] == [5] * 7  # 36 windows: one is left
    assert toy_batches(features, tiny_config({"optim.batch_size": 5})).steps_per_epoch == 7


def test_evaluation_windows_are_normalised_and_evenly_spread(features: Path) -> None:
    batches = toy_batches(features, tiny_config({"window.per_track": 3}))
    windows = list(batches.windows("validation"))
    assert len(windows) == len(batches.tracks("validation")) == 9
    assert all(w.shape == (3, 1, 32, 40) for w in windows)
    np.testing.assert_allclose(windows[0].mean(dim=2), 0, atol=2e-3)  # float16 values, float32 statistics
    assert torch.equal(windows[0][0, 0, :, 20:], windows[0][2, 0, :, :20])  # frames 0-39 and 20-59


# --- the loop


def test_loop_learns_what_is_easy(features: Path) -> None:
    config = tiny_config({"optim.epochs": 8, "optim.lr": 1e-2})
    got = list(reports(toy_batches(features, config), config))
    assert [r.epoch for r in got] == list(range(1, 9))
    assert got[-1].metrics["train_loss"] < 0.5 * got[0].metrics["train_loss"]
    assert max(r.metrics["validation_f1_micro"] for r in got) == 1.0
    assert got[-1].predictions.shape == (9, 3)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("after", [1, 3])
def test_resumed_loop_equals_an_undisturbed_one_exactly(features: Path, schedule: str, after: int) -> None:
    config = tiny_config({"optim.schedule": schedule, "model.dropout": 0.3})
    batches = toy_batches(features, config)
    whole = list(reports(batches, config))
    begun = reports(batches, config)
    state = [next(begun) for _ in range(after)][-1].state
    begun.close()
    rest = list(reports(batches, config, state))
    assert without_seconds([r.metrics for r in rest]) == without_seconds([r.metrics for r in whole[after:]])
    for a, b in zip(rest, whole[after:], strict=True):
        assert (a.epoch, a.improved) == (b.epoch, b.improved) and np.array_equal(a.predictions, b.predictions)
        assert all(torch.equal(v, b.state["model"][k]) for k, v in a.state["model"].items())


def test_states_are_snapshots(features: Path) -> None:
    config = tiny_config()
    got = list(reports(toy_batches(features, config), config))
    first = next(iter(reports(toy_batches(features, config), config)))
    assert all(torch.equal(v, got[0].state["model"][k]) for k, v in first.state["model"].items())
    assert any(not torch.equal(v, got[-1].state["model"][k]) for k, v in first.state["model"].items())


class NeverBetter(SingleLabel, kind="never_better"):
    """Only the first epoch counts as better."""

    def better(self, candidate: dict[str, float], incumbent: dict[str, float] | None) -> bool:
        return incumbent is None


def test_loop_stops_after_patience_and_stays_stopped(features: Path) -> None:
    config = tiny_config({"optim.epochs": 9, "optim.patience": 2, "task": NeverBetter()})
    batches = toy_batches(features, config)
    got = list(reports(batches, config))
    assert [(r.epoch, r.improved) for r in got] == [(1, True), (2, False), (3, False)]
    assert list(reports(batches, config, got[-1].state)) == []


class Exploding(SingleLabel, kind="exploding"):
    """The loss of the third step is no number."""

    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        value = super().loss(logits, target)
        steps.append(float(value.detach()))
        return value * (math.nan if len(steps) == 7 else 1.0)


steps: list[float] = []


def test_non_finite_loss_names_step_rate_and_tracks(features: Path) -> None:
    steps.clear()
    config = tiny_config({"task": Exploding()})
    with pytest.raises(TrainingError) as caught:
        list(reports(toy_batches(features, config), config))
    text = str(caught.value)
    assert "the loss is nan at step 6 of epoch 2" in text and "learning rate 0.005" in text
    assert any(t.track_id in text for t in toy_tracks())


def test_cosine_falls_from_the_rate_to_zero() -> None:
    config = OptimConfig(lr=0.2, schedule="cosine")
    rates = [learning_rate(config, s, 100) for s in range(101)]
    assert rates[0] == 0.2 and rates[50] == pytest.approx(0.1) and rates[100] == pytest.approx(0, abs=1e-12)
    assert rates == sorted(rates, reverse=True)
    assert {learning_rate(OptimConfig(lr=0.2), s, 100) for s in (0, 50, 100)} == {0.2}


def test_rate_is_reported(features: Path) -> None:
    config = tiny_config({"optim.schedule": "cosine", "optim.epochs": 2})
    got = [r.metrics["lr"] for r in reports(toy_batches(features, config), config)]
    assert got == [pytest.approx(learning_rate(config.optim, s, 10)) for s in (4, 9)]


# --- trials


def test_trial_leaves_all_that_was_promised(features: Path, tmp_path: Path) -> None:
    config, folder = tiny_config(), TrialFolder(str(tmp_path / "trial"))
    batches = toy_batches(features, config)
    got = list(run_trial(config, batches, folder))
    assert [m["epoch"] for m in got] == [1, 2, 3, 4] and not any(m["replayed"] for m in got)
    assert folder.ended() == {"how": "completed", "error": ""}
    assert folder.config() == config and folder.history() == got
    kept = load_bundle(folder.bundle_uri)
    best = max(m["validation_f1_micro"] for m in got)
    assert [m["best"] for m in got] == list(np.maximum.accumulate([m["validation_f1_micro"] for m in got]))
    assert kept.metrics["validation_f1_micro"] == best == got[-1]["best"]
    # The kept weights are those of the epoch whose predictions were kept.
    predicted = predict_split(kept.network, config.task, batches.windows("validation"))
    validation = folder.validation()
    np.testing.assert_allclose(predicted, validation.probabilities, atol=1e-6)
    assert validation.track_ids == [t.track_id for t in batches.tracks("validation")]
    assert validation.classes == CLASSES and np.array_equal(validation.target, batches.targets("validation"))
    assert config.task.metrics(predicted, validation.target)["f1_micro"] == best


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a finished trial was trained again")

    monkeypatch.setattr(trial_module, "fit", fail)
    monkeypatch.setattr(trial_module, "build_network", fail)


@pytest.mark.parametrize("how", ["completed", "stopped"])
def test_ended_trial_is_replayed_without_training(
    features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    config, folder = tiny_config(), TrialFolder(str(tmp_path))
    running = run_trial(config, toy_batches(features, config), folder)
    got = list(running) if how == "completed" else [next(running), next(running)]
    running.close()
    folder.end("stopped")  # the first mark stays
    assert folder.ended() == {"how": how, "error": ""}
    forbid_training(monkeypatch)
    again = list(run_trial(config, toy_batches(features, config), folder))
    assert again == [{**m, "replayed": True} for m in got]


@pytest.mark.parametrize("after", [1, 2, 3])
def test_killed_trial_goes_on_as_if_undisturbed(features: Path, tmp_path: Path, after: int) -> None:
    config = tiny_config({"model.dropout": 0.2, "optim.schedule": "cosine"})
    batches = toy_batches(features, config)
    whole, killed = TrialFolder(str(tmp_path / "whole")), TrialFolder(str(tmp_path / "killed"))
    wanted = list(run_trial(config, batches, whole))
    running = run_trial(config, batches, killed)
    for _ in range(after):
        next(running)
    running.close()
    assert killed.ended() is None and len(killed.history()) == after
    got = list(run_trial(config, toy_batches(features, config), killed))
    assert [m["replayed"] for m in got] == [i < after for i in range(4)]
    assert without_seconds(got) == without_seconds(wanted)
    assert without_seconds(killed.history()) == without_seconds(whole.history())
    assert np.array_equal(killed.validation().probabilities, whole.validation().probabilities)
    ours, theirs = load_bundle(killed.bundle_uri), load_bundle(whole.bundle_uri)
    assert ours.metrics == theirs.metrics
    assert all(torch.equal(v, theirs.network.state_dict()[k]) for k, v in ours.network.state_dict().items())


@pytest.mark.parametrize("torn", ["history behind", "bundle ahead", "half a state beside"])
def test_trial_killed_between_two_files_goes_on_from_the_state(
    features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: str
) -> None:
    config = tiny_config()
    batches = toy_batches(features, config)
    wanted = list(run_trial(config, batches, TrialFolder(str(tmp_path / "whole"))))
    folder = TrialFolder(str(tmp_path / "torn"))
    running = run_trial(config, batches, folder)
    history = [next(running), next(running)]
    if torn == "history behind":  # state.pt is written first
        (tmp_path / "torn" / "history.json").write_text(json.dumps(history[:1]))
    elif torn == "half a state beside":
        (tmp_path / "torn" / ".state.pt.0123.tmp").write_bytes((tmp_path / "torn" / "state.pt").read_bytes()[:100])
    else:  # killed after the bundle of an epoch, before its state
        monkeypatch.setattr(TrialFolder, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            next(running)
        monkeypatch.undo()
    running.close()
    got = list(run_trial(config, batches, folder))
    assert without_seconds(got) == without_seconds(wanted)
    assert [m["replayed"] for m in got] == [True, True, False, False]
    assert without_seconds(folder.history()) == without_seconds(wanted)


def test_state_that_is_no_state_is_named(tmp_path: Path) -> None:
    folder = TrialFolder(str(tmp_path))
    for damage in (b"", b"no state", b"PK\x03\x04 half a zip"):
        (tmp_path / "state.pt").write_bytes(damage)
        with pytest.raises(TrainingError, match=r"state\.pt is damaged"):
            folder.state()


def test_state_is_never_unpickled_freely(tmp_path: Path) -> None:
    torch.save({"epoch": Path("/any/object")}, tmp_path / "state.pt")
    with pytest.raises(TrainingError, match=r"state\.pt is damaged"):
        TrialFolder(str(tmp_path)).state()


def test_trials_differ_by_their_whole_config(features: Path, tmp_path: Path) -> None:
    losses = []
    for i, changes in enumerate([{}, {"seed": 1}, {"optim.lr": 1e-3}, {"feature.normalisation": "track"}]):
        config = tiny_config({"optim.epochs": 1, **changes})
        got = list(run_trial(config, toy_batches(features, config), TrialFolder(str(tmp_path / str(i)))))
        losses.append(got[0]["train_loss"])
    assert len(set(losses)) == 4


def test_plots_show_every_epoch_and_class(features: Path, tmp_path: Path) -> None:
    config = tiny_config({"optim.epochs": 2})
    history = list(run_trial(config, toy_batches(features, config), TrialFolder(str(tmp_path))))
    figure = learning_curves(history, "f1_micro", "a trial")
    assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [2, 2]
    figure.savefig(tmp_path / "a.png")
    confusion_plot(np.array([[3, 1], [0, 0]]), ["a", "b"], "confusion").savefig(tmp_path / "b.png")
    assert (tmp_path / "a.png").stat().st_size > 1000 and (tmp_path / "b.png").stat().st_size > 1000


# --- bundles


@pytest.fixture
def saved(tmp_path: Path) -> tuple[str, Bundle]:
    config, uri = tiny_config(), str(tmp_path / "bundle")
    torch.manual_seed(0)
    network = build_network(config, 3).eval()
    for buffer in network.buffers():  # as training leaves them: not at their defaults
        buffer.add_(1)
    bundle = Bundle(config, CLASSES, {"validation_f1_micro": 0.5, "epoch": 3}, network)
    save_bundle(uri, bundle)
    return uri, bundle


def test_load_is_the_inverse_of_save(saved: tuple[str, Bundle]) -> None:
    uri, bundle = saved
    again = load_bundle(uri)
    assert (again.config, again.classes, again.metrics) == (bundle.config, bundle.classes, bundle.metrics)
    ours, theirs = again.network.state_dict(), bundle.network.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(v, theirs[k]) for k, v in ours.items())
    assert not again.network.training
    x = torch.randn(2, *bundle.config.inputs.shape)
    with torch.inference_mode():
        assert torch.equal(again.network(x), bundle.network(x))
    assert sorted(p.name for p in Path(uri).iterdir()) == ["bundle.json", "weights.safetensors"]


def test_other_version_is_refused_by_name(saved: tuple[str, Bundle]) -> None:
    path = Path(saved[0]) / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(BundleError, match="format version 99, this Tonearm reads 1"):
        load_bundle(saved[0])


@pytest.mark.parametrize("damage", ["truncated", "empty", "absent", "other network", "noise"])
def test_damaged_weights_are_refused(saved: tuple[str, Bundle], damage: str) -> None:
    from safetensors.torch import save

    path = Path(saved[0]) / "weights.safetensors"
    data = path.read_bytes()
    if damage == "absent":
        path.unlink()
    else:
        other = save({"x": torch.zeros(3)})
        path.write_bytes({"truncated": data[:-10], "empty": b"", "other network": other, "noise": b"\xff" * 200}[damage])
    with pytest.raises(BundleError, match="is damaged"):
        load_bundle(saved[0])


@pytest.mark.parametrize(
    "change",
    [{"config": None}, {"config": {"unknown": 1}}, {"classes": 5}, {"classes": ["a", "b"]}, {"metrics": 3},
     *({k: "absent"} for k in ("config", "classes", "metrics", "format"))],
    ids=str,
)  # fmt: skip
def test_damaged_description_is_refused(saved: tuple[str, Bundle], change: dict[str, Any]) -> None:
    path = Path(saved[0]) / "bundle.json"
    values = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps({k: v for k, v in values.items() if v != "absent"}))
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(saved[0])


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "\udcff"])
def test_description_that_is_none_is_refused(saved: tuple[str, Bundle], text: str) -> None:
    (Path(saved[0]) / "bundle.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(saved[0])


def test_absent_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no model at .*nowhere: bundle\.json is not there"):
        load_bundle(str(tmp_path / "nowhere"))


def test_track_embedding_is_the_mean_of_unit_windows(saved: tuple[str, Bundle]) -> None:
    network, x = saved[1].network, torch.randn(4, *saved[1].config.inputs.shape)
    embedding = embed_windows(network, x)
    with torch.inference_mode():
        each = network.embed(x)
    assert embedding.shape == (network.embedding_dim,)
    torch.testing.assert_close(embedding, (each / each.norm(dim=1, keepdim=True)).mean(dim=0))
