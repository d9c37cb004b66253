"""Who becomes champion: the rules, on predictions of known quality."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.builders import CLASSES
from tests.unit.comparison_runs import Tracks, tracks
from tonearm.core.types import FloatArray
from tonearm.datasets.manifest import Manifest, Track
from tonearm.ensembles.provenance import KnownTracks
from tonearm.tasks import Regression, SingleLabel, Task
from tonearm.tracking.query import RegisteredVersion
from tonearm.workflows import promotion
from tonearm.workflows.champion import ChampionPredictions, IncomparableError
from tonearm.workflows.promotion import Candidate, judge

OF = tracks(40, 3)
CHAMPION = RegisteredVersion("7", "run", {})


def rows_of(of: Tracks) -> tuple[Track, ...]:
    return tuple(
        Track(track_id=i, source="", content=f"c{i}", label=CLASSES[t], group=g, split="test")
        for i, g, t in zip(of.ids, of.groups, of.target, strict=True)
    )


def candidate(
    predictions: Sequence[FloatArray], task: Task | None = None, target: np.ndarray | None = None
) -> Candidate:
    rows = rows_of(OF)
    trivial = np.array([1.0, 0.0, 0.0], dtype=np.float32)
    return Candidate("8", Manifest("toy", "sound", rows), task or SingleLabel(), CLASSES, rows,
                     OF.target if target is None else target, list(OF.groups), tuple(predictions), trivial)  # fmt: skip


def right(share: float, seed: int = 0) -> FloatArray:
    return OF.predictions(OF.right(share, seed), seed)


@pytest.fixture
def champion(monkeypatch: pytest.MonkeyPatch) -> list[FloatArray]:
    """What the champion predicts of all tracks but the first three, which it was trained on."""
    said: list[FloatArray] = []
    monkeypatch.setattr(promotion, "predict_as_champion", lambda *_: ChampionPredictions(
        rows_of(OF)[3:], tuple(p[3:] for p in said)))  # fmt: skip
    return said


def test_the_first_one_is_promoted_if_it_is_worth_anything() -> None:
    found = judge(candidate([right(0.7)]), None)
    assert (
        found.promoted and found.why.startswith("the first one: f1_micro 0.5") and "majority class 0.333" in found.why
    )
    assert found.figures["trivial"] == pytest.approx(1 / 3) and found.figures["tracks"] == 120


@pytest.mark.parametrize("has_champion", [False, True])
def test_what_is_worse_than_trivial_is_never_promoted(has_champion: bool, champion: list[FloatArray]) -> None:
    champion.append(right(0.1))
    found = judge(candidate([right(0.05)]), CHAMPION if has_champion else None)
    assert not found.promoted and found.why.startswith("it is worse than what needs no model: f1_micro 0.0")


def test_better_by_more_than_noise_is_promoted_with_its_figures(champion: list[FloatArray]) -> None:
    champion.append(right(0.5))
    found = judge(candidate([right(0.85)]), CHAMPION)
    assert found.promoted and found.why.startswith("it is better than the champion, version 7, by +0.4")
    assert "on 117 tracks of 39 artists that neither learned from" in found.why
    assert 0 < found.figures["low"] < found.figures["difference"] < found.figures["high"] and found.figures["p"] < 0.05
    assert found.figures["champion"] == 7


def test_equal_ones_and_worse_ones_are_not_promoted(champion: list[FloatArray]) -> None:
    """Also where one happens to be ahead: that is noise."""
    champion.append(right(0.6, 1))
    ahead = judge(candidate([right(0.63, 2)]), CHAMPION)
    assert not ahead.promoted and ahead.why.startswith(
        "it is not shown to be better than the champion, version 7: by +"
    )
    champion[:] = [right(0.9)]
    worse = judge(candidate([right(0.7)]), CHAMPION)
    assert not worse.promoted and worse.why.startswith("it is worse than the champion, version 7: by -")


def test_several_halves_count_by_their_mean(champion: list[FloatArray]) -> None:
    champion += [right(0.5, 3), right(0.5, 4)]
    found = judge(candidate([right(0.8, 1), right(0.9, 2)]), CHAMPION)
    assert found.promoted and candidate([right(0.8, 1), right(0.9, 2)]).score() == pytest.approx(0.85, abs=0.06)


def test_smaller_errors_are_better(champion: list[FloatArray]) -> None:
    task, target = Regression(target="tempo"), np.zeros((120, 1), dtype=np.float32)
    noise = np.random.default_rng(0).normal(0, 1, (120, 1)).astype(np.float32)
    champion.append(2 * noise)
    found = judge(candidate([noise], task, target), CHAMPION)
    assert (
        found.promoted and found.figures["difference"] < 0 and "better than the champion, version 7, by +" in found.why
    )
    champion[:] = [noise / 2]
    assert not judge(candidate([noise], task, target), CHAMPION).promoted
    far = candidate([noise + 3], task, target)
    assert "worse than what needs no model" in judge(far, None).why


def test_what_cannot_be_compared_is_not_promoted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise IncomparableError("its classes are others, e.g. ['disco']")

    monkeypatch.setattr(promotion, "predict_as_champion", refused)
    found = judge(candidate([right(0.9)]), CHAMPION)
    assert not found.promoted and found.why == (
        "it cannot be compared with the champion, version 7: its classes are others, e.g. ['disco']"
    )


def test_known_tracks_are_found_by_file_id_recording_and_artist() -> None:
    def one(track_id: str, content: str, group: str, recording: str = "") -> Track:
        return Track(track_id=track_id, source="", content=content, label="x", group=group, recording=recording)

    known = KnownTracks.of([one("a", "1", "artist:a"), one("b.mp3", "2", "track:b", "b.mp3")])
    today = [one("other name", "1", "artist:new"), one("a", "retagged", "artist:new"), one("b.ogg", "3", "t", "b.mp3"),
             one("c", "4", "artist:a"), one("d", "5", "artist:d")]  # fmt: skip
    assert [t.track_id for t in known.unknown(today, today, by_group=True)] == ["d"]
    assert [t.track_id for t in known.unknown(today, today, by_group=False)] == ["c", "d"]
    forms = [one("e.mp3", "1", "t", "e.mp3"), one("e.ogg", "9", "t", "e.mp3")]
    assert known.unknown(forms, forms, by_group=False) == [], "another form of what it knows by its file"
