"""Identity: the signature of a trial changes with every field of its whole tree, for every model that there is."""

from __future__ import annotations

import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Literal

import pytest

from tonearm.audio.windows import ClipConfig
from tonearm.core.config import Config
from tonearm.core.errors import ConfigError
from tonearm.features import Chroma, Cqt, Mel, Mfcc, RawWaveform, Representation, StftHalved
from tonearm.features.base import Feature
from tonearm.features.metadata import (
    ArtistsFeature,
    CompositeFeature,
    NamedFeature,
    PictureFeature,
    TableFeature,
    TokensFeature,
)
from tonearm.models import ModelConfig
from tonearm.tasks import SingleLabel
from tonearm.training.config import DatasetRef, Member, OptimConfig, TrialConfig, WindowConfig
from tonearm.training.optim import Round

Put = Callable[[Mapping[str, Any]], TrialConfig]
VECTORS = ("mel_time", "mel_freq", "cqt_time", "cqt_freq", "chroma", "mfcc")
HEARD = {"stft_halved": StftHalved(), "mel": Mel(), "cqt": Cqt(), "chroma": Chroma(), "mfcc": Mfcc()}
MID_SIDE = Mel(channels="mid_side", n_fft=2048, hop=256, n_mels=24, frames=2584)
#: What a model takes, if it is no mel spectrogram; with the frames of a window.
TAKES: dict[str, tuple[Feature, int]] = {
    "wav1d": (RawWaveform(channels="mid_side"), 20_000),
    "wav2d": (RawWaveform(channels="mid_side"), 200_000),
    "spec2d": (MID_SIDE, 2584),
    "spec3d": (MID_SIDE, 2584),
    "lyrics": (TokensFeature(), 1),
    "albums": (PictureFeature(size=64), 1),
    "tabular_mlp": (TableFeature(columns=("tempo", "key")), 1),
    "artist_table": (ArtistsFeature(artists=9), 1),
    "genre_ensemble": (CompositeFeature(inputs=tuple(NamedFeature(name=n, feature=f) for n, f in HEARD.items())), 600),
    "recommendation": (
        CompositeFeature(
            inputs=tuple(NamedFeature(name=n, feature=TableFeature(columns=(n,), width=8)) for n in VECTORS)
        ), 1
    ),
}  # fmt: skip


def trial_of(kind: str) -> TrialConfig:
    """A trial of a model in which every field that may be left open is given."""
    feature, frames = TAKES.get(kind, (Mel(), 215))
    return TrialConfig(
        dataset=DatasetRef(name="d"),
        feature=feature,
        model=ModelConfig.registry[kind](),
        task=SingleLabel(),
        clip=ClipConfig(),
        window=WindowConfig(frames=frames),
        optim=OptimConfig(rounds=(Round(lr=1e-4, batch_size=4, patience=2),)),
        members=(Member(name="time", trial="0123", bundle="/somewhere"),),
        start=Member(name="start", trial="89ab", bundle="/there"),
    )


def candidates(value: Any, expected: Any) -> list[Any]:
    """Other values for a field, the likely legal ones first."""
    if typing.get_origin(expected) is Literal:
        return [v for v in typing.get_args(expected) if v != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value + 2, max(1, value - 1), value * 2]
    if isinstance(value, float):
        return [value + 0.125, value * 1.5, value / 2]
    if isinstance(value, str):
        turned = ",".join(reversed(value.split(",")))
        return [c for c in (f"{value}x", "4,8,16", "8,16,32", "f1_macro", turned, "input=2") if c != value]
    if isinstance(value, tuple):
        return [c for c in ((*value, *value[:1]), value[:-1], value[::-1]) if c != value]
    return [7, 2048, 1000.0, "4,8", True, 300_000, 20.0]  # of an optional field that is None


def pinned(config: TrialConfig) -> tuple[str, ...]:
    """Fields that no other single value fits: of one of several inputs what all must share, and what is not heard."""
    if isinstance(config.feature, RawWaveform):
        return ("feature.hop", "augment.freq_masks")  # a frame a sample, a single row
    if isinstance(config.feature, Representation):
        return ("model.parts", "model.absent") if config.model.composed else ()  # which are of the members
    together = tuple(f"feature.inputs[{i}].feature.{f}" for i in range(len(config.feature.named_inputs()))
                     for f in ("hop", "sample_rate", "frames"))  # fmt: skip
    names = tuple(f"feature.inputs[{i}].name" for i in range(len(config.feature.named_inputs())))
    masks = ("time_masks", "freq_masks", "gain_db", "shift_share", "mixup_alpha")
    return (*together, *names, *(f"augment.{name}" for name in masks))


def changed(config: TrialConfig) -> dict[str, TrialConfig]:
    """For every field of the tree that is no config itself, the config with another legal value in that field."""
    out: dict[str, TrialConfig] = {}
    left_alone = pinned(config)

    def visit(node: Config, path_to: str, put: Put) -> None:
        hints = typing.get_type_hints(type(node))
        for f in fields(node):  # type: ignore[arg-type]
            path, value = f"{path_to}{f.name}", getattr(node, f.name)
            if isinstance(value, Config):
                visit(value, f"{path}.", lambda c, put=put, own=f.name: put({f"{own}.{k}": v for k, v in c.items()}))
                continue
            if f.metadata.get("run_only") or path in left_alone:
                continue
            if isinstance(value, tuple):
                for i, element in enumerate(value):
                    if isinstance(element, Config):
                        visit(element, f"{path}[{i}].", inside(put, f.name, value, i))
            # Legal only with several clips a track; the base of the comparison differs in position alone.
            beside = {"position": "all"} if path == "clip.hop" else {}
            for other in candidates(value, hints[f.name]):
                try:
                    out[path] = put({f.name: other, **beside})
                except ConfigError:
                    continue
                break
            assert path in out, f"no other legal value found for {path} = {value!r}: name one in candidates()"

    def inside(put: Put, name: str, value: tuple[Config, ...], i: int) -> Put:
        return lambda changes: put({name: (*value[:i], value[i].replace(changes), *value[i + 1 :])})

    visit(config, "", config.replace)
    return out


@pytest.mark.parametrize("kind", sorted(ModelConfig.registry))
def test_signature_changes_with_every_field(kind: str) -> None:
    config = trial_of(kind)
    others = changed(config)
    seen = {path for path in others if "[" not in path} | {p for p in pinned(config) if "[" not in p}
    no_part = {p for p in config.flatten() if p.endswith("kind")} | {"start.bundle"}
    assert seen | no_part == set(config.flatten())
    assert {"members[0].name", "members[0].trial", "optim.rounds[0].lr", "optim.rounds[0].patience"} <= set(others)
    signatures = {config.signature(), *(c.signature() for c in others.values())}
    assert len(signatures) == len(others) + 1


def test_where_a_member_lies_does_not_count() -> None:
    config = trial_of("time_freq")
    moved = config.replace({"members": (Member(name="time", trial="0123", bundle="/elsewhere"),)})
    assert moved.signature() == config.signature() and moved != config
    assert config.replace({"start.bundle": "/elsewhere"}).signature() == config.signature()
    other = config.replace({"members": (Member(name="time", trial="4567", bundle="/somewhere"),)})
    assert other.signature() != config.signature()


def test_signature_changes_with_the_kind() -> None:
    kinds = sorted(ModelConfig.registry)
    assert len({trial_of(k).signature() for k in kinds}) == len(kinds)


@pytest.mark.parametrize("kind", sorted(ModelConfig.registry))
def test_trial_and_its_signature_come_back_from_json(kind: str) -> None:
    config = trial_of(kind).replace({"clip.seconds": 31})
    again = TrialConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config and again.signature() == config.signature()
    assert type(again.model) is type(config.model) and type(again.feature) is type(config.feature)
