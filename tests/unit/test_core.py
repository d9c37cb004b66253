"""Registry, seeds, storage and statistics."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from tonearm.core import home, storage
from tonearm.core.errors import ConfigError, UnknownNameError
from tonearm.core.progress import Progress
from tonearm.core.registry import Registry
from tonearm.core.seeding import derive_seed, digest
from tonearm.core.threads import THREAD_VARIABLES, thread_environment
from tonearm.core.types import Prediction, Waveform
from tonearm.statistics.intervals import bootstrap_interval

# --- registry


def test_registry_lists_names_sorted_and_finds_them() -> None:
    registry: Registry[int] = Registry("number")
    registry.add("two", 2)
    registry.add("one", 1)
    assert list(registry) == ["one", "two"] and len(registry) == 2 and "one" in registry and registry["two"] == 2


def test_unknown_name_is_refused_with_the_known_ones() -> None:
    registry: Registry[int] = Registry("number")
    with pytest.raises(UnknownNameError, match=r"unknown number 'one'. Known: none"):
        registry["one"]
    registry.add("one", 1)
    with pytest.raises(UnknownNameError, match=r"'oen'. Did you mean 'one'\? Known: one"):
        registry["oen"]


def test_name_cannot_be_taken_twice_but_the_same_thing_may_come_again() -> None:
    registry: Registry[object] = Registry("thing")
    thing = object()
    registry.add("a", thing)
    registry.add("a", thing)
    with pytest.raises(ConfigError, match="'a' is registered twice"):
        registry.add("a", object())


# --- seeds

GOLDEN_DIGEST = "8009228666cd9407"
GOLDEN_BYTES = "a7c903ac9d02aa92f990f1ae35b5aa75"
GOLDEN_SEED = 1_909_158_708_318_147_357


def test_digests_are_what_they_always_were() -> None:
    assert digest("a", 1, [2.5, None], {"b": "é", "a": True}) == GOLDEN_DIGEST
    assert digest(b"bytes", size=16) == GOLDEN_BYTES
    assert derive_seed("batches", 0, 1) == GOLDEN_SEED


@pytest.mark.integration
@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_digests_are_the_same_in_every_process(hash_seed: str) -> None:
    code = (
        "from tonearm.core.seeding import digest, derive_seed\n"
        "print(digest('a', 1, [2.5, None], {'b': 'é', 'a': True}), derive_seed('batches', 0, 1))"
    )
    env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [GOLDEN_DIGEST, str(GOLDEN_SEED)]


def test_parts_are_kept_apart() -> None:
    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest(["ab", "c"])}) == 4
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_seeds_fit_every_generator() -> None:
    seeds = [derive_seed("x", i) for i in range(200)]
    assert all(0 <= s < 2**63 for s in seeds) and len(set(seeds)) == 200
    np.random.default_rng(max(seeds))


# --- storage


@pytest.fixture(params=["local", "file", "memory"])
def base(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where temporary files for remote places lie
    return {"local": str(tmp_path), "file": f"file://{tmp_path}", "memory": f"memory://{uuid.uuid4().hex}"}[
        request.param
    ]


def test_bytes_and_json_come_back_at_any_uri(base: str) -> None:
    uri = storage.join(base, "a/b", "x.json")
    assert not storage.exists(uri)
    storage.write_json(uri, {"é": [1, None]})
    assert storage.exists(uri) and storage.read_json(uri) == {"é": [1, None]}
    storage.write_bytes(uri, b"\x00new")
    assert storage.read_bytes(uri) == b"\x00new"


def test_listing_gives_sorted_complete_files_only(base: str) -> None:
    for name in ("b.txt", "a.txt", "c.json", "torn.txt.tmp", "deeper/d.txt"):
        storage.write_bytes(storage.join(base, "folder", name), b"x")
    assert storage.list_files(storage.join(base, "folder"), ".txt") == ["a.txt", "b.txt"]
    assert storage.list_files(storage.join(base, "folder")) == ["a.txt", "b.txt", "c.json"]
    assert storage.list_files(storage.join(base, "absent")) == []


def test_failing_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.bin"
    storage.write_bytes(str(path), b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        storage.write_bytes(str(path), b"new and longer")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["x.bin"]


def test_readers_never_see_a_part_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "x.bin", []
    storage.write_bytes(str(path), b"old")
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (seen.append(path.read_bytes()), sync(fd)))
    storage.write_bytes(str(path), b"new")
    assert seen == [b"old"] and path.read_bytes() == b"new"


def test_published_file_is_there_whole_and_its_temporary_one_gone(base: str) -> None:
    folder = storage.join(base, "deep/er")
    uri = storage.join(folder, "x.bin")
    storage.write_bytes(uri, b"old")
    first, second = storage.temporary_file(uri), storage.temporary_file(uri)
    assert first != second and not first.exists() and first.parent.is_dir()
    first.write_bytes(b"new" * 100_000)
    second.write_bytes(b"never published")
    assert storage.list_files(folder) == ["x.bin"] and storage.read_bytes(uri) == b"old"
    storage.publish(first, uri)
    assert storage.list_files(folder) == ["x.bin"] and storage.read_bytes(uri) == b"new" * 100_000
    assert not first.exists() and second.exists()


def test_failing_publication_leaves_the_old_file_at_any_uri(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def fail(*_: object, **__: object) -> None:
        raise OSError("connection lost")

    uri = storage.join(base, "a", "x.bin")
    storage.write_bytes(uri, b"old")
    path = storage.temporary_file(uri)
    path.write_bytes(b"new")
    monkeypatch.setattr(os, "fsync", fail)
    monkeypatch.setattr(type(fsspec.filesystem("memory")), "mv", fail)
    with pytest.raises(OSError, match="connection lost"):
        storage.publish(path, uri)
    with pytest.raises(OSError, match="connection lost"):
        storage.write_bytes(uri, b"new")
    assert storage.read_bytes(uri) == b"old" and path.read_bytes() == b"new"
    assert storage.list_files(storage.join(base, "a")) == ["x.bin"]


def test_fetched_file_is_a_copy_and_an_absent_one_leaves_nothing(base: str, tmp_path: Path) -> None:
    uri, path = storage.join(base, "there", "x.bin"), tmp_path / "here" / "y.bin"
    with pytest.raises(FileNotFoundError):
        storage.fetch(uri, path)
    assert list(path.parent.iterdir()) == []
    storage.write_bytes(uri, b"x" * 300_000)
    storage.fetch(uri, path)
    storage.fetch(uri, path)
    assert path.read_bytes() == storage.read_bytes(uri) == b"x" * 300_000
    assert list(path.parent.iterdir()) == [path] and list(tmp_path.glob("*.tmp")) == []


def test_sizes_are_known_or_minus_one(base: str) -> None:
    storage.write_bytes(storage.join(base, "x.bin"), b"12345")
    storage.write_bytes(storage.join(base, "empty"), b"")
    assert storage.size(storage.join(base, "x.bin")) == 5 and storage.size(storage.join(base, "empty")) == 0
    assert storage.size(storage.join(base, "absent")) == storage.size("nothing://a/b") == storage.size("a\0b") == -1


def test_only_old_temporary_files_are_stale(tmp_path: Path) -> None:
    names = [".a.npy.1.tmp", ".b.npy.2.tmp", "c.tmp", ".d", "e.npy", "deeper/.f.tmp"]
    for name in names:
        storage.write_bytes(str(tmp_path / name), b"x")
        os.utime(tmp_path / name, (0, time.time() - 90_000))
    os.utime(tmp_path / ".b.npy.2.tmp", (0, time.time() - 80_000))
    assert storage.remove_stale(str(tmp_path)) == 1
    assert not (tmp_path / names[0]).exists() and all((tmp_path / n).exists() for n in names[1:])
    assert storage.remove_stale(f"file://{tmp_path}", 70_000) == 1 and not (tmp_path / names[1]).exists()
    assert storage.remove_stale(str(tmp_path / "absent")) == storage.remove_stale(f"memory://{uuid.uuid4().hex}") == 0


def test_temporary_file_that_is_published_meanwhile_is_not_stale(tmp_path: Path) -> None:
    (tmp_path / ".a.npy.1.tmp").symlink_to(tmp_path / "gone")  # seen in the folder, no longer there
    assert storage.remove_stale(str(tmp_path)) == 0


@pytest.mark.parametrize(
    ("parts", "joined"),
    [(("/a/", "b", "c/"), "/a/b/c"), (("s3://bucket", "/x/"), "s3://bucket/x")],
)
def test_join(parts: tuple[str, ...], joined: str) -> None:
    assert storage.join(*parts) == joined


def test_home_is_one_place_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TONEARM_HOME", "here")
    assert home.home() == str(tmp_path / "here")
    assert home.tracking_uri() == f"sqlite:///{tmp_path}/here/mlflow.db"
    assert home.features_home() == str(tmp_path / "here/features")
    monkeypatch.setenv("TONEARM_HOME", "s3://bucket/x")
    assert home.data_home("fma") == "s3://bucket/x/data/fma"
    monkeypatch.delenv("TONEARM_HOME")
    assert home.trials_home() == str(tmp_path / ".tonearm/trials")
    assert list(tmp_path.iterdir()) == []


# --- statistics


def test_interval_contains_the_estimate_and_is_the_same_again() -> None:
    values = np.random.default_rng(0).normal(2, 1, 50)
    groups = [str(i) for i in range(50)]
    interval = bootstrap_interval(lambda i: float(values[i].mean()), groups)
    assert interval.low < interval.value < interval.high
    assert interval.value == pytest.approx(values.mean())
    assert interval == bootstrap_interval(lambda i: float(values[i].mean()), groups)
    assert interval != bootstrap_interval(lambda i: float(values[i].mean()), groups, seed=1)
    # The interval of a mean is known: 1.96 standard errors to each side.
    error = values.std(ddof=1) / np.sqrt(50)
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * error, rel=0.12)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered, data_sets = 0, 200
    for i in range(data_sets):
        values = rng.normal(0, 1, 60)
        interval = bootstrap_interval(lambda j, v=values: float(v[j].mean()), [str(k) for k in range(60)], 0.9, 300, i)
        covered += interval.low <= 0 <= interval.high
    error = np.sqrt(0.9 * 0.1 / data_sets)
    assert abs(covered / data_sets - 0.9) < 3.5 * error


def test_clusters_widen_the_interval_and_keep_its_coverage() -> None:
    rng = np.random.default_rng(2)
    groups = [str(k // 5) for k in range(150)]
    covered = covered_if_ignored = 0
    data_sets = 150
    for i in range(data_sets):
        values = np.repeat(rng.normal(0, 1, 30), 5) + rng.normal(0, 0.3, 150)

        def mean(j: np.ndarray, v: np.ndarray = values) -> float:
            return float(v[j].mean())

        clustered = bootstrap_interval(mean, groups, 0.9, 200, i)
        ignored = bootstrap_interval(mean, [str(k) for k in range(150)], 0.9, 200, i)
        assert clustered.high - clustered.low > 1.3 * (ignored.high - ignored.low)
        covered += clustered.low <= 0 <= clustered.high
        covered_if_ignored += ignored.low <= 0 <= ignored.high
    assert covered / data_sets > 0.9 - 4 * np.sqrt(0.9 * 0.1 / data_sets)
    assert covered_if_ignored / data_sets < 0.75


def test_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="no items"):
        bootstrap_interval(lambda i: 0.0, [])


# --- small things


def test_waveform_knows_its_length_and_predictions_their_best() -> None:
    assert Waveform(np.zeros((2, 11025), dtype=np.float32), 22050).duration == 0.5
    probabilities = np.array([0.2, 0.5, 0.3], dtype=np.float32)
    prediction = Prediction(("a", "b", "c"), probabilities, np.ones(1, dtype=np.float32))
    assert [name for name, _ in prediction.top(2)] == ["b", "c"]
    assert prediction.top(1)[0][1] == pytest.approx(0.5)


def test_thread_limits_are_given_to_every_library() -> None:
    assert thread_environment(2) == dict.fromkeys(THREAD_VARIABLES, "2")


def test_progress_ends_with_the_count(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("tracks", 3) as progress:
        progress.add(2)
        progress.add(1, "done")
    assert "3/3 tracks" in capsys.readouterr().out.splitlines()[-1]
