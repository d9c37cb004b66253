"""What play counts say of a data set's tracks, by the names of their artists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tonearm.core.errors import ConfigError
from tonearm.core.text import slug
from tonearm.core.types import FloatArray
from tonearm.recommend.factors import fit_factors
from tonearm.recommend.plays import load_plays
from tonearm.workflows.factors import by_name

FACTORS = {"dim": 40, "alpha": 3.0, "regularization": 60.0}  # as tonearm factors has them


def plays_of_artists(folder: str, artists: Sequence[str]) -> tuple[np.ndarray, FloatArray, int]:
    """The share of listeners that know each track's artist, the artist's collaborative factors (ALS), and how many
    tracks have an artist whom anybody played.

    Parameters
    ----------
    folder
        With ``user_artists.dat`` and ``artists.dat``, as ``tonearm factors`` takes it.
    artists
        Of each track the name of its artist; "" where it is not known. Case and marks do not count.

    Returns
    -------
    float64 (tracks,), 0..1; float32 (tracks, dim), zeros of an artist whom nobody played; and the number.

    Raises
    ------
    DatasetError
        If the files cannot be read.
    ConfigError
        If no artist is among those that were played.
    """
    plays = load_plays(folder)
    listeners = np.asarray((plays.counts > 0).mean(axis=0)).ravel()
    factors = fit_factors(plays.counts, **FACTORS).artists  # type: ignore[arg-type]
    names, values = by_name(plays, np.column_stack([listeners, factors]))
    row_of = {slug(name): i for i, name in enumerate(names)}
    rows = np.array([row_of.get(slug(artist), -1) if artist else -1 for artist in artists])
    known = int((rows >= 0).sum())
    if not known:
        raise ConfigError(f"none of the data set's artists is among the {len(names)} that were played in {folder}")
    found = np.where((rows >= 0)[:, None], values[rows], 0.0)
    return found[:, 0], found[:, 1:].astype(np.float32), known


def played_rows(folder: str, artists: Sequence[str]) -> tuple[np.ndarray, np.ndarray, FloatArray]:
    """The tracks whose artists anybody played: of others plays say nothing, and an order among them would be that of
    the rows.

    Returns
    -------
    Their places; and of them the share of listeners and the factors, as :func:`plays_of_artists` has them.
    """
    listeners, factors, _ = plays_of_artists(folder, artists)
    places = np.flatnonzero(listeners > 0)
    return places, listeners[places], factors[places]
