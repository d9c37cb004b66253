"""Collaborative factors of artists from play counts: what a network then learns to predict from audio.

python -m jobs.factors --plays ~/hetrec2011-lastfm-2k --out factors.parquet
python -m jobs.train --recipe temporal_pooling --data ~/Music --facts factors.parquet
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import numpy as np
import typer

from jobs.common import cli_errors
from tonearm.core import storage
from tonearm.core.text import format_table
from tonearm.core.threads import limit_threads
from tonearm.core.types import FloatArray
from tonearm.datasets.metadata import Metadata, save_metadata
from tonearm.recommend.factors import FactorEvaluation, Ranking, evaluate_factors, fit_factors
from tonearm.recommend.plays import Plays, hold_out, load_plays


def describe(found: FactorEvaluation, k: int) -> str:
    """The rankings beside each other, for a person."""
    head = ("held-out artists found", f"recall@{k} [95 %]", f"NDCG@{k} [95 %]", f"MAP@{k} [95 %]")
    rows: list[tuple[str, ...]] = [head]

    def row(name: str, ranking: Ranking) -> tuple[str, ...]:
        return name, str(ranking.recall), str(ranking.ndcg), str(ranking.average_precision)

    rows += [row("factors", found.factors), row("popularity", found.popularity), row("chance", found.chance)]
    return format_table(rows) + f"\n  NDCG gained over popularity, by user: {found.gain}"


def by_name(plays: Plays, vectors: FloatArray) -> tuple[list[str], np.ndarray]:
    """Names and vectors, float64; of artists that share a name the most played one counts."""
    played = np.asarray(plays.counts.sum(axis=0)).ravel()
    row: dict[str, int] = {}
    for i in np.argsort(-played, kind="stable").tolist():
        row.setdefault(plays.artists[i], i)
    names = sorted(row)
    return names, np.asarray(vectors, dtype=np.float64)[[row[name] for name in names]]


def main(
    plays: Annotated[str, typer.Option(help="folder with user_artists.dat and artists.dat (HetRec 2011, Last.fm)")],
    out: Annotated[str, typer.Option(help="where to write the artists' factors: Parquet")] = "",
    dim: Annotated[int, typer.Option(help="factors; Dieleman 2014 took 40")] = 40,
    alpha: Annotated[float, typer.Option(help="how much more a play counts than none")] = 3.0,
    regularization: Annotated[float, typer.Option(help="L2 penalty")] = 60.0,
    iterations: Annotated[int, typer.Option(help="of alternating least squares")] = 15,
    k: Annotated[int, typer.Option(help="artists that are recommended in the check")] = 20,
    share: Annotated[float, typer.Option(help="of each user's artists that are held out for the check")] = 0.2,
    seed: Annotated[int, typer.Option(help="of the first factors and of what is held out")] = 0,
) -> None:
    """Fit factors by implicit feedback, check them on held-out plays beside popularity, then fit them on all plays."""
    with cli_errors():
        limit_threads(1)
        found = load_plays(plays)
        users, artists = found.counts.shape
        print(f"{users} users, {artists} artists, {found.counts.nnz} pairs")
        settings = {"dim": dim, "alpha": alpha, "regularization": regularization, "iterations": iterations}
        kept, held = hold_out(found.counts, share, seed)
        started = time.monotonic()
        factors = fit_factors(kept, seed=seed, **settings)  # type: ignore[arg-type]
        print(f"  fitted on {100 * (1 - share):.0f} % of each user's artists in {time.monotonic() - started:.1f} s")
        judged = evaluate_factors(factors, kept, held, k=k, seed=seed)
        print(describe(judged, k))
        if out:
            whole = fit_factors(found.counts, seed=seed, **settings)  # type: ignore[arg-type]
            names, vectors = by_name(found, whole.artists)
            save_metadata(out, Metadata(names, {"factors": vectors}))
            storage.write_json(f"{out}.json", {**settings, "seed": seed, "evaluation": asdict(judged)})
            if len(names) < artists:
                print(f"  {artists - len(names)} artists share a name with another: the more played one counts")
            print(f"  factors of {len(names)} artists, fitted on all plays: {out}")


if __name__ == "__main__":
    typer.run(main)
