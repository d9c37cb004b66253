"""``tonearm clean``: what nothing needs is listed and deleted, and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import tonearm
from jobs import clean as job
from tests.builders import encode, sounds_like
from tests.extract_in_process import extract_in_process
from tonearm.core import home, storage
from tonearm.core.errors import JobError
from tonearm.datasets.manifest import load_manifest, save_manifest
from tonearm.datasets.metadata import Metadata
from tonearm.features import Mel, RawWaveform
from tonearm.features.row_store import DESCRIPTOR_TABLE, FINGERPRINT_TABLE, read_rows
from tonearm.features.store import FeatureStore, prepare_store, store_uri, track_key
from tonearm.workflows import clean as clean_module
from tonearm.workflows import extraction_report, prepare_catalogue
from tonearm.workflows.clean import Cleaning, clean
from tonearm.workflows.job_processes import JobProcess
from tonearm.workflows.prepared_names import manifest_uri, unfinished_uri
from tonearm.workflows.trial_library import KEPT, keep_manifest, kept_manifest

FEATURES = [Mel(n_mels=16, n_fft=512, hop=512, channels="mid_side"), RawWaveform(sample_rate=8000)]
CLIP = tonearm.ClipConfig(seconds=1.0, position="all")


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    extract_in_process(monkeypatch)
    monkeypatch.setattr(clean_module, "find_jobs", list)
    monkeypatch.setattr(extraction_report, "write_report", lambda made: "")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for n in range(24):
        path = tmp_path / "Music" / ("high", "low")[n % 2] / f"{n:02}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(sounds_like(path.parent.name, n, 2.1)))
    return tmp_path / "Music"


def prepared(music: Path, descriptors: bool = False) -> tonearm.PreparedData:
    return tonearm.prepare(
        "folder", root=str(music), features=FEATURES, clip=CLIP, descriptors=descriptors, classes=None
    )


def files() -> dict[str, str]:
    """A digest of every file of the home."""
    found = (p for p in Path(home.home()).rglob("*") if p.is_file())
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def kinds(found: Cleaning) -> Counter[str]:
    counts = Counter[str]()
    for leftover in found.leftovers:
        counts[leftover.kind] += leftover.count
    return counts


def values(data: tonearm.PreparedData) -> dict[tuple[str, str, int], np.ndarray]:
    stored = tonearm.load_data(data.name)
    return {
        (track.track_id, name, clip.number): clip.values
        for track in data.manifest.tracks
        for name, clips in stored.features_of(track.track_id).items()
        for clip in clips
    }


def test_nothing_is_found_where_all_is_needed(music: Path) -> None:
    prepared(music)
    before = files()
    for folder in Path(home.features_home()).iterdir():  # of two batches of workers
        assert len(list(folder.rglob("*/*.parquet" if (folder / "parts").exists() else "*.parquet"))) == 1
    found = clean(delete=True, hours=0)
    assert not found.leftovers and not found.notes and "nothing is here that is not needed" in str(found)
    assert files() == before


def test_features_of_recordings_that_are_gone_are_listed_then_deleted(music: Path) -> None:
    prepared(music, descriptors=True)
    gone = [*sorted(music.rglob("*.wav"))[:2], *sorted(music.rglob("*.wav"))[16:]]
    for path in gone:
        path.unlink()
    left = prepared(music, descriptors=True)
    wanted, before = values(left), files()
    found = clean(hours=0)
    assert kinds(found) == {"features of recordings that no data set or sweep has": 2 * 10,
                            "rows of such recordings in tables": 2 * 10}  # fmt: skip
    assert len(found.leftovers) == 4 and not found.notes and files() == before
    assert "nothing is deleted yet: tonearm clean --yes deletes this" in str(found)
    size = sum(p.stat().st_size for p in Path(home.features_home()).rglob("*") if p.is_file())
    done = clean(delete=True, hours=0)
    assert done.deleted and str(done).endswith("deleted")
    after = sum(p.stat().st_size for p in Path(home.features_home()).rglob("*") if p.is_file())
    assert size - after == pytest.approx(done.bytes, rel=0.3)
    keys = {track_key(t.content, CLIP) for t in left.manifest.tracks}
    for feature in FEATURES:
        assert set(FeatureStore(store_uri(home.features_home(), feature))) == keys
    for table in (FINGERPRINT_TABLE, DESCRIPTOR_TABLE):
        assert set(read_rows(home.features_home(), table)) == keys
    now = values(left)
    assert now.keys() == wanted.keys() and all(np.array_equal(now[k], wanted[k]) for k in now)
    again = prepared(music, descriptors=True)
    assert again.extraction is not None and again.extraction.extracted == 0
    assert not clean(hours=0).leftovers


def test_normalisation_reads_the_same_statistics_afterwards(music: Path) -> None:
    data = prepared(music)
    kept = data.manifest.tracks[4]
    store = FeatureStore(store_uri(home.features_home(), FEATURES[0]))
    before = store.read(track_key(kept.content, CLIP), 1).stats
    for path in list(music.rglob("*.wav"))[:10]:
        if path.name not in kept.track_id:
            path.unlink()
    prepared(music)
    clean(delete=True, hours=0)
    after = FeatureStore(store.uri).read(track_key(kept.content, CLIP), 1).stats
    assert np.array_equal(before.frame_mean, after.frame_mean) and (before.mean, before.deviation) == (
        after.mean, after.deviation)  # fmt: skip


def test_what_a_sweep_another_data_set_or_young_files_have_stays(music: Path) -> None:
    first = prepared(music).manifest
    trials = Path(home.trials_home()) / "0123456789abcdef"
    trials.mkdir(parents=True)
    save_manifest(str(trials / "manifest.parquet"), first)
    for path in list(music.rglob("*.wav"))[:8]:
        path.unlink()
    prepared(music)
    assert not clean(hours=0).leftovers  # the sweep has them
    (trials / "manifest.parquet").unlink()
    assert not clean().leftovers  # they are young
    assert kinds(clean(hours=0))["features of recordings that no data set or sweep has"] == 2 * 8
    (trials / "manifest.parquet").write_bytes(b"damaged")
    found = clean(delete=True, hours=0)
    assert not found.leftovers and "features are left alone, since it cannot be told which are needed" in str(found)


def test_what_a_training_learned_from_stays(music: Path) -> None:
    """From its networks can be selected, which predicts all its tracks."""
    keep_manifest(prepared(music).manifest)
    for path in list(music.rglob("*.wav"))[:8]:
        path.unlink()
    prepared(music)
    assert not clean(hours=0).leftovers
    kept = Path(home.data_home("music")) / KEPT
    (manifest,) = kept.iterdir()
    manifest.write_bytes(b"damaged")
    assert "features are left alone, since it cannot be told which are needed" in str(clean(hours=0))
    manifest.unlink()
    assert kinds(clean(hours=0))["features of recordings that no data set or sweep has"] == 2 * 8
    kept.rmdir()
    kept.symlink_to(music / "not mounted")
    found = clean(hours=0)
    assert not found.leftovers and "features are left alone" in str(found)


def test_metadata_of_kept_manifests_stay_while_one_of_them_is_there(music: Path) -> None:
    manifest = prepared(music).manifest
    ids = [t.track_id for t in manifest.tracks]
    known = Metadata(ids, {"tempo": np.arange(len(ids)), "place": np.ones((len(ids), 2))})
    kept = Path(home.data_home("music")) / KEPT
    for fold in ("1", "2"):
        keep_manifest(dataclasses.replace(manifest, label=fold, metadata=known))
    manifests = sorted(path for path in kept.iterdir() if not path.name.startswith("facts-"))
    assert len(manifests) == 2 and len(list(kept.iterdir())) == 2 + 2
    before = files()
    assert not clean(delete=True, hours=0).leftovers and files() == before
    manifests[0].unlink()
    assert not clean(delete=True, hours=0).leftovers
    assert kept_manifest("music", manifests[1].stem).metadata.signature() == known.signature()
    manifests[1].write_bytes(b"damaged")
    assert not clean(delete=True, hours=0).leftovers and len(list(kept.iterdir())) == 3
    manifests[1].unlink()
    assert kinds(clean(delete=True, hours=0)) == {"side files of earlier manifests": 2} and not list(kept.iterdir())


def test_an_extraction_that_was_not_finished_keeps_its_features(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prepare_catalogue, "save_rejects", killed)
        prepared(music)
    found = clean(delete=True, hours=0)
    assert not found.leftovers and "data set music was begun and not finished" in str(found)
    data = prepared(music)
    assert data.extraction is not None and data.extraction.extracted == 0
    assert not Path(unfinished_uri("music")).exists() and not clean(hours=0).notes


def test_stores_that_do_not_say_what_they_hold_are_left_alone(music: Path) -> None:
    prepared(music)
    old = prepare_store(home.features_home(), Mel(n_mels=8, n_fft=512, hop=512))
    for path in list(music.rglob("*.wav"))[:4]:
        path.unlink()
    prepared(music)
    found = clean(hours=0)
    assert kinds(found) == {"features of recordings that no data set or sweep has": 2 * 4}  # and no tables
    assert "1 store(s) do not say which clips they hold and are left alone, with the tables" in str(found)
    assert str(found).count(Path(old).name) == 1


def test_leftovers_of_earlier_versions_manifests_and_killed_jobs(music: Path, tmp_path: Path) -> None:
    prepared(music)
    before, features, data = files(), Path(home.features_home()), Path(home.data_home("music"))
    (features / "mel-0123456789abcdef" / "parts").mkdir(parents=True)
    for name in ("representation.json", "parts/a.npy"):
        stale = features / "mel-0123456789abcdef" / name
        source = Path(store_uri(str(features), FEATURES[0])) / "representation.json"
        stale.write_bytes(source.read_bytes())
    earlier = [features / table / "a.parquet" for table in ("descriptors-1", "decoders-1")]
    for path in earlier:
        path.parent.mkdir()
        path.write_bytes(b"12345")
    (data / "manifest.facts-0123456789abcdef.parquet").write_bytes(b"1234")
    Path(f"{manifest_uri('music')}.notes.json").write_text("[]")
    (data / f".manifest.parquet.{uuid.uuid4().hex}.tmp").write_bytes(b"123")
    temporary = [tmp_path / "tmp" / f"tonearm-{uuid.uuid4().hex}.tmp", tmp_path / "tmp" / "tonearm-error-ab12.txt"]
    marks = tmp_path / "tmp" / f"tonearm-attempts-{uuid.uuid4().hex}"
    marks.mkdir()
    others = [tmp_path / "tmp" / "tonearm-notes.txt", tmp_path / "tmp" / f"{uuid.uuid4().hex}.tmp", data / "my.tmp"]
    for path in (*temporary, marks / "key", *others):
        path.write_bytes(b"12")
    own = (features / "mel-0123456789abcdef").rglob("*")
    for path in (*temporary, marks, *data.glob(".*.tmp"), *earlier, *own):
        os.utime(path, (time.time() - 2 * 86_400,) * 2)
    found = clean()
    assert kinds(found) == {
        "stores of an earlier version": 1, "tables of an earlier version": 2, "side files of earlier manifests": 2,
        "files that were not finished": 1, f"files that were not finished, in {tmp_path / 'tmp'}": 3,
    }  # fmt: skip
    assert len(found.leftovers) == 9 and found.bytes == 2 * len(source.read_bytes()) + 2 * 5 + 4 + 2 + 3 + 3 * 2
    clean(delete=True)
    assert files().keys() == {*before, str(data / "my.tmp")} and not any(p.exists() for p in (*temporary, marks))
    assert all(path.exists() for path in others) and load_manifest(manifest_uri("music")).tracks


def test_nothing_is_deleted_while_a_job_runs(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean_module, "find_jobs", lambda: [JobProcess(4242, "extract", 0.0)])
    clean()
    with pytest.raises(JobError, match=r"extract \(process 4242\) runs on this home and may need what is deleted"):
        clean(delete=True)


def test_the_command(music: Path) -> None:
    app = typer.Typer()
    app.command()(job.main)
    prepared(music)
    next(music.rglob("*.wav")).unlink()
    prepared(music)
    listed = CliRunner().invoke(app, ["--hours", "0"])
    assert listed.exit_code == 0 and "nothing is deleted yet" in listed.output
    assert CliRunner().invoke(app, ["--hours", "0", "--yes"]).output.endswith("deleted\n")
    assert "nothing is here that is not needed" in CliRunner().invoke(app, []).output


def test_unfinished_files_elsewhere_are_found() -> None:
    uri = f"memory://{uuid.uuid4().hex}/features"
    stale = f"{uri}/parts/x.npy.{uuid.uuid4().hex}.tmp"
    for place in (stale, f"{uri}/parts/x.npy", f"{uri}/parts/mine.tmp"):
        storage.write_bytes(place, b"123")
    ((place, size, age),) = storage.list_temporary(uri)
    assert (place, size) == (stale.replace("memory://", "memory:///"), 3) and age is not None and age >= 0
    storage.remove(place)
    assert storage.list_temporary(uri) == [] and storage.list_files(f"{uri}/parts") == ["x.npy"]


def test_predictions_are_made_again_and_may_go(music: Path) -> None:
    prepared(music)
    old, young = (storage.join(home.predictions_home(), "00" * 8, f"{n * 8}.npz") for n in ("ab", "cd"))
    for uri in (old, young):
        storage.write_bytes(uri, b"blocks")
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    assert [found.place for found in clean().leftovers if "predictions" in found.kind] == [old]
    clean(delete=True)
    assert not Path(old).exists() and Path(young).exists()
