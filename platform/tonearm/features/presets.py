"""Representations by name: the six of Whitell 2019, those of the other systems, and any with changed fields."""

from __future__ import annotations

import ast
import re

from tonearm.core.errors import ConfigError
from tonearm.core.registry import unknown_name
from tonearm.features.base import Representation
from tonearm.features.contrast import Contrast
from tonearm.features.cqt import Chroma, Cqt
from tonearm.features.mel import Mel, Mfcc
from tonearm.features.raw import RawWaveform
from tonearm.features.stft import Stft, StftHalved

THESIS_PRESETS = ("stft", "stft_halved", "mel", "cqt", "chroma", "mfcc")

#: Under these names representations are known to ``extract`` and to ``tonearm extract --features``.
PRESETS: dict[str, Representation] = {
    "stft": Stft(),
    "stft_halved": StftHalved(),
    "mel": Mel(),
    "cqt": Cqt(),
    "chroma": Chroma(),
    "mfcc": Mfcc(),
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


LONGEST = 1000  # characters of changed fields


def as_representation(feature: str | Representation) -> Representation:
    """A representation from its name, from its name with changed fields, or from itself.

    Parameters
    ----------
    feature
        ``"mel"``, ``"mel(n_mels=128, hop=512)"`` or a config.

    Raises
    ------
    UnknownNameError
        For a name that is none, with the known ones.
    ConfigError
        For fields that cannot be read or cannot work.
    """
    if isinstance(feature, Representation):
        return feature
    match = re.fullmatch(r"\s*(\w+)\s*(\((.*)\))?\s*", feature, re.DOTALL)
    name = match.group(1) if match else feature
    preset = PRESETS.get(name) or _of_kind(name)
    if not match or not match.group(3):
        return preset
    try:
        call = ast.parse(f"f({match.group(3)})"[:LONGEST], mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)) or call.args:
            raise ValueError("fields are written name=value")
        changes = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
        if len(changes) < len(call.keywords):
            raise ValueError("a field is given twice")
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{feature[:80]!r} cannot be read ({error}): write e.g. mel(n_mels=128, hop=512)") from None
    return preset.replace(changes)


def _of_kind(kind: str) -> Representation:
    """A registered representation that has no preset, such as one of a module of one's own, at its defaults."""
    if kind in Representation.registry and issubclass(Representation.registry[kind], Representation):
        return Representation.from_dict({"kind": kind})
    raise unknown_name("representation", kind, PRESETS)


def display_name(feature: Representation) -> str:
    """Display name: that of the preset, or the kind and the changed fields."""
    return next((name for name, config in PRESETS.items() if config == feature), feature.brief())


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
