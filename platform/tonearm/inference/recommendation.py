"""What a model recommends, each with its reasons: as a table, as data, and as a picture."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tonearm.core.errors import AudioError, ConfigError, TonearmError
from tonearm.core.text import format_table
from tonearm.recommend.library import ID
from tonearm.recommend.neighbours import Neighbour
from tonearm.recommend.rank import Shift
from tonearm.recommend.reasons import Reasons, WindowMatch

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from tonearm.inference.alike import Heard
    from tonearm.inference.classification import Classification

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recommended:
    """A track that is recommended.

    Attributes
    ----------
    track
        What is known of it.
    similarity
        Cosine to what was asked for, -1..1; of a taste to the nearest that is liked.
    rank, rank_before
        From 1: where it stands, and where it would without sliders and diversity.
    shifts
        What each slider has to do with it.
    reasons
        What it shares with the seeds, and what not.
    """

    track: dict[str, Any]
    similarity: float
    rank: int
    rank_before: int
    shifts: tuple[Shift, ...]
    reasons: Reasons

    @property
    def because(self) -> str:
        """In a sentence: how sliders have moved it, and what it shares."""
        moved = [
            f"{s.name.replace('_', ' ')} {s.value:.4g}, the seeds' {s.seed:.4g}"
            for s in self.shifts if s.value is not None and s.seed is not None
        ]  # fmt: skip
        before = f"from place {self.rank_before}" if self.rank_before != self.rank and self.shifts else ""
        return "; ".join(part for part in (before, *moved, self.reasons.sentence) if part)


@dataclass(frozen=True)
class Pair:
    """A result and its seed, as a network hears them, and their windows that are most alike."""

    seed: Heard
    result: Heard
    seed_name: str
    match: WindowMatch


@dataclass(frozen=True, repr=False)
class Recommendation:
    """An answer; it prints as a table.

    Attributes
    ----------
    results
        In their order.
    notes
        What a person should know of it.
    classification
        What the recording is that it was asked with; None without one.
    """

    results: tuple[Recommended, ...]
    notes: tuple[str, ...] = ()
    classification: Classification | None = None
    _pair: Callable[[int], Pair] | None = field(default=None, compare=False)

    @property
    def neighbours(self) -> list[Neighbour]:
        """Similarities and tracks alone."""
        return [Neighbour(r.similarity, r.track) for r in self.results]

    @property
    def table(self) -> pd.DataFrame:
        """A row a result: its similarity, why, and what is known of it."""
        import pandas as pd

        return pd.DataFrame([
            {"similarity": r.similarity, "because": r.because, "rank_before": r.rank_before, **r.track}
            for r in self.results
        ])  # fmt: skip

    def to_dict(self, windows: bool = False) -> dict[str, Any]:
        """As JSON types: ``neighbours`` and ``notes``; with the windows of each that are most alike, if they are wanted
        and the track can still be heard."""
        rows = []
        for i, r in enumerate(self.results):
            row = {"similarity": r.similarity, "rank": r.rank, "rank_before": r.rank_before, "because": r.because}
            row |= {"shifts": _plain(r.shifts), "reasons": _plain(r.reasons)}
            rows.append({**r.track, **row, "match": self._match_of(i) if windows else None})
        return {"neighbours": rows, "notes": list(self.notes)}

    def _match_of(self, i: int) -> dict[str, float] | None:
        try:
            return dataclasses.asdict(self.match(i))
        except AudioError:
            return None
        except TonearmError as error:  # a damaged store, say: the list is right without it
            logger.error("the windows of result %d cannot be told: %s", i, error)
            return None

    def match(self, i: int) -> WindowMatch:
        """The two windows of the i-th result (from 0) and of its seed that are most alike; heard when it is asked for.

        Raises
        ------
        AudioError
            If one of the two has neither stored features nor audio any more.
        ConfigError
            If there is no such result.
        """
        return self._heard(i).match

    def figure(self, i: int = 0) -> Figure:
        """The i-th result and its seed as spectrograms, with the windows that are most alike marked.

        Raises are those of :meth:`match`.
        """
        from tonearm.inference.recommendation_picture import pair_plot

        pair, result = self._heard(i), self.results[i]
        return pair_plot(pair, name_of(result.track), f"{result.similarity:.3f}; {result.because}")

    def _heard(self, i: int) -> Pair:
        if self._pair is None or not 0 <= i < len(self.results):
            raise ConfigError(f"there is no result {i}: there are {len(self.results)}, from 0 on")
        return self._pair(i)

    def __repr__(self) -> str:
        rows: list[tuple[str, ...]] = [("similarity", "track", "artist", "because")]
        rows += [
            (f"{r.similarity:.3f}", name_of(r.track), str(r.track.get("artist") or ""), r.because) for r in self.results
        ]
        return "\n".join([format_table(rows), *(f"  note: {note}" for note in self.notes)])


@dataclass(frozen=True)
class WayStep:
    """A track on the way from one to another; ``progress`` and ``distance`` as :class:`Step` has them."""

    track: dict[str, Any]
    progress: float
    distance: float


@dataclass(frozen=True, repr=False)
class Way:
    """The tracks from one to another, both included; it prints as a table."""

    steps: tuple[WayStep, ...]

    def to_list(self) -> list[dict[str, Any]]:
        """As JSON types, a step each."""
        return [{**s.track, "progress": s.progress, "distance": s.distance} for s in self.steps]

    def __repr__(self) -> str:
        rows: list[tuple[str, ...]] = [("way", "track", "artist", "label")]
        for s in self.steps:
            known = (s.track.get("artist"), s.track.get("label"))
            rows.append((f"{s.progress:.2f}", name_of(s.track), *(str(value or "") for value in known)))
        return format_table(rows)


def _plain(value: Any) -> Any:
    """Data classes as dictionaries, and tuples as lists, without the copies of what they hold that ``asdict`` makes."""
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return [_plain(own) for own in value] if isinstance(value, tuple) else value


def name_of(track: Mapping[str, Any]) -> str:
    """What a person calls a track."""
    return str(track.get("title") or track[ID])
