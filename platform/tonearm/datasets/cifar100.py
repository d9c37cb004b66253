"""Data set ``cifar100``: 60 000 small photographs in 100 classes, the control where square kernels must win.

Either of the two releases is read: ``cifar-100-python/{train,test,meta}``, which torchvision downloads, or
``cifar-100-binary/{train,test}.bin`` with ``fine_label_names.txt``.

References
----------
Krizhevsky 2009, *Learning multiple layers of features from tiny images*.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any, ClassVar, TypeGuard

import numpy as np

from tonearm.core.errors import DatasetError
from tonearm.core.seeding import derive_seed
from tonearm.datasets.base import Catalogue, DatasetConfig
from tonearm.datasets.manifest import Split, Track
from tonearm.datasets.metadata import CONTENT, Metadata

PYTHON, BINARY = "cifar-100-python", "cifar-100-binary"
NAMES = "fine_label_names"
SHAPE = (3, 32, 32)  # red, green, blue; rows; columns
PIXELS = 3 * 32 * 32
ROW_BYTES = 2 + PIXELS  # coarse class, fine class, pixels


class Cifar100Config(DatasetConfig, kind="cifar100"):
    """CIFAR-100 with its published test split; a share of the training pictures of every class is for validation.

    Attributes
    ----------
    validation
        That share, above 0 and below 1.
    seed
        Of the choice.
    """

    has_audio: ClassVar[bool] = False
    on_this_machine: ClassVar[bool] = True

    validation: float = 0.1
    seed: int = 0

    def problems(self) -> list[str]:
        if 0 < self.validation < 1:
            return []
        return [f"Cifar100Config.validation is {self.validation:g}: it must be a share above 0 and below 1, e.g. 0.1"]

    def catalogue(self) -> Catalogue:
        """List the pictures. Metadata column ``picture``: ``<file>#<row>``, read by :func:`read_pictures`."""
        train, test, names = self._files()
        tracks: list[Track] = []
        places: list[str] = []
        for part, file in (("train", train), ("test", test)):
            fine, pixels = _read(file)
            if len(fine) and fine.max() >= len(names):
                raise DatasetError(f"{file}: class {fine.max()} of {len(names)} named classes: get the files again")
            held_out = self._held_out(fine) if part == "train" else set()
            for row, (label, picture) in enumerate(zip(fine.tolist(), pixels, strict=True)):
                track_id = f"{part}/{row:05d}"
                split: Split = "test" if part == "test" else "validation" if row in held_out else "train"
                content = hashlib.blake2b(picture.tobytes(), digest_size=16).hexdigest()
                tracks.append(Track(track_id=track_id, source="", content=content, label=names[label],
                                    group=f"track:{track_id}", split=split))  # fmt: skip
                places.append(f"{file.absolute()}#{row}")
        columns = {"picture": places, f"picture{CONTENT}": [t.content for t in tracks]}
        metadata = Metadata([t.track_id for t in tracks], columns)
        note = f"{self.validation:g} of the training pictures of each class are for validation, by seed {self.seed}"
        return Catalogue("cifar100", "object", tracks, (), metadata, (note,))

    def _held_out(self, fine: np.ndarray) -> set[int]:
        held_out: set[int] = set()
        for label in np.unique(fine):
            rows = np.flatnonzero(fine == label)
            rng = np.random.default_rng(derive_seed("cifar100", self.seed, int(label)))
            held_out.update(rng.permutation(rows)[: max(1, round(self.validation * len(rows)))].tolist())
        return held_out

    def _files(self) -> tuple[Path, Path, tuple[str, ...]]:
        python, binary = Path(self.root) / PYTHON, Path(self.root) / BINARY
        releases = (
            [python / "train", python / "test", python / "meta"],
            [binary / "train.bin", binary / "test.bin", binary / f"{NAMES}.txt"],
        )
        for files in releases:
            if all(file.is_file() for file in files):
                return files[0], files[1], _read_names(files[2])
        missing = [str(file) for files in releases for file in files if not file.is_file()]
        raise DatasetError(
            f"no CIFAR-100 in {self.root!r}: it needs {PYTHON}/train, test and meta, or {BINARY}/train.bin, test.bin "
            f"and {NAMES}.txt; not there: {', '.join(missing)}"
        )


def read_pictures(file: str | Path) -> np.ndarray:
    """All pictures of one of the files: uint8 of shape (pictures, 3, 32, 32), 0–255; colours red, green, blue.

    Raises
    ------
    DatasetError
        If it is none of CIFAR-100's files, or is damaged.
    """
    return _read(Path(file))[1].reshape(-1, *SHAPE)


def _read(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Fine classes (pictures,) and pixels uint8 (pictures, 3072)."""
    if file.suffix == ".bin":
        data = np.frombuffer(_bytes(file), dtype=np.uint8)
        if len(data) % ROW_BYTES:
            raise DatasetError(f"{file} has {len(data)} bytes, no multiple of {ROW_BYTES}: get the file again")
        rows = data.reshape(-1, ROW_BYTES)
        return rows[:, 1].astype(np.int64), rows[:, 2:]
    entry = _read_pickle(file)
    labels, array = entry.get("fine_labels"), entry.get("data")
    pixels = array.pixels() if isinstance(array, _Array) else None
    if not _are(labels, int) or pixels is None or pixels.shape != (len(labels), PIXELS) or min(labels, default=0) < 0:
        raise DatasetError(f"{file} holds no rows of {PIXELS} pixels with a class each: get the file again")
    return np.array(labels, dtype=np.int64), pixels


def _read_names(file: Path) -> tuple[str, ...]:
    if file.suffix == ".txt":
        return tuple(line.strip() for line in _bytes(file).decode("utf-8", "replace").splitlines() if line.strip())
    names = _read_pickle(file).get(NAMES)
    if not _are(names, str):
        raise DatasetError(f"{file} holds no {NAMES}: get the file again")
    return tuple(names)


def _are(values: Any, kind: type) -> TypeGuard[list[Any]]:
    return isinstance(values, list) and all(type(value) is kind for value in values)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error.strerror or error}") from None


class _Inert:
    """Takes the place of whatever a pickle wants made, and does nothing but keep what it was given."""

    __slots__ = ("state",)

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Inert):
    """An array as numpy pickles it: (version, shape, dtype, whether in Fortran's order, bytes)."""

    __slots__ = ()

    def pixels(self) -> np.ndarray | None:
        """The bytes as uint8 in the array's shape; None if they do not fit it."""
        state = self.state
        if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[1], tuple)):
            return None
        _, shape, _, fortran, raw = state
        raw = raw.encode("latin1") if isinstance(raw, str) else raw  # Python 2's bytes are read as a text
        if not isinstance(raw, bytes) or not _are(list(shape), int) or len(shape) != 2 or min(shape) < 0:
            return None
        if shape[0] * shape[1] != len(raw):
            return None
        return np.frombuffer(raw, dtype=np.uint8).reshape(shape, order="F" if fortran else "C")


class _Latin1(_Inert):
    """``_codecs.encode``, by which Python 3 writes bytes where the protocol has none."""

    def __new__(cls, text: str, encoding: str) -> bytes:  # type: ignore[misc]
        return text.encode("latin1")


#: The names that numpy's arrays need of a pickle; even these make only stand-ins, never numpy's own objects.
STAND_INS: dict[tuple[str, str], type[_Inert]] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Inert,
    ("numpy", "dtype"): _Inert,
    ("_codecs", "encode"): _Latin1,
}


class _Unpickler(pickle.Unpickler):
    """Reads CIFAR-100's pickles, which come from the network, without importing or calling anything they name."""

    def find_class(self, module: str, name: str) -> type[_Inert]:
        try:
            return STAND_INS[module, name]
        except KeyError:
            raise DatasetError(f"it asks for {module}.{name}, which no file of CIFAR-100 needs") from None


def _read_pickle(file: Path) -> dict[str, Any]:
    data = _bytes(file)
    try:
        entry = _Unpickler(io.BytesIO(data), encoding="latin1").load()
    except DatasetError as error:
        raise DatasetError(f"{file} is refused: {error}") from None
    except Exception as error:  # whatever a damaged pickle runs into
        raise DatasetError(f"{file} is no file of CIFAR-100 ({error}): get it again") from None
    if not isinstance(entry, dict):
        raise DatasetError(f"{file} is no file of CIFAR-100: it holds a {type(entry).__name__}, expected a dict")
    return entry
