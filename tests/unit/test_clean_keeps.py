"""What ``tonearm clean`` leaves alone: what may be needed, what is being written, what is not its own."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
import typer
from typer.testing import CliRunner

from jobs import clean as job
from tests.unit.test_clean import CLIP, FEATURES, in_process, kinds, music, prepared  # noqa: F401  fixtures
from tonearm.core import home, remote_files, storage
from tonearm.core.errors import JobError
from tonearm.core.home_use import DELETING, using_home
from tonearm.datasets.manifest import Reject, save_rejects
from tonearm.features.row_store import FINGERPRINT_TABLE
from tonearm.features.store import store_uri
from tonearm.workflows.clean import clean
from tonearm.workflows.job_processes import chosen_home
from tonearm.workflows.prepared_names import manifest_uri
from tonearm.workflows.set_aside import rejects_uri

SPARE = "features of recordings that no data set or sweep has"


def with_spare(music: Path) -> None:  # noqa: F811
    """Prepare recordings of which four are gone, so that there is something to delete."""
    prepared(music)
    for path in sorted(music.rglob("*.wav"))[:4]:
        path.unlink()
    prepared(music)
    assert kinds(clean(hours=0))[SPARE] == 2 * 4


def link_to_nothing(path: Path) -> None:
    shutil.rmtree(path)
    path.symlink_to("/not/mounted")


def absent(path: Path) -> None:
    shutil.rmtree(path)


def link_to_empty(path: Path) -> None:
    shutil.rmtree(path)
    (path.parent.parent / "mount").mkdir()
    path.symlink_to(path.parent.parent / "mount")


def emptied(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


def a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("")


@pytest.mark.parametrize(
    ("place", "change"),
    [
        *(("data", change) for change in (absent, link_to_nothing, link_to_empty, emptied, a_file)),
        *(("data/music", change) for change in (absent, link_to_nothing, link_to_empty, emptied, a_file)),
        *(("data/other", change) for change in (link_to_nothing, link_to_empty, emptied)),
        *(("trials", change) for change in (link_to_nothing, link_to_empty, a_file)),
        *(("trials/0123456789abcdef", change) for change in (link_to_nothing, link_to_empty)),
    ],
)
def test_features_stay_where_what_needs_them_cannot_be_read(
    music: Path,  # noqa: F811
    place: str,
    change: Callable[[Path], None],
) -> None:
    with_spare(music)
    path = Path(home.home()) / place
    path.mkdir(parents=True, exist_ok=True)
    change(path)
    found = clean(delete=True, hours=0)
    assert not found.leftovers and "features are left alone, since it cannot be told which are needed" in str(found)


def test_a_manifest_that_is_a_link_to_nothing_is_not_absent(music: Path) -> None:  # noqa: F811
    with_spare(music)
    for uri in (
        manifest_uri("other"),
        rejects_uri("other"),
        storage.join(home.trials_home(), "00", "manifest.parquet"),
    ):
        path = Path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to("/not/mounted")
        assert not clean(hours=0).leftovers
        path.unlink()
        (path.parent / "notes.txt").write_text("")
        assert clean(hours=0).leftovers


def test_a_store_on_a_disk_that_is_not_mounted_keeps_its_rows(music: Path) -> None:  # noqa: F811
    with_spare(music)
    store = Path(store_uri(home.features_home(), FEATURES[0]))
    shutil.rmtree(store)
    store.symlink_to("/not/mounted")
    assert not clean(hours=0).leftovers
    store.unlink()
    store.mkdir()
    found = clean(hours=0)
    assert kinds(found) == {SPARE: 4} and f"left alone, with the tables beside them: {store.name}" in str(found)


def test_only_earlier_versions_are_of_an_earlier_version(music: Path) -> None:  # noqa: F811
    prepared(music)
    features = Path(home.features_home())
    for table in ("fingerprints-2", "descriptors-3", "descriptors-02", "descriptors-1-backup", "decoders-1"):
        (features / table).mkdir()
        (features / table / "a.parquet").write_bytes(b"1")
    store = Path(store_uri(str(features), FEATURES[0]))
    for name in (f"{store.name}-backup", f"{store.name[:-1]}x", f"other-{store.name[-16:]}", "mel-0123456789abcdef"):
        shutil.copytree(store, features / name)
    found = clean(hours=0)
    assert {(f.kind, Path(f.place).name) for f in found.leftovers} == {
        ("tables of an earlier version", "decoders-1"), ("stores of an earlier version", "mel-0123456789abcdef"),
    }  # fmt: skip
    assert f"{store.name}-backup is left alone: no store is called so" in str(found)
    assert not clean(hours=1).leftovers  # all of them were written just now
    for path in features.rglob("*"):
        os.utime(path, (time.time() - 2 * 3600,) * 2)
    assert len(clean(hours=1).leftovers) == 2
    (features / "mel-0123456789abcdef" / "parts" / "new.npy").write_bytes(b"1")
    (features / "decoders-1" / "b.parquet").write_bytes(b"1")
    assert not clean(hours=1).leftovers


def test_recordings_under_two_labels_keep_their_features_without_their_files(music: Path) -> None:  # noqa: F811
    gone = prepared(music).manifest.tracks[:4]
    away = music.with_name("not mounted")
    for t in gone:
        Path(t.source).rename(away.with_name(f"{t.content}.wav"))
    prepared(music)
    assert kinds(clean(hours=0))[SPARE] == 2 * 4

    def keep(key: str = "", source: str = "") -> str:
        rejects = [Reject(track_id=t.track_id, source=source or str(away.with_name(f"{t.content}.wav")), stage="labels",
                          reason="two_labels", detail="", key=t.content if key else "") for t in gone]  # fmt: skip
        save_rejects(rejects_uri("music"), rejects)
        found = clean(hours=0)
        assert not found.leftovers
        return "".join(found.notes)

    assert keep(key="content", source="/not/mounted.wav") == keep(key="content", source="s3://b/a.wav") == ""
    assert keep() == ""  # as earlier versions wrote it: the file is read
    assert "/not/mounted.wav, which data set music sets aside, cannot be read" in keep(source="/not/mounted.wav")
    assert "s3://b/a.wav, which data set music sets aside, cannot be read (it is not on" in keep(source="s3://b/a.wav")


def test_what_is_being_written_elsewhere_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    root = f"memory://{uuid.uuid4().hex}"
    monkeypatch.setenv(home.HOME, root)
    monkeypatch.setenv(home.TRACKING, "sqlite:////tmp/none.db")
    upload = f"{root}/data/music/manifest.parquet.{uuid.uuid4().hex}.tmp"
    storage.write_bytes(upload, b"123")
    (place, _, age), written = storage.list_temporary(root)[0], storage.modified(upload)
    assert age is not None and age >= 0 and written is not None and written <= time.time()
    assert not clean().leftovers and not clean().notes
    file: Any = fsspec.filesystem("memory").store[upload.removeprefix("memory:/")]
    file.created = datetime.now(UTC) - timedelta(days=2)
    assert [found.place for found in clean().leftovers] == [place]
    monkeypatch.setattr(remote_files, "WRITTEN", ())  # as of a store that does not tell
    found = clean(hours=0)
    assert not found.leftovers and f"{place} is left alone: it cannot be told when it was written" in str(found)


@pytest.mark.parametrize(
    ("entry", "seconds"),
    [
        ({"LastModified": datetime(1970, 1, 2, tzinfo=UTC)}, 86_400.0),
        ({"last_modified": datetime(1970, 1, 2)}, 86_400.0),
        ({"mtime": 5}, 5.0), ({"updated": "1970-01-02T00:00:00Z"}, 86_400.0), ({"mtime": None, "created": 7.5}, 7.5),
        ({"size": 3}, None), ({"updated": "yesterday"}, None),
    ],
)  # fmt: skip
def test_stores_tell_in_several_ways_when_a_file_was_written(entry: dict[str, Any], seconds: float | None) -> None:
    assert remote_files.written_at(entry) == seconds


def test_nothing_is_deleted_while_the_home_is_used_and_the_other_way_round(music: Path) -> None:  # noqa: F811
    with_spare(music)
    linked = Path(home.home()).with_name("linked")
    linked.symlink_to(home.home())
    for place in (home.home(), str(linked)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(home.HOME, place)
            with using_home("extraction"), using_home("training"):
                patch.setenv(home.HOME, str(linked.with_name(Path(home.home()).name)))
                clean(hours=0)
                with pytest.raises(JobError, match=r"extraction \(process \d+ on .*runs on this home and may need"):
                    clean(delete=True, hours=0)
                patch.setenv(home.HOME, place)
    with using_home(DELETING), pytest.raises(JobError, match=r"clean \(process .* deletes what is not needed: wait"):
        prepared(music)
    assert kinds(clean(delete=True, hours=0))[SPARE] == 2 * 4
    assert not list((Path(home.home()) / "in-use").iterdir())


def test_a_job_that_was_killed_uses_nothing(music: Path) -> None:  # noqa: F811
    with_spare(music)
    place = storage.join(home.home(), "in-use", f"{uuid.uuid4().hex}.json")
    with using_home("extraction"):
        (own,) = (Path(home.home()) / "in-use").iterdir()
        left = {**storage.read_json(str(own)), "pid": 2**22 + 1}
    storage.write_json(place, left)
    assert clean(delete=True, hours=0).leftovers and not storage.exists(place)


def test_home_of_a_job_is_read_from_its_command_line() -> None:
    assert chosen_home(["tonearm", "extract", "--out", "/there", "--audio", "x"]) == "/there"
    assert chosen_home(["--out=s3://b/h"]) == "s3://b/h" and chosen_home(["extract", "--out"]) == ""


def test_what_cannot_be_deleted_is_said(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    with_spare(music)
    marks = Path(tempfile.gettempdir()) / f"tonearm-attempts-{uuid.uuid4().hex}"
    marks.mkdir()
    assert not any(marks.name in found.place for found in clean(hours=0).leftovers)  # of a job on another home, perhaps
    os.utime(marks, (time.time() - 2 * 3600,) * 2)
    (Path(home.features_home()) / "decoders-1").mkdir()

    delete = shutil.rmtree

    def refused(path: Path, ignore_errors: bool = False, **options: Any) -> None:
        if Path(path).name not in (marks.name, "decoders-1"):
            delete(path, ignore_errors, **options)
        elif not ignore_errors:
            raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", refused)
    app = typer.Typer()
    app.command()(job.main)
    done = CliRunner().invoke(app, ["--hours", "0", "--yes"])
    assert done.exit_code == 1 and "deleted, but for 2 that could not be" in done.output
    assert done.output.count("could not be deleted: ") == 2 and SPARE in done.output
    assert marks.exists() and f"could not be deleted: {marks}: [Errno 13] Permission denied" in done.output


def test_a_damaged_table_is_a_note(music: Path) -> None:  # noqa: F811
    with_spare(music)
    table = Path(home.features_home()) / FINGERPRINT_TABLE
    (table / "bad.parquet").write_bytes(b"bad")
    found = clean(delete=True, hours=0)
    assert kinds(found) == {SPARE: 2 * 4} and f"table {table / 'bad.parquet'} is damaged" in str(found)
