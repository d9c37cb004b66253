"""What ``prepare_catalogue`` makes of a catalogue: splits, notes, metadata and tables of rejects."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import track
from tests.tiny_data import Recording, write_fma, write_spotify
from tonearm.audio.windows import ClipConfig
from tonearm.core import home
from tonearm.core.errors import DatasetError, JobError, StoreError
from tonearm.datasets.base import Catalogue
from tonearm.datasets.manifest import Manifest, Reject, Track, load_manifest, load_rejects
from tonearm.datasets.metadata import Metadata, save_metadata
from tonearm.features import Mfcc
from tonearm.pipelines import extract
from tonearm.pipelines.extract import ExtractionReport
from tonearm.workflows import prepare_catalogue as catalogue_module
from tonearm.workflows.prepare import choose_dataset, make_catalogue
from tonearm.workflows.prepare_catalogue import prepare_catalogue
from tonearm.workflows.prepared_names import manifest_uri
from tonearm.workflows.set_aside import rejects_uri

CLIP = ClipConfig()
#: Files are listed here, not decoded.
SILENT = [Recording(n, "high" if n < 10 else "low", f"recording {n}".encode()) for n in range(20)]


def catalogue(per_class: Mapping[str, int], **more: Any) -> Catalogue:
    """Two tracks an artist."""
    tracks = [
        track(f"{label}{i:02d}", label, f"artist:{label} {i // 2}") for label, n in per_class.items() for i in range(n)
    ]
    return Catalogue("toys", "sort", tracks, **more)


def prepared(found: Catalogue, features: Sequence[Any] = (), **more: Any) -> Manifest:
    data = prepare_catalogue(found, features, CLIP, 1.0, **more)
    assert load_manifest(manifest_uri(found.name)) == data.manifest
    print(data.describe())
    return data.manifest


def artists_across_splits(manifest: Manifest) -> int:
    return len({(t.group, t.split) for t in manifest.tracks}) - len({t.group for t in manifest.tracks})


# --- without audio


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("Ray is started where nothing is extracted")

    monkeypatch.setattr(catalogue_module, "start_ray", refuse)


def test_split_keeps_groups_together_and_classes_balanced(capsys: pytest.CaptureFixture[str]) -> None:
    manifest = prepared(catalogue({"a": 20, "b": 10}))
    assert artists_across_splits(manifest) == 0
    sizes = {s: [sum(t.label == c for t in manifest.of(s)) for c in "ab"] for s in ("train", "validation", "test")}
    assert sizes == {"train": [12, 6], "validation": [4, 2], "test": [4, 2]}
    assert manifest.notes == ()
    said = capsys.readouterr().out
    assert "toys: train 18 (60.0%)" in said and "no leak" in said and "set aside" not in said


def test_split_is_a_function_of_its_seed() -> None:
    found = catalogue({"a": 20, "b": 20})
    assert prepared(found, seed=1) == prepared(found, seed=1) != prepared(found, seed=2)


def test_shares_of_the_splits_can_be_asked_for() -> None:
    manifest = prepared(catalogue({"a": 40, "b": 40}), fractions=(0.8, 0.1, 0.1))
    assert [len(manifest.of(s)) for s in ("train", "validation", "test")] == [64, 8, 8]
    assert artists_across_splits(manifest) == 0


def test_labels_that_nobody_asks_for_are_not_balanced_but_kept() -> None:
    found = catalogue(dict.fromkeys("abcdefghij", 2))
    manifest = prepared(found, classes=False, balanced=False)
    assert [len(manifest.of(s)) for s in ("train", "validation", "test")] == [12, 4, 4]
    assert {t.track_id: t.label for t in manifest.tracks} == {t.track_id: t.label for t in found.tracks}
    assert artists_across_splits(manifest) == 0 and manifest.notes == ()


def test_groups_cross_splits_on_request_alone(capsys: pytest.CaptureFixture[str]) -> None:
    manifest = prepared(catalogue({"a": 20, "b": 20}), grouped=False)
    assert artists_across_splits(manifest) > 0 and "LEAK" in capsys.readouterr().out
    assert [len(manifest.of(s)) for s in ("train", "validation", "test")] == [24, 8, 8]


def test_published_split_is_kept_and_half_of_one_is_refused() -> None:
    found = catalogue({"a": 10, "b": 10}, notes=("from the source",))
    published = [dataclasses.replace(t, split="test" if i % 4 == 0 else "train") for i, t in enumerate(found.tracks)]
    published[1] = dataclasses.replace(published[1], split="validation")
    manifest = prepared(dataclasses.replace(found, tracks=published))
    assert {t.track_id: t.split for t in manifest.tracks} == {t.track_id: t.split for t in published}
    assert manifest.notes == ("from the source", "split as published")
    published[5] = dataclasses.replace(published[5], split=None)
    with pytest.raises(DatasetError, match="1 of 20 tracks have no split, the others have a published one: leave"):
        prepare_catalogue(dataclasses.replace(found, tracks=published), [], CLIP, 1.0)


def test_small_classes_are_left_out_where_classes_are_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    found = catalogue({"a": 10, "b": 10, "c": 9})
    manifest = prepared(found)
    assert manifest.classes == ("a", "b") and manifest.notes == ("class 'c' left out: 9 of the needed 10 tracks",)
    assert "note: class 'c' left out" in capsys.readouterr().out
    assert prepared(found, classes=False).classes == ("a", "b", "c")
    with pytest.raises(DatasetError, match="two are needed; found a"):
        prepare_catalogue(catalogue({"a": 10, "b": 9}), [], CLIP, 1.0)


def test_tracks_without_labels_are_split_by_number() -> None:
    found = catalogue({"a": 20})
    unlabelled = [dataclasses.replace(t, label="") for t in found.tracks]
    manifest = prepared(dataclasses.replace(found, tracks=unlabelled), classes=False)
    assert [len(manifest.of(s)) for s in ("train", "validation", "test")] == [12, 4, 4]


def test_rejects_are_kept_in_a_table_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    rejects = [Reject(track_id=i, source=i, stage="catalogue", reason=reason, detail="x")
               for i, reason in (("p", "missing"), ("q", "no_label"), ("r", "missing"))]  # fmt: skip
    prepared(catalogue({"a": 10, "b": 10}, rejects=rejects))
    assert load_rejects(rejects_uri("toys")) == rejects
    assert "set aside: 3 (missing 2, no_label 1); listed in" in capsys.readouterr().out


# --- metadata


def test_facts_of_a_file_join_those_of_the_source(tmp_path: Path) -> None:
    found = catalogue({"a": 10, "b": 10})
    own = Metadata([t.track_id for t in found.tracks], {"year": np.arange(20.0), "mood": np.zeros(20)})
    save_metadata(
        str(tmp_path / "f.parquet"), Metadata(["a 0", "artist:a 1", "b03"], {"mood": np.array([0.1, 0.2, 0.3])})
    )
    manifest = prepared(dataclasses.replace(found, metadata=own), metadata=str(tmp_path / "f.parquet"))
    assert sorted(manifest.metadata) == ["mood", "year"]
    mood = manifest.metadata.of(["a00", "a01", "a02", "a03", "a04", "b02", "b03"], "mood")
    np.testing.assert_array_equal(mood, [0.1, 0.1, 0.2, 0.2, np.nan, np.nan, 0.3])  # the file's win
    assert manifest.metadata.of(["b09"], "year")[0] == 19
    alone = prepared(found, metadata=str(tmp_path / "f.parquet"))
    assert list(alone.metadata) == ["mood"] and alone.signature() != manifest.signature()


def test_facts_of_nobody_and_no_facts_are_errors(tmp_path: Path) -> None:
    found, elsewhere = catalogue({"a": 10, "b": 10}), str(tmp_path / "f.parquet")
    with pytest.raises(DatasetError, match="no metadata at"):
        prepare_catalogue(found, [], CLIP, 1.0, metadata=elsewhere)
    save_metadata(elsewhere, Metadata(["somebody"], {"mood": np.array([0.1])}))
    with pytest.raises(DatasetError, match="none of these tracks or their artists"):
        prepare_catalogue(found, [], CLIP, 1.0, metadata=elsewhere)


# --- data sets of the real layouts, prepared


def test_table_of_numbers_becomes_a_manifest_of_facts(tmp_path: Path) -> None:
    write_spotify(tmp_path, ())
    data = choose_dataset("spotify", str(tmp_path), {"reference_distances": True})
    manifest = prepared(make_catalogue(data))
    assert manifest.name == "spotify" and manifest.classes == ("jazz", "pop", "rock")
    assert {"tempo", "log_duration", "distance_rock"} <= set(manifest.metadata) and artists_across_splits(manifest) == 0


def test_fma_keeps_its_split_and_loses_its_small_genre(tmp_path: Path) -> None:
    write_fma(tmp_path, SILENT)
    manifest = prepared(make_catalogue(choose_dataset("fma", str(tmp_path))))
    assert [len(manifest.of(s)) for s in ("train", "validation", "test")] == [12, 4, 4]
    assert manifest.classes == ("Pop", "Rock") and "split as published" in manifest.notes
    assert "class 'International' left out: 1 of the needed 10 tracks" in manifest.notes
    assert [(r.track_id, r.reason) for r in load_rejects(rejects_uri("fma-medium"))] == [("000010", "missing")]
    large = make_catalogue(choose_dataset("fma", str(tmp_path), {"subset": "large", "labels": "all"}))
    every = prepared(large, classes=False)
    assert len(every.tracks) == 21 and every.classes == ("Experimental Pop", "International", "Pop", "Rock")
    assert [(r.track_id, r.reason) for r in load_rejects(rejects_uri("fma-large-all"))] == [
        ("000010", "missing"), ("000011", "empty"),
    ]  # fmt: skip


# --- with audio, whose extraction is stood in for


class Heard:
    """Stands in for the extraction: what it finds, and what it was asked for."""

    def __init__(self, rejects: Sequence[Reject] = (), duplicates: tuple[tuple[str, ...], ...] = ()) -> None:
        self.report = ExtractionReport(tuple(rejects), extracted=3, stored=17, seconds=1.0, duplicates=duplicates)
        self.asked: list[tuple[list[str], list[str]]] = []

    def __call__(self, tracks: Sequence[Track], features: Sequence[Any], clip: ClipConfig, root: str,
                 min_seconds: float, known: Sequence[Reject], *rest: Any) -> ExtractionReport:  # fmt: skip
        assert clip == CLIP and root == home.features_home() and min_seconds == 1.0
        self.asked.append(([t.track_id for t in tracks], [r.track_id for r in known]))
        return self.report


def undecodable(track_id: str) -> Reject:
    return Reject(track_id=track_id, source=track_id, stage="extract", reason="undecodable", detail="no audio")


def test_what_cannot_be_heard_is_left_out_and_known_the_next_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = catalogue({"a": 12, "b": 12, "c": 10}, rejects=[undecodable("before")])
    heard = Heard([undecodable("c00"), undecodable("a00")])
    monkeypatch.setattr(extract, "extract_features", heard)
    manifest = prepared(found, [Mfcc()])
    assert manifest.classes == ("a", "b") and len(manifest.tracks) == 23  # c had just enough
    assert "class 'c' left out: 9 of the needed 10 tracks" in manifest.notes
    assert [r.track_id for r in load_rejects(rejects_uri("toys"))] == ["a00", "before", "c00"]
    assert "3 tracks extracted now (0 MiB), 17 were there" in capsys.readouterr().out
    prepared(found, [Mfcc()])
    assert [known for _, known in heard.asked] == [[], ["a00", "before", "c00"]]
    assert "c00" in heard.asked[1][0], "small classes are counted anew, in case that files were mended"


def test_the_same_recording_stays_in_one_split(monkeypatch: pytest.MonkeyPatch) -> None:
    twins = ("a00", "a09")
    monkeypatch.setattr(extract, "extract_features", Heard(duplicates=(twins,)))
    found = catalogue({"a": 20, "b": 20})
    for grouped in (True, False):
        manifest = prepared(found, [Mfcc()], grouped=grouped)
        assert len({t.split for t in manifest.tracks if t.track_id in twins}) == 1
        assert {t.track_id for t in manifest.tracks if t.recording == "a00"} == set(twins)
        assert manifest.notes == ("1 recording(s) occur more than once, e.g. a00 = a09: each is kept in one split",)
    published = [dataclasses.replace(t, split=s) for t, s in
                 zip(found.tracks, ["train", "validation", "test", "train"] * 10, strict=True)]  # fmt: skip
    manifest = prepared(dataclasses.replace(found, tracks=published), [Mfcc()])
    assert [(t.track_id, t.split) for t in manifest.tracks] == [(t.track_id, t.split) for t in published]
    assert "e.g. a00 = a09: they stay where the source has them" in manifest.notes[-1]


def test_descriptors_that_were_not_measured_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "extract_features", Heard())
    with pytest.raises(StoreError, match=r"20 tracks have no descriptors, e\.g\. 'a00'"):
        prepare_catalogue(catalogue({"a": 10, "b": 10}), [Mfcc()], CLIP, 1.0, descriptors=True, predicted=True)


def test_too_many_rejects_end_the_job_and_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    found = catalogue({"a": 10, "b": 10})
    monkeypatch.setattr(extract, "extract_features", Heard([undecodable(f"a0{i}") for i in range(5)]))
    with pytest.raises(JobError, match=r"5 of 20 tracks cannot be used \(undecodable 5\), more than 20%"):
        prepare_catalogue(found, [Mfcc()], CLIP, 1.0)
    assert len(load_rejects(rejects_uri("toys"))) == 5
    with pytest.raises(JobError):
        prepare_catalogue(dataclasses.replace(found, rejects=[undecodable("before")]), [Mfcc()], CLIP, 1.0)
    assert len(load_rejects(rejects_uri("toys"))) == 6, "the table that the error names lacks what failed now"
    assert not Path(manifest_uri("toys")).exists(), "a manifest was written of a data set that is refused"
    assert len(prepared(found, [Mfcc()], max_rejected=0.25, classes=False).tracks) == 15
