"""CIFAR-100 in both of its releases, on a few pictures: classes, splits, and pixels as they were written."""

from __future__ import annotations

import copyreg
import io
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tonearm.core.errors import ConfigError, DatasetError
from tonearm.datasets import Cifar100Config, DatasetConfig
from tonearm.datasets.base import Catalogue
from tonearm.datasets.cifar100 import read_pictures

NAMES = ["apple", "bee", "can"]
TRAIN, TEST = 60, 6


def pixels(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def pickled(value: Any, old_module: bool = False) -> bytes:
    """As the released files are: protocol 2; they name numpy's module as it was called then."""
    data = pickle.dumps(value, protocol=2)
    return data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray") if old_module else data


def write_python(root: Path, old_module: bool = False) -> Path:
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    for part, count, seed in (("train", TRAIN, 1), ("test", TEST, 2)):
        entry = {"filenames": ["x.png"] * count, "batch_label": part, "fine_labels": [i % 3 for i in range(count)],
                 "coarse_labels": [0] * count, "data": pixels(count, seed)}  # fmt: skip
        (folder / part).write_bytes(pickled(entry, old_module))
    (folder / "meta").write_bytes(pickled({"fine_label_names": NAMES, "coarse_label_names": ["thing"]}))
    return root


def write_binary(root: Path) -> Path:
    folder = root / "cifar-100-binary"
    folder.mkdir(parents=True)
    for part, count, seed in (("train", TRAIN, 1), ("test", TEST, 2)):
        rows = np.column_stack([np.zeros(count, np.uint8), np.arange(count, dtype=np.uint8) % 3, pixels(count, seed)])
        (folder / f"{part}.bin").write_bytes(rows.tobytes())
    (folder / "fine_label_names.txt").write_text("\n".join(NAMES) + "\n\n")
    return root


def splits(found: Catalogue) -> Counter[tuple[str | None, str]]:
    return Counter((t.split, t.label) for t in found.tracks)


def test_the_published_test_split_is_kept_and_a_tenth_of_each_class_validates(tmp_path: Path) -> None:
    found = Cifar100Config(root=str(write_python(tmp_path))).catalogue()
    assert splits(found) == {
        (split, name): n for split, n in (("train", 18), ("validation", 2), ("test", 2)) for name in NAMES
    }
    by_id = {t.track_id: t for t in found.tracks}
    assert by_id["train/00004"].label == "bee" and by_id["test/00005"].label == "can"
    assert all((t.split == "test") == t.track_id.startswith("test/") for t in found.tracks)
    assert len({t.group for t in found.tracks}) == len({t.content for t in found.tracks}) == TRAIN + TEST
    assert not Cifar100Config.has_audio


def test_validation_depends_on_the_seed_and_on_nothing_else(tmp_path: Path) -> None:
    root = str(write_python(tmp_path))
    one, again, other = (Cifar100Config(root=root, seed=s).catalogue() for s in (0, 0, 1))
    assert one.tracks == again.tracks != other.tracks
    assert splits(one) == splits(other)
    half = Cifar100Config(root=root, validation=0.5).catalogue()
    assert splits(half)["validation", "apple"] == 10


def test_facts_say_where_each_picture_is(tmp_path: Path) -> None:
    found = Cifar100Config(root=str(write_python(tmp_path))).catalogue()
    place = found.metadata.of(["train/00042"], "picture")[0]
    file, _, row = place.rpartition("#")
    assert file == str(tmp_path / "cifar-100-python" / "train") and row == "42"
    np.testing.assert_array_equal(read_pictures(file)[int(row)].ravel(), pixels(TRAIN, 1)[42])


def test_pictures_have_planes_rows_and_columns(tmp_path: Path) -> None:
    write_python(tmp_path)
    found = read_pictures(str(tmp_path / "cifar-100-python" / "test"))
    assert found.shape == (TEST, 3, 32, 32) and found.dtype == np.uint8
    assert found[1, 2, 3, 4] == pixels(TEST, 2)[1, 2 * 1024 + 3 * 32 + 4]


def test_both_releases_say_the_same(tmp_path: Path) -> None:
    python = write_python(tmp_path / "python")
    binary = write_binary(tmp_path / "binary")
    assert (Cifar100Config(root=str(python)).catalogue().tracks) == Cifar100Config(root=str(binary)).catalogue().tracks
    np.testing.assert_array_equal(
        read_pictures(python / "cifar-100-python" / "train"), read_pictures(binary / "cifar-100-binary" / "train.bin")
    )


def test_pickles_that_name_numpys_old_module_are_read(tmp_path: Path) -> None:
    write_python(tmp_path, old_module=True)
    assert b"numpy.core.multiarray" in (tmp_path / "cifar-100-python" / "train").read_bytes()
    assert len(Cifar100Config(root=str(tmp_path)).catalogue().tracks) == TRAIN + TEST


def test_pickles_of_python_2_are_read(tmp_path: Path) -> None:
    """The released files: an array's bytes are a str of Python 2, which the pickle writes as SHORT_BINSTRING."""
    raw = pixels(1, 3).tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    array += b"(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
    array += b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x0c\x00\x00" + raw + b"tb"
    file = tmp_path / "train"
    file.write_bytes(b"\x80\x02}(U\x04data" + array + b"U\x0bfine_labels]K\x02au.")
    np.testing.assert_array_equal(read_pictures(file).ravel(), pixels(1, 3).ravel())


def test_arrays_in_fortran_order_are_read_right(tmp_path: Path) -> None:
    file = tmp_path / "train"
    data = np.asfortranarray(pixels(4, 5))
    file.write_bytes(pickled({"fine_labels": [0] * 4, "data": data}))
    np.testing.assert_array_equal(read_pictures(file).reshape(4, -1), pixels(4, 5))


class Reduced:
    """Pickles as a call of what it is given."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("function", ["exec", "open", "system", "rebuild"])
def test_a_pickle_that_would_run_something_is_refused_by_name(tmp_path: Path, function: str, protocol: int) -> None:
    import os

    trace = tmp_path / "trace"
    calls = {
        "exec": (exec, f"open({str(trace)!r}, 'w')"),
        "open": (open, str(trace), "w"),
        "system": (os.system, f"touch {trace}"),
        "rebuild": (copyreg._reconstructor, io.BytesIO, object, None),  # type: ignore[attr-defined]
    }
    write_python(tmp_path)
    entry = {"fine_labels": [0], "data": pixels(1, 0), "extra": Reduced(*calls[function])}
    for name in ("train", "meta"):
        file = tmp_path / "cifar-100-python" / name
        good = file.read_bytes()
        file.write_bytes(pickle.dumps(entry, protocol))
        if protocol != 5:  # where numpy itself asks for another name first
            asked = {"exec": "exec", "open": "open", "system": "system", "rebuild": "_reconstructor"}[function]
            with pytest.raises(DatasetError, match=rf"{name} is refused: it asks for [\w.]+{asked}\b"):
                Cifar100Config(root=str(tmp_path)).catalogue()
        else:
            with pytest.raises(DatasetError, match=r"is refused: it asks for numpy\._core\.numeric\._frombuffer"):
                Cifar100Config(root=str(tmp_path)).catalogue()
        assert not trace.exists()
        file.write_bytes(good)


def test_even_the_permitted_names_make_nothing_of_numpys(tmp_path: Path) -> None:
    """A crafted dtype could make numpy read bytes as pointers: stand-ins are built in place of arrays."""
    file = tmp_path / "train"
    file.write_bytes(pickled({"fine_labels": [0], "data": np.full((1, 3072), 1, dtype=object)}))
    with pytest.raises(DatasetError, match="holds no rows of 3072 pixels"):
        read_pictures(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no file of CIFAR-100"),
        (b"\x80\x02}", "is no file of CIFAR-100"),
        (pickle.dumps([1]), "it holds a list, expected a dict"),
        (pickle.dumps({}), "holds no rows of 3072 pixels with a class each"),
        (pickled({"fine_labels": [0, 1], "data": pixels(1, 0)}), "holds no rows"),
        (pickled({"fine_labels": [-1], "data": pixels(1, 0)}), "holds no rows"),
        (pickled({"fine_labels": [0], "data": pixels(1, 0)[:, :5]}), "holds no rows"),
        (pickled({"fine_labels": ["a"], "data": pixels(1, 0)}), "holds no rows"),
    ],
)
def test_damaged_pickles_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "train"
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_pictures(file)


def test_missing_and_damaged_releases_say_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"cifar-100-python/train, test and meta, or cifar-100-binary/train\.bin"):
        Cifar100Config(root=str(tmp_path)).catalogue()
    write_binary(tmp_path)
    names = tmp_path / "cifar-100-binary" / "fine_label_names.txt"
    names.write_text("apple\nbee\n")
    with pytest.raises(DatasetError, match=r"train\.bin: class 2 of 2 named classes"):
        Cifar100Config(root=str(tmp_path)).catalogue()
    (tmp_path / "cifar-100-binary" / "train.bin").write_bytes(b"123")
    with pytest.raises(DatasetError, match="has 3 bytes, no multiple of 3074"):
        Cifar100Config(root=str(tmp_path)).catalogue()


def test_a_share_for_validation_is_a_share() -> None:
    for share in (0.0, 1.0, -0.1):
        with pytest.raises(ConfigError, match="must be a share above 0 and below 1"):
            Cifar100Config(validation=share)
    assert isinstance(DatasetConfig.from_dict({"kind": "cifar100"}), Cifar100Config)
