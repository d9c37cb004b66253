"""Configs: JSON there and back, all problems at once, replacement by path, and signatures that see every value."""

from __future__ import annotations

import json
import typing
from dataclasses import field, fields
from typing import Any, Literal

import pytest

from tests.builders import tiny_config
from tonearm.core.config import RUN_ONLY, Config
from tonearm.core.errors import ConfigError, UnknownNameError
from tonearm.core.registry import Registry
from tonearm.features import Mel, Representation
from tonearm.models import ModelConfig, SimpleConfig, TimeConfig
from tonearm.tasks import SingleLabel, Task
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


def full_trial(model: ModelConfig) -> TrialConfig:
    return TrialConfig(dataset=DatasetRef(name="d"), feature=Mel(), model=model, task=SingleLabel())


# --- there and back


def test_dict_is_json_and_comes_back_equal() -> None:
    config = Outer(name="é", inner=Inner(sizes=(4, 5, 6), limit=2.0, pair=(3, 4.5), mode="slow", on=True), threads=7)
    again = Outer.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert again.signature() == config.signature()


@pytest.mark.parametrize("kind", sorted(ModelConfig.registry))
def test_trial_of_every_model_comes_back_equal(kind: str) -> None:
    config = full_trial(ModelConfig.registry[kind]())
    again = TrialConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert type(again.model) is type(config.model)


def test_kind_chooses_the_member_of_a_family() -> None:
    assert Shape.from_dict({"kind": "square", "side": 2}) == Square(side=2.0)
    assert Circle().to_dict() == {"kind": "circle", "radius": 1.0}


def test_unknown_kind_is_refused_with_the_close_name() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown shape 'circel'. Did you mean 'circle'\? Known: circle, square"
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


# --- identity


def candidates(value: Any, expected: Any) -> list[Any]:
    """Other values for a field, the likely legal ones first."""
    if typing.get_origin(expected) is Literal:
        return [v for v in typing.get_args(expected) if v != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value + 2, max(1, value - 1)]
    if isinstance(value, float):
        return [value + 0.125, value * 1.5, value / 2]
    if isinstance(value, str):
        return [value + "x", "4,8,16", "8,16,32"]
    if isinstance(value, tuple):
        return [(*value, *value[:1]), value[:-1]]
    return [7, 2048, 1000.0, "4,8", True]  # of an optional field that is None


def changed(config: TrialConfig) -> dict[str, TrialConfig]:
    """For every field of the tree that is no config itself, the config with another legal value in that field."""
    out: dict[str, TrialConfig] = {}

    def visit(node: Config, prefix: str) -> None:
        hints = typing.get_type_hints(type(node))
        for f in fields(node):  # type: ignore[arg-type]
            path, value = f"{prefix}{f.name}", getattr(node, f.name)
            if isinstance(value, Config):
                visit(value, f"{path}.")
                continue
            if f.metadata.get("run_only"):
                continue
            # Legal only with several clips a track; the base of the comparison differs in position alone.
            beside = {"clip.position": "all"} if path == "clip.hop" else {}
            for other in candidates(value, hints[f.name]):
                try:
                    out[path] = config.replace({path: other, **beside})
                except ConfigError:
                    continue
                break
            assert path in out, f"no other legal value found for {path} = {value!r}: name one in candidates()"

    visit(config, "")
    return out


@pytest.mark.parametrize("kind", sorted(ModelConfig.registry))
def test_signature_changes_with_every_field(kind: str) -> None:
    config = full_trial(ModelConfig.registry[kind]())
    others = changed(config)
    assert set(others) | {p for p in config.flatten() if p.endswith("kind")} == set(config.flatten())
    signatures = {config.signature(), *(c.signature() for c in others.values())}
    assert len(signatures) == len(others) + 1


def test_signature_changes_with_the_kind() -> None:
    kinds = sorted(ModelConfig.registry)
    assert len({full_trial(ModelConfig.registry[k]()).signature() for k in kinds}) == len(kinds)
    assert Circle().signature() != Square().signature()


def test_run_only_fields_do_not_count() -> None:
    assert Outer(name="a", threads=1).signature() == Outer(name="a", threads=8).signature()
    assert "threads" in Outer(name="a").to_dict() and "threads" not in Outer(name="a").to_dict(run_only=False)


@pytest.mark.parametrize("changes", [{"rate": 1}, {"limit": 8}, {"pair": (1, 3)}])
def test_whole_numbers_and_floats_are_one_identity(changes: dict[str, Any]) -> None:
    as_float = {k: (v[0], float(v[1])) if isinstance(v, tuple) else float(v) for k, v in changes.items()}
    assert Inner(**changes).signature() == Inner(**as_float).signature()
    assert json.dumps(Inner(**changes).to_dict()) == json.dumps(Inner(**as_float).to_dict())


def test_signature_is_the_same_after_json() -> None:
    config = full_trial(TimeConfig()).replace({"feature.fmax": 8000, "clip.seconds": 20})
    assert TrialConfig.from_dict(json.loads(json.dumps(config.to_dict()))).signature() == config.signature()


@pytest.mark.parametrize("family", [ModelConfig, Representation, Task])
def test_every_member_of_a_family_has_working_defaults(family: Any) -> None:
    assert len(family.registry) > 0
    for kind in family.registry:
        assert family.from_dict({"kind": kind}).kind == kind


@pytest.mark.parametrize(
    ("path", "value"),
    [("optim.lr", 0.0), ("optim.lr", float("nan")), ("optim.lr", float("inf")), ("optim.batch_size", 1),
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
