"""A way from one track to another: each step a track of its own, each further on than the one before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tonearm.core.errors import ConfigError
from tonearm.core.types import FloatArray
from tonearm.recommend.attributes import texts
from tonearm.recommend.filters import RECORDING
from tonearm.recommend.library import Library

CANDIDATES = 64  # nearest of each point between the two, of which the way is made; more if it takes more
SMALLEST_ANGLE = 1e-3  # radians: two vectors that are nearer are one recording


@dataclass(frozen=True)
class Step:
    """A track on the way.

    Attributes
    ----------
    place
        Its row.
    progress
        How far on the way it lies, 0 (at the first track) to 1 (at the last).
    distance
        Radians, >= 0: how far it lies from the point between the two that it stands for.
    """

    place: int
    progress: float
    distance: float


def interpolate(a: FloatArray, b: FloatArray, n: int) -> FloatArray:
    """``n`` points between two unit vectors, evenly spread on the great circle through both: float32 (n, dim).

    Spherical linear interpolation: Shoemake 1985, *Animating Rotation with Quaternion Curves*.

    Raises
    ------
    ConfigError
        If the two are the same or opposite directions, between which there is no one way.
    """
    angle, across = _plane(a, b)
    turns = angle * np.arange(1, n + 1) / (n + 1)
    points: FloatArray = (np.cos(turns)[:, None] * a + np.sin(turns)[:, None] * across).astype(np.float32)
    return points


def progress_of(vectors: FloatArray, a: FloatArray, b: FloatArray) -> npt.NDArray[np.float64]:
    """How far vectors lie on the way from ``a`` to ``b``: the angle at which they are seen in the plane of both, as a
    share of the angle between the two; 0 at ``a``, 1 at ``b``, float64 (n,)."""
    angle, across = _plane(a, b)
    turned: npt.NDArray[np.float64] = np.arctan2(vectors @ across, vectors @ a.astype(np.float64)) / angle
    return turned


def _plane(a: FloatArray, b: FloatArray) -> tuple[float, npt.NDArray[np.float64]]:
    """The angle between two unit vectors, and the unit vector across the first one in their plane."""
    first, last = a.astype(np.float64), b.astype(np.float64)
    across = last - (first @ last) * first
    length = float(np.linalg.norm(across))
    angle = float(np.arctan2(length, first @ last))
    if not SMALLEST_ANGLE < angle < np.pi - SMALLEST_ANGLE:
        raise ConfigError(
            f"the two lie {np.degrees(angle):.2f} degrees apart, so there is no one way between them: take two others"
        )
    return angle, across / length


def find_path(library: Library, a: int, b: int, n: int, allowed: npt.NDArray[np.bool_] | None = None) -> list[Step]:
    """The way from one track to another by ``n`` others: those whose angles to ``n`` evenly spread points between the
    two have the least sum, of all ways on which each step is further on than the one before.

    No track and no recording occurs twice. The steps are chosen among the :data:`CANDIDATES` nearest tracks of each
    point, or more where these do not suffice.

    Parameters
    ----------
    a, b
        Rows of the two, which are no part of the answer.
    n
        Tracks between them.
    allowed
        Which rows may be stepped on.

    Raises
    ------
    ConfigError
        If the two are one, or too few tracks lie between them.
    """
    if n < 1:
        raise ConfigError(f"n is {n}: how many tracks there shall be between the two, at least 1")
    if a == b:
        raise ConfigError("the way begins and ends with one track: choose two")
    start, end = library.vectors(np.array([a, b]))
    points = interpolate(start, end, n)
    mask = np.ones(len(library), dtype=bool) if allowed is None else allowed.copy()
    mask[[a, b]] = False
    count, steps = max(CANDIDATES, 2 * n), None
    while steps is None:
        found = {hit.place for point in points for hit in library.search(point, count, mask)}
        places = np.array(sorted(found), dtype=np.int64)
        steps = _shortest(library, places, points, start, end, (a, b))
        if steps is None and count >= len(library):
            between = len(_candidates(library, places, points, start, end, (a, b))[0])
            raise ConfigError(
                f"{between} tracks lie between the two, and {n} were asked for: take fewer, or others to go between"
            )
        count *= 4
    return steps


def _candidates(
    library: Library, places: npt.NDArray[np.int64], points: FloatArray, start: FloatArray, end: FloatArray,
    ends: tuple[int, int],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:  # fmt: skip
    """Those that lie between the two, in the order of their progress, with it and their angles (candidates, points).

    Of a recording in several forms the one that is nearest to a point; none that is the recording of an end.
    """
    if not len(places):
        return places, np.empty(0), np.empty((0, len(points)))
    vectors = library.vectors(places)
    progress = progress_of(vectors, start, end)
    angles = np.arccos(np.clip(vectors.astype(np.float64) @ points.T.astype(np.float64), -1, 1))
    column = library.column(RECORDING)
    taken = set() if column is None else {text for e in ends for text in texts(column[e])}
    kept = []
    for i in np.argsort(angles.min(axis=1), kind="stable"):
        same = () if column is None else texts(column[places[i]])
        if 0 < progress[i] < 1 and taken.isdisjoint(same):
            taken.update(same)
            kept.append(i)
    order = np.array(sorted(kept, key=lambda i: (progress[i], places[i])), dtype=np.int64)
    return places[order], progress[order], angles[order]


def _shortest(
    library: Library, places: npt.NDArray[np.int64], points: FloatArray, start: FloatArray, end: FloatArray,
    ends: tuple[int, int],
) -> list[Step] | None:  # fmt: skip
    """By dynamic programming: the best way to a candidate as step i goes by one before it as step i - 1."""
    places, progress, angles = _candidates(library, places, points, start, end, ends)
    n = len(points)
    if len(places) < n:
        return None
    _, rank = np.unique(progress, return_inverse=True)  # of equal progress no two are taken
    if rank.max() + 1 < n:
        return None
    cost, came_from = angles[:, 0].copy(), np.zeros((n, len(places)), dtype=np.int64)
    for i in range(1, n):
        best, before = np.empty(len(places)), np.empty(len(places), dtype=np.int64)
        least, at, pending_least, pending_at = np.inf, -1, np.inf, -1
        for j in range(len(places)):
            if j and rank[j] != rank[j - 1]:
                least, at = pending_least, pending_at
            best[j], before[j] = least, at
            if cost[j] < pending_least:
                pending_least, pending_at = cost[j], j
        cost, came_from[i] = best + angles[:, i], before
    j = int(np.argmin(cost))
    if not np.isfinite(cost[j]):
        return None
    way = [j]
    for i in range(n - 1, 0, -1):
        way.append(int(came_from[i, way[-1]]))
    return [Step(int(places[j]), float(progress[j]), float(angles[j, i])) for i, j in enumerate(reversed(way))]
