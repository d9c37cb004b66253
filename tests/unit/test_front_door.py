"""Recordings as people have them, through ``tonearm extract``: names that hold, what is set aside, features alone.

The job runs in this process, and Ray's workers' part is done here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from jobs import extract as job
from tests.builders import encode, sounds_like
from tests.builders import music as make_music
from tests.extract_in_process import extract_in_process
from tonearm.core.errors import DatasetError
from tonearm.datasets.manifest import load_manifest, load_rejects
from tonearm.pipelines import extract, remembering
from tonearm.workflows import prepare
from tonearm.workflows.prepared_names import manifest_uri, prepared_name
from tonearm.workflows.set_aside import load_failed, rejects_uri

FEATURES = "mel(n_mels=16,n_fft=512,hop=512)"


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    extract_in_process(monkeypatch, batch=1)
    monkeypatch.setattr(job, "preflight", lambda **asked: None)


def run(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(job.main)
    result = CliRunner().invoke(app, ["--dataset", "folder", "--features", FEATURES, *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, result.output


def record(path: Path, seed: int, label: str = "high") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(sounds_like(label, seed)))


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Eleven recordings of each of two folders."""
    for n, name in enumerate(("High", "Low")):
        for i in range(11):
            record(tmp_path / "a" / "Music" / name / f"{i:02d}.wav", 100 * n + i, name.lower())
    return tmp_path / "a" / "Music"


# --- names


def test_another_library_or_label_does_not_take_a_name(music: Path, tmp_path: Path) -> None:
    assert run("--audio", str(music))[0] == 0
    before = load_manifest(manifest_uri("music"))
    assert before.root == str(music.resolve())
    shutil.copytree(music, tmp_path / "b" / "Music")
    code, output = run("--audio", str(tmp_path / "b" / "Music"))
    assert code == 1 and f"the name 'music' is taken by the data set of {music}, label 'folder'" in output
    assert "--name music-b" in output
    rows = [f"{p.relative_to(music).as_posix()},{'x' if i % 2 else 'y'}" for i, p in enumerate(music.rglob("*.wav"))]
    (music / "tracks.csv").write_text("path,mood\n" + "\n".join(rows))
    code, output = run("--audio", str(music), "--label", "mood")
    assert code == 1 and "label 'mood', and would replace it" in output and "--name music-mood" in output
    assert load_manifest(manifest_uri("music")) == before
    assert run("--audio", str(music), "--label", "mood", "--name", "music-mood")[0] == 0
    assert run("--audio", str(tmp_path / "b" / "Music"), "--name", "music-b")[0] == 0
    assert run("--audio", str(music))[0] == 0  # the same one again


def test_a_library_that_moved_is_the_same_one(music: Path, tmp_path: Path) -> None:
    assert run("--audio", str(music))[0] == 0
    moved = music.rename(tmp_path / "Music")
    assert run("--audio", str(moved))[0] == 0
    assert load_manifest(manifest_uri("music")).root == str(moved.resolve())
    (tmp_path / "link").symlink_to(moved)
    assert run("--audio", str(tmp_path / "link"), "--name", "music")[0] == 0  # another way to the same place
    shutil.rmtree(moved)
    for n in range(22):
        record(tmp_path / "else" / "Music" / ["High", "Low"][n % 2] / f"{n}.wav", 1000 + n)
    assert run("--audio", str(tmp_path / "else" / "Music"))[0] == 1  # gone, but these are others


NAMES = [("音楽", "音楽"), ("Музыка", "музыка"), ("Café #1", "café-1"), ("हिन्दी", "हिन्दी"),
         ("My Music_2", "my-music-2"), ("🎵", "folder")]  # fmt: skip


@pytest.mark.parametrize(("folder", "name"), NAMES)
def test_names_keep_their_letters(folder: str, name: str, music: Path) -> None:
    there = music.rename(music.with_name(folder))
    assert run("--audio", str(there))[0] == 0
    assert load_manifest(manifest_uri(name)).name == name
    assert prepared_name(folder) == (name if name != "folder" else "")


# --- what is set aside


def test_what_is_set_aside_counts_and_is_told_with_its_table(music: Path) -> None:
    for i in range(6):
        (music / "High" / f"bad{i}.wav").write_bytes(b"no audio" * 9 + bytes([i]))
    code, output = run("--audio", str(music))
    assert code == 1 and "6 of 28 tracks cannot be used (undecodable 6), more than 20%" in output
    assert rejects_uri("music") in output
    code, output = run("--audio", str(music), "--max-rejected", "0.25")
    assert code == 0 and f"set aside: 6 (undecodable 6); listed in {rejects_uri('music')}" in output


def test_recordings_without_a_label_count_too_and_before_the_work(music: Path) -> None:
    rows = [f"{p.relative_to(music).as_posix()},{p.parent.name}" for p in sorted(music.rglob("*.wav"))]
    (music / "tracks.csv").write_text("path,mood\n" + "\n".join([*rows[:8], *rows[11:19]]))
    code, output = run("--audio", str(music), "--label", "mood")
    assert code == 1 and "6 of 22 tracks cannot be used (no_label 6), more than 20%" in output
    assert "extracted" not in output
    assert [r.reason for r in load_rejects(rejects_uri("music"))] == ["no_label"] * 6


def test_an_error_says_what_was_seen_before(music: Path) -> None:
    for i in range(3):
        (music / "High" / f"{i:02d}.wav").unlink()
        (music / "High" / f"{i:02d}.wma").write_bytes(b"x")
        (music / "Low" / f"empty{i}.wav").write_bytes(b"")
    code, output = run("--audio", str(music), "--label", "folder", "--max-rejected", "0.5", "--option", "label=folder")
    assert code == 0  # features alone
    assert "features only, of 19 recording(s) that are not split" in output
    with pytest.raises(DatasetError) as caught:
        prepare.prepare("folder", root=str(music), features=FEATURES, max_rejected=0.5)
    text = str(caught.value)
    assert "1 class(es) with at least 10 tracks, two are needed; found Low (11), High (8)" in text
    assert "3 file(s) of kinds that are not read: .wma 3" in text
    assert f"set aside: 3 (empty 3); listed in {rejects_uri('music')}" in text


def test_two_encodings_under_two_labels_are_kept_out(music: Path) -> None:
    song, twin = make_music(12.0, seed=5), music / "Low" / "twin.flac"
    (music / "High" / "03.wav").write_bytes(encode(song))
    twin.write_bytes(encode(song, container="FLAC"))
    code, output = run("--audio", str(music))
    assert code == 0
    assert "2 file(s) are recordings under two labels, left out of training: e.g. one recording under two" in output
    assert "High/03.wav is 'High', Low/twin.flac is 'Low'" in output
    assert "set aside: 2 (two_labels 2)" in output
    assert "High/03.wav" not in {t.track_id for t in load_manifest(manifest_uri("music")).tracks}
    assert run("--audio", str(music), "--option", "contradictions=keep")[0] == 0
    kept = load_manifest(manifest_uri("music"))
    assert {t.track_id for t in kept.tracks if t.recording} == {"High/03.wav", "Low/twin.flac"}
    assert len({t.split for t in kept.tracks if t.recording}) == 1


# --- features alone


def test_features_of_a_flat_folder_are_extracted(tmp_path: Path) -> None:
    for i in range(3):
        record(tmp_path / "flat" / f"{i}.wav", i)
    code, output = run("--audio", str(tmp_path / "flat"))
    assert code == 0 and "3 extracted now" in output
    assert "features only, of 3 recording(s) that are not split: by label 'folder' there are 0 class(es)" in output
    manifest = load_manifest(manifest_uri("flat"))
    assert [t.split for t in manifest.tracks] == [None] * 3
    assert run("--audio", str(tmp_path / "flat"), "--option", "label=")[0] == 0  # it holds nothing that was trained


# --- what failed is remembered


def test_a_job_that_is_stopped_remembers_what_failed(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(3):
        (music / "High" / f"0 bad{i}.wav").write_bytes(b"no audio" * 9 + bytes([i]))
    whole = extract._worker_results
    heard: list[str] = []

    def stopped(items: list[dict[str, str]], *rest: Any) -> Iterator[dict[str, Any]]:
        for n, row in enumerate(whole(items, *rest)):
            heard.append(row["key"])
            yield row
            if n == 6:
                raise KeyboardInterrupt

    monkeypatch.setattr(extract, "_worker_results", stopped)
    assert run("--audio", str(music))[0] == 130
    assert [r.track_id for r in load_failed("music")] == [f"High/0 bad{i}.wav" for i in range(3)]
    assert load_rejects(rejects_uri("music")) == []  # the table of a finished job, like the manifest
    first = list(heard)
    assert run("--audio", str(music))[0] == 130
    assert not set(heard[len(first) :]) & set(first)


def test_failures_of_another_request_are_not_forgotten(music: Path) -> None:
    (music / "High" / "bad.wav").write_bytes(b"no audio" * 9)
    assert run("--audio", str(music))[0] == 0
    app = ["--audio", str(music), "--min-seconds", "0.5"]
    assert run(*app)[0] == 0
    assert len({r.key for r in load_failed("music") if r.track_id == "High/bad.wav"}) == 2
    assert load_rejects(rejects_uri("music"))[0].track_id == "High/bad.wav"


def test_what_failed_stays_known_through_other_requests(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(3):
        (music / "High" / f"bad{i}.wav").write_bytes(b"no audio" * 9 + bytes([i]))
    heard: list[str] = []
    whole = extract._worker_results

    def counted(items: list[dict[str, str]], *rest: Any) -> Iterator[dict[str, Any]]:
        heard.extend(Path(item["source"]).name for item in items)
        return whole(items, *rest)

    monkeypatch.setattr(extract, "_worker_results", counted)
    for features in (FEATURES, "mfcc", f"{FEATURES},mfcc"):
        prepare.prepare("folder", root=str(music), features=features)
    assert sum(name.startswith("bad") for name in heard) == 9
    heard.clear()
    for features in (FEATURES, "mfcc", f"{FEATURES},mfcc", FEATURES):
        data = prepare.prepare("folder", root=str(music), features=features)
        assert [r.reason for r in data.rejects] == ["undecodable"] * 3
    assert heard == []


def test_the_first_failure_is_remembered_at_once(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is killed has no time to write anything."""
    (music / "High" / "0 bad.wav").write_bytes(b"no audio" * 9)
    seen: list[list[str]] = []
    whole = extract._worker_results

    def looking(items: list[dict[str, str]], *rest: Any) -> Iterator[dict[str, Any]]:
        for row in whole(items, *rest):
            yield row
            seen.append([r.track_id for r in load_failed("music")])

    monkeypatch.setattr(extract, "_worker_results", looking)
    assert run("--audio", str(music))[0] == 0
    assert set(seen[0]) == {"High/0 bad.wav"}


def test_a_killed_job_leaves_the_finished_table_as_it_was(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its manifest is the old one, and so is what was set aside beside it."""
    for i in range(3):
        (music / "High" / f"0 bad{i}.wav").write_bytes(b"no audio" * 9 + bytes([i]))
    assert run("--audio", str(music))[0] == 0
    table, manifest = Path(rejects_uri("music")).read_bytes(), Path(manifest_uri("music")).read_bytes()
    monkeypatch.setattr(remembering, "REMEMBERED_EVERY", 0.0)
    whole = extract._worker_results
    seen: list[list[str]] = []

    def stopped(items: list[dict[str, str]], *rest: Any) -> Iterator[dict[str, Any]]:
        for row in whole(items, *rest):
            if row["reason"]:
                yield row
                seen.append([r.track_id for r in load_failed("music") if "other" in r.track_id])
                assert Path(rejects_uri("music")).read_bytes() == table
        raise KeyboardInterrupt

    monkeypatch.setattr(extract, "_worker_results", stopped)
    (music / "High" / "0 other.wav").write_bytes(b"no audio" * 9 + b"other")
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare("folder", root=str(music), features=FEATURES)
    assert seen == [["High/0 other.wav"]]
    assert Path(rejects_uri("music")).read_bytes() == table and Path(manifest_uri("music")).read_bytes() == manifest


def test_a_hopeless_job_ends_early(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(40):
        (music / "High" / f"0 bad{i:02d}.wav").write_bytes(b"no audio" * 9 + bytes([i]))
    monkeypatch.setattr(remembering, "REMEMBERED_EVERY", 0.0)
    code, output = run("--audio", str(music))
    assert code == 1 and "13 of 62 tracks cannot be used (undecodable 13), more than 20%" in output
