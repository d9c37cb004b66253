"""Report on a data set's splits: the balance of classes, and leaks (what occurs in several splits)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tonearm.core.errors import DatasetError
from tonearm.core.text import printable, quoted
from tonearm.datasets.artist_names import artist_group, may_name_guests, names_by_key, normalised_name
from tonearm.datasets.manifest import SPLITS, Manifest, Split, Track
from tonearm.datasets.nobody_names import is_nobody

EXAMPLES = 3
CLASSES_SHOWN = 10
WIDTH = 60  # of a name in a line
SHOWN_FROM = 5e-4  # a deviation that is seen in a tenth of a per cent


@dataclass(frozen=True)
class Overlap:
    """Things of one sort that occur in two splits or more.

    Attributes
    ----------
    what
        The sort, in the plural: ``"groups"``.
    count
        How many such things.
    tracks
        How many tracks they have, over all splits.
    examples
        The first few, with their tracks by split.
    certain
        Whether it is surely the same music or artist: equal titles may be two works, or two performances of one.
    """

    what: str
    count: int
    tracks: int
    examples: tuple[str, ...] = ()
    certain: bool = True


@dataclass(frozen=True)
class SplitReport:
    """Balance and leaks.

    Attributes
    ----------
    sizes
        Tracks by split.
    without_split
        Tracks that are in none.
    targets
        Target share of each split: the requested one, else that of all tracks.
    counts
        Tracks by class and split; a track with several labels counts for each.
    worst
        The class and split whose share is farthest from its target; None without classes.
    largest_deviation
        Of ``worst``: its share minus its target, -1..1.
    lacking
        Pairs of a class and a split that has no track of it.
    leaks
        What would make test scores too high: groups, artists (the one that is named first), contents, recordings (two
        encodings of one), and, possibly, artists that are named among others, artists of one name in different groups,
        songs (same artist and title), titles of unknown artists. All sorts are listed, those without any with a count
        of 0.
    information
        What is not always a leak: artists all of whose tracks are grouped by something else on purpose (works, say),
        and albums (compilations).
    without_artist
        Tracks in a split whose artist is not known: they are not compared by it.
    """

    name: str
    sizes: Mapping[str, int]
    without_split: int
    targets: Mapping[str, float]
    counts: Mapping[str, Mapping[str, int]]
    worst: tuple[str, str] | None
    largest_deviation: float
    lacking: tuple[tuple[str, str], ...]
    leaks: tuple[Overlap, ...]
    information: tuple[Overlap, ...]
    without_artist: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing leaks, surely or possibly."""
        return not any(leak.count for leak in self.leaks)

    def shares(self, label: str) -> dict[str, float]:
        """Shares of a class's tracks by split, sum 1; all 0 where none of them is in a split."""
        total = sum(self.counts[label].values())
        return {split: n / total if total else 0.0 for split, n in self.counts[label].items()}

    def lines(self) -> list[str]:
        """For people: sizes, the classes that are farthest from their shares, leaks."""
        total = max(1, sum(self.sizes.values()))
        out = [f"{self.name}: " + ", ".join(f"{s} {n} ({n / total:.1%})" for s, n in self.sizes.items())]
        if self.without_split:
            out.append(f"without a split: {self.without_split} tracks")
        if self.worst and abs(self.largest_deviation) < SHOWN_FROM:
            out.append("every class has its share in every split")
        elif self.worst:
            label, split = self.worst
            out.append(
                f"largest deviation: {quoted(label)} has {self.shares(label)[split]:.1%} in {split}, "
                f"wanted {self.targets[split]:.1%}"
            )
        by_deviation = sorted(self.counts, key=lambda label: (-self._deviation(label), label))
        for label in by_deviation[:CLASSES_SHOWN]:
            shares = self.shares(label)
            out.append(
                f"  {printable(label, WIDTH)}: "
                + ", ".join(f"{s} {n} ({shares[s]:.1%})" for s, n in self.counts[label].items())
            )
        if len(by_deviation) > CLASSES_SHOWN:
            out.append(f"  and {len(by_deviation) - CLASSES_SHOWN} classes that deviate less")
        if self.lacking:
            shown = ", ".join(f"{quoted(label)} in {split}" for label, split in self.lacking[:EXAMPLES])
            out.append(f"no track of a class in a split: {len(self.lacking)} times, e.g. {shown}")
        found = [leak for leak in self.leaks if leak.count]
        if not found:
            intended = {overlap.what for overlap in self.information if overlap.count}
            nowhere = ", ".join(leak.what for leak in self.leaks if leak.what not in intended)
            out.append(f"no leak: no {nowhere} in two splits")
        out += [f"{'LEAK' if leak.certain else 'possible leak'}: {_describe(leak)}" for leak in found]
        if self.without_artist:
            out.append(f"not compared by artist: {self.without_artist} track(s) whose artist is not known")
        out += [f"for information: {_describe(overlap)}" for overlap in self.information if overlap.count]
        return out

    def _deviation(self, label: str) -> float:
        return max(abs(share - self.targets[split]) for split, share in self.shares(label).items())


def report_splits(manifest: Manifest, fractions: Mapping[Split, float] | None = None) -> SplitReport:
    """Look at the splits of a data set.

    Parameters
    ----------
    manifest
        Of the data set.
    fractions
        The shares that were asked for; None (published splits) compares each class with all tracks.

    Raises
    ------
    DatasetError
        If no track has a split.
    """
    tracks = [t for t in manifest.tracks if t.split]
    if not tracks:
        raise DatasetError(f"{manifest.name}: none of {len(manifest.tracks)} tracks has a split: split them first")
    sizes = _by_split(tracks)
    targets: dict[str, float] = {s: fractions[s] if fractions else sizes[s] / len(tracks) for s in SPLITS}
    known = _Artists(tracks)
    artists = _sorts_of_artists(tracks, known)
    members: dict[str, list[Track]] = {label: [] for label in manifest.classes}
    for t in tracks:
        for label in t.all_labels:
            members[label].append(t)
    counts = {label: _by_split(of_class) for label, of_class in members.items()}
    deviations = {
        (label, split): n / sum(own.values()) - targets[split]
        for label, own in counts.items()
        for split, n in own.items()
        if sum(own.values())
    }
    worst = max(deviations, key=lambda cell: abs(deviations[cell])) if deviations else None
    return SplitReport(
        name=manifest.name,
        sizes=sizes,
        without_split=len(manifest.tracks) - len(tracks),
        targets=targets,
        counts=counts,
        worst=worst,
        largest_deviation=deviations[worst] if worst else 0.0,
        lacking=tuple((label, s) for label, own in counts.items() for s, n in own.items() if not n),
        leaks=(
            _overlap(tracks, "groups", lambda t: (t.group,)),
            _overlap(tracks, "artists", artists["sure"]),
            _overlap(tracks, "contents", lambda t: (t.content,)),
            _overlap(tracks, "recordings", lambda t: (t.recording,)),
            _overlap(tracks, "artists named among others", artists["among others"], certain=False),
            _overlap(tracks, "artists of one name", artists["possible"], certain=False),
            _overlap(tracks, "songs by artist and title", known.and_title, certain=False),
            _overlap(tracks, "titles of unknown artists", known.title_alone, certain=False),
        ),
        information=(
            _overlap(tracks, "artists", artists["intended"]),
            _overlap(tracks, "albums", lambda t: (normalised_name(t.album),)),
        ),
        without_artist=sum(t.artist in known.nobody and t.group.startswith("track:") for t in tracks),
    )


Key = Callable[[Track], Sequence[str]]
"""What tracks may have in common; "" is none."""


def _overlap(tracks: Sequence[Track], what: str, key: Key, certain: bool = True) -> Overlap:
    """Keys that tracks of two splits share."""
    first: dict[str, Split | None] = {}
    across = {v for t in tracks for v in key(t) if v and first.setdefault(v, t.split) != t.split}
    having: dict[str, list[Track]] = defaultdict(list)
    for t in tracks if across else ():  # lists of what does not occur in two splits would be many
        for value in across.intersection(key(t)):
            having[value].append(t)
    examples = tuple(
        f"{printable(value, WIDTH)}: {', '.join(f'{n} {split}' for split, n in _by_split(own).items() if n)} "
        f"(e.g. {printable(own[0].track_id)})"
        for value, own in ((value, having[value]) for value in sorted(across)[:EXAMPLES])
    )
    return Overlap(what, len(across), sum(map(len, having.values())), examples, certain)


class _Artists:
    """What is known of each artist, looked up once: a large collection has more than caches hold."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        artists = {t.artist for t in tracks}
        self.nobody = {artist for artist in artists if is_nobody(artist)}
        self.names = {artist: names_by_key(artist) for artist in artists}
        self.first = {artist: tuple(names)[:1] for artist, names in self.names.items()}  # a title's guest is none
        self.known = {key for names in self.names.values() for key in names}
        self.groups = {artist_group(artist) for artist in artists}

    def all(self, track: Track) -> Mapping[str, str]:
        """All that are named, guests in the title, too: a spelling of each by its key."""
        if may_name_guests(track.title):
            return names_by_key(track.artist, title=track.title, known=self.known)
        return self.names[track.artist]

    def and_title(self, track: Track) -> Sequence[str]:
        title = "" if track.artist in self.nobody else normalised_name(track.title)
        return (f"{normalised_name(track.artist)}: {title}",) if title else ()

    def title_alone(self, track: Track) -> Sequence[str]:
        return (normalised_name(track.title),) if track.artist in self.nobody else ()


def _sorts_of_artists(tracks: Sequence[Track], artists: _Artists) -> dict[str, Key]:
    """Keys of those whose occurrence in two splits is a sure leak, a possible one, or intended; others get "".

    It is intended where groups are something else (works), and a sure leak where they are artists or were dissolved.
    Groups by artists' ids may be of two artists of one name. Those that are named among others (guests, or parts of a
    band's name) are possible leaks, but for those that leak by themselves.
    """
    shown = dict[str, str]()  # one spelling of each key
    for t in reversed(tracks):
        shown |= artists.all(t)
    kinds: dict[str, set[str]] = defaultdict(set)
    splits: dict[str, set[str | None]] = defaultdict(set)
    for t in tracks:
        by_artist = t.group in artists.groups or t.group.startswith("track:")
        kind = "sure" if by_artist else "possible" if t.group.startswith("artist:") else "intended"
        for first in artists.first[t.artist]:
            kinds[first].add(kind)
            splits[first].add(t.split)
    sort = {name: next(k for k in ("sure", "possible", "intended") if k in own) for name, own in kinds.items()}

    def key_of(leak: str) -> Key:
        own = {a: [shown[key] for key in first if sort[key] == leak] for a, first in artists.first.items()}
        return lambda t: own[t.artist]

    def among_others(t: Track) -> list[str]:
        if not t.group.startswith(("artist:", "track:")):
            return []
        return [shown[key] for key in artists.all(t) if len(splits[key]) < 2]

    return {**{leak: key_of(leak) for leak in ("sure", "possible", "intended")}, "among others": among_others}


def _by_split(tracks: Sequence[Track]) -> dict[str, int]:
    counts = Counter(t.split for t in tracks)
    return {split: counts[split] for split in SPLITS}


def _describe(overlap: Overlap) -> str:
    return f"{overlap.count} {overlap.what} in two splits ({overlap.tracks} tracks), e.g. {'; '.join(overlap.examples)}"
