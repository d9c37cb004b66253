"""Libraries that grow for long: what was seen is never tested unless it is told, and shares stay as asked."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.growing_libraries import library, recording, splits
from tonearm.datasets.assignment import Assignment
from tonearm.datasets.manifest import SPLITS, Track
from tonearm.datasets.splits import Division, divide

EXPOSED = {split: i for i, split in enumerate(SPLITS)}
"""By what models see of a split: they learn from the first, are chosen by the second, and are only tested on the third.
"""


def history(seed: int, grouped: bool) -> tuple[list[Division], int]:
    """A library that grows by artists, songs, joint tracks and classes, loses files and gets them back."""
    rng = random.Random(seed)
    everything = library(240, 60, 4, seed)
    rng.shuffle(everything)
    there, away = everything[:120], list[Track]()
    for label in range(4):
        there += [recording(f"base{label}{i}", f"class{label}", f"base{label}{i}") for i in range(6)]
    coming = everything[120:]
    before, steps, joined = Assignment(), list[Division](), 0
    for step in range(6):
        if step:
            n = rng.choice([1, 5, 40])
            there, coming = there + coming[:n], coming[n:]
            if rng.random() < 0.5:
                there += away
                away = []
            if rng.random() < 0.5:
                rng.shuffle(there)
                away, there = away + there[:5], there[5:]
            if rng.random() < 0.3:
                there += [recording(f"odd{step}{i}", f"odd{step}", f"odd{step}{i % 5}") for i in range(12)]
            if rng.random() < 0.3:
                one, other = rng.sample(sorted({t.group for t in there}), 2)
                joined += 1
                there = [dataclasses.replace(t, group=min(one, other)) if t.group in (one, other) else t for t in there]
        steps.append(divide(there, seed, grouped=grouped, before=before))
        before = steps[-1].assignment
    return steps, joined


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), grouped=st.booleans())
def test_in_any_order_of_growth_nothing_that_was_seen_is_tested_unless_it_is_told(seed: int, grouped: bool) -> None:
    steps, joined = history(seed, grouped)
    seen: dict[str, int] = {}
    for step in steps:
        told = {i: move for move in step.moves for i in move.tracks}
        for i, split in splits(step).items():
            rank = EXPOSED[str(split)]  # type: ignore[index]
            if i in told:
                assert told[i].now == split and told[i].reason
                if rank > seen[i]:
                    assert "there would be no class" in told[i].reason
            else:
                assert seen.get(i, rank) == rank
            seen[i] = rank
        assert {t.label for t in step.tracks} == {t.label for t in step.tracks if t.split == "test"}
        if grouped:
            assert all(len(s) == 1 for s in _splits_of_groups(step.tracks).values())
    if not joined and grouped:
        assert all(move.reason for step in steps for move in step.moves)


def _splits_of_groups(tracks: Sequence[Track]) -> dict[str, set[str | None]]:
    found: dict[str, set[str | None]] = {}
    for t in tracks:
        found.setdefault(t.group, set()).add(t.split)
    return found


@pytest.mark.parametrize("grouped", [True, False])
def test_what_grew_from_a_quarter_in_ten_steps_keeps_its_shares(grouped: bool) -> None:
    tracks = library(2000, 700, 8, seed=3)
    groups = sorted({t.group for t in tracks})
    random.Random(1).shuffle(groups)
    before = Assignment()
    for step in range(11):
        some = set(groups[: len(groups) * (10 + 3 * step) // 40])
        division = divide([t for t in tracks if t.group in some], grouped=grouped, before=before)
        assert not division.moves
        before = division.assignment
    sizes = Counter(t.split for t in division.tracks)
    counts = Counter((t.label, t.split) for t in division.tracks)
    totals = Counter(t.label for t in division.tracks)
    for split, share in zip(SPLITS, (0.6, 0.2, 0.2), strict=True):
        assert abs(sizes[split] / len(tracks) - share) < 0.01
        assert all(abs(counts[label, split] / n - share) < 0.03 for label, n in totals.items())
