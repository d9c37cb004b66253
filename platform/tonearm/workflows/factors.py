"""Collaborative factors of artists from play counts, checked on held-out plays and written as metadata."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass

import numpy as np

from tonearm.core import storage
from tonearm.core.text import format_table
from tonearm.core.types import FloatArray
from tonearm.datasets.metadata import Metadata, save_metadata
from tonearm.recommend.factors import FactorEvaluation, Ranking, evaluate_factors, fit_factors
from tonearm.recommend.plays import Plays, hold_out, load_plays

logger = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class ArtistFactors:
    """Factors of artists and how well they recommend.

    Attributes
    ----------
    names
        The artists, sorted; of several with one name the most played one.
    vectors
        float64 (artists, dim), fitted on all plays.
    evaluation
        On held-out plays, of factors that were fitted on the others.
    k
        Artists that were recommended in it.
    without_own
        How many artists share a name with a more played one.
    out
        Where the factors were written; "" if nowhere.
    """

    names: list[str]
    vectors: np.ndarray
    evaluation: FactorEvaluation
    k: int
    without_own: int
    out: str = ""

    def describe(self) -> str:
        """The rankings beside each other, and where the factors are."""
        found, k = self.evaluation, self.k

        def row(name: str, ranking: Ranking) -> tuple[str, ...]:
            return name, str(ranking.recall), str(ranking.ndcg), str(ranking.average_precision)

        lines = [
            format_table([
                ("held-out artists found", f"recall@{k} [95 %]", f"NDCG@{k} [95 %]", f"MAP@{k} [95 %]"),
                row("factors", found.factors), row("popularity", found.popularity), row("chance", found.chance),
            ]),
            f"  NDCG gained over popularity, by user: {found.gain}",
        ]  # fmt: skip
        if self.out and self.without_own:
            lines.append(f"  {self.without_own} artists share a name with another: the more played one counts")
        if self.out:
            lines.append(f"  factors of {len(self.names)} artists, fitted on all plays: {self.out}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.describe()


def fit_artist_factors(
    plays: str, out: str = "", dim: int = 40, alpha: float = 3.0, regularization: float = 60.0, iterations: int = 15,
    k: int = 20, share: float = 0.2, seed: int = 0,
) -> ArtistFactors:  # fmt: skip
    """Fit factors by implicit feedback, check them on held-out plays beside popularity, then fit them on all plays.

    Parameters
    ----------
    plays
        Folder with ``user_artists.dat`` and ``artists.dat`` (HetRec 2011, Last.fm).
    out
        Where to write the factors as a metadata table, Parquet, with ``OUT.json`` beside it; "": nowhere.
    dim, alpha, regularization, iterations
        As in :func:`tonearm.recommend.factors.fit_factors`.
    k
        Artists that are recommended in the check.
    share
        Of each user's artists that are held out for it, between 0 and 1.
    seed
        Of the first factors and of what is held out.

    Raises
    ------
    DatasetError
        If the files cannot be read.
    ConfigError
        For values that cannot work.
    """
    found = load_plays(plays)
    users, artists = found.counts.shape
    logger.info("%d users, %d artists, %d pairs", users, artists, found.counts.nnz)
    settings = {"dim": dim, "alpha": alpha, "regularization": regularization, "iterations": iterations}
    kept, held = hold_out(found.counts, share, seed)
    started = time.monotonic()
    factors = fit_factors(kept, seed=seed, **settings)  # type: ignore[arg-type]
    logger.info("  fitted on %.0f %% of each user's artists in %.1f s", 100 * (1 - share), time.monotonic() - started)
    evaluation = evaluate_factors(factors, kept, held, k=k, seed=seed)
    whole = fit_factors(found.counts, seed=seed, **settings)  # type: ignore[arg-type]
    names, vectors = by_name(found, whole.artists)
    if out:
        save_metadata(out, Metadata(names, {"factors": vectors}))
        storage.write_json(f"{out}.json", {**settings, "seed": seed, "evaluation": asdict(evaluation)})
    return ArtistFactors(names, vectors, evaluation, k, artists - len(names), out)


def by_name(plays: Plays, vectors: FloatArray) -> tuple[list[str], np.ndarray]:
    """Names and vectors, float64; of artists that share a name the most played one counts."""
    played = np.asarray(plays.counts.sum(axis=0)).ravel()
    row: dict[str, int] = {}
    for i in np.argsort(-played, kind="stable").tolist():
        row.setdefault(plays.artists[i], i)
    names = sorted(row)
    return names, np.asarray(vectors, dtype=np.float64)[[row[name] for name in names]]
