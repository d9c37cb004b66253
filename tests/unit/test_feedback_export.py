"""Feedback as training data: what is liked, and that the readers take it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs import feedback as job
from tests.commands import run_job
from tonearm.core.errors import ConfigError, JobError
from tonearm.datasets.artists import ArtistsConfig
from tonearm.datasets.tables import read_table
from tonearm.feedback.events import Event
from tonearm.feedback.opinions import opinions
from tonearm.feedback.store import COLUMNS, FeedbackStore
from tonearm.workflows import feedback
from tonearm.workflows.feedback import export_feedback

ARTISTS = {"a1": "Anna", "a2": "Anna", "b": "Bea", "c": "Cleo"}
#: listener, seed, track, kind, seconds, position
SAID = [
    ("x", "a1", "b", "skip", 5.0, 1), ("x", "a1", "b", "like", None, 1), ("x", "a1", "c", "dislike", None, 2),
    ("x", "a1", "a2", "play", 200.0, 3), ("x", "", "a1", "play", None, None),
    ("y", "a1", "b", "play", None, 1), ("y", "a1", "c", "skip", 29.0, 2), ("y", "a2", "c", "skip", 40.0, 2),
    ("y", "", "a1", "like", None, None), ("y", "a1", "a2", "like", None, 1),
    ("z", "b", "a1", "like", None, 1), ("z", "b", "a1", "dislike", None, 1), ("z", "c", "b", "play", None, 2),
    ("z", "c", "unknown", "like", None, 1),
]  # fmt: skip


@pytest.fixture
def said(tonearm_home: Path) -> None:
    FeedbackStore().add([
        Event(f"event-{i:04d}", f"listener-{who}", kind, track, seed, seconds, position, version="7",  # type: ignore[arg-type]
              arm="challenger" if who == "z" else "champion", received=float(i))
        for i, (who, seed, track, kind, seconds, position) in enumerate(SAID)
    ])  # fmt: skip


@pytest.mark.usefixtures("said")
def test_an_opinion_is_the_last_that_was_said_else_what_was_heard() -> None:
    found = opinions(FeedbackStore().read(COLUMNS), ("listener", "track_id"))
    own = {track: likes for (listener, track), likes in found.items() if listener == "listener-x"}
    assert own == {"b": True, "c": False, "a2": True, "a1": True}
    assert found["listener-z", "a1"] is False and found["listener-y", "c"] is False


@pytest.mark.usefixtures("said")
@pytest.mark.parametrize("fmt", ["csv", "parquet"])
def test_readers_of_artists_and_tracks_take_it(fmt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "artists_of", lambda model: ARTISTS)
    found = export_feedback(str(tmp_path), model="some", fmt=fmt)
    assert found.files == {f"plays.{fmt}": 8, f"pairs.{fmt}": 6, f"relations.{fmt}": 2}
    pairs = read_table(tmp_path / f"pairs.{fmt}", ("seed", "track", "liked", "disliked"))
    rows = {(s, t): (int(n), int(d)) for s, t, n, d in zip(*pairs.values(), strict=True)}
    assert rows["a1", "b"] == (2, 0) and rows["a1", "c"] == (0, 2) and rows["b", "a1"] == (0, 1)
    assert ("a2", "c") not in rows, "a skip after 30 s says nothing"
    for track in ARTISTS:
        (tmp_path / f"{track}.wav").write_bytes(b"a recording, which is not decoded here")
    tracks = ArtistsConfig(root=str(tmp_path), audio=False, relations_from="plays", level="track", min_shared=2)
    of = tracks.relations()
    near = {a: {of.artists[j] for j in of.padded()[i] if j >= 0} for i, a in enumerate(of.artists)}
    assert near == {"a1.wav": {"a2.wav", "b.wav"}, "a2.wav": {"a1.wav", "b.wav"}, "b.wav": {"a1.wav", "a2.wav"}}
    symmetric = ArtistsConfig(root=str(tmp_path), audio=False, relations_file=f"relations.{fmt}", symmetric=True)
    assert symmetric.relations().artists == ("Anna", "Bea", "Cleo")
    assert any("1 pairs name a track whose artist" in note for note in found.notes)


@pytest.mark.usefixtures("said")
def test_the_report_counts_by_arm_version_kind_and_position(tonearm_home: Path) -> None:
    code, output = run_job(job.main)
    assert (
        code == 0
        and "challenger  7        2     1        0     1" in output
        and "name a model whose catalogue" in output
    )
    report = json.loads((tonearm_home / "data" / "feedback" / "report.json").read_text("utf-8"))
    assert (report["events"], report["listeners"]) == (len(SAID), 3)
    second = next(row for row in report["positions"] if row["position"] == 2)
    assert second == {"position": 2, "heard": 3, "skipped": pytest.approx(2 / 3), "within_30_s": pytest.approx(1 / 3)}
    assert not any("listener-" in f.read_text("utf-8") for f in (tonearm_home / "data" / "feedback").iterdir())


def test_no_feedback_and_another_format_are_told(tonearm_home: Path) -> None:
    with pytest.raises(JobError, match="no feedback yet"):
        export_feedback()
    with pytest.raises(ConfigError, match="xlsx"):
        export_feedback(fmt="xlsx")
    assert not tonearm_home.exists()
