"""The report on splits: shares by hand, and every sort of leak is found, counted and shown."""

from __future__ import annotations

import dataclasses

import pytest

from tests.builders import track
from tonearm.core.errors import DatasetError
from tonearm.datasets.manifest import SPLITS, Manifest, Track
from tonearm.datasets.split_report import Overlap, SplitReport, report_splits
from tonearm.datasets.splits import split_by_group


def manifest(*tracks: Track) -> Manifest:
    return Manifest("toy", "genre", tracks)


def clean_tracks() -> list[Track]:
    """6 of a, 4 of b: a is split 4:1:1, b 2:1:1."""
    splits = {"a": ["train"] * 4 + ["validation", "test"], "b": ["train"] * 2 + ["validation", "test"]}
    return [
        track(f"{label}{i}", label, split=split, title=f"{label} {i}")  # type: ignore[arg-type]
        for label, own in splits.items()
        for i, split in enumerate(own)
    ]


def leaks(found: SplitReport) -> dict[str, Overlap]:
    return {overlap.what: overlap for overlap in (*found.leaks, *found.information) if overlap.count}


def test_shares_and_the_largest_deviation_are_those_by_hand() -> None:
    found = report_splits(manifest(*clean_tracks()))
    assert found.sizes == {"train": 6, "validation": 2, "test": 2} and found.without_split == 0
    assert found.counts["a"] == {"train": 4, "validation": 1, "test": 1}
    assert found.targets == {"train": 0.6, "validation": 0.2, "test": 0.2}
    assert found.shares("b") == {"train": 0.5, "validation": 0.25, "test": 0.25}
    assert found.worst == ("b", "train") and found.largest_deviation == pytest.approx(-0.1)
    assert found.lacking == () and found.clean


def test_wanted_shares_may_be_given() -> None:
    found = report_splits(manifest(*clean_tracks()), {"train": 0.8, "validation": 0.1, "test": 0.1})
    assert found.worst == ("b", "train") and found.largest_deviation == pytest.approx(-0.3)


def test_several_labels_count_each_and_tracks_without_split_are_told() -> None:
    tracks = [
        track("1", "a", split="train", labels=("a", "b")),
        track("2", "b", split="test"),
        track("3", "c"),
    ]
    found = report_splits(manifest(*tracks))
    assert found.counts == {
        "a": {"train": 1, "validation": 0, "test": 0},
        "b": {"train": 1, "validation": 0, "test": 1},
        "c": {"train": 0, "validation": 0, "test": 0},
    }
    assert found.without_split == 1 and found.shares("c") == {"train": 0.0, "validation": 0.0, "test": 0.0}
    assert ("a", "test") in found.lacking and "without a split: 1 tracks" in found.lines()


@pytest.mark.parametrize(
    ("what", "train", "test", "example"),
    [
        ("groups", {"group": "artist:x"}, {"group": "artist:x"}, "artist:x: 1 train, 1 test (e.g. a0)"),
        ("contents", {"content": "0f"}, {"content": "0f"}, "0f: 1 train, 1 test (e.g. a0)"),
        (
            "songs by artist and title",
            {"artist": "The  Band", "title": "A Song"},
            {"artist": "the band", "title": " a song\t"},
            "the band: a song: 1 train, 1 test (e.g. a0)",
        ),
        ("titles of unknown artists", {"title": "Straße"}, {"title": "STRASSE"}, "strasse: 1 train, 1 test (e.g. a0)"),
        ("albums", {"album": "Now 7"}, {"album": "now  7"}, "now 7: 1 train, 1 test (e.g. a0)"),
        ("artists", {"artist": "X"}, {"artist": "x"}, "x: 1 train, 1 test (e.g. a0)"),
        (
            "artists",
            {"artist": "X y", "group": "artist:x y"},
            {"artist": "\uff58  Y"},
            "x y: 1 train, 1 test (e.g. a0)",
        ),
        (
            "artists of one name",
            {"artist": "X", "group": "artist:17"},
            {"artist": "X", "group": "artist:18"},
            "x: 1 train, 1 test (e.g. a0)",
        ),
    ],
)
def test_a_leak_is_found_counted_and_shown(
    what: str, train: dict[str, str], test: dict[str, str], example: str
) -> None:
    tracks = clean_tracks()
    tracks[0] = dataclasses.replace(tracks[0], **train)  # type: ignore[arg-type]
    tracks[5] = dataclasses.replace(tracks[5], **test)  # type: ignore[arg-type]
    found = report_splits(manifest(*tracks))
    overlap = leaks(found)[what]
    assert (overlap.count, overlap.tracks, overlap.examples) == (1, 2, (example,))
    assert found.clean == (what == "albums")
    assert [line for line in found.lines() if example in line]


def test_what_is_shared_within_a_split_is_no_leak() -> None:
    tracks = clean_tracks()
    for i in (0, 1):
        tracks[i] = dataclasses.replace(tracks[i], group="g", content="c", artist="x", title="t", album="l")
    found = report_splits(manifest(*tracks))
    assert found.clean and leaks(found) == {}
    assert any(line.startswith("no leak: no groups, artists, contents") for line in found.lines())


def test_classes_that_have_their_shares_are_said_to() -> None:
    tracks = [track(f"{c}{i}", c, split=SPLITS[i % 3]) for c in "ab" for i in range(6)]
    assert "every class has its share in every split" in report_splits(manifest(*tracks)).lines()
    uneven = report_splits(manifest(*tracks, track("a6", "a", split="train"))).lines()
    assert any(line.startswith("largest deviation: 'b' has 33.3% in train") for line in uneven)


def test_artists_are_for_information_where_groups_are_works() -> None:
    tracks = clean_tracks()
    for i, work in ((0, "fifth"), (5, "ninth")):
        tracks[i] = dataclasses.replace(tracks[i], artist="Beethoven", group=f"work:{work}")
    found = report_splits(manifest(*tracks))
    assert found.clean and [o.count for o in found.information if o.what == "artists"] == [1]
    assert any(line.startswith("for information: 1 artists in two splits (2 tracks)") for line in found.lines())
    assert any(line.startswith("no leak: no groups, contents") for line in found.lines())  # nor is it denied


def test_artists_whose_groups_were_given_up_are_a_leak() -> None:
    solo = [track(f"solo{i}", "solo", "artist:one", artist="One") for i in range(6)]
    others = [track(f"{a}{i}", "band", f"artist:{a}", artist=a) for a in "abcdef" for i in range(2)]
    split, notes = split_by_group([*solo, *others])
    found = report_splits(manifest(*split))
    assert len(notes) == 1 and "LEAK: 1 artists in two splits (6 tracks)" in "\n".join(found.lines())
    assert not found.clean and leaks(found)["artists"].certain and "groups" not in leaks(found)


def test_a_guest_of_an_unknown_artist_is_a_possible_leak_at_most() -> None:
    guests = [{"title": "One (feat. Adele)"}, {"title": "Two (feat. Adele)"}]
    for one, other in (guests, [guests[0], {"artist": "Adele", "title": "Three", "group": "artist:adele"}]):
        tracks = clean_tracks()
        tracks[0] = dataclasses.replace(tracks[0], **one)  # type: ignore[arg-type]
        tracks[5] = dataclasses.replace(tracks[5], **other)  # type: ignore[arg-type]
        found = leaks(report_splits(manifest(*tracks)))
        assert {what: (own.count, own.certain) for what, own in found.items()} == {
            "artists named among others": (1, False)
        }
    tracks = [dataclasses.replace(t, title="Song (with lyrics)" if i in (0, 5) else t.title, artist=f"artist {i}")
              for i, t in enumerate(clean_tracks())]  # fmt: skip
    assert report_splits(manifest(*tracks)).clean


def test_the_same_title_by_different_artists_is_no_leak() -> None:
    tracks = clean_tracks()
    tracks[0] = dataclasses.replace(tracks[0], artist="x", title="Intro")
    tracks[5] = dataclasses.replace(tracks[5], artist="y", title="Intro")
    tracks[9] = dataclasses.replace(tracks[9], title="Intro")  # by nobody known, and alone in that
    assert report_splits(manifest(*tracks)).clean


def test_many_leaks_are_counted_and_few_are_shown() -> None:
    tracks = [
        dataclasses.replace(track(f"{g}{s}", group=f"g{g}"), split=s) for g in range(7) for s in ("train", "test")
    ]
    overlap = leaks(report_splits(manifest(*tracks)))["groups"]
    assert (overlap.count, overlap.tracks, len(overlap.examples)) == (7, 14, 3)


def test_certain_and_possible_leaks_are_told_apart() -> None:
    tracks = clean_tracks()
    tracks[0] = dataclasses.replace(tracks[0], title="same", group="g")
    tracks[5] = dataclasses.replace(tracks[5], title="same", group="g")
    lines = report_splits(manifest(*tracks)).lines()
    assert any(line.startswith("LEAK: 1 groups in two splits (2 tracks)") for line in lines)
    assert any(line.startswith("possible leak: 1 titles of unknown artists") for line in lines)


def test_lines_show_the_classes_that_deviate_most_and_count_the_rest() -> None:
    labels = [f"class{i:02d}" for i in range(14)]
    tracks = [track(f"{c}{s}", c, split=s) for c in labels for s in ("train", "validation", "test")]
    tracks.append(track("odd", "odd", split="train"))
    lines = report_splits(manifest(*tracks)).lines()
    assert lines[0] == "toy: train 15 (34.9%), validation 14 (32.6%), test 14 (32.6%)"
    assert lines[1] == "largest deviation: 'odd' has 100.0% in train, wanted 34.9%"
    assert lines[2] == "  odd: train 1 (100.0%), validation 0 (0.0%), test 0 (0.0%)"
    assert "  and 5 classes that deviate less" in lines
    assert any(line.startswith("no track of a class in a split: 2 times, e.g. 'odd' in validation") for line in lines)


def test_tracks_without_labels_have_no_classes_to_deviate() -> None:
    found = report_splits(manifest(track("1", "", split="train"), track("2", "", split="test")))
    assert found.worst is None and found.largest_deviation == 0 and found.counts == {}
    assert found.lines()[0].startswith("toy: train 1 (50.0%)")


def test_a_manifest_without_splits_is_refused() -> None:
    with pytest.raises(DatasetError, match="toy: none of 2 tracks has a split: split them first"):
        report_splits(manifest(track("1"), track("2")))
