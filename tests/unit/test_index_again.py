"""``tonearm index`` given again: another library of the same name, files that are away, a damaged catalogue."""

from __future__ import annotations

import dataclasses
import errno
import json
from pathlib import Path

import pytest

from tests.builders import write_recordings
from tests.unit.test_index_library import at_once, model, music
from tests.unit.test_predict_files import counting_heard
from tonearm.core.errors import BundleError, ConfigError
from tonearm.datasets.manifest import Manifest, save_manifest
from tonearm.inference import load
from tonearm.recommend import part
from tonearm.workflows.index import index_library
from tonearm.workflows.prepared_names import manifest_uri

__all__ = ["at_once", "model", "music"]  # fixtures


def test_a_library_does_not_take_the_place_of_another_of_its_name(music: Path, model: str, tmp_path: Path) -> None:
    first = index_library(model, audio=[str(music)])
    other = tmp_path / "elsewhere" / "music"
    write_recordings(other, per_class=1)
    with counting_heard() as heard, pytest.raises(ConfigError, match=rf"is of {music}, this library is {other}: give"):
        index_library(model, audio=[str(other)])
    more = write_recordings(tmp_path / "more", per_class=1)
    with pytest.raises(ConfigError, match=rf"this library is {tmp_path / 'more'} and {music}: give"):
        index_library(model, audio=[str(music), str(tmp_path / "more")])
    save_manifest(manifest_uri("music"), Manifest("music", "sound", tuple(more)))
    with pytest.raises(ConfigError, match="this library is the data set music"):
        index_library(model, dataset="music")
    assert not heard and len(load(model).library) == 6, "told before anything is heard"
    assert index_library(model, audio=[str(other)], name="elsewhere").change.count == 3
    away = next(music.rglob("*.wav"))
    away.unlink()
    away.symlink_to(away)  # out of reach, but of the library that goes
    taken = index_library(model, audio=[str(other)], name="music")
    assert taken.uri == first.uri and taken.change.count == 3 and f"was of {music}, whose rows" in str(taken)


def test_an_earlier_catalogue_that_does_not_say_of_what_it_is_learns_it(music: Path, model: str) -> None:
    path = Path(index_library(model, audio=[str(music)]).uri) / "catalogue.json"
    described = json.loads(path.read_text())
    assert described.pop("origin") == str(music)
    path.write_text(json.dumps(described))
    again = index_library(model, audio=[str(music)])
    assert (again.change.added, again.change.removed) == (0, 0)
    assert json.loads(path.read_text())["origin"] == str(music) and len(load(model).library) == 6


def test_rows_of_recordings_that_cannot_be_read_this_time_stay(music: Path, model: str, tmp_path: Path) -> None:
    index_library(model, audio=[str(music)])
    file = next(music.rglob("*.wav"))
    file.rename(tmp_path / "away.wav")
    file.symlink_to(tmp_path / "not-there")  # as a disk that is not mounted
    again = index_library(model, audio=[str(music)])
    assert again.set_aside[str(file.relative_to(music))][0] == "missing"
    assert (again.change.removed, again.change.count) == (0, 6)
    assert "cannot be read this time, so 1 tracks stay as they were" in str(again)
    file.unlink()
    assert index_library(model, audio=[str(music)]).change.removed == 1

    folder = next(path for path in music.iterdir() if len(list(path.iterdir())) == 2)
    folder.rename(tmp_path / "folder")
    folder.symlink_to(folder)  # as a folder that nobody may look into, which no test run by root can make
    assert index_library(model, audio=[str(music)]).change.removed == 0
    folder.unlink()
    assert index_library(model, audio=[str(music)]).change.removed == 2

    tracks = [dataclasses.replace(t, artist=f"A{i}") for i, t in enumerate(write_recordings(tmp_path / "known", 1))]
    save_manifest(manifest_uri("known"), Manifest("known", "sound", tuple(tracks)))
    index_library(model, dataset="known", kind="artist")
    unread = dataclasses.replace(tracks[0], source=str(tmp_path / "gone.wav"), content="other")
    save_manifest(manifest_uri("known"), Manifest("known", "sound", (unread, *tracks[1:])))
    artists = index_library(model, dataset="known", kind="artist")
    assert artists.change.count == 3 and "so 1 artists stay as they were: A0" in str(artists)


@pytest.mark.parametrize("name", ["catalogue.json", "vectors.npy", "rows.arrow"])
def test_a_damaged_catalogue_is_made_anew_without_hearing(music: Path, model: str, name: str) -> None:
    made = Path(index_library(model, audio=[str(music)]).uri)
    served = load(model)
    assert len(served.library) == 6
    path = next(made.rglob(name))
    path.write_bytes(path.read_bytes()[:30])
    with counting_heard() as heard:
        again = index_library(model, audio=[str(music)], merge=name == "rows.arrow")
    assert again.change.count == 6 and not heard
    assert "the catalogue was damaged and is made anew" in str(again) and name in str(again)
    assert len(load(model).library) == len(served.library) == 6
    assert len(list(made.glob("base-*"))) == 1, "the damaged part is gone"


def test_a_catalogue_that_cannot_be_read_now_is_not_made_anew(
    music: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_library(model, audio=[str(music)])

    def too_many(path: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(part, "map_halves", too_many)
    with pytest.raises(BundleError, match="cannot be read now"):
        index_library(model, audio=[str(music)])
