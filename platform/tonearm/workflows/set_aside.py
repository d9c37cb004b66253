"""What was set aside of a data set: the tables, how much is too much, and a line for every summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tonearm.core import home, storage
from tonearm.core.errors import DatasetError, JobError
from tonearm.datasets.manifest import Reject, load_rejects, save_rejects

HARMLESS = ("duplicate",)
"""Reasons that do not count as unusable: the recording is there, under another path."""


def rejects_uri(name: str) -> str:
    """Where the table of what was set aside lies."""
    return storage.join(home.data_home(name), "rejects.parquet")


def failed_uri(name: str) -> str:
    """Where the failures of all extractions of a data set lie, so that none of them is tried again."""
    return storage.join(home.data_home(name), "failed.parquet")


def load_failed(name: str) -> list[Reject]:
    """What failed in earlier extractions, whatever they were asked for."""
    return [*load_rejects(rejects_uri(name)), *load_rejects(failed_uri(name))]


def too_short(name: str) -> bool:
    """Whether recordings were too short in the last run that made a data set, also if it failed."""
    return any(r.reason == "too_short" for r in load_rejects(rejects_uri(name)))


def remember_failed(name: str, rejects: Sequence[Reject]) -> None:
    """Add failures to those of earlier extractions; a killed job has then not heard them for nothing."""
    known = {(r.track_id, r.key): r for r in [*load_rejects(failed_uri(name)), *rejects] if r.key}
    if known:
        save_rejects(failed_uri(name), known.values())


def require_enough(rejects: Sequence[Reject], found: int, max_rejected: float, where: str) -> None:
    """Check that enough recordings are left.

    Parameters
    ----------
    found
        Of how many they are.
    max_rejected
        Share above which the job fails.
    where
        The table of rejects, for the message.

    Raises
    ------
    JobError
        If more of them cannot be used; the message counts the reasons.
    """
    unusable = [r for r in rejects if r.reason not in HARMLESS]
    if found and len(unusable) > max_rejected * found:
        raise JobError(
            f"{len(unusable)} of {found} tracks cannot be used ({count_reasons(unusable)}), more than "
            f"{max_rejected:.0%}; e.g. {unusable[0].track_id}: {unusable[0].detail}. All are listed in {where}: repair "
            "or remove them, or raise max-rejected"
        )


def count_reasons(rejects: Sequence[Reject]) -> str:
    """Rejects by reason, the most frequent first."""
    return ", ".join(f"{reason} {n}" for reason, n in Counter(r.reason for r in rejects).most_common())


def set_aside_lines(name: str, rejects: Sequence[Reject] | None = None) -> list[str]:
    """A line for people, or none: how many recordings were set aside, why, and where they are listed.

    Parameters
    ----------
    rejects
        None: those of the table.
    """
    own = load_rejects(rejects_uri(name)) if rejects is None else rejects
    return [f"set aside: {len(own)} ({count_reasons(own)}); listed in {rejects_uri(name)}"] if own else []


@contextmanager
def with_diagnosis(name: str, notes: Sequence[str], rejects: Sequence[Reject]) -> Iterator[None]:
    """Add to an error what was seen before, which often is the cause, and write the table of rejects that it names."""
    try:
        yield
    except (DatasetError, JobError) as error:
        if rejects or storage.exists(rejects_uri(name)):  # that of an earlier run would tell of that one
            save_rejects(rejects_uri(name), rejects)
        aside = set_aside_lines(name, rejects) if rejects_uri(name) not in str(error) else []
        seen = [*notes, *aside]
        if not seen:
            raise
        raise type(error)("\n  ".join([str(error), "what was seen before:", *seen])) from None
