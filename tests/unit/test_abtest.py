"""An experiment with listeners: what counts, who wins, and what follows, where the truth is known."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs import abtest as job
from tests.commands import run_job
from tests.simulated_outcomes import BEGAN, DAY, SALT, simulated
from tonearm.core.errors import ConfigError, JobError
from tonearm.feedback.events import CHALLENGER, CHAMPION, Event
from tonearm.feedback.outcomes import EARLY_SKIPS, LIKES, REPEATS, SATISFACTION, WEEK, outcomes
from tonearm.feedback.store import FeedbackStore
from tonearm.tracking import names
from tonearm.tracking.log import client
from tonearm.tracking.query import registered
from tonearm.tracking.register import challenge, promote, roll_back
from tonearm.workflows.abtest import AbTest, analyse, plan, run_abtest
from tonearm.workflows.abtest_stop import stop_abtest

NOW = BEGAN + 60 * DAY


def shown(metric: str = LIKES, now: float = NOW, **of: Any) -> AbTest:
    return analyse(simulated(**of), SALT, metric, now)


def keep(events: dict[str, Any]) -> None:
    columns = [events[name] for name in events]
    FeedbackStore().add([
        Event(**dict(zip(events, row, strict=True)), experiment=SALT) for row in zip(*columns, strict=True)
    ])  # fmt: skip


def test_outcomes_are_counted_as_they_are_defined() -> None:
    rng = np.random.default_rng(3)
    events = [
        {"listener": f"l{rng.integers(9)}", "kind": str(rng.choice(["like", "dislike", "play", "skip"])),
         "track_id": f"t{rng.integers(4)}", "seconds": float(rng.uniform(0, 60)),
         "received": float(rng.uniform(0, 20 * DAY))}
        for _ in range(600)
    ]  # fmt: skip
    for e in events:
        e["arm"] = CHALLENGER if e["listener"] in ("l1", "l3", "l5", "l7") else CHAMPION
    mixed = [{**events[0], "listener": "both", "arm": arm} for arm in (CHAMPION, CHALLENGER)]
    columns = {name: [e[name] for e in [*events, *mixed]] for name in events[0]}
    found, now = outcomes(columns), 15 * DAY
    assert (found.in_both, found.sizes, found.events) == (1, (5, 4), 602)
    by: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for e in sorted(events, key=lambda e: e["received"]):
        by[e["listener"]].append(e)
    order = list(dict.fromkeys(e["listener"] for e in events))
    values = found.looks([5 * DAY, now])[-1]
    for place, listener in enumerate(order):
        own = [e for e in by[listener] if e["received"] <= now]
        heard = [e for e in own if e["kind"] in ("play", "skip")]
        early = np.mean([e["kind"] == "skip" and e["seconds"] < 30 for e in heard])
        assert values[LIKES][place] == pytest.approx(np.mean([e["kind"] == "like" for e in own]))
        assert values[EARLY_SKIPS][place] == pytest.approx(early)
        again = []
        for track in {e["track_id"] for e in heard}:
            times = [(e["received"], e["kind"]) for e in heard if e["track_id"] == track]
            if times[0][0] + WEEK <= now:
                again.append(any(kind == "play" and t - times[0][0] <= WEEK for t, kind in times[1:]))
        assert values[REPEATS][place] == pytest.approx(np.mean(again))
        assert values[SATISFACTION][place] == pytest.approx(np.mean(again) - early)


def test_a_planted_difference_wins_and_none_does_not() -> None:
    better = shown(people=4000, lift=0.1)
    assert better.winner == CHALLENGER and better.differences[LIKES].low > 0 and "likes +0." in better.why
    assert [round(n, 1) for n in (better.differences[LIKES].first, better.differences[LIKES].second)] == [0.3, 0.4]
    assert shown(people=4000, lift=-0.1).winner == CHAMPION
    same = shown(people=4000)
    assert same.winner == "" and "no difference is shown" in same.why and same.ratio_p > 0.01
    looks = better.looks[LIKES]
    assert len(looks) > 20 and looks[0][0] < looks[-1][0] and looks[-1][3] - looks[-1][2] < looks[0][3] - looks[0][2]


def test_fewer_skips_win_by_skips() -> None:
    found = shown(EARLY_SKIPS, people=3000, early=(0.35, 0.2))
    assert found.winner == CHALLENGER and found.differences[EARLY_SKIPS].high < 0
    assert "they say the same" in found.parting or "may be chance" in found.parting


def test_what_pleases_at_once_and_is_not_repeated_does_not_win() -> None:
    found = shown(people=4000, lift=0.1, early=(0.3, 0.2), repeated=(0.6, 0.2))
    assert found.winner == "" and "the long term it is the other way round" in found.why
    assert "they part" in found.parting and "may be chance" not in found.parting
    early = shown(people=4000, lift=0.1, now=BEGAN + 5 * DAY, days=5)
    assert early.winner == CHALLENGER and "no listener's first week is over" in early.parting


def test_arms_that_lost_listeners_or_changed_decide_nothing() -> None:
    events = simulated(people=4000, lift=0.1)
    lost = {one for one in events["listener"] if one.endswith(("0", "1", "2"))}
    kept = [i for i, (who, arm) in enumerate(zip(events["listener"], events["arm"], strict=True))
            if not (who in lost and arm == CHAMPION)]  # fmt: skip
    found = analyse({name: [column[i] for i in kept] for name, column in events.items()}, SALT, LIKES, NOW)
    assert found.winner == "" and found.ratio_p < 1e-6 and "not as large as they should be" in found.why
    events["share"][0] = 0.3
    found = analyse(events, SALT, LIKES, NOW)
    assert found.winner == "" and "the share was changed (0.3, 0.5)" in found.why


def test_listeners_who_were_all_in_both_arms_decide_nothing() -> None:
    events = simulated(people=1)
    events["arm"][0] = CHALLENGER if events["arm"][0] == CHAMPION else CHAMPION
    found = analyse(events, SALT, LIKES, NOW)
    assert found.listeners == (0, 0) and found.winner == "" and "1 listeners were in both" in str(found)


def test_the_size_is_planned_before_it_begins(tonearm_home: Path) -> None:
    with pytest.raises(ConfigError, match="give --deviation"):
        plan(0.03)
    said = plan(0.03, deviation=0.25)
    assert "4" <= said[0] <= "9" and "standard deviation 0.250, as given" in said
    keep(simulated(people=200))
    assert "of 200 listeners so far" in plan(-0.1)
    assert "listeners so far" in plan(-0.1, metric=EARLY_SKIPS)
    with pytest.raises(ConfigError, match="loves"):
        plan(0.03, metric="loves")


def versions(count: int, name: str) -> None:
    api = client()
    api.create_registered_model(names.model_name(name))
    for _ in range(count):
        api.create_model_version(names.model_name(name), source="file:///nowhere")


def renamed(found: dict[str, Any], dataset: str) -> dict[str, Any]:
    return found | {"model": [names.model_name(dataset)] * len(found["model"])}


@pytest.mark.usefixtures("database")
def test_everybody_gets_the_winner_and_a_refusal_says_why() -> None:
    versions(3, "won")
    promote("won", "1")
    challenge("won", "2")
    found = analyse(renamed(simulated(people=4000, lift=0.1), "won"), SALT, LIKES, NOW)
    nobody = analyse(renamed(simulated(people=400), "won"), SALT, LIKES, NOW)
    with pytest.raises(JobError, match="has no winner: no difference is shown"):
        stop_abtest(nobody)
    said = stop_abtest(found)
    assert "version 2 is everybody's, since version 2 won" in said and "no longer the challenger" in said
    champion = registered("won", names.CHAMPION)
    assert champion is not None and champion.version == "2" and registered("won", names.CHALLENGER) is None
    assert (
        champion.tags[f"{names.PROMOTION}.listeners"] == "4000"
        and "won in the experiment" in champion.tags[names.PROMOTION]
    )
    roll_back("won")
    with pytest.raises(JobError, match="it was rolled back, although it won"):
        stop_abtest(found)
    promote("won", "3")
    with pytest.raises(JobError, match=r"is version 3, the experiment compared 2 with 1"):
        stop_abtest(found)


@pytest.mark.usefixtures("database")
def test_a_challenger_that_lost_is_told_so_and_ends() -> None:
    versions(2, "lost")
    promote("lost", "1")
    challenge("lost", "2", "other")
    events = renamed(simulated(people=4000, lift=-0.1), "lost")
    failed = events["arm"].index(CHALLENGER)
    events["version"][failed] = "1"  # the champion answered for it, once
    said = stop_abtest(analyse(events, SALT, LIKES, NOW))
    assert "version 1 is everybody's, since version 2 lost" in said
    assert "a server that names it otherwise goes on" in said and registered("lost", "other"), "one's own alias stays"
    promote("lost", "2")
    with pytest.raises(JobError, match="the champion of lost is version 2, the experiment compared 2 with 1"):
        stop_abtest(analyse(events, SALT, LIKES, NOW))
    mixed = [names.model_name("x") if arm == CHAMPION else name
             for arm, name in zip(events["arm"], events["model"], strict=True)]  # fmt: skip
    events["version"][failed] = "2"
    with pytest.raises(JobError, match="tonearm-x with tonearm-lost, which are two models"):
        stop_abtest(analyse(events | {"model": mixed}, SALT, LIKES, NOW))
    events["version"][failed] = "7"
    with pytest.raises(JobError, match="was not one registered version, but tonearm-lost 2, tonearm-lost 7"):
        stop_abtest(analyse(events, SALT, LIKES, NOW))


@pytest.mark.usefixtures("database")
def test_the_command_tells_logs_and_draws(one_home: Path) -> None:
    with pytest.raises(JobError, match="known are none"):
        run_abtest()
    keep(simulated(people=300, events=5))
    with pytest.raises(JobError, match=rf"'autumn'.*known are {SALT}"):
        run_abtest("autumn")
    code, output = run_job(job.main)
    assert code == 0 and "winner: none yet" in output and "satisfaction" in output and "tonearm-x 2 against" in output
    page = (one_home / "reports" / "x" / f"abtest-{SALT}.html").read_text("utf-8")
    assert "data:image/png;base64," in page and "hold at all looks" in page and "listener-0" not in page
    run = client().get_run(output.rsplit("run ", 1)[1].strip())
    assert run.data.metrics["listeners_champion"] + run.data.metrics["listeners_challenger"] == 300
    code, output = run_job(job.main, "--stop")
    assert code == 1 and "has no winner" in output
    assert run_job(job.main, "--plan", "0.03", "--deviation", "0.25")[0] == 0
