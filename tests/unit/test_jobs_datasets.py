"""Data sets on the command line: fields as typed, names, and what is made of a catalogue before anything is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs import datasets as jobs_datasets
from jobs.datasets import choose_dataset, make_catalogue, manifest_uri, parse_fields, prepare, rejects_uri
from tests.builders import track
from tests.tiny_data import (
    Recording,
    write_artists,
    write_audio,
    write_cifar,
    write_fma,
    write_playlists,
    write_spotify,
)
from tonearm.audio.windows import ClipConfig
from tonearm.core import home
from tonearm.core.errors import ConfigError, DatasetError, JobError, StoreError
from tonearm.datasets import FmaConfig, FolderConfig, ScoresConfig
from tonearm.datasets.base import Catalogue
from tonearm.datasets.facts import Facts, save_facts
from tonearm.datasets.manifest import Manifest, Reject, Track, load_manifest, load_rejects
from tonearm.features import Mfcc
from tonearm.pipelines import extract
from tonearm.pipelines.extract import ExtractionReport

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
    manifest, _ = prepare(found, features, CLIP, 1.0, **more)
    assert load_manifest(manifest_uri(found.name)) == manifest
    return manifest


def artists_across_splits(manifest: Manifest) -> int:
    return len({(t.group, t.split) for t in manifest.tracks}) - len({t.group for t in manifest.tracks})


# --- fields


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("optim.epochs=3", 3),
        ("optim.lr=1e-3", 1e-3),
        ("optim.lr = 0.5 ", 0.5),
        ("data.audio=False", False),
        ("optim.clip_norm=None", None),
        ("subset=small", "small"),
        ("label=", ""),
        ("root=s3://bucket/a=b", "s3://bucket/a=b"),
        ("hidden='10'", "10"),
        ("hidden=256,128", "256,128"),
        ("features=tempo,energy", "tempo,energy"),
        ("columns=('tempo', 'energy')", ("tempo", "energy")),
        ("place=[unclosed", "[unclosed"),
        ("strange={[]: 1}", "{[]: 1}"),
    ],
)
def test_value_is_a_literal_or_else_text(text: str, value: object) -> None:
    (found,) = parse_fields([text]).values()
    assert found == value and type(found) is type(value)


def test_fields_keep_their_order_and_their_names() -> None:
    assert list(parse_fields(["b.c = 1", "a=2", "b=3"])) == ["b.c", "a", "b"]
    assert parse_fields([]) == {}


@pytest.mark.parametrize("texts", [["epochs"], ["=3"], [" =3"], [""], ["a=1", "b=2", "a=1"]])
def test_what_is_no_setting_is_shown(texts: list[str]) -> None:
    with pytest.raises(ConfigError, match="write field=value") as caught:
        parse_fields(texts)
    assert repr(texts[-1]) in str(caught.value)


# --- which data set


def test_fields_and_folder_make_a_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert choose_dataset("fma", "~/fma", {"subset": "small"}) == FmaConfig(root="/home/me/fma", subset="small")
    assert choose_dataset("fma", "s3://bucket/fma").root == "s3://bucket/fma"
    assert choose_dataset("folder", "here", {"label": ""}) == FolderConfig(root="here", label="")  # a fact is predicted
    assert choose_dataset("folder", fields={"root": "there"}) == FolderConfig(root="there")


def test_scores_lie_in_the_home(tonearm_home: Path) -> None:
    chosen = choose_dataset("scores")
    assert isinstance(chosen, ScoresConfig) and chosen.root == str(tonearm_home / "data" / "scores" / "audio")


@pytest.mark.parametrize(
    ("kind", "root", "fields", "message"),
    [
        ("fmma", "x", {}, r"unknown data set 'fmma'\. Did you mean 'fma'\?"),
        ("fma", "x", {"subst": "small"}, r"FmaConfig has no field 'subst'\. Did you mean 'subset'\?"),
        ("fma", "x", {"subset": "tiny"}, r"'tiny' is none of 'small', 'medium', 'large'"),
        ("fma", "", {}, r"data set fma needs the folder of its files: --audio PATH \(or --data PATH\)"),
    ],
)
def test_data_set_that_cannot_be_is_refused(kind: str, root: str, fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_dataset(kind, root, fields)


def test_data_sets_are_called_by_their_kind_or_folder_or_as_told(tmp_path: Path) -> None:
    for kind, write in (("folder", write_audio), ("playlists", write_playlists)):
        root = tmp_path / f"My {kind} (2)"
        write(root, SILENT)
        assert make_catalogue(choose_dataset(kind, str(root))).name == f"my-{kind}-2"
    write_artists(tmp_path / "a", SILENT)
    write_cifar(tmp_path / "c", SILENT)
    write_fma(tmp_path / "f", SILENT)
    artists = {"audio": choose_dataset("artists", str(tmp_path / "a")),
               "alone": choose_dataset("artists", str(tmp_path / "a"), {"audio": False})}  # fmt: skip
    assert len({make_catalogue(data).name for data in artists.values()}) == 2  # each has a manifest of its own
    assert make_catalogue(choose_dataset("cifar100", str(tmp_path / "c"))).name == "cifar100"
    fma = choose_dataset("fma", str(tmp_path / "f"))
    assert make_catalogue(fma).name == "fma-medium" and make_catalogue(fma, "mine").name == "mine"
    assert make_catalogue(fma.replace({"labels": "all", "subset": "large"})).name == "fma-large-all"


def test_what_must_be_made_first_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_audio(tmp_path / "music", SILENT)
    seen = []
    monkeypatch.setitem(jobs_datasets.MAKERS, "folder", seen.append)
    data = choose_dataset("folder", str(tmp_path / "music"))
    assert len(make_catalogue(data).tracks) == 20 and seen == [data]


# --- without audio


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("Ray is started where nothing is extracted")

    monkeypatch.setattr(jobs_datasets, "start_ray", refuse)


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
        prepare(dataclasses.replace(found, tracks=published), [], CLIP, 1.0)


def test_small_classes_are_left_out_where_classes_are_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    found = catalogue({"a": 10, "b": 10, "c": 9})
    manifest = prepared(found)
    assert manifest.classes == ("a", "b") and manifest.notes == ("class 'c' left out: 9 of the needed 10 tracks",)
    assert "note: class 'c' left out" in capsys.readouterr().out
    assert prepared(found, classes=False).classes == ("a", "b", "c")
    with pytest.raises(DatasetError, match="two are needed; found a"):
        prepare(catalogue({"a": 10, "b": 9}), [], CLIP, 1.0)


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


# --- facts


def test_facts_of_a_file_join_those_of_the_source(tmp_path: Path) -> None:
    found = catalogue({"a": 10, "b": 10})
    own = Facts([t.track_id for t in found.tracks], {"year": np.arange(20.0), "mood": np.zeros(20)})
    save_facts(str(tmp_path / "f.parquet"), Facts(["a 0", "artist:a 1", "b03"], {"mood": np.array([0.1, 0.2, 0.3])}))
    manifest = prepared(dataclasses.replace(found, facts=own), facts=str(tmp_path / "f.parquet"))
    assert sorted(manifest.facts) == ["mood", "year"]
    mood = manifest.facts.of(["a00", "a01", "a02", "a03", "a04", "b02", "b03"], "mood")
    np.testing.assert_array_equal(mood, [0.1, 0.1, 0.2, 0.2, np.nan, np.nan, 0.3])  # the file's win
    assert manifest.facts.of(["b09"], "year")[0] == 19
    alone = prepared(found, facts=str(tmp_path / "f.parquet"))
    assert list(alone.facts) == ["mood"] and alone.signature() != manifest.signature()


def test_facts_of_nobody_and_no_facts_are_errors(tmp_path: Path) -> None:
    found, elsewhere = catalogue({"a": 10, "b": 10}), str(tmp_path / "f.parquet")
    with pytest.raises(DatasetError, match="no facts at"):
        prepare(found, [], CLIP, 1.0, facts=elsewhere)
    save_facts(elsewhere, Facts(["somebody"], {"mood": np.array([0.1])}))
    with pytest.raises(DatasetError, match="none of these tracks or their artists"):
        prepare(found, [], CLIP, 1.0, facts=elsewhere)


def test_descriptors_that_were_never_measured_are_an_error() -> None:
    with pytest.raises(StoreError, match=r"20 tracks have no descriptors, e\.g\. 'a00'"):
        prepare(catalogue({"a": 10, "b": 10}), [], CLIP, 1.0, descriptors=True)


# --- data sets of the real layouts, prepared


def test_table_of_numbers_becomes_a_manifest_of_facts(tmp_path: Path) -> None:
    write_spotify(tmp_path, ())
    data = choose_dataset("spotify", str(tmp_path), {"reference_distances": True})
    manifest = prepared(make_catalogue(data))
    assert manifest.name == "spotify" and manifest.classes == ("jazz", "pop", "rock")
    assert {"tempo", "log_duration", "distance_rock"} <= set(manifest.facts) and artists_across_splits(manifest) == 0


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
        assert manifest.notes == ("1 recording(s) occur more than once, e.g. a00 = a09: each is kept in one split",)
    published = [dataclasses.replace(t, split=s) for t, s in
                 zip(found.tracks, ["train", "validation", "test", "train"] * 10, strict=True)]  # fmt: skip
    manifest = prepared(dataclasses.replace(found, tracks=published), [Mfcc()])
    assert manifest.tracks == tuple(published)
    assert "e.g. a00 = a09: they stay where the source has them" in manifest.notes[-1]


def test_too_many_rejects_end_the_job_and_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    found = catalogue({"a": 10, "b": 10})
    monkeypatch.setattr(extract, "extract_features", Heard([undecodable(f"a0{i}") for i in range(5)]))
    with pytest.raises(JobError, match=r"5 of 20 tracks cannot be used \(undecodable 5\), more than 20%"):
        prepare(found, [Mfcc()], CLIP, 1.0)
    assert len(load_rejects(rejects_uri("toys"))) == 5
    assert not Path(manifest_uri("toys")).exists(), "a manifest was written of a data set that is refused"
    assert len(prepared(found, [Mfcc()], max_rejected=0.25, classes=False).tracks) == 15
