"""One event of feedback: what a listener did with a track that was shown."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

Kind = Literal["like", "dislike", "skip", "play"]
KINDS: tuple[Kind, ...] = ("like", "dislike", "skip", "play")
HEARD: tuple[Kind, ...] = ("play", "skip")  # each time that a track was heard is one of these
EARLY_SECONDS = 30.0  # a skip before counts against a track
CHAMPION, CHALLENGER = "champion", "challenger"


@dataclass(frozen=True)
class Event:
    """What a listener did, once.

    Attributes
    ----------
    event_id
        That the client made: an event that is sent twice is kept once.
    listener
        A random id, which says nothing of a person.
    kind
        One of :data:`KINDS`: ``play`` is a track that was heard, ``skip`` one that was left.
    track_id
        Of the catalogue.
    seed
        The track that it was recommended for; "" if it was none of the catalogue.
    seconds
        How long it was heard; None: not known.
    position
        Where it stood among what was shown, from 1; None: not known.
    request_id
        Of the answer that showed it; "": not known.
    model, version
        Which model answered, and its number in the registry; "" if it is not registered.
    arm, experiment, share
        Of an experiment: ``champion`` or ``challenger``, its salt, and the challenger's share of the listeners, 0..1;
        "", "" and 0.0 outside of one.
    received
        When it was received, seconds since 1970.
    """

    event_id: str
    listener: str
    kind: Kind
    track_id: str
    seed: str = ""
    seconds: float | None = None
    position: int | None = None
    request_id: str = ""
    model: str = ""
    version: str = ""
    arm: str = ""
    experiment: str = ""
    share: float = 0.0
    received: float = 0.0

    @property
    def said(self) -> tuple[object, ...]:
        """What the client said: an event with the same id must say the same."""
        return self.listener, self.kind, self.track_id, self.seed, self.seconds, self.position, self.request_id


def arm_of(listener: str, salt: str, share: float) -> str:
    """The arm of a listener in an experiment: always the same one, and no other than the salt's.

    Parameters
    ----------
    listener
        Its random id; "" for who has none, who gets the champion.
    salt
        Of the experiment: another one assigns anew.
    share
        Of the listeners that get the challenger, 0..1.
    """
    digest = hashlib.blake2b(f"{salt}\0{listener}".encode(), digest_size=8).digest()
    return CHALLENGER if listener and int.from_bytes(digest, "big") / 2**64 < share else CHAMPION
