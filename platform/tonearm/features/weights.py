"""Frozen encoders of the home, by name: their files are named by what they hold.

::

    weights/<sha256>        a TorchScript or ONNX file
    weights/<name>.json     the encoder's config, and the text of its licence
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from tonearm.core import storage
from tonearm.core.errors import ConfigError
from tonearm.features.base import Representation
from tonearm.features.frozen import EncoderOutput, Frozen, encoders_in
from tonearm.features.raw import RawWaveform
from tonearm.features.summaries import Moments, Summarised
from tonearm.features.weight_files import sha256_of, stored_place, weights_home

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
POOLED = "_moments"  # behind a name: mean and deviation of the patches

#: Encoders that a command fetches, without their files.
KNOWN = {
    "musicnn": Frozen(
        of=RawWaveform(sample_rate=16000),
        patch=512 + 186 * 256,  # 187 frames of 512 samples, 256 apart
        outputs=tuple(EncoderOutput(name=n, dim=d) for n, d in (("mean", 753), ("max", 753), ("penultimate", 200))),
        name="musicnn",
        licence="ISC",
    )
}


def register(encoder: Frozen, file: Path, licence_text: str = "") -> None:
    """Keep an encoder's file and its config in the home, under its name.

    Raises
    ------
    ConfigError
        If the name cannot be one, or its file has another SHA-256.
    """
    if not NAME.fullmatch(encoder.name) or encoder.name.endswith(POOLED):
        raise ConfigError(
            f"the name {encoder.name[:80]!r}: give small letters, digits and _, a letter first, 64 at most, and not "
            f"{POOLED} at the end"
        )
    place = stored_place(encoder.sha256)
    temporary = storage.temporary_file(place)
    try:
        shutil.copyfile(file, temporary)
        if (found := sha256_of(temporary)) != encoder.sha256:
            raise ConfigError(f"{file} has sha256 {found}, not {encoder.sha256}: give its own")
        storage.publish(temporary, place)
    finally:
        temporary.unlink(missing_ok=True)
    kept = {"encoder": encoder.to_dict(), "licence_text": licence_text}
    storage.write_json(storage.join(weights_home(), f"{encoder.name}.json"), kept)


def registered_names() -> list[str]:
    """Names of the encoders in the home, sorted."""
    return [name.removesuffix(".json") for name in storage.list_files(weights_home(), ".json")]


def registered(name: str) -> tuple[Frozen, str]:
    """An encoder of the home by its name, and the text of its licence.

    Raises
    ------
    ConfigError
        If it is not there, or its description is damaged.
    """
    place = storage.join(weights_home(), f"{name}.json")
    if not NAME.fullmatch(name) or not storage.exists(place):
        raise ConfigError(f"no encoder {name!r} in {weights_home()}: add it, tonearm weights add FILE --name {name}")
    try:
        kept = storage.read_json(place)
        encoder = Frozen.from_dict(kept["encoder"])
        return encoder, str(kept["licence_text"])
    except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError, ConfigError) as error:
        raise ConfigError(f"{place} is damaged ({error}): delete it and add the encoder again") from error


def named_encoder(name: str) -> Representation | None:
    """What a name stands for: an encoder of the home, or a known one whose file is not there yet, or with ``_moments``
    behind it mean and deviation of its patches; None of any other name."""
    if name.endswith(POOLED):
        encoder = named_encoder(name.removesuffix(POOLED))
        return encoder and Summarised(of=encoder, summary=Moments())
    if NAME.fullmatch(name) and storage.exists(storage.join(weights_home(), f"{name}.json")):
        return registered(name)[0]
    return KNOWN.get(name)


def encoder_name(feature: Representation) -> str:
    """The name under which :func:`named_encoder` finds a representation; "" if there is none."""
    own = encoders_in(feature)
    names = [own[0].name, own[0].name + POOLED] if own and own[0].name else []
    return next((name for name in names if named_encoder(name) == feature), "")


def licence_texts(features: Iterable[Representation]) -> dict[str, str]:
    """Texts of licences, by the names of the encoders that representations are computed by, where the home has them."""
    found: dict[str, str] = {}
    for encoder in (e for feature in features for e in encoders_in(feature)):
        if encoder.name in registered_names():
            own, text = registered(encoder.name)
            found |= {encoder.name: text} if text and own.sha256 == encoder.sha256 else {}
    return found


def require_weights(features: Iterable[Representation]) -> None:
    """Check that the files of all encoders are there.

    Raises
    ------
    ConfigError
        With all that are not.
    """
    found = []
    for encoder in dict.fromkeys(e for feature in features for e in encoders_in(feature)):
        try:
            encoder.path()
        except ConfigError as error:
            found += error.problems
    if found:
        raise ConfigError(found)
