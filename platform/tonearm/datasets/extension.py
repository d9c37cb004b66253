"""Groups placed where their tracks were before, and new ones where the balance needs them; what moved is told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.core.text import list_examples, printable, quoted
from tonearm.datasets.assignment import Assignment, GroupAndPlace
from tonearm.datasets.balance import GroupCounts, Placement, count_groups, place_groups
from tonearm.datasets.manifest import Track

WIDTH = 60
"""Of a name in a line."""


@dataclass(frozen=True)
class Move:
    """Tracks that were in one split or fold before and are in another now, and why."""

    tracks: tuple[str, ...]
    before: str
    now: str
    reason: str


@dataclass(frozen=True)
class Extension:
    """Where tracks are now.

    Attributes
    ----------
    places
        The split or fold of each track.
    moves
        Of tracks that were placed before.
    """

    places: tuple[str, ...]
    counts: GroupCounts
    placement: Placement
    moves: tuple[Move, ...]


def extend(
    tracks: Sequence[Track],
    units: Sequence[str],
    groups: Sequence[str],
    bins: Sequence[str],
    shares: Sequence[float],
    seed: int,
    before: Assignment,
    *,
    by_size: bool = False,
    first_of: bool = False,
    fill: bool = False,
) -> Extension:
    """Place tracks in bins by units: those with a track that was placed before stay there.

    Parameters
    ----------
    units
        What each track shares a bin with.
    groups
        Of each track the group whose earlier place counts where no track of its unit was there before; "" is none.
    bins, shares
        The bins' names and shares.
    before
        The earlier places.
    first_of
        Whether a unit whose tracks were in several bins goes to the first of these, in the order of ``bins``; else to
        the one that has most of them.
    fill
        Whether units that were placed before may move to a bin that would have no track of a class or none at all.
    """
    counts = count_groups(tracks, units)
    was = [before.of_track(t) for t in tracks] if before.placed else []
    members: dict[str, list[int]] = defaultdict(list)
    for i, unit in enumerate(units) if was else ():
        members[unit].append(i)
    number = {name: b for b, name in enumerate(bins)}
    kept, reasons = dict[str, int](), dict[str, str]()
    for unit, own in members.items():
        votes = Counter(number[place] for i in own for place in {place for _, place in was[i]})
        if not votes:
            votes = Counter(number[place] for i in own for place in before.places_of_group(groups[i]))
        if votes:
            kept[unit] = min(votes) if first_of else min(votes, key=lambda b: (-votes[b], b))
        if len(votes) > 1:
            ids, former = [tracks[i].track_id for i in own], {group for i in own for group, _ in was[i]}
            reasons[unit] = _why_joined(unit, sorted(former)) if groups[own[0]] else _why_one(ids)
    placement = place_groups(counts, shares, seed, by_size, kept)
    if fill and kept:
        placement, filled = _fill(counts, placement, kept, bins)
        reasons |= filled
    place_of = {group: bins[b] for group, b in zip(counts.groups, placement.bins.tolist(), strict=True)}
    places = tuple(place_of[unit] for unit in units)
    return Extension(places, counts, placement, _moves(tracks, units, was, places, reasons))


def _moves(
    tracks: Sequence[Track],
    units: Sequence[str],
    was: Sequence[Collection[GroupAndPlace]],
    places: Sequence[str],
    reasons: Mapping[str, str],
) -> tuple[Move, ...]:
    moved: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for t, unit, own, now in zip(tracks, units, was, places, strict=True) if was else ():
        if own and now not in (place for _, place in own):
            moved[unit, min(place for _, place in own), now].append(t.track_id)
    return tuple(
        Move(tuple(ids), place, now, reasons.get(unit, "")) for (unit, place, now), ids in sorted(moved.items())
    )


def _why_joined(unit: str, groups: Sequence[str]) -> str:
    others = [printable(group, WIDTH) for group in groups if group != unit]
    return f"{list_examples(others)} belong{'s' * (len(others) == 1)} to {printable(unit, WIDTH)} now"


def _why_one(track_ids: Sequence[str]) -> str:
    return f"they are one recording: {list_examples([printable(i, WIDTH) for i in track_ids], ' = ')}"


def _fill(
    counts: GroupCounts, placement: Placement, kept: Mapping[str, int], bins: Sequence[str]
) -> tuple[Placement, dict[str, str]]:
    """Move as few as can be into bins that lack a class or all tracks, from where there is more of it.

    New groups are asked first, then those of later bins, which go to an earlier one: in splits those that less was
    learned of. The smallest moves. Returns also the reasons, by the groups that were placed before.
    """
    have = np.hstack([placement.class_counts, placement.sizes[:, None]])
    table = counts.table
    placed, reasons = placement.bins.copy(), dict[str, str]()
    for to, column in np.argwhere(have == 0).tolist():
        if have[to, column]:
            continue  # by the last one that moved
        able = []
        for g in np.flatnonzero(table[:, [column]].toarray()).tolist():
            of, held = table.indices[slice(*table.indptr[g : g + 2])], table.data[slice(*table.indptr[g : g + 2])]
            if (have[placed[g], of] > held).all():  # it would lack nothing where it leaves
                far = abs(int(placed[g]) - to)
                able.append((counts.groups[g] in kept, bool(placed[g] < to), far, int(counts.sizes[g]), g))
        if able:
            *_, g = min(able)
            row = table[[g]].toarray()[0]
            have[placed[g]] -= row
            have[to] += row
            placed[g] = to
            if counts.groups[g] in kept:
                what = f"class {quoted(counts.classes[column])}" if column < len(counts.classes) else "tracks"
                reasons[counts.groups[g]] = f"there would be no {what} in {bins[to]}"
    return Placement(placed, have[:, :-1], have[:, -1]), reasons
