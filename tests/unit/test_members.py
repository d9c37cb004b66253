"""Networks on top of trained ones: whose weights they take, and that these stay what they were."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.builders import CLASSES, tiny_config, toy_batches
from tests.unit.model_examples import SMALL_MEMBER
from tests.unit.test_input_bundles import HEARD
from tonearm.core.errors import TrainingError
from tonearm.features.metadata import CompositeFeature, NamedFeature
from tonearm.features.normalisation import TrainingStatistics
from tonearm.models import FreqConfig, GenreEnsembleConfig, RnnConfig, TimeConfig, TimeFreqConfig
from tonearm.models.stacked import StackedNetwork
from tonearm.training.batches import Batches
from tonearm.training.bundle import Bundle, build_network, load_bundle, save_bundle
from tonearm.training.config import Member, TrialConfig
from tonearm.training.logits import predict_split
from tonearm.training.trial import TrialFolder, load_members, run_trial

TIME, FREQ = TimeConfig(**SMALL_MEMBER), FreqConfig(**SMALL_MEMBER)
JOINED = TimeFreqConfig(time=TIME, freq=FREQ, hidden="8,6", dropout=0.2)
CHANGES = {"feature.n_mels": 20, "window.frames": 24, "optim.epochs": 2}


@dataclass(frozen=True)
class Trained:
    """Two finished trials that can be joined, and the data that all were trained on."""

    batches: Batches
    folders: dict[str, TrialFolder]

    def members(self, **other: Member) -> tuple[Member, ...]:
        own = {n: Member(name=n, trial=f.config().signature(), bundle=f.bundle_uri) for n, f in self.folders.items()}
        return tuple({**own, **other}.values())

    def config(self, **other: Member) -> TrialConfig:
        return tiny_config({**CHANGES, "model": JOINED, "members": self.members(**other)})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    root = tmp_path_factory.mktemp("members")
    folders = {}
    for name, model in (("time", TIME), ("freq", FREQ)):
        config = tiny_config({**CHANGES, "model": model})
        batches, folders[name] = toy_batches(root, config), TrialFolder(str(root / name))
        list(run_trial(config, batches, folders[name]))
    return Trained(batches, folders)


def bundle_at(uri: Path, config: TrialConfig, classes: tuple[str, ...] = CLASSES, **says: Any) -> Member:
    """An untrained model, given as the member ``time``."""
    torch.manual_seed(5)
    save_bundle(
        str(uri), Bundle(config, classes, {}, build_network(config, len(classes)), {"": TrainingStatistics(0.0, 1.0)})
    )
    return Member(**{"name": "time", "trial": config.signature(), "bundle": str(uri), **says})


def joined(trained: Trained, config: TrialConfig, **other: Any) -> StackedNetwork:
    network = build_network(config, len(CLASSES))
    load_members(network, config, CLASSES)
    assert isinstance(network, StackedNetwork)
    return network


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(v, theirs[k]) for k, v in ours.items())


# --- what is taken


def test_joined_network_takes_the_trained_weights(trained: Trained) -> None:
    fresh = build_network(trained.config(), len(CLASSES))
    network = joined(trained, trained.config())
    for name, folder in trained.folders.items():
        member = load_bundle(folder.bundle_uri).network
        assert same(network.members[name], member) and not same(fresh.members[name], member)  # type: ignore[index, union-attr]
    inputs, _ = next(trained.batches.evaluation("validation"))
    with torch.inference_mode():
        logits = [load_bundle(trained.folders[n].bundle_uri).network(inputs) for n in ("time", "freq")]
        assert torch.equal(network.vector(inputs), torch.cat(logits, dim=1))


def test_training_leaves_the_members_as_they_were(trained: Trained, tmp_path: Path) -> None:
    config, folder = trained.config(), TrialFolder(str(tmp_path))
    got = list(run_trial(config, trained.batches, folder))
    assert len(got) == 2 and got[0]["train_loss"] != got[1]["train_loss"]
    bundle = load_bundle(folder.bundle_uri)
    assert isinstance(bundle.network, StackedNetwork) and bundle.config == config == folder.config()
    for name, own in trained.folders.items():
        assert same(bundle.network.members[name], load_bundle(own.bundle_uri).network)  # running figures included
    fresh = joined(trained, config)
    assert not same(bundle.network.hidden, fresh.hidden) and not same(bundle.network.classifier, fresh.classifier)
    predicted = predict_split(bundle.network, config.task, trained.batches, "validation")
    np.testing.assert_allclose(predicted, folder.validation().probabilities, atol=1e-6)


def test_joined_trial_goes_on_to_the_bit(trained: Trained, tmp_path: Path) -> None:
    whole, killed = TrialFolder(str(tmp_path / "whole")), TrialFolder(str(tmp_path / "killed"))
    wanted = list(run_trial(trained.config(), trained.batches, whole))
    running = run_trial(trained.config(), trained.batches, killed)
    next(running)
    running.close()
    got = list(run_trial(trained.config(), trained.batches, killed))
    assert [m["train_loss"] for m in got] == [m["train_loss"] for m in wanted]
    assert same(load_bundle(killed.bundle_uri).network, load_bundle(whole.bundle_uri).network)


def test_joined_network_needs_its_members_no_more_once_it_is_trained(trained: Trained, tmp_path: Path) -> None:
    gone = Member(name="time", trial="0123", bundle=str(tmp_path / "nowhere"))
    config = trained.config(time=gone)
    network = joined(trained, trained.config())
    save_bundle(str(tmp_path / "joined"), Bundle(config, CLASSES, {}, network))
    assert same(load_bundle(str(tmp_path / "joined")).network, network)


def test_member_of_several_inputs_must_have_been_trained_on_its_own(tmp_path: Path) -> None:
    feature = CompositeFeature(inputs=tuple(NamedFeature(name=n, feature=f) for n, f in HEARD.items()))
    model = GenreEnsembleConfig(time=TIME, freq=FREQ, rnn=RnnConfig(widths="5"), hidden="8")
    config = tiny_config({"feature": feature, "model": model})
    network = build_network(config, len(CLASSES))
    for reads, fits in (("mel", True), ("cqt", False)):
        alone = tiny_config({"feature": HEARD[reads], "model": TIME})
        member = bundle_at(tmp_path / reads, alone, name="time_mel")
        with pytest.raises(TrainingError) as caught:
            load_members(network, config.replace({"members": (member,)}), CLASSES)
        text = str(caught.value)
        assert text.count("is not trained: name its trial") == 7 and "'time_mel' is not trained" not in text
        assert ("'time_mel' at" in text and "takes another input" in text) == (not fits)
    assert same(network.members["time_mel"], load_bundle(str(tmp_path / "mel")).network)  # type: ignore[index, union-attr]


# --- what does not fit


def misfit(trained: Trained, config: TrialConfig) -> str:
    with pytest.raises(TrainingError) as caught:
        joined(trained, config)
    return str(caught.value)


def test_member_that_is_not_given_is_named(trained: Trained) -> None:
    time, freq = trained.members()
    assert misfit(trained, trained.config().replace({"members": (freq,)})) == (
        "time_freq: member 'time' is not trained: name its trial"
    )
    assert misfit(trained, trained.config().replace({"members": ()})).count("is not trained: name its trial") == 2
    other = Member(name="rhythm", trial=time.trial, bundle=time.bundle)
    assert "there is no member 'rhythm': time, freq" in misfit(trained, trained.config(rhythm=other))


def test_member_of_another_trial_is_named(trained: Trained) -> None:
    time = trained.members()[0]
    wrong = Member(name="time", trial="0123456789abcdef", bundle=time.bundle)
    assert (
        misfit(trained, trained.config(time=wrong)) == f"time_freq: member 'time' at {time.bundle} is of another trial"
    )


@pytest.mark.parametrize(
    "changes", [{"feature.normalisation": "track"}, {"feature.n_fft": 1024}, {"window.frames": 25}], ids=str
)
def test_member_of_another_input_is_named(trained: Trained, tmp_path: Path, changes: dict[str, Any]) -> None:
    wrong = bundle_at(tmp_path / "b", tiny_config({**CHANGES, "model": TIME, **changes}))
    assert misfit(trained, trained.config(time=wrong)) == (
        f"time_freq: member 'time' at {wrong.bundle} takes another input"
    )


@pytest.mark.parametrize("classes", [("bass", "flute"), ("flute", "bass", "noise"), ("a", "b", "c")])
def test_member_of_other_classes_is_named(trained: Trained, tmp_path: Path, classes: tuple[str, ...]) -> None:
    wrong = bundle_at(tmp_path / "b", tiny_config({**CHANGES, "model": TIME}), classes)
    assert misfit(trained, trained.config(time=wrong)) == (
        f"time_freq: member 'time' at {wrong.bundle} gives other classes"
    )


def test_all_misfits_are_named_at_once(trained: Trained, tmp_path: Path) -> None:
    config = tiny_config({**CHANGES, "model": TIME, "feature.normalisation": "none"})
    wrong = bundle_at(tmp_path / "b", config, ("x", "y"), trial="0123")
    extra = Member(name="rhythm", trial="4567")
    text = misfit(trained, trained.config().replace({"members": (wrong, extra)}))
    for part in ("'freq' is not trained", "no member 'rhythm'", "is of another trial", "takes another input",
                 "gives other classes"):  # fmt: skip
        assert part in text


def test_nothing_is_loaded_that_does_not_fit(trained: Trained) -> None:
    time, freq = trained.members()
    config = trained.config(time=Member(name="time", trial="0123", bundle=time.bundle))
    torch.manual_seed(1)
    network = build_network(config, len(CLASSES))
    torch.manual_seed(1)
    fresh = build_network(config, len(CLASSES))
    with pytest.raises(TrainingError):
        load_members(network, config, CLASSES)
    assert same(network.members["time"], fresh.members["time"])  # type: ignore[index, union-attr]
    assert freq.name == "freq"


def test_absent_bundle_of_a_member_is_named(trained: Trained, tmp_path: Path) -> None:
    gone = Member(name="time", trial="0123", bundle=str(tmp_path / "nowhere"))
    with pytest.raises(TrainingError, match=r"member 'time': no model at .*nowhere"):
        joined(trained, trained.config(time=gone))


def test_network_without_members_takes_none(trained: Trained) -> None:
    config = tiny_config({"members": trained.members()})
    with pytest.raises(TrainingError, match="the model 'simple' has no members, 2 were given"):
        load_members(build_network(config, 3), config, CLASSES)
    load_members(build_network(tiny_config(), 3), tiny_config(), CLASSES)
