"""Labels as people write them: several in one value, spellings of one, and one recording under two."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from tests.builders import encode, tone, track
from tonearm.core.errors import ConfigError
from tonearm.datasets.contradictions import kept_apart_notes, set_aside_contradictions
from tonearm.datasets.folder import FolderConfig
from tonearm.datasets.label_names import (
    accent_notes,
    find_spellings,
    merge_spellings,
    separate_labels,
)


@pytest.mark.parametrize("value", [
    "Rock; Pop", "Rock|Pop", "Rock\0Pop", "Rock\nPop", "Rock\x1fPop", "Rock\uff1bPop",
    "Rock/Pop", "Rock, Pop", "Rock\uff0cPop",
    "Rock \u2022 Pop", "Rock + Pop", "Rock - Pop", "['Rock', 'Pop']", '["Rock", "Pop"]', "Rock;;Pop;",
])  # fmt: skip
def test_separators_as_people_and_programs_write_them(value: str) -> None:
    assert separate_labels({"a": (value,), "b": ("Rock",), "c": ("pop",)}).labels["a"] == ("Rock", "Pop")


def test_labels_that_differ_in_accents_are_told_and_stay_classes() -> None:
    labels = [("Café",), ("Cafe",), ("Café",), ("Rock",), ("CAFE",)]
    assert accent_notes(labels) == [
        "labels 'Café' (2), 'Cafe' (1), 'CAFE' (1) differ in accents and are classes of their own: if they are one, "
        "rename them"
    ]
    assert accent_notes(labels[-2:]) == []


def test_an_artist_as_label_has_no_guests(tmp_path: Path) -> None:
    spelt = ["Björk", "Bjork feat. Guest", "BJORK (ft. X)", "The Band", "Band, The", "Simon & Garfunkel", "Simon"]
    library(tmp_path, {n: [f"t{i}"] for i, n in enumerate(spelt)})
    path = tmp_path / "tracks.csv"
    path.write_text(path.read_text("utf-8").replace("genre", "artist"), "utf-8")
    found = FolderConfig(root=str(tmp_path), label="artist", merge_labels=True).catalogue()
    assert sorted(Counter(t.label for t in found.tracks).values()) == [1, 1, 2, 3]


def test_the_most_frequent_spelling_is_the_name() -> None:
    labels = {str(i): (name,) for i, name in enumerate(["hip hop"] * 2 + ["Hip-Hop"] * 3 + ["HIP HOP", "Rock"])}
    labels["both"] = ("hip hop", "HIP HOP", "Rock")
    spellings = find_spellings(labels.values())
    assert spellings == [[("Hip-Hop", 3), ("hip hop", 3), ("HIP HOP", 2)]]
    merged = merge_spellings(labels, spellings)
    assert Counter(itertools.chain(*merged.values())) == {"Hip-Hop": 7, "Rock": 2}
    assert merged["both"] == (
        "Hip-Hop",
        "Rock",
    )


VALUES = {"a": ("Rock; Pop",), "b": ("Rock",), "c": ("Rock/Pop",), "d": ("Jazz / Funk",), "e": ("Rock", "Soul"),
          "f": ("Folk, World, & Country",), "g": ("N/A; ;Rock",), "h": (), "i": ("Pop|Rock|Pop",)}  # fmt: skip


def test_several_labels_in_one_value_are_taken_apart() -> None:
    found = separate_labels(VALUES)
    assert found.labels == {
        "a": ("Rock", "Pop"), "b": ("Rock",), "c": ("Rock", "Pop"), "d": ("Jazz / Funk",), "e": ("Rock", "Soul"),
        "f": ("Folk, World, & Country",), "g": ("Rock",), "h": (), "i": ("Pop", "Rock"),
    }  # fmt: skip
    assert found.taken_apart == {"Rock; Pop": 1, "Rock/Pop": 1, "Rock; Soul": 1, "Pop|Rock|Pop": 1}
    assert found.whole == {"Jazz / Funk": 1, "Folk, World, & Country": 1}
    assert separate_labels(VALUES, "/").labels["a"] == ("Rock; Pop",)
    assert separate_labels({"a": ("AC/DC",), "b": ("AC",)}, likely=False).labels["a"] == ("AC/DC",)


@pytest.mark.parametrize(("value", "parts"), [
    ("Folk, World, & Country", ("Folk, World, & Country",)), ("Folk, World", ("Folk", "World")),
    ("Folk, and Country", ("Folk, and Country",)), ("Folk, Blues", ("Folk, Blues",)), ("Folk/World", ("Folk", "World")),
])  # fmt: skip
def test_a_value_is_taken_apart_only_where_all_its_parts_are_labels(value: str, parts: tuple[str, ...]) -> None:
    alone = {str(i): (label,) for i, label in enumerate(["Folk", "World", "& Country", "and Country"])}
    assert separate_labels({"a": (value,), **alone}).labels["a"] == parts


def test_a_few_of_many_contradicting_files_are_named() -> None:
    alike = [track(f"{i:02}", label="rock" if i < 9 else "pop") for i in range(12)]
    _, rejects = set_aside_contradictions(alike, [[t.track_id for t in alike]])
    told = "one recording under two labels: 00 is 'rock', 09 is 'pop', 01 is 'rock' and 9 more"
    assert len(rejects) == 12 and {r.detail for r in rejects} == {told}


def library(root: Path, genres: dict[str, list[str]], seconds: float = 0.05) -> Path:
    """Short recordings, each in a folder ``all``, with a genre in ``tracks.csv``."""
    rows, n = ["path,genre"], 0
    for genre in genres:
        for name in genres[genre]:
            path = root / "all" / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(tone(200 + 7 * (n := n + 1), seconds)))
            rows.append(f'all/{name}.wav,"{genre}"')
    (root / "tracks.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return root


@pytest.fixture
def music(tmp_path: Path) -> Path:
    genres = {"Rock": 4, "Hip-Hop": 3, "Hip Hop": 2, "Rock; Pop": 1, "Rock;Pop": 1, "Rock/Pop": 1, "rock": 1}
    return library(tmp_path / "music", {g: [f"{i}{j}" for j in range(n)] for i, (g, n) in enumerate(genres.items())})


def labels_of(root: Path, **options: object) -> tuple[dict[str, int], tuple[str, ...]]:
    found = FolderConfig.from_dict({"root": str(root), "label": "genre", **options}).catalogue()
    return dict(Counter("+".join(t.all_labels) for t in found.tracks)), found.notes


def test_lookalikes_are_named_and_the_first_of_several_counts(music: Path) -> None:
    found, notes = labels_of(music)
    assert found == {"Rock": 7, "Hip-Hop": 3, "Hip Hop": 2, "rock": 1}
    assert notes == (
        "3 track(s) have several labels, 'Rock; Pop' (1), 'Rock;Pop' (1), 'Rock/Pop' (1): the first counts; "
        "several_labels=all makes each a label of the track (--several-labels all)",
        "labels 'Rock' (7), 'rock' (1); and 'Hip-Hop' (3), 'Hip Hop' (2) look alike: merge_labels makes them one "
        "(--merge-labels)",
    )


def test_lookalikes_are_merged_and_several_labels_kept_where_that_is_asked_for(music: Path) -> None:
    found, notes = labels_of(music, merge_labels=True, several_labels="all")
    assert found == {"Rock": 5, "Rock+Pop": 3, "Hip-Hop": 5}
    assert notes[0].endswith("each is a label") and notes[1].endswith("are merged under the first")
    assert labels_of(music, separator=";")[0] == {
        "Rock": 4, "Pop+Rock": 2, "Hip-Hop": 3, "Hip Hop": 2, "rock": 1, "Rock/Pop": 1,
    }  # fmt: skip
    assert labels_of(music, separator=";", several_labels="first")[0]["Rock"] == 6


def test_options_of_several_labels_need_a_label_that_may_have_some() -> None:
    with pytest.raises(ConfigError, match="several_labels is 'all', but label 'folder' has one value"):
        FolderConfig(several_labels="all")


def test_what_came_later_changes_no_signature() -> None:
    config = FolderConfig(root="/music", label="genre", separator="|")
    assert config.to_dict() == {"kind": "folder", "root": "/music", "label": "genre", "separator": "|"}
    assert config.signature() != config.replace({"merge_labels": True}).signature()


def test_folders_of_one_name_are_one_label_whatever_their_form(tmp_path: Path) -> None:
    for n, form in enumerate(("NFC", "NFD")):
        folder = tmp_path / unicodedata.normalize(form, "Forró Café")
        folder.mkdir()
        (folder / f"{n}.wav").write_bytes(encode(tone(200 + n, 0.05)))
    assert {t.label for t in FolderConfig(root=str(tmp_path)).catalogue().tracks} == {"Forró Café"}


# --- one recording under two labels


def test_the_same_bytes_under_two_labels_are_set_aside_and_told(tmp_path: Path) -> None:
    library(tmp_path, {"x": ["a", "b", "c"]})
    (tmp_path / "tracks.csv").unlink()
    for name in ("a", "b"):
        copy = tmp_path / "Pop" / f"copy of {name}.wav"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes((tmp_path / "all" / f"{name}.wav").read_bytes())
    found = FolderConfig(root=str(tmp_path)).catalogue()
    assert [t.track_id for t in found.tracks] == ["all/c.wav"] and found.one_label and found.found == 5
    assert [(r.track_id, r.reason) for r in found.rejects] == [
        ("Pop/copy of a.wav", "two_labels"), ("Pop/copy of b.wav", "two_labels"),
        ("all/a.wav", "two_labels"), ("all/b.wav", "two_labels"),
    ]  # fmt: skip
    assert found.notes == (
        "4 file(s) are recordings under two labels, left out of training: e.g. the same bytes under two labels: "
        "Pop/copy of a.wav is 'Pop', all/a.wav is 'all'",
    )
    kept = FolderConfig(root=str(tmp_path), contradictions="keep").catalogue()
    assert [(t.track_id, t.label) for t in kept.tracks] == [
        ("Pop/copy of a.wav", "Pop"), ("Pop/copy of b.wav", "Pop"), ("all/c.wav", "all"),
    ]  # fmt: skip
    assert not kept.one_label and {r.reason for r in kept.rejects} == {"duplicate"}


def test_two_encodings_under_two_labels_are_set_aside(tmp_path: Path) -> None:
    tracks = [track("a.mp3", "Rock"), track("b.ogg", "Pop"), track("c", "Rock"), track("d", "Rock"), track("e", "Pop")]
    kept, rejects = set_aside_contradictions(tracks, [("a.mp3", "b.ogg"), ("c", "d"), ("gone", "e")])
    assert [t.track_id for t in kept] == ["c", "d", "e"]
    assert [(r.track_id, r.stage, r.reason, r.detail) for r in rejects] == [
        (i, "labels", "two_labels", "one recording under two labels: a.mp3 is 'Rock', b.ogg is 'Pop'")
        for i in ("a.mp3", "b.ogg")
    ]
    assert [r.key for r in rejects] == [t.content for t in tracks[:2]]  # their features stay needed
    assert set_aside_contradictions(tracks, []) == (tracks, [])


def test_with_several_labels_the_same_bytes_have_those_of_all(tmp_path: Path) -> None:
    library(tmp_path, {"Rock": ["a"], "Pop": ["b"]})
    (tmp_path / "all" / "b.wav").write_bytes((tmp_path / "all" / "a.wav").read_bytes())
    found = FolderConfig(root=str(tmp_path), label="genre", several_labels="all").catalogue()
    assert [(t.track_id, t.labels) for t in found.tracks] == [("all/a.wav", ("Rock", "Pop"))]
    assert [r.reason for r in found.rejects] == ["duplicate"] and not found.one_label
    assert found.notes[-1] == (
        "1 file(s) with copies have different labels, the one that is kept has all of them: e.g. all/a.wav is 'Rock', "
        "all/b.wav is 'Pop'"
    )


def test_two_encodings_with_different_labels_that_stay_are_told() -> None:
    tracks = [track("a.mp3", "Rock"), track("b.ogg", "Pop"), track("c", "Rock"), track("d", "Rock")]
    assert kept_apart_notes(tracks, [("a.mp3", "b.ogg"), ("c", "d")]) == [
        "1 recording(s) are there twice with different labels, both stay: e.g. a.mp3 is 'Rock', b.ogg is 'Pop'"
    ]
    assert kept_apart_notes(tracks, [("c", "d")]) == []
