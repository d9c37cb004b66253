"""Representations by name: the six of Whitell 2019, those of the other systems, and any with changed fields."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tonearm.core.config import Config
from tonearm.core.errors import ConfigError
from tonearm.core.registry import unknown_name
from tonearm.features.attributes import Attributes
from tonearm.features.base import Representation
from tonearm.features.compressed import Compressed  # noqa: F401  registers it
from tonearm.features.contrast import Contrast
from tonearm.features.cqt import Chroma, Cqt
from tonearm.features.derived import Derived
from tonearm.features.frozen import Frozen
from tonearm.features.mel import Mel, Mfcc
from tonearm.features.patterns import (
    CorrelationPattern,
    DeltaSpectralPattern,
    FluctuationPattern,
    OnsetMoments,
    Periodicity,
    RiseVariance,
    SpectralPattern,
)
from tonearm.features.raw import RawWaveform
from tonearm.features.stft import Stft, StftHalved
from tonearm.features.summaries import Changes, Correlations, Level, Modulation, Moments, Profile, Summarised, Summary
from tonearm.features.tonal import Tonal
from tonearm.features.weights import KNOWN, encoder_name, named_encoder, registered_names

THESIS_PRESETS = ("stft", "stft_halved", "mel", "cqt", "chroma", "mfcc")

#: Under these names representations are known to ``extract`` and to ``tonearm extract --features``.
PRESETS: dict[str, Representation] = {
    "stft": Stft(frames=643),
    "stft_halved": StftHalved(frames=643),
    "mel": Mel(frames=643),
    "cqt": Cqt(frames=643),
    "chroma": Chroma(frames=643),
    "mfcc": Mfcc(frames=643),
    "contrast": Contrast(),
    "waveform": RawWaveform(),
    "waveform_mid_side": RawWaveform(channels="mid_side"),
    # Danceability networks: 24 bands, hop 256, 2584 frames of 30 s, mid and side. Window: ours.
    "mel_mid_side": Mel(channels="mid_side", n_fft=2048, hop=256, n_mels=24, frames=2584, normalisation="track"),
    # Stern: 120 s at 44.1 kHz, n_fft 1024, hop 512, 64 bands. Clips of it: ClipConfig(seconds=120, tail="pad").
    "mel_playlist": Mel(sample_rate=44100, n_fft=1024, hop=512, n_mels=64, frames=10336, normalisation="track"),
    # Dieleman 2014 and Chen: 128 bands, 599 frames. Window and hop: ours (27.8 s).
    "mel_temporal": Mel(n_fft=2048, hop=1024, n_mels=128, frames=599, normalisation="track"),
}

_FINE_MEL = Mel(n_fft=1024, hop=512, n_mels=128)
_CEPSTRUM = Mfcc(n_mfcc=21)

#: Sixteen blocks of numbers, each of which sums up one side of a clip, see :mod:`.summaries`.
BLOCKS: dict[str, Summarised] = {
    "mfcc_moments": Summarised(of=_CEPSTRUM, summary=Moments()),
    "mfcc_changes": Summarised(of=_CEPSTRUM, summary=Changes()),
    "mfcc_correlations": Summarised(of=_CEPSTRUM, summary=Correlations()),
    "contrast_moments": Summarised(of=Contrast(), summary=Moments(changes=True)),
    "level": Summarised(of=_FINE_MEL, summary=Level()),
    "spectral_pattern": Summarised(of=_FINE_MEL, summary=SpectralPattern()),
    "delta_spectral_pattern": Summarised(of=_FINE_MEL, summary=DeltaSpectralPattern()),
    "variance_delta_spectral_pattern": Summarised(of=_FINE_MEL, summary=RiseVariance()),
    "fluctuation_pattern": Summarised(of=_FINE_MEL, summary=FluctuationPattern()),
    "correlation_pattern": Summarised(of=_FINE_MEL, summary=CorrelationPattern()),
    "onset_moments": Summarised(of=_FINE_MEL, summary=OnsetMoments()),
    "periodicity": Summarised(of=_FINE_MEL, summary=Periodicity()),
    "chroma_moments": Summarised(of=Chroma(), summary=Moments()),
    "tonal": Summarised(of=Chroma(), summary=Tonal()),
    "cqt_profile": Summarised(of=Cqt(), summary=Profile()),
    "cqt_modulation": Summarised(of=Cqt(), summary=Modulation()),
}
PRESETS |= BLOCKS
PRESETS["descriptors"] = Summarised(of=RawWaveform(), summary=Attributes())  # tempo, key, loudness, ...


LONGEST = 1000  # characters of changed fields


def as_representation(feature: str | Representation) -> Representation:
    """A representation from its name, from its name with changed fields, or from itself.

    The names of the thesis mean its 643 frames of 30 s; with a field changed they are no longer the thesis's, and keep
    all frames unless ``frames`` is among the fields. So do other names whose hop or rate changes.

    Parameters
    ----------
    feature
        ``"mel"``, ``"mel(n_mels=128, hop=512)"`` or a config; a frozen encoder by its name among the home's weights,
        or that with ``_moments`` behind it: mean and deviation of its patches.

    Raises
    ------
    UnknownNameError
        For a name that is none, with the known ones.
    ConfigError
        For fields that cannot be read or cannot work.
    """
    if isinstance(feature, Representation):
        return feature
    if not isinstance(feature, str):
        raise ConfigError(f"{feature!r} is no representation: give a name such as 'mel', or a config such as Mel()")
    match = re.fullmatch(r"\s*(\w+)\s*(\((.*)\))?\s*", feature, re.DOTALL)
    name = match.group(1) if match else feature
    if not match or not match.group(3):
        return _named(name) or _of_kind(name, {})
    try:
        call = ast.parse(f"f({match.group(3)})"[:LONGEST], mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)) or call.args:
            raise ValueError("fields are written name=value")
        changes = {str(k.arg): _value(k.value) for k in call.keywords}
        if len(changes) < len(call.keywords):
            raise ValueError("a field is given twice")
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{feature[:80]!r} cannot be read ({error}): write e.g. mel(n_mels=128, hop=512)") from None
    if "frames" not in changes and (name in THESIS_PRESETS or {"hop", "sample_rate"} & set(changes)):
        changes["frames"] = None
    preset = _named(name)
    return preset.replace(changes) if preset else _of_kind(name, changes)


def _named(name: str) -> Representation | None:
    return PRESETS.get(name) or named_encoder(name)


def _value(node: ast.expr) -> Any:
    """A field's value: a literal, or a representation or a summary by its name, also with fields of its own."""
    called = node.func if isinstance(node, ast.Call) else node
    if not isinstance(called, ast.Name):
        return ast.literal_eval(node)
    if called.id not in Summary.registry:
        return as_representation(ast.unparse(node))
    fields = node.keywords if isinstance(node, ast.Call) else []
    return Summary.from_dict({"kind": called.id, **{str(k.arg): ast.literal_eval(k.value) for k in fields}})


EDGE_FRAMES = 3  # that a centred analysis has beyond a clip's whole hops, and the thesis left out
SHORTER_BY_SOURCE = (22050, 1024, 599)  # rate, hop and frames of "mel_temporal": 27.8 s, of clips of 30 s


def require_whole_clips(features: Iterable[Representation], seconds: float) -> None:
    """Check that representations keep what is asked for.

    Raises
    ------
    ConfigError
        For each that would drop more of a clip of so many seconds than an analysis's edge.
    """
    found = [problem for feature in features if (problem := cut_problem(feature, seconds))]
    if found:
        raise ConfigError(found)


def cut_problem(feature: Representation, seconds: float) -> str:
    """What is lost of a clip of so many seconds by ``frames``, and the fix; empty if nothing but an edge."""
    if isinstance(feature, Derived):
        return cut_problem(feature.of, seconds)
    total, kept = feature.frames_in(seconds), feature.frames_kept(seconds)
    by_source = (feature.sample_rate, feature.hop, feature.frames) == SHORTER_BY_SOURCE and seconds <= 30
    if total - kept <= EDGE_FRAMES or by_source:
        return ""
    return (
        f"{display_name(feature)} keeps {kept} frames, {feature.seconds_of(kept):.1f} s, of the {total} of a clip of "
        f"{seconds:g} s, and would drop the rest: set frames to None, as in {feature.kind}(frames=None), or shorten "
        "the clip"
    )


def _of_kind(kind: str, changes: Mapping[str, Any]) -> Representation:
    """A registered representation that has no preset, such as one of a module of one's own."""
    if kind in Representation.registry and issubclass(Representation.registry[kind], Representation):
        return Representation.from_dict({"kind": kind, **changes})
    raise unknown_name("representation", kind, dict.fromkeys([*PRESETS, *KNOWN, *registered_names()]))


def display_name(feature: Representation) -> str:
    """Display name, which :func:`as_representation` reads: that of the preset, or the kind and the changed fields."""
    for name, config in PRESETS.items():
        if config == feature:
            return name
    if name := encoder_name(feature):
        return name
    if isinstance(feature, Frozen) and (own := named_encoder(feature.name)):
        identity, ours = feature.to_dict(run_only=False), own.to_dict(run_only=False)
        return _written(feature.name, {n: getattr(feature, n) for n, v in identity.items() if v != ours.get(n)})
    changed = _changed_fields(feature)
    if not changed and feature.kind in THESIS_PRESETS:  # whose names mean 643 frames
        changed = {"frames": feature.frames}
    return _written(feature.kind, changed)


def _changed_fields(config: Config) -> dict[str, Any]:
    fields = dataclasses.fields(config)  # type: ignore[arg-type]
    return {f.name: getattr(config, f.name) for f in fields if getattr(config, f.name) != f.default}


def _written(kind: str, fields: Mapping[str, Any]) -> str:
    def value(one: Any) -> str:
        if isinstance(one, Representation):
            return display_name(one)
        return _written(one.kind, _changed_fields(one)) if isinstance(one, Config) else repr(one)

    written = ", ".join(f"{name}={value(one)}" for name, one in fields.items())
    return f"{kind}({written})" if fields else kind


def parse_features(text: str) -> list[Representation]:
    """Representations from a list such as ``"mel,cqt,mel(n_mels=128,hop=512)"``; the same one twice counts once.

    Raises
    ------
    ConfigError
        As :func:`as_representation`; or if there is none.
    """
    depth, parts = 0, [""]
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    parts = [p for p in parts if p.strip()]
    if not parts:
        raise ConfigError(f"no representation in {text!r}: name at least one of {', '.join(PRESETS)}")
    return list(dict.fromkeys(as_representation(p) for p in parts))
