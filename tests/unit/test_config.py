"""Configs: JSON there and back, all problems at once, replacement by path, and signatures that see every value."""

from __future__ import annotations

import json
import re
from dataclasses import field
from typing import Any, Literal

import pytest

from tests.builders import tiny_config
from tonearm.core.config import RUN_ONLY, Config
from tonearm.core.errors import ConfigError, UnknownNameError
from tonearm.core.registry import Registry
from tonearm.features import Mel, Representation
from tonearm.features.base import Feature
from tonearm.features.metadata import TableFeature
from tonearm.models import FreqConfig, ModelConfig, RnnConfig, SimpleConfig, TimeConfig
from tonearm.tasks import Regression, SingleLabel, Task
from tonearm.training.config import DatasetRef, TrialConfig


class Inner(Config):
    width: int = 3
    rate: float = 0.5
    limit: float | None = None
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[int, float] = (1, 2.0)
    mode: Literal["fast", "slow"] = "fast"
    on: bool = False


class Outer(Config):
    name: str
    inner: Inner = Inner()
    threads: int = field(default=1, metadata=RUN_ONLY)

    def problems(self) -> list[str]:
        return [f"name is {self.name!r}: it must not be empty"] if not self.name else []


class Shape(Config):
    registry = Registry("shape")


class Circle(Shape, kind="circle"):
    radius: float = 1.0


class Square(Shape, kind="square"):
    side: float = 1.0


class Round(Shape):
    """A family within the family."""


class Wheel(Round, kind="wheel"):
    spokes: int = 8


def full_trial(model: ModelConfig) -> TrialConfig:
    return TrialConfig(dataset=DatasetRef(name="d"), feature=Mel(), model=model, task=SingleLabel())


# --- there and back


def test_dict_is_json_and_comes_back_equal() -> None:
    config = Outer(name="é", inner=Inner(sizes=(4, 5, 6), limit=2.0, pair=(3, 4.5), mode="slow", on=True), threads=7)
    again = Outer.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert again.signature() == config.signature()


def test_kind_chooses_the_member_of_a_family() -> None:
    assert Shape.from_dict({"kind": "square", "side": 2}) == Square(side=2.0)
    assert Circle().to_dict() == {"kind": "circle", "radius": 1.0}


def test_unknown_kind_is_refused_with_the_close_name() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown shape 'circel'. Did you mean 'circle'\? Known: circle, square, wheel"
    ):
        Shape.from_dict({"kind": "circel"})


def test_kind_of_a_config_without_family_is_refused() -> None:
    with pytest.raises(ConfigError, match="Inner takes no kind, got 'x'"):
        Inner.from_dict({"kind": "x"})


def test_kind_without_family_cannot_be_declared() -> None:
    with pytest.raises(ConfigError, match="no base class with a registry"):

        class Alone(Config, kind="alone"):
            pass


# --- what is wrong is said, all of it


def test_unknown_keys_are_listed_with_suggestions() -> None:
    with pytest.raises(ConfigError) as caught:
        Outer.from_dict({"name": "a", "thread": 2, "inner": {"widht": 3, "zzz": 1}})
    text = str(caught.value)
    assert len(caught.value.problems) == 3
    assert "Did you mean 'threads'?" in text and "Did you mean 'width'?" in text and "no field 'zzz'" in text


def test_wrong_types_are_collected_with_field_and_value() -> None:
    with pytest.raises(ConfigError) as caught:
        Inner(width="3", rate="x", mode="medium", on=1)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 4
    assert caught.value.problems[0] == "Inner.width: '3' is a str, expected int"
    assert "'medium' is none of 'fast', 'slow'" in str(caught.value)


@pytest.mark.parametrize(
    ("field_name", "value"),
    [("width", 3.0), ("width", True), ("rate", True), ("rate", None), ("limit", "1"), ("sizes", (1, "2")),
     ("sizes", [1, 2]), ("pair", (1,)), ("pair", (1, 2.0, 3.0)), ("on", 1)],
)  # fmt: skip
def test_value_of_another_type_is_refused(field_name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"Inner.{field_name}"):
        Inner(**{field_name: value})


def test_list_of_another_length_is_refused_and_not_cut() -> None:
    with pytest.raises(ConfigError, match="pair"):
        Inner.from_dict({"pair": [1, 2.0, 3.0]})
    with pytest.raises(ConfigError, match="pair"):
        Inner.from_dict({"pair": [1]})


def test_missing_field_is_named() -> None:
    with pytest.raises(ConfigError, match="name"):
        Outer.from_dict({})


@pytest.mark.parametrize("value", [None, [], "x", 3])
def test_what_is_no_mapping_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="expected a mapping"):
        Outer.from_dict(value)


def test_conditions_between_fields_are_checked() -> None:
    with pytest.raises(ConfigError, match="must not be empty"):
        Outer(name="")


def test_configs_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Inner().width = 4  # type: ignore[misc]


# --- replacement


def test_replace_reaches_any_depth_and_leaves_the_original() -> None:
    config = tiny_config()
    other = config.replace({"optim.lr": 0.5, "feature.n_fft": 1024, "seed": 3})
    assert (other.optim.lr, other.feature.n_fft, other.seed) == (0.5, 1024, 3)
    assert (config.optim.lr, config.feature.n_fft, config.seed) == (5e-3, 512, 0)
    assert other.window is config.window


def test_replaced_config_takes_the_fields_replaced_with_it() -> None:
    config = full_trial(SimpleConfig()).replace({"model.divisors": "2-48", "model": TimeConfig()})
    assert config.model == TimeConfig(divisors="2-48")


def test_replaced_kind_is_another_of_the_family_with_its_own_fields() -> None:
    config = full_trial(TimeConfig(divisors="2-48", dropout=0.5))
    assert config.replace({"model.kind": "freq"}).model == FreqConfig()
    assert config.replace({"model.widths": "8,16,32", "model.kind": "freq"}).model == FreqConfig(widths="8,16,32")
    assert config.replace({"model.kind": "time", "model.dropout": 0.1}).model == TimeConfig(
        divisors="2-48", dropout=0.1
    )
    assert config.replace({"task.kind": "regression", "task.target": "year"}).task == Regression(target="year")
    assert config.replace({"model.kind": "rnn", "model.widths": 64}).model == RnnConfig(widths="64")
    for strange in ("frequency", ["time"], {}):
        with pytest.raises(UnknownNameError, match=re.escape(f"unknown model {strange!r}")):
            config.replace({"model.kind": strange})
    with pytest.raises(ConfigError, match="Regression needs target: give it a value"):
        config.replace({"task.kind": "regression"})
    with pytest.raises(ConfigError, match="RnnConfig has no field 'divisors'"):
        config.replace({"model.kind": "rnn", "model.divisors": "2-48"})
    with pytest.raises(ConfigError, match="OptimConfig takes no kind, got 'adam'"):
        config.replace({"optim.kind": "adam"})


def test_replace_refuses_paths_that_lead_nowhere() -> None:
    config = tiny_config()
    with pytest.raises(ConfigError, match="Did you mean 'optim'"):
        config.replace({"optm.lr": 1.0})
    with pytest.raises(ConfigError, match=r"no field 'lrr'. Did you mean 'lr'"):
        config.replace({"optim.lrr": 1.0})
    with pytest.raises(ConfigError, match="seed has no fields of its own"):
        config.replace({"seed.x": 1})


def test_replace_checks_values() -> None:
    with pytest.raises(ConfigError, match=r"optim.lr is -1.0"):
        tiny_config().replace({"optim.lr": -1})


def test_flatten_names_every_value_by_its_path() -> None:
    flat = tiny_config().flatten()
    assert flat["optim.lr"] == 5e-3 and flat["feature.kind"] == "mel" and flat["feature.frames"] is None
    assert not any(isinstance(v, dict) for v in flat.values())


# --- identity: see also test_signatures


def test_run_only_fields_do_not_count() -> None:
    assert Outer(name="a", threads=1).signature() == Outer(name="a", threads=8).signature()
    assert "threads" in Outer(name="a").to_dict() and "threads" not in Outer(name="a").to_dict(run_only=False)


@pytest.mark.parametrize("changes", [{"rate": 1}, {"limit": 8}, {"pair": (1, 3)}])
def test_whole_numbers_and_floats_are_one_identity(changes: dict[str, Any]) -> None:
    as_float = {k: (v[0], float(v[1])) if isinstance(v, tuple) else float(v) for k, v in changes.items()}
    assert Inner(**changes).signature() == Inner(**as_float).signature()
    assert json.dumps(Inner(**changes).to_dict()) == json.dumps(Inner(**as_float).to_dict())


NEEDED = {"table": {"columns": ["tempo"]}, "several": {"inputs": [{"name": "mel", "feature": {"kind": "mel"}}]},
          "regression": {"target": "tempo"}, "embedding": {"target": "vector"},
          "summary": {"of": {"kind": "mel"}, "summary": {"kind": "moments"}}, "compressed": {"of": {"kind": "mel"}},
          "frozen": {"of": {"kind": "waveform"}, "patch": 9, "outputs": [{"name": "a", "dim": 2}]}}  # fmt: skip


@pytest.mark.parametrize("family", [ModelConfig, Feature, Task])
def test_every_member_of_a_family_has_working_defaults(family: Any) -> None:
    assert len(family.registry) > 0
    for kind in family.registry:
        assert family.from_dict({"kind": kind, **NEEDED.get(kind, {})}).kind == kind


def test_member_of_the_wider_family_is_refused_where_a_narrower_one_is_needed() -> None:
    assert Representation.from_dict({"kind": "mel"}) == Mel()
    assert Round.from_dict({"kind": "wheel"}) == Wheel() and Shape.from_dict({"kind": "wheel"}) == Wheel()
    for kind in ("circle", "square"):
        with pytest.raises(ConfigError, match=rf"'{kind}' is a {kind.capitalize()}, here a Round is needed"):
            Round.from_dict({"kind": kind})
    with pytest.raises(ConfigError, match="'table' is a TableFeature, here a Representation is needed"):
        Representation.from_dict({"kind": "table", "columns": ["tempo"]})
    with pytest.raises(ConfigError, match="'mel' is a Mel, here a TableFeature is needed"):
        TableFeature.from_dict({"kind": "mel"})


def test_field_of_a_narrower_family_refuses_the_wider_one_from_json() -> None:
    class Cart(Config):
        wheels: tuple[Round, ...] = ()

    assert Cart.from_dict({"wheels": [{"kind": "wheel"}]}) == Cart(wheels=(Wheel(),))
    with pytest.raises(ConfigError, match="wheels: 'square' is a Square, here a Round is needed"):
        Cart.from_dict({"wheels": [{"kind": "wheel"}, {"kind": "square"}]})


@pytest.mark.parametrize(
    ("path", "value"),
    [("optim.lr", 0.0), ("optim.lr", float("nan")), ("optim.lr", float("inf")), ("optim.batch_size", 0),
     ("optim.epochs", 0), ("optim.patience", 0), ("optim.weight_decay", -0.1), ("optim.weight_decay", float("nan")),
     ("window.frames", 0), ("window.frames", 10_000), ("window.per_track", 0), ("window.train_per_track", 0),
     ("clip.seconds", 0.0), ("clip.seconds", float("nan")), ("clip.seconds", float("inf")), ("feature.n_fft", 0),
     ("feature.n_fft", 1025), ("feature.hop", 0), ("feature.hop", 8192), ("feature.frames", 0),
     ("feature.n_mels", 0), ("feature.n_mels", 5000), ("feature.fmin", -1.0), ("feature.fmin", 12_000.0),
     ("feature.fmax", 20_000.0), ("feature.fmax", float("nan")), ("feature.sample_rate", 0)],
)  # fmt: skip
def test_impossible_values_of_a_trial_are_refused(path: str, value: Any) -> None:
    with pytest.raises(ConfigError):
        full_trial(TimeConfig()).replace({path: value})


def test_people_read_fields_and_kinds_and_no_names_of_classes() -> None:
    plain = tiny_config().window
    assert plain.replace({"frames": 99, "per_track": 4}).brief().startswith("(frames=99, ")
    assert tiny_config().augment.brief() == "default"
    assert TimeConfig(divisors="2-48").brief() == "time(divisors=2-48)" and TimeConfig().brief() == "time"
