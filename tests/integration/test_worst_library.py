"""The demo on the worst library that the tests can build: it runs to its end, and a person sees what became of it."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.conftest import Workplace
from tests.worst_library import CLASSES, NOT_READ, write_worst_library
from tonearm.datasets.manifest import load_manifest, load_rejects

pytestmark = pytest.mark.integration

NAME = "Худшая библиотека"


@pytest.fixture(scope="module")
def output(place: Workplace, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("worst") / "Música & Co. #1 100%"
    write_worst_library(folder)
    return place.job("jobs.demo", "--audio", str(folder), "--label", "genre", "--merge-labels", "--trials", "1",
                     "--epochs", "1", "--name", NAME)  # fmt: skip


def test_it_runs_to_its_end(output: str) -> None:
    assert "[7] Serve" in output and "answer 1" in output and f"registered as tonearm-{NAME} version 1" in output
    for noise in ("Traceback", "Warning", "warning", "Glyph"):
        assert noise not in output


@pytest.mark.parametrize(
    "told",
    [
        f"{len(NOT_READ)} file(s) of kinds that are not read: .m4b 2, .wma 1",
        "hidden or system folder(s) not looked at",
        "tracks.csv is not in UTF-8: read as Windows-1252",
        "2 row(s) of tracks.csv name no file that is there, e.g. 'gone-1.wav'",
        "contradict the first one of their file",
        "genre is 'Hip-Hop' and 'Polka'",
        "'Hip Hop' (2), 'hip hop' (2) are merged under the first",
        "is 'Joey Bada$$', 日本の音楽/double.ogg is '日本の音楽'",
        "6 track(s) are by nobody in particular, 'Unknown Artist' (6)",
        "4 file(s) are not what their headers say",
        "two_labels 3",
        "undecodable 1",
        "empty 1",
    ],
)
def test_what_was_found_is_told(output: str, told: str) -> None:
    summary = output.split(f"=== {NAME}")[1]
    assert told in output and told in summary


def test_only_music_that_people_keep_is_learned_from(place: Workplace, output: str) -> None:
    folder = place.home / "data" / NAME
    tracks = load_manifest(str(folder / "manifest.parquet")).tracks
    labels = Counter(t.label for t in tracks)
    assert set(labels) == set(CLASSES) and labels == {"Joey Bada$$": 11, "日本の音楽": 12, "Hip-Hop": 18}
    assert not [t.track_id for t in tracks if "thrown away" in t.track_id or "again" in t.track_id]
    assert "Linked/Joey Bada$$/02.ogg" in {t.track_id for t in tracks}, "links are followed, once"
    aside = {unicodedata.normalize("NFC", r.track_id): r.reason for r in load_rejects(str(folder / "rejects.parquet"))}
    assert aside == {
        "Linked/Joey Bada$$/01.ogg": "two_labels", "日本の音楽/double.ogg": "two_labels",
        "Forró Café/rap.00000.wav": "two_labels", "empty.wav": "empty", "text.mp3": "undecodable",
    }  # fmt: skip


def test_who_shares_an_artist_shares_a_split(place: Workplace, output: str) -> None:
    tracks = load_manifest(str(place.home / "data" / NAME / "manifest.parquet")).tracks
    for artist in ("Joey 1", "Joey 3", "MC 3"):
        own = [t for t in tracks if t.artist and artist in t.artist]
        assert len(own) > 1 and len({t.split for t in own}) == 1, artist
    nobody = [t for t in tracks if t.artist == "Unknown Artist"]
    assert len({t.group for t in nobody}) == len(nobody) == 6


def test_pictures_are_there(place: Workplace, output: str) -> None:
    reports: Path = place.home / "reports" / NAME
    for name in ("sweep.png", "confusion_test.png"):
        assert (reports / name).read_bytes()[:4] == b"\x89PNG"
