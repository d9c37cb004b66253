"""A result and its seed, as a network hears them, and their windows that are most alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from tonearm.audio.sources import Source
from tonearm.core.errors import AudioError
from tonearm.ensembles.bundle import Ensemble
from tonearm.inference.alike import Heard, hear_track, hear_windows, listening_member, match_windows
from tonearm.inference.member import StoredTrack
from tonearm.inference.recommendation import Pair, name_of
from tonearm.recommend.library import ID, Library
from tonearm.recommend.rank import Ranking
from tonearm.training.bundle import Bundle


@dataclass(frozen=True, eq=False)
class Listener:
    """Who can hear the tracks of a library again: one network of a model, and how it hears the recording that is asked
    with, if there is one."""

    member: Bundle
    recording: Callable[[], Heard] | None = None

    @classmethod
    def of(cls, ensemble: Ensemble, source: Source | None = None, stored: Sequence[StoredTrack] = ()) -> Listener:
        """The network of a model that tells windows apart; ``stored`` is what each network hears of the recording."""
        place = listening_member(ensemble)
        member = ensemble.members[place]
        if source is None:
            return cls(member)
        return cls(member, cache(partial(hear_windows, member, stored[place], source)))

    def pairs(self, library: Library, ranking: Ranking) -> Callable[[int], Pair]:
        """Of the i-th result, from 0, the pair with its seed; each track is heard when it is asked for, once."""

        @cache
        def heard_track(row: int) -> Heard:
            track = library.row(row)
            if not track.get("content"):
                raise AudioError(
                    "missing", f"the catalogue does not say where {track[ID]} lies: make it with tonearm index"
                )
            return hear_track(self.member, str(track["content"]), str(track.get("source", "")))

        def pair(i: int) -> Pair:
            row = ranking.results[i].place
            if self.recording is not None:
                first, name = self.recording(), "the recording"
            else:
                seed = _nearest_seed(library, ranking, row)
                first, name = heard_track(seed), name_of(library.row(seed))
            second = heard_track(row)
            return Pair(first, second, name, match_windows(first, second))

        return pair


def _nearest_seed(library: Library, ranking: Ranking, row: int) -> int:
    """What is liked that is nearest to a result."""
    rows = np.array(ranking.liked, dtype=np.int64)
    return int(rows[np.argmax(library.vectors(rows) @ library.vectors(np.array([row]))[0])])
