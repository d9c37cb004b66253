"""Collaborative factors of artists from play counts: what a network then learns to predict from audio.

tonearm factors --plays ~/hetrec2011-lastfm-2k --out factors.parquet
tonearm train --recipe temporal_pooling --data ~/Music --facts factors.parquet
"""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.common import cli_errors, require_folder
from tonearm.core.threads import limit_threads
from tonearm.workflows.preflight import preflight


def main(
    plays: Annotated[str, typer.Option(help="folder with user_artists.dat and artists.dat (HetRec 2011, Last.fm)")],
    out: Annotated[str, typer.Option(help="where to write the artists' factors: Parquet")] = "",
    dim: Annotated[int, typer.Option(min=1, help="factors; Dieleman 2014 took 40")] = 40,
    alpha: Annotated[float, typer.Option(help="how much more a play counts than none")] = 3.0,
    regularization: Annotated[float, typer.Option(help="L2 penalty")] = 60.0,
    iterations: Annotated[int, typer.Option(min=1, help="of alternating least squares")] = 15,
    k: Annotated[int, typer.Option(min=1, help="artists that are recommended in the check")] = 20,
    share: Annotated[float, typer.Option(help="of each user's artists that are held out for the check")] = 0.2,
    seed: Annotated[int, typer.Option(help="of the first factors and of what is held out")] = 0,
) -> None:
    """Fit factors by implicit feedback, check them on held-out plays beside popularity, then fit them on all plays."""
    with cli_errors():
        require_folder("--plays", plays)
        preflight(tracks=False)
        limit_threads(1)
        from tonearm.workflows.factors import fit_artist_factors

        print(fit_artist_factors(plays, out, dim, alpha, regularization, iterations, k, share, seed))


if __name__ == "__main__":
    typer.run(main)
