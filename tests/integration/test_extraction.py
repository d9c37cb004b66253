"""Extraction as a job: broken files, resumption, kills, what was added, GPU workers' path, whole tracks.

One run is a process, and those that are killed, go on after it, or are watched; the others call the command line
in this process."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from jobs import extract as extract_job
from tests.broken_files import USABLE, write_broken_files
from tests.builders import encode, music
from tests.integration.conftest import Workplace, kill_group, workplace
from tonearm.audio import ClipConfig
from tonearm.datasets.manifest import SPLITS, load_manifest, load_rejects
from tonearm.features.presets import parse_features
from tonearm.features.row_store import DESCRIPTOR_TABLE, read_rows
from tonearm.features.store import FeatureStore, track_key

pytestmark = pytest.mark.integration

FEATURES = "mel,cqt,chroma,mfcc"
CLIP = ClipConfig()
OPTIONS = ("--dataset", "folder", "--features", FEATURES, "--max-rejected", "1", "--min-seconds", "5")
MOST_MEMORY = 1.2e9  # of a worker: torch, librosa and Ray take 0.6 GB before any audio


def stores(home: Path) -> dict[str, FeatureStore]:
    return {f.kind: FeatureStore(str(home / "features" / f.store_name())) for f in parse_features(FEATURES)}


def parts(home: Path) -> dict[str, int]:
    """The stored files and when they were written."""
    kept = (home / "features").glob("*/parts/*")
    return {str(p.relative_to(home)): p.stat().st_mtime_ns for p in kept}


def stored(home: Path) -> dict[tuple[str, str], bytes]:
    """All values of all stores, by kind and key."""
    return {(kind, key): store.read(key).values.tobytes() for kind, store in stores(home).items() for key in store}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared_ray: str) -> Iterator[Workplace]:
    """Thirty recordings and the broken files."""
    yield from workplace(tmp_path_factory.mktemp("place"), shared_ray)


@pytest.fixture(scope="module")
def expected(place: Workplace) -> dict[str, str]:
    return {f"noise/{name}": reason for name, reason in write_broken_files(place.music / "noise").items()}


@pytest.fixture(scope="module")
def output(place: Workplace, expected: dict[str, str]) -> str:
    return place.job("jobs.extract", *OPTIONS, "--audio", str(place.music), "--descriptors", joins=True)


def extract(place: Workplace, *arguments: str) -> str:
    """The output of the job, in this process."""
    code, said = place.here(extract_job.main, *OPTIONS, *arguments)
    assert code == 0, said
    return said


def test_every_broken_file_has_its_reason_and_the_job_goes_on(
    place: Workplace, expected: dict[str, str], output: str
) -> None:
    assert len(expected) >= 25
    rejects = {r.track_id: r for r in load_rejects(str(place.home / "data" / "music" / "rejects.parquet"))}
    wanted = {name: reason for name, reason in expected.items() if reason != USABLE}
    assert {name: rejects[name].reason for name in wanted} == wanted
    assert set(rejects) - set(wanted) == {"bass/text.mp3", "flute/empty.wav", "flute/truncated.flac"} - set(wanted)
    for reject in rejects.values():
        assert reject.detail and reject.stage in ("scan", "extract")
        if reject.reason != "missing":
            assert reject.bytes == Path(reject.source).stat().st_size
    manifest = load_manifest(str(place.home / "data" / "music" / "manifest.parquet"))
    kept = {t.track_id for t in manifest.tracks}
    assert {name for name, reason in expected.items() if reason == USABLE} <= kept
    for store in stores(place.home).values():
        for track in manifest.tracks:
            values = store.read(track_key(track.content, CLIP)).values
            assert np.isfinite(values).all() and values.shape[0] == store.representation.freq_bins


def test_report_says_what_was_done(place: Workplace, output: str) -> None:
    for words in ("tracks/s/core", "x real time", "set aside: undecodable", "wrote mel", "wrote fingerprints", "MiB"):
        assert words in output
    report = json.loads((place.home / "reports" / "music" / "extraction.json").read_text())
    assert report["extracted"] > 30 and report["audio_hours"] > 0.1 and report["tracks_per_core_second"] > 0
    assert report["rejects"]["clipped"] == 1
    assert (place.home / "reports" / "music" / "extraction.png").read_bytes()[:4] == b"\x89PNG"
    described = read_rows(str(place.home / "features"), DESCRIPTOR_TABLE)
    assert len(described) == len(load_manifest(str(place.home / "data" / "music" / "manifest.parquet")).tracks)


def test_second_run_extracts_nothing_and_an_added_file_one_file(place: Workplace, output: str) -> None:
    before, values = parts(place.home), stored(place.home)
    again = extract(place, "--audio", str(place.music), "--descriptors")
    assert "0 tracks extracted now" in again and parts(place.home) == before
    (place.music / "bass" / "added.flac").write_bytes(encode(music(12.0, seed=500), container="FLAC"))
    # The same music again, as another file: other bytes, the same recording.
    (place.music / "bass" / "added-again.ogg").write_bytes(encode(0.5 * music(12.0, seed=500), container="OGG"))
    more = extract(place, "--audio", str(place.music), "--descriptors")
    assert "2 tracks extracted now" in more
    assert "bass/added-again.ogg = bass/added.flac" in more
    after = stored(place.home)  # small parts may have been joined: in other files, the same values
    assert {name: after[name] for name in values} == values and len(after) == len(values) + 2 * len(stores(place.home))
    manifest = load_manifest(str(place.home / "data" / "music" / "manifest.parquet"))
    twins = {t.split for t in manifest.tracks if "added" in t.track_id}
    assert len(twins) == 1, "a recording that occurs twice is in two splits"


def test_out_is_a_home_of_its_own(place: Workplace, output: str, tmp_path: Path) -> None:
    folder = tmp_path / "two"
    for label in ("bass", "flute"):
        (folder / label).mkdir(parents=True)
        for i in range(10):
            (folder / label / f"{i}.ogg").symlink_to(place.music / label / f"{i}.ogg")
    extract(place, "--audio", str(folder), "--out", str(tmp_path / "out"),
              "--position", "all", "--seconds", "5", "--hop", "2.5", "--tail", "pad")  # fmt: skip
    store = stores(tmp_path / "out")["mel"]
    manifest = load_manifest(str(tmp_path / "out" / "data" / "two" / "manifest.parquet"))
    clip = ClipConfig(seconds=5, position="all", hop=2.5, tail="pad")
    for track in manifest.tracks:
        key = track_key(track.content, clip)
        assert store.clips(key) == 4  # 12 s in clips of 5 s every 2.5 s, the last one padded
        assert store.frames(key, 3) == 108


def test_workers_that_only_compute_find_the_same(place: Workplace, output: str, tmp_path: Path) -> None:
    """The way of the data where there is a GPU, with torch on the CPU in its place."""
    extract(place, "--audio", str(place.music), "--out", str(tmp_path / "out"), "--device", "cpu:0")
    manifest = load_manifest(str(tmp_path / "out" / "data" / "music" / "manifest.parquet"))
    for kind, store in stores(tmp_path / "out").items():
        other = stores(place.home)[kind]
        for track in manifest.tracks:
            key = track_key(track.content, CLIP)
            if key in other:
                np.testing.assert_allclose(store.read(key).values, other.read(key).values, atol=0.1, rtol=2e-3)


def workers_of(driver: int) -> list[psutil.Process]:
    """Ray's extraction workers among the descendants of a driver."""
    found = []
    for process in psutil.Process(driver).children(recursive=True):
        try:
            if "MapWorker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("victim", ["driver", "worker"])
def test_killed_extraction_goes_on(place: Workplace, output: str, tmp_path: Path, victim: str) -> None:
    out = tmp_path / "out"
    command = ("--audio", str(place.music), "--out", str(out))
    driver = place.start("jobs.extract", *OPTIONS, *command)
    deadline = time.monotonic() + 400
    while not list(out.glob("features/*/parts/*.parquet")):
        assert driver.poll() is None, driver.stdout.read() if driver.stdout else ""
        assert time.monotonic() < deadline, "no part was written in 400 s"
        time.sleep(0.05)
    if victim == "driver":
        kill_group(driver)
        complete = {kind: len(store) for kind, store in stores(out).items()}
        assert 0 < max(complete.values()) < 30, f"the kill came too late to test anything: {complete}"
        for store in stores(out).values():
            assert all(np.isfinite(store.read(key).values).all() for key in store._rows)
        assert not (out / "data" / "music" / "manifest.parquet").exists()
        extract(place, *command)
    else:
        workers = workers_of(driver.pid)
        assert workers, "no worker was found to kill"
        os.kill(workers[0].pid, signal.SIGKILL)
        said, _ = driver.communicate(timeout=300)
        assert driver.returncode == 0, said
    wanted = load_manifest(str(place.home / "data" / "music" / "manifest.parquet"))
    found = load_manifest(str(out / "data" / "music" / "manifest.parquet"))
    # Where each is trained or tested depends on what was there before, and the other place has grown.
    assert [replace(t, split=None) for t in found.tracks] == [replace(t, split=None) for t in wanted.tracks]
    assert {t.split for t in found.tracks} == set(SPLITS)
    for kind, store in stores(out).items():
        undisturbed = stores(place.home)[kind]
        for track in found.tracks:
            key = track_key(track.content, CLIP)
            assert np.array_equal(store.read(key).values, undisturbed.read(key).values)


def test_memory_of_a_worker_stays_bounded(place: Workplace, output: str, tmp_path: Path) -> None:
    """Three hours of music and a decompression bomb go through in clips."""
    folder, other = tmp_path / "music" / "long", tmp_path / "music" / "short"
    folder.mkdir(parents=True)
    other.mkdir()
    for name in ("three-hours.wav", "bomb.flac"):
        (folder / name).symlink_to(place.music / "noise" / name)
    for i in range(12):
        (folder / f"{i}.wav").write_bytes(encode(music(8.0, seed=600 + i)))
        (other / f"{i}.wav").write_bytes(encode(music(8.0, seed=700 + i)))
    driver = place.start("jobs.extract", *OPTIONS, "--audio", str(tmp_path / "music"), "--out", str(tmp_path / "out"),
                         "--position", "all", "--features", "mel")  # fmt: skip
    highest = 0.0
    while driver.poll() is None:
        for worker in workers_of(driver.pid):
            try:
                highest = max(highest, worker.memory_full_info().uss)
            except psutil.Error:
                continue
        time.sleep(0.05)
    assert driver.returncode == 0, driver.stdout.read() if driver.stdout else ""
    store = FeatureStore(str(tmp_path / "out" / "features" / parse_features("mel")[0].store_name()))
    assert max(store.clips(key) for key in store._rows) == 360
    assert 1e8 < highest < MOST_MEMORY
