"""Tags where people have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.builders import RATE, encode, tone
from tonearm.audio.tags import read_tags

CONTAINERS = {"flac": "FLAC", "ogg": "OGG", "mp3": "MP3", "wav": "WAV", "opus": "OGG"}


def write_tagged(path: Path, tags: dict[str, str]) -> None:
    import mutagen
    from mutagen import id3

    kind = path.suffix[1:]
    rate, subtype = (48_000, "OPUS") if kind == "opus" else (RATE, None)
    path.write_bytes(encode(tone(440, 0.3, rate), rate, CONTAINERS[kind], subtype))
    if kind == "wav":  # no easy tags: ID3 frames in a chunk
        file = mutagen.File(path)
        file.add_tags()
        frames = {"title": id3.TIT2, "artist": id3.TPE1, "album": id3.TALB, "genre": id3.TCON, "date": id3.TDRC}
        for key, value in tags.items():
            file.tags.add(frames[key](encoding=3, text=[value]))
    else:
        file = mutagen.File(path, easy=True)
        if file.tags is None:
            file.add_tags()
        for key, value in tags.items():
            file[key] = [value]
    file.save()


@pytest.mark.parametrize("kind", ["flac", "ogg", "mp3", "opus"])
def test_tags_are_read_from_every_container(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    write_tagged(path, {"title": "Für Elise", "artist": "Ludwig", "album": "Bagatellen", "genre": "Classical",
                        "date": "1867-04-27"})  # fmt: skip
    assert read_tags(path) == {
        "title": "Für Elise", "artist": "Ludwig", "album": "Bagatellen", "genre": "Classical", "year": "1867",
    }  # fmt: skip


def test_absent_and_empty_tags_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    write_tagged(path, {"title": "  ", "artist": " Clara ", "date": "long ago"})
    assert read_tags(path) == {"artist": "Clara"}


def test_files_without_tags_have_none(tmp_path: Path) -> None:
    plain, text = tmp_path / "a.wav", tmp_path / "b.mp3"
    plain.write_bytes(encode(tone(440, 0.1)))
    text.write_bytes(b"no audio at all")
    assert read_tags(plain) == {} and read_tags(text) == {} and read_tags(tmp_path / "absent.mp3") == {}
    assert read_tags("memory://somewhere/a.mp3") == {}


def test_tags_of_wav_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_tagged(path, {"title": "Lied", "artist": "Fanny", "genre": "Art song", "date": "1846"})
    assert read_tags(path) == {"title": "Lied", "artist": "Fanny", "genre": "Art song", "year": "1846"}


@pytest.mark.parametrize("kind", ["flac", "ogg", "mp3", "opus", "wav"])
def test_damaged_files_have_tags_or_none_but_never_fail(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    write_tagged(path, {"title": "Lied", "artist": "Fanny"})
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for i in range(60):
        damaged = bytearray(whole[: int(len(whole) * rng.uniform(0, 1))] if i % 2 else whole)
        for place in rng.integers(0, max(1, min(len(damaged), 400)), 12):
            if damaged:
                damaged[place] = int(rng.integers(0, 256))
        path.write_bytes(bytes(damaged))
        assert set(read_tags(path)) <= {"title", "artist", "album", "genre", "year", "albumartist"}
