"""Duplicates are searched for once: new tracks among all, in parts of any size, and what is found is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.scale_duplicates import made_prints
from tests.builders import encode, music
from tests.extract_in_process import extract_in_process
from tonearm.audio import anchors, duplicates
from tonearm.audio.duplicates import connected_groups, duplicate_groups, find_duplicates
from tonearm.audio.fingerprint import Fingerprint
from tonearm.audio.windows import ClipConfig
from tonearm.datasets.manifest import Track
from tonearm.features import Mel
from tonearm.features.row_store import FINGERPRINT_TABLE, prune_rows, write_rows
from tonearm.features.store import track_key
from tonearm.pipelines import duplicates as kept
from tonearm.pipelines.duplicates import duplicate_keys, same_recordings
from tonearm.workflows.prepare import prepare
from tonearm.workflows.prepared import PreparedData

CLIP = ClipConfig()
FRAMES = 300


def changed(values: Fingerprint, seed: int, share: float = 0.03) -> Fingerprint:
    """A copy with a share of the bits changed."""
    noise = np.random.default_rng(seed).random((len(values), 32)) < share
    return values ^ np.packbits(noise, axis=1).view(">u4")[:, 0].astype(np.uint32)


@pytest.fixture(scope="module")
def library() -> dict[str, Fingerprint]:
    """Twelve recordings, of which a, b and c occur three, two and two times, cut elsewhere."""
    made = list(made_prints(12).values())
    originals = dict(zip("abcdefghijkl", (values[:FRAMES] for values in made), strict=True))
    copies = {"a2": changed(originals["a"][30:], 1), "a3": changed(originals["a"][:-40], 2),
              "b2": changed(originals["b"][5:], 3), "c2": changed(originals["c"], 4)}  # fmt: skip
    return {**originals, **copies}


GROUPS = [("a", "a2", "a3"), ("b", "b2"), ("c", "c2")]


def store(root: Path, prints: Mapping[str, Fingerprint]) -> None:
    write_rows(str(root), FINGERPRINT_TABLE, [{"track_key": k, "fingerprint": v.tobytes()} for k, v in prints.items()])


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "read_rows", lambda *given: pytest.fail("fingerprints are read again"))


def test_chance_proposes_few_pairs_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 500 000 pairs of unrelated tracks shared sub-fingerprints proposed 2500."""
    compared = []
    compare = duplicates._error_rate
    monkeypatch.setattr(duplicates, "_error_rate", lambda *pair: compared.append(1) or compare(*pair))
    prints = {key: values for key, values in made_prints(1000).items() if int(key) % 100 != 99}
    assert find_duplicates(prints) == []
    assert len(compared) < 20


@pytest.mark.parametrize(("at_once", "each_with_each"), [(1, 64), (200, 64), (500, 1), (10**6, 2)])
def test_parts_of_any_size_find_the_same(
    library: dict[str, Fingerprint], monkeypatch: pytest.MonkeyPatch, at_once: int, each_with_each: int
) -> None:
    steps: list[tuple[int, int]] = []
    whole = find_duplicates(library, told=lambda done, parts: steps.append((done, parts)))
    assert duplicate_groups(whole) == GROUPS and steps == [(1, 1)]
    monkeypatch.setattr(anchors, "SORTED_AT_ONCE", at_once)
    monkeypatch.setattr(anchors, "EACH_WITH_EACH", each_with_each)
    monkeypatch.setattr(anchors, "CANDIDATES_AT_ONCE", 7)
    steps.clear()
    assert find_duplicates(library, told=lambda done, parts: steps.append((done, parts))) == whole
    assert (len(steps) > 1) == (at_once < 1000) and steps[-1] == (len(steps), len(steps))


def test_only_pairs_with_a_new_one_are_searched_for(library: dict[str, Fingerprint]) -> None:
    everything = find_duplicates(library)
    for new in library:
        found = find_duplicates(library, set(library) - {new})
        assert found == [m for m in everything if new in (m.first, m.second)]
    assert find_duplicates(library, set(library)) == []
    assert find_duplicates(library, {"of", "others"}) == everything


def test_tracks_added_in_any_order_make_the_same_groups(library: dict[str, Fingerprint], tmp_path: Path) -> None:
    names = list(library)
    np.random.default_rng(5).shuffle(names)
    for end in (3, 4, 9, 15, len(names)):
        store(tmp_path, {name: library[name] for name in names[:end]})
        groups = duplicate_keys(str(tmp_path), CLIP, names[:end])
        there = connected_groups((g[0], x) for g in GROUPS for x in g)
        assert groups == [g for group in there if len(g := tuple(x for x in group if x in names[:end])) > 1]


def test_nothing_new_reads_no_fingerprint(
    library: dict[str, Fingerprint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path, library)
    assert duplicate_keys(str(tmp_path), CLIP, library) == GROUPS
    forbid_reading(monkeypatch)
    assert duplicate_keys(str(tmp_path), CLIP, library) == GROUPS
    assert duplicate_keys(str(tmp_path), CLIP, ["a2", "b", "a3", "k"]) == [("a2", "a3")]
    assert duplicate_keys(str(tmp_path), CLIP, []) == []


def test_data_sets_of_one_home_share_what_was_compared(
    library: dict[str, Fingerprint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path, library)
    assert duplicate_keys(str(tmp_path), CLIP, ["a", "b", "d"]) == []
    assert duplicate_keys(str(tmp_path), CLIP, ["a2", "b2", "c"]) == []
    forbid_reading(monkeypatch)
    assert duplicate_keys(str(tmp_path), CLIP, ["a", "a2", "b", "b2", "c", "d"]) == [("a", "a2"), ("b", "b2")]


def test_other_clips_are_compared_among_themselves(library: dict[str, Fingerprint], tmp_path: Path) -> None:
    store(tmp_path, library)
    assert duplicate_keys(str(tmp_path), CLIP, ["a", "a2"]) == [("a", "a2")]
    assert duplicate_keys(str(tmp_path), ClipConfig(seconds=10.0), ["a3", "b"]) == []
    assert len(list((tmp_path / kept.FOLDER).iterdir())) == 2


def test_a_search_that_is_broken_off_begins_anew(
    library: dict[str, Fingerprint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path, library)
    first = [name for name in library if not name.endswith("2")]
    assert duplicate_keys(str(tmp_path), CLIP, first) == [("a", "a3")]

    def stopped(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr(duplicates, "_error_rate", stopped)
        with pytest.raises(KeyboardInterrupt):
            duplicate_keys(str(tmp_path), CLIP, library)
    assert duplicate_keys(str(tmp_path), CLIP, library) == GROUPS


def test_tracks_that_were_cleaned_away_are_compared_anew_when_they_come_back(
    library: dict[str, Fingerprint], tmp_path: Path
) -> None:
    store(tmp_path, library)
    assert duplicate_keys(str(tmp_path), CLIP, library) == GROUPS
    left = {name: values for name, values in library.items() if name not in ("a", "b2")}
    prune_rows(str(tmp_path), FINGERPRINT_TABLE, left)
    assert duplicate_keys(str(tmp_path), CLIP, left) == [("a2", "a3"), ("c", "c2")]
    store(tmp_path, {**library, "m": changed(library["d"], 6)})
    assert duplicate_keys(str(tmp_path), CLIP, [*library, "m"]) == [*GROUPS, ("d", "m")]


@pytest.mark.parametrize("data", [b"", b"no table", b"PAR1PAR1"])
def test_a_damaged_table_is_made_anew_and_that_is_said(
    library: dict[str, Fingerprint], tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path, library)
    duplicate_keys(str(tmp_path), CLIP, library)
    (file,) = (tmp_path / kept.FOLDER).iterdir()
    file.write_bytes(data)
    assert duplicate_keys(str(tmp_path), CLIP, library) == GROUPS
    assert "is damaged" in caplog.text and "compared anew" in caplog.text


def test_what_was_compared_says_which_new_files_are_earlier_recordings(
    library: dict[str, Fingerprint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {name: track_key(name, CLIP) for name in library}
    store(tmp_path, {key[name]: values for name, values in library.items()})
    assert same_recordings(str(tmp_path), CLIP, ["a"], ["a2"]) == {}  # nothing was compared
    duplicate_keys(str(tmp_path), CLIP, key.values())
    forbid_reading(monkeypatch)
    found = same_recordings(str(tmp_path), CLIP, ["a", "b2", "c", "d"], ["a2", "a3", "b", "e", "unknown"])
    assert found == {"a": {"a2", "a3"}, "b2": {"b"}}
    assert same_recordings(str(tmp_path), CLIP, ["a"], []) == {}


def test_a_library_that_is_renamed_and_encoded_anew_keeps_its_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(tmp_path / "home"))
    extract_in_process(monkeypatch)
    root = tmp_path / "music"
    paths = [root / ("high" if i % 2 else "low") / f"song{i:02d}.wav" for i in range(20)]
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(music(4.0, seed=i)))

    def prepared() -> PreparedData:
        return prepare("folder", root=str(root), features=[Mel(n_mels=16, n_fft=512, hop=256, frames=None)])

    before = {t.track_id: t.split for t in prepared().manifest.tracks}
    for i, path in enumerate(paths):
        path.with_name(f"{i} anew.ogg").write_bytes(encode(music(4.0, seed=i), container="OGG", subtype="VORBIS"))
        path.unlink()
    data = prepared()
    after = {t.track_id: t.split for t in data.manifest.tracks}
    assert after == {f"{p.parent.name}/{i} anew.ogg": before[f"{p.parent.name}/{p.name}"] for i, p in enumerate(paths)}
    assert data.changes == ("20 tracks are re-encoded; no other track moved",)


def test_a_copy_that_is_added_joins_the_old_recording_and_its_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(tmp_path / "home"))
    extract_in_process(monkeypatch)
    root = tmp_path / "music"
    for i in range(20):
        path = root / ("high" if i % 2 else "low") / f"song{i:02d}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(music(4.0, seed=i), container="FLAC"))

    def prepared() -> dict[str, Track]:
        data = prepare("folder", root=str(root), features=[Mel(n_mels=16, n_fft=512, hop=256, frames=None)])
        return {t.track_id: t for t in data.manifest.tracks}

    before = prepared()
    assert not any(t.recording for t in before.values())
    (root / "low" / "a copy.ogg").write_bytes(encode(music(4.0, seed=4), container="OGG", subtype="VORBIS"))
    after = prepared()
    copy, old = after.pop("low/a copy.ogg"), after["low/song04.flac"]
    assert copy.recording == old.recording != "" and copy.split == old.split
    assert {i: t.split for i, t in after.items()} == {i: t.split for i, t in before.items()}
    forbid_reading(monkeypatch)
    assert prepared()["low/a copy.ogg"] == copy
