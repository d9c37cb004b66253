"""A model's neighbours beside other ways to recommend, artists apart: what do they find, and never show?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tonearm.core.errors import ConfigError
from tonearm.core.seeding import derive_seed
from tonearm.core.text import format_table
from tonearm.core.types import FloatArray
from tonearm.recommend.attributes import texts
from tonearm.recommend.filters import RECORDING
from tonearm.recommend.library import Library
from tonearm.recommend.lists import ListQuality, Lists, score_lists
from tonearm.recommend.systems import at_random, described, most_popular, nearest, nearest_vectors, same_value

QUERIES = 2000  # at most; of larger libraries a sample
COLUMNS = ("recall", "nDCG", "hit rate", "cosine", "never shown", "Gini", "diversity", "novelty")


@dataclass(frozen=True, repr=False)
class Contest:
    """How good the lists of several systems are for the same queries.

    Attributes
    ----------
    by
        What is right: to have it in common with the query.
    k
        Length of the lists.
    queries, rows
        How many were asked, and how many could be recommended.
    systems
        By name, the model first.
    sought
        What the lists are of, if not ``k`` rows that have ``by`` in common with the query.
    note
        A sentence that is to be read with the figures.
    """

    by: str
    k: int
    queries: int
    rows: int
    systems: Mapping[str, ListQuality]
    sought: str = ""
    note: str = ""

    def metrics(self) -> dict[str, float]:
        """Numbers by name, as they are logged: ``recommend/label/model/recall`` and so on."""
        found: dict[str, float] = {}
        for name, q in self.systems.items():
            values = {"recall": q.recall.value, "ndcg": q.ndcg.value, "hit_rate": q.hit_rate.value, "cosine": q.cosine,
                      "coverage": q.coverage, "gini": q.gini, "diversity": q.diversity}  # fmt: skip
            values |= {} if q.novelty is None else {"novelty": q.novelty}
            found |= {f"recommend/{self.by}/{name.replace(' ', '_')}/{key}": v for key, v in values.items()}
        return found

    def cells(self) -> list[tuple[str, ...]]:
        """Of each system its name and its figures as text, in the order of :data:`COLUMNS`."""
        rows: list[tuple[str, ...]] = []
        for name, q in self.systems.items():
            bits = "" if q.novelty is None else f"{q.novelty:.1f}"
            rows.append((name, str(q.recall), str(q.ndcg), str(q.hit_rate), f"{q.cosine:.3f}", f"{q.never:.3f}",
                         f"{q.gini:.3f}", f"{q.diversity:.3f}", bits))  # fmt: skip
        return rows

    def __repr__(self) -> str:
        rows = [(self.sought or f"{self.k} of the same {self.by}", *COLUMNS), *self.cells()]
        note = f"\n  ({self.note})" if self.note else ""
        return f"  {self.queries} queries in {self.rows} rows, artists apart [95 %]:\n{format_table(rows)}{note}"


@dataclass(frozen=True)
class Apart:
    """Which rows may be recommended for which: no row for itself, its artists' other rows, or its recording's.

    Attributes
    ----------
    rows
        How many there are.
    sharing
        Of each row those that it may not be asked for with, itself included.
    """

    rows: int
    sharing: Sequence[npt.NDArray[np.int64]] = field(repr=False)

    @classmethod
    def of(cls, library: Library) -> Apart:
        """By the columns ``artist`` and ``recording``."""
        sharing: list[set[int]] = [{row} for row in range(len(library))]
        for name in ("artist", RECORDING):
            column = library.column(name)
            members: dict[str, list[int]] = defaultdict(list)
            own = [()] * len(library) if column is None else [texts(cell) for cell in column]
            for row, found in enumerate(own):
                for text in found:
                    members[text].append(row)
            for row, found in enumerate(own):
                sharing[row].update(other for text in found for other in members[text])
        return cls(len(library), [np.array(sorted(rows)) for rows in sharing])

    def __call__(self, row: int) -> npt.NDArray[np.bool_]:
        mask = np.ones(self.rows, dtype=bool)
        mask[self.sharing[row]] = False
        return mask


def hold_contest(
    library: Library, by: str = "label", k: int = 10, listeners: npt.NDArray[np.float64] | None = None, seed: int = 0,
    others: Mapping[str, FloatArray] | None = None, judged: Collection[int] | None = None,
) -> Contest:  # fmt: skip
    """Recommend ``k`` rows for each row by its neighbours, and by other ways; score them all.

    Parameters
    ----------
    by
        The column that says what is right: rows of the same value, which are not by the same artist.
    listeners
        (rows,), the share of listeners that know each; None if nobody's plays are known: then there is neither
        popularity nor novelty.
    others
        Further spaces by name, (rows, dim) each, whose neighbours by cosine are compared, e.g. factors.
    judged
        The rows by which what is found is judged, such as those that the model did not learn from; None: all. What of
        the catalogue is shown is that of all rows' lists.

    Raises
    ------
    ConfigError
        If fewer than two artists can be asked for, or ``k`` is not below the number of rows.
    """
    if not 1 <= k < len(library):
        raise ConfigError(f"k is {k}: a row of {len(library)} has 1 to {len(library) - 1} others")
    column = library.column(by)
    if column is None:
        raise ConfigError(f"no row says its {by}: the rows have {', '.join(library.names())}")
    allowed, values = Apart.of(library), [set(texts(cell)) for cell in column]
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, found in enumerate(values):
        for text in found:
            rows_of[text].append(row)
    right = [frozenset(r for text in found for r in rows_of[text]) - set(apart.tolist())
             for found, apart in zip(values, allowed.sharing, strict=True)]  # fmt: skip
    asked = np.array([row for row, own in enumerate(right) if own], dtype=np.int64)
    if len(asked) > QUERIES:
        rng = np.random.default_rng(derive_seed("queries of a contest", seed))
        first = asked[np.isin(asked, list(judged or ()))]
        rest = np.setdiff1d(asked, first)
        asked = np.sort(np.concatenate([rng.permutation(first), rng.permutation(rest)])[:QUERIES])
    groups = [str(allowed.sharing[row][0]) for row in asked]
    counted = np.isin(asked, list(range(len(library)) if judged is None else judged))
    if len({group for group, counts in zip(groups, counted, strict=True) if counts}) < 2:
        raise ConfigError(
            f"{int(counted.sum())} rows have others of their {by} by other artists: nothing can be measured"
        )
    lists: dict[str, Lists] = {"model": nearest(library, asked, allowed, k)}
    descriptors = described(library)
    if descriptors is not None:
        lists["descriptors"] = nearest_vectors(descriptors, asked, allowed, k)
    lists |= {name: nearest_vectors(vectors, asked, allowed, k) for name, vectors in (others or {}).items()}
    labels = library.column("label")
    if by != "label" and labels is not None:
        lists["same label"] = same_value(labels, asked, allowed, k, seed)
    if listeners is not None:
        lists["popularity"] = most_popular(listeners, asked, allowed, k)
    lists["random"] = at_random(asked, len(library), allowed, k, seed)
    space, relevant = library.vectors(np.arange(len(library))), [right[row] for row in asked]
    systems = {
        name: score_lists(own, asked, relevant, space, groups, listeners, seed, judged=counted)
        for name, own in lists.items()
    }
    return Contest(by, k, int(counted.sum()), len(library), systems)
