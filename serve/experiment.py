"""Two versions compared by those who listen: a listener always gets the same one of both."""

from __future__ import annotations

from dataclasses import dataclass

from serve.shelf import Shelf
from tonearm.feedback.events import arm_of


@dataclass(frozen=True)
class Experiment:
    """The challenger of the version that answers, and who gets it.

    Attributes
    ----------
    challenger
        A version that answers, too.
    share
        Of the listeners that get it, 0..1.
    salt
        Of the experiment: its name, too.
    """

    challenger: Shelf
    share: float
    salt: str

    def arm(self, listener: str | None) -> str | None:
        """``champion`` or ``challenger``; None for who does not say who he is: he gets the champion, in no arm."""
        return arm_of(listener, self.salt, self.share) if listener else None
