"""Pictures as inputs: where they lie, what sizes and colours they have, and what is broken."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.toy_problems import TRAIN, metadata_batches
from tonearm.core.errors import DatasetError
from tonearm.features.metadata import PictureFeature
from tonearm.training import readers
from tonearm.training.batches import Batches

# --- pictures


def png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def pictures(places: Sequence[str], size: int) -> Batches:
    return metadata_batches(PictureFeature(size=size), {"picture": np.array(places, dtype=object)})


def picture_of(batches: Batches, split: str = "train") -> torch.Tensor:
    inputs, _ = next(iter(batches.evaluation(split)))  # type: ignore[arg-type]
    assert isinstance(inputs, torch.Tensor)
    return inputs


def test_pictures_are_read_from_files_and_from_rows_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    alone = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    alone[0, 0], alone[31, 31] = (0, 128, 255), (255, 255, 255)
    (tmp_path / "cover.png").write_bytes(png(alone))
    many = rng.integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    classes = np.zeros((3, 2), dtype=np.uint8)
    file = tmp_path / "some.bin"
    file.write_bytes(np.concatenate([classes, many.reshape(3, -1)], axis=1).tobytes())
    opened: list[str] = []
    read = readers.read_pictures
    monkeypatch.setattr(readers, "read_pictures", lambda path: opened.append(str(path)) or read(path))
    batches = pictures([str(tmp_path / "cover.png"), f"{file}#2", f"{file}#0", f"{file}#1"], 32)
    wanted = torch.from_numpy(np.stack([alone.transpose(2, 0, 1), many[2], many[0]])).float() / 255
    assert torch.equal(picture_of(batches), wanted) and wanted.min() == 0 and wanted.max() == 1
    assert torch.equal(picture_of(batches, "validation")[0], torch.from_numpy(many[1]).float() / 255)
    shown = {i: x for b in batches.train(1, 8, 1) for i, x in zip(b.track_ids, b.inputs, strict=True)}
    assert all(torch.equal(shown[i], w) for i, w in zip(TRAIN, wanted, strict=True))
    assert opened == [str(file)]


def test_pictures_of_other_sizes_and_colours_are_brought_to_one(tmp_path: Path) -> None:
    stripes = np.zeros((48, 64, 3), dtype=np.uint8)
    stripes[:, ::4] = 255  # a quarter is white; a few of its columns alone would show no white at all
    files = {"stripes": png(stripes), "grey": png(np.full((5, 7), 51, dtype=np.uint8)),
             "clear": png(np.full((90, 9, 4), 255, dtype=np.uint8)),
             "wide": png(np.full((2, 3, 3), 102, dtype=np.uint8))}  # fmt: skip
    for name, data in files.items():
        (tmp_path / f"{name}.png").write_bytes(data)
    batches = pictures([str(tmp_path / f"{n}.png") for n in files], 16)
    found = torch.cat([picture_of(batches), picture_of(batches, "validation")])
    assert found.shape == (4, 3, 16, 16) and found.min() >= 0 and found.max() <= 1
    assert float((found[0] - 0.25).abs().max()) < 0.1
    for i, value in ((1, 0.2), (2, 1.0), (3, 0.4)):
        torch.testing.assert_close(found[i], torch.full((3, 16, 16), value))


@pytest.mark.parametrize("damage", ["no picture", "cut", "empty", "absent", "zeros", 16, 36, 45], ids=str)
def test_broken_picture_is_named(tmp_path: Path, damage: str | int) -> None:
    path = tmp_path / "cover.png"
    whole = png(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))
    if isinstance(damage, int):  # a byte of the header, of a chunk's length, of the pixels
        path.write_bytes(whole[:damage] + bytes([whole[damage] ^ 0xFF]) + whole[damage + 1 :])
    elif damage != "absent":
        zeros = whole[:8] + bytes(4) + whole[12:]  # a header of no length
        path.write_bytes({"no picture": b"GIF of no kind", "cut": whole[:50], "empty": b"", "zeros": zeros}[damage])
    batches = pictures([str(path)] * 4, 4)
    with pytest.raises(
        DatasetError, match=r"the picture .*cover\.png cannot be read .*: replace it, or leave its track"
    ):
        picture_of(batches)


def test_track_without_a_picture_is_named() -> None:
    with pytest.raises(DatasetError, match="track 't0' has no picture: leave it out"):
        picture_of(pictures(["", "", "", ""], 8))
