"""A contest of recommenders as a plot, and with what play counts say of artists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.unit.test_contest import library
from tonearm.core.errors import ConfigError
from tonearm.core.figures import png
from tonearm.recommend.contest import hold_contest
from tonearm.recommend.contest_plot import PANELS, contest_figure
from tonearm.workflows.known_plays import played_rows, plays_of_artists


def test_the_plot_has_a_row_a_system_with_its_interval() -> None:
    contest = hold_contest(library(), k=6, listeners=np.linspace(0.1, 1, 32))
    figure = contest_figure(contest)
    assert [axis.get_title() for axis in figure.axes] == list(PANELS)
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert rows == list(contest.systems)[::-1] == ["random", "popularity", "descriptors", "model"]
    recall = contest.systems["random"].recall
    ends, point = figure.axes[0].lines[:2]
    assert list(np.asarray(ends.get_xdata())) == [recall.low, recall.high]
    assert list(np.asarray(point.get_xdata())) == [recall.value]
    assert png(figure).startswith(b"\x89PNG")


@pytest.fixture
def plays(tmp_path: Path) -> str:
    """Two circles of listeners: A and B are played together, and C and D."""
    pairs = [(user, artist) for user in range(20) for artist in ((1, 2) if user < 12 else (3, 4))]
    rows = ["userID\tartistID\tweight", *(f"{user}\t{artist}\t{5 + user % 3}" for user, artist in pairs)]
    (tmp_path / "user_artists.dat").write_text("\n".join(rows) + "\n")
    (tmp_path / "artists.dat").write_text("id\tname\turl\n1\tAÉ\tx\n2\tB\tx\n3\tC\tx\n4\tD\tx\n")
    return str(tmp_path)


def test_plays_say_how_many_know_an_artist_and_who_is_heard_with_whom(plays: str) -> None:
    listeners, factors, known = plays_of_artists(plays, ["aé", "B", "c", "", "nobody"])
    assert listeners.tolist() == pytest.approx([0.6, 0.6, 0.4, 0, 0]) and known == 3
    unit = factors[:3] / np.linalg.norm(factors[:3], axis=1, keepdims=True)
    assert unit[0] @ unit[1] > unit[0] @ unit[2] + 0.1 and not factors[3:].any()
    with pytest.raises(ConfigError, match="none of the data set's artists is among the 4 that were played"):
        plays_of_artists(plays, ["nobody"])


def test_of_whom_nobody_played_plays_recommend_nothing(plays: str) -> None:
    """Their rows would be recommended in their order, before all that a listener likes less than nothing."""
    places, listeners, factors = played_rows(plays, ["nobody", "B", "", "c", "aé"])
    assert places.tolist() == [1, 3, 4] and listeners.tolist() == pytest.approx([0.6, 0.4, 0.6])
    assert factors.any(axis=1).all()
