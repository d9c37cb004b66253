"""Copies of stores, tables of rows, and what a killed writer or a damaged file leaves behind."""

from __future__ import annotations

import os
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.builders import tiny_config, toy_spectrogram, toy_tracks, track, write_part
from tonearm.core import node_copies, storage
from tonearm.core.errors import StoreError
from tonearm.datasets.manifest import Manifest
from tonearm.features.join_parts import join_small_parts
from tonearm.features.row_store import DESCRIPTOR_TABLE, read_keys, read_rows, write_rows
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.features.store_copy import DOWNLOADS, copy_to_node
from tonearm.features.store_index import write_index
from tonearm.training.examples import make_examples


def stored(root: str, parts: int = 4) -> str:
    uri = prepare_store(root, tiny_config().feature)  # type: ignore[arg-type]
    for i in range(parts):
        write_part(uri, [f"track{i}"], [toy_spectrogram("bass", i)])
    return uri


def test_trials_that_begin_at_once_copy_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = stored(str(tmp_path / "made"))
    write_index(local)
    root = f"memory://{uuid.uuid4().hex}/store"
    for path in Path(local).rglob("*"):
        if path.is_file():
            storage.write_bytes(f"{root}/{path.relative_to(local)}", path.read_bytes())
    fetched: list[str] = []
    fetch = storage.fetch

    def slow(uri: str, path: Path) -> None:
        fetched.append(uri)
        time.sleep(0.01)
        fetch(uri, path)

    monkeypatch.setattr(storage, "fetch", slow)
    with ThreadPoolExecutor(4) as pool:
        copies = list(pool.map(lambda _: copy_to_node(root, str(tmp_path / "cache"), ["track0", "track2"]), range(4)))
    assert len(set(copies)) == 1 and len(fetched) == len(set(fetched)) == 1 + 2 * 3 + 1
    store = FeatureStore(copies[0])
    assert len(store) == 2 and store.frames("track2") == 60
    assert copy_to_node(root, str(tmp_path / "cache"), ["track1"]) == copies[0]
    assert len(FeatureStore(copies[0])) == 3


def moved_elsewhere(local: str) -> str:
    """The same store in memory, as if it lay on another machine."""
    root = f"memory://{uuid.uuid4().hex}/features/{Path(local).name}"
    for path in Path(local).rglob("*"):
        if path.is_file():
            storage.write_bytes(f"{root}/{path.relative_to(local)}", path.read_bytes())
    return root


def test_eight_trials_on_a_node_ask_for_each_file_of_their_tracks_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, tracks = tiny_config(), toy_tracks(per_class=6)
    uri = prepare_store(str(tmp_path / "features"), config.feature, config.clip)  # type: ignore[arg-type]
    for t in [*tracks, *(track(f"other{i}", "bass") for i in range(20))]:
        write_part(uri, [track_key(t.content, config.clip)], [toy_spectrogram(t.label, 1, 32)])
    write_index(uri)
    remote, asked, at_once = moved_elsewhere(uri), list[str](), Counter[str]()
    fetch = storage.fetch

    def counted(place: str, path: Path) -> None:
        asked.append(place)
        at_once["now"] += 1
        at_once["most"] = max(at_once["most"], at_once["now"])
        time.sleep(0.01)
        fetch(place, path)
        at_once["now"] -= 1

    monkeypatch.setattr(storage, "fetch", counted)
    manifest = Manifest("toy", "sound", tuple(tracks))
    with ThreadPoolExecutor(8) as pool:
        cache = str(tmp_path / "cache")
        made = list(pool.map(lambda _: make_examples(config, manifest, remote.rsplit("/", 1)[0], cache), range(8)))
    assert len(asked) == len(set(asked)) == 3 * len(tracks) + 4  # description, index, two on clips
    assert 1 < at_once["most"] <= DOWNLOADS
    for examples in made:
        assert len(next(examples.train(1, 4, 2)).track_ids) == 4
    with monkeypatch.context() as patch:  # what is here already is not asked for, nor even listed
        patch.setattr(storage, "filesystem_of", None)
        make_examples(config, manifest, remote.rsplit("/", 1)[0], cache)


def test_parts_that_are_joined_while_they_are_copied_are_copied_where_they_are_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = moved_elsewhere(stored(str(tmp_path / "made"), parts=6))
    fetch, fetched = storage.fetch, list[str]()

    def joined_meanwhile(place: str, path: Path) -> None:
        fetched.append(place)
        if len(fetched) == 3:
            join_small_parts(remote, tiny_config().feature)  # type: ignore[arg-type]
        fetch(place, path)

    monkeypatch.setattr(storage, "fetch", joined_meanwhile)
    store = FeatureStore(copy_to_node(remote, str(tmp_path / "cache"), [f"track{i}" for i in range(6)]))
    assert len(store) == 6 and all(store.frames(f"track{i}") == 60 for i in range(6))


def test_copies_that_nobody_used_for_a_week_go_when_another_is_made(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first, second = (moved_elsewhere(stored(str(tmp_path / name), parts=1)) for name in "ab")
    (cache / "numba").mkdir(parents=True)
    copy = Path(copy_to_node(first, str(cache), ["track0"]))
    six_days_ago = time.time() - 6 * 86_400
    os.utime(copy, (six_days_ago,) * 2)
    copy_to_node(first, str(cache), ["track0"])
    assert copy.stat().st_mtime > six_days_ago + 86_400  # it is used
    opened = FeatureStore(str(copy)).read("track0")
    os.utime(copy, (time.time() - 8 * 86_400,) * 2)
    other = Path(copy_to_node(second, str(cache), ["track0"]))
    assert not copy.exists() and other.exists() and (cache / "numba").exists()
    assert opened.values.any()  # who reads it goes on
    assert Path(copy_to_node(first, str(cache), ["track0"])) == copy and len(FeatureStore(str(copy))) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kind": "none"}', '{"kind": "mel", "n_mel": 3}', "\xff"])
def test_a_damaged_description_is_a_damaged_store(tmp_path: Path, content: str) -> None:
    uri = stored(str(tmp_path), parts=1)
    Path(uri, "representation.json").write_text(content, "latin-1")
    with pytest.raises(StoreError, match=r"representation\.json is damaged .*: delete this one file and extract again"):
        FeatureStore(uri)
    Path(uri, "representation.json").unlink()
    assert len(FeatureStore(prepare_store(str(tmp_path), tiny_config().feature))) == 1  # type: ignore[arg-type]


def test_the_row_that_was_written_last_counts(tmp_path: Path) -> None:
    for value in range(20):  # other tracks beside it: files are in the order of a digest of all their keys
        write_rows(str(tmp_path), DESCRIPTOR_TABLE, [{"track_key": key, "tempo": float(value)}
                                                     for key in ("song", f"other{value}")])  # fmt: skip
    rows = read_rows(str(tmp_path), DESCRIPTOR_TABLE)
    assert rows["song"] == {"track_key": "song", "tempo": 19.0} and rows["other3"]["tempo"] == 3.0
    assert len(read_keys(str(tmp_path), DESCRIPTOR_TABLE)) == 21


def test_what_killed_uploads_leave_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old, new = storage.temporary_file("memory://x/a"), storage.temporary_file("memory://x/b")
    for path in (old, new, tmp_path / "other.tmp"):
        path.write_bytes(b"x")
        os.utime(path, (time.time() - (200_000 if path != new else 0),) * 2)
    assert storage.remove_stale("memory://x") == 1
    assert not old.exists() and new.exists() and (tmp_path / "other.tmp").exists()


def test_object_stores_are_written_by_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec.implementations.memory

    asked: list[str] = []
    files = fsspec.implementations.memory.MemoryFileSystem
    monkeypatch.setattr(storage, "ATOMIC", {"memory"})
    for name in ("mv", "makedirs", "ls", "info"):
        monkeypatch.setattr(files, name, lambda *a, name=name, **k: asked.append(name))
    uri = f"memory://{uuid.uuid4().hex}.bin"
    storage.write_bytes(uri, b"whole")
    assert storage.read_bytes(uri) == b"whole" and "mv" not in asked and "makedirs" not in asked


def test_a_copy_that_is_read_for_longer_than_a_week_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    first, second = (moved_elsewhere(stored(str(tmp_path / name), parts=3)) for name in "ab")
    copy = Path(copy_to_node(first, str(cache)))
    training = FeatureStore(str(copy))
    eight_days_ago = time.time() - 8 * 86_400
    os.utime(copy, (eight_days_ago,) * 2)
    training.read("track0")  # it has just been opened: an hour later that is noted
    assert copy.stat().st_mtime < eight_days_ago + 86_400
    monkeypatch.setattr(node_copies, "SECONDS_BETWEEN_NOTES", 0.0)
    training.read_windows([("track0", 0, 0)], 8)
    copy_to_node(second, str(cache))
    assert copy.exists() and training.read("track2").values.any()  # a part that was not mapped before
    local = FeatureStore(stored(str(tmp_path / "home"), parts=1))  # no copy: its time is left as it is
    os.utime(local.uri, (1e9, 1e9))
    local.read("track0")
    assert Path(local.uri).stat().st_mtime == 1e9
