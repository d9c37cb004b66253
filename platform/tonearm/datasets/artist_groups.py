"""Groups of tracks that share an artist, however the artists are written."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from tonearm.core.text import list_examples, quoted
from tonearm.datasets.artist_names import names_by_key
from tonearm.datasets.balance import join_groups
from tonearm.datasets.cells import is_unknown
from tonearm.datasets.manifest import Track
from tonearm.datasets.nobody_names import is_nobody

CHAIN_SHARE = 0.1
"""A group of more than this share of the tracks hardly fits in one of the small splits."""
CHAIN_ARTISTS = 10
"""With more first-named artists than this a group is a chain of guests, not the circle of an artist."""


def group_by_artist(tracks: Sequence[Track], also: Mapping[str, str]) -> tuple[list[Track], list[str]]:
    """Join the groups of tracks that name one artist, alone or among others (``feat.``, ``&``, ``;``, ``/``), by the
    artist, the album's artist or as a guest in the title; spellings of one name are one.

    A group that would chain much of a collection together by its guests is joined without those in titles or, where
    that does not do, by the first-named artists alone, with a note.

    Parameters
    ----------
    tracks
        Those whose group is an artist are joined; the others stay as they are.
    also
        Album artists by track id.

    Returns
    -------
    The tracks, in their order, their group the first name of those that were joined; and notes, also on tracks whose
    artist is nobody (``Unknown Artist``, ``Various Artists``) and which are their own group.
    """
    of_artists = [t for t in tracks if t.group.startswith("artist:")]
    ids, groups = [t.track_id for t in of_artists], [t.group for t in of_artists]
    stated = {t.track_id: list(names_by_key(t.artist, also.get(t.track_id))) for t in of_artists}
    known = {key for own in stated.values() for key in own}
    names = {t.track_id: list(names_by_key(t.artist, also.get(t.track_id), t.title, known)) for t in of_artists}
    joined = join_groups(ids, groups, _sharing(names))
    notes = _nobody_notes(tracks)
    most, told = max(Counter(joined).values(), default=0), ""
    for fewer, by in (
        (stated, "the artists that are no guests in a title"),
        ({i: own[:1] for i, own in stated.items()}, "the artist that is named first"),
    ):
        if chains := _chains(dict(zip(ids, joined, strict=True)), names):
            names = {i: fewer[i] if group in chains else names[i] for i, group in zip(names, joined, strict=True)}
            joined = join_groups(ids, groups, _sharing(names))
            told = (
                f"guests tie {most} of {len(ids)} tracks together ({most / len(ids):.0%}): these are grouped by {by}, "
                f"the largest group then has {max(Counter(joined).values())}; a guest may be in two splits"
            )
    notes += [told] if told else []
    group_of = dict(zip(ids, joined, strict=True))
    return [dataclasses.replace(t, group=group_of.get(t.track_id, t.group)) for t in tracks], notes


def _sharing(names: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Lists of the tracks that share a name."""
    having: dict[str, list[str]] = defaultdict(list)
    for i, own in names.items():
        for name in own:
            having[name].append(i)
    return list(having.values())


def _chains(group_of: Mapping[str, str], names: Mapping[str, Sequence[str]]) -> set[str]:
    """Groups that are too large to be placed and hold many artists."""
    large = {group for group, n in Counter(group_of.values()).items() if n > CHAIN_SHARE * len(group_of)}
    first: dict[str, set[str]] = defaultdict(set)
    for i, group in group_of.items():
        if group in large:
            first[group].update(names[i][:1])
    return {group for group, own in first.items() if len(own) > CHAIN_ARTISTS}


def _nobody_notes(tracks: Sequence[Track]) -> list[str]:
    """How many tracks have an artist's name that is nobody's; those without any are no news."""
    said = Counter(t.artist for t in tracks if t.artist and not is_unknown(t.artist) and is_nobody(t.artist))
    alone = sum(t.group.startswith("track:") for t in tracks if t.artist in said)
    if not said:
        return []
    shown = list_examples([f"{quoted(name)} ({n})" for name, n in said.most_common()])
    return [f"{said.total()} track(s) are by nobody in particular, {shown}: {alone} of them are each its own group"]
