"""The exception tree. Everything Tonearm raises on purpose is one of these.

::

    TonearmError
    ├── ConfigError            a field, value or combination that cannot work, found before anything starts
    │   └── UnknownNameError   a name that is not in a registry (the message lists the known ones)
    ├── AudioError             bytes that are no usable audio; carries a short ``reason`` for the rejects table
    ├── DatasetError           a manifest, label or split that cannot be built
    ├── StoreError             a feature store that lacks, or holds damaged, values
    ├── TrainingError          a trial that cannot go on (a non-finite loss, say)
    ├── BundleError            a saved model that is missing, damaged or of another format version
    │   └── DamagedCatalogueError   a catalogue that cannot be read as it is: made again it can
    ├── TrackingError          MLflow holds no such run or model, or cannot be reached
    ├── FeedbackError          feedback that cannot be kept or read now
    ├── ClientError            a server that refuses, or does not answer
    └── JobError               a job that must stop: too many rejects, a port in use, no Ray

Messages say what was wrong, with the value, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable


class TonearmError(Exception):
    """Base of all errors that Tonearm raises on purpose."""


class ConfigError(TonearmError):
    """A configuration that cannot work. All problems found are listed at once.

    Parameters
    ----------
    problems
        One sentence each: what, why, the fix.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class UnknownNameError(ConfigError):
    """A name that is not registered."""


class AudioError(TonearmError):
    """Bytes that are no usable audio.

    Parameters
    ----------
    reason
        A short, countable code, e.g. ``"undecodable"``, ``"too_short"``, ``"silent"``.
    detail
        What was seen, with the value.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")

    def __reduce__(self) -> tuple[type[AudioError], tuple[str, str]]:
        return (type(self), (self.reason, self.detail))  # so that it survives the way back from a worker


class DatasetError(TonearmError):
    """A manifest, label or split that cannot be built."""


class StoreError(TonearmError):
    """A feature store that lacks, or holds damaged, values."""


class TrainingError(TonearmError):
    """A trial that cannot go on."""


class BundleError(TonearmError):
    """A saved model that is missing, damaged or of another format version."""


class DamagedCatalogueError(BundleError):
    """A catalogue that cannot be read as it is: made again it can."""


class TrackingError(TonearmError):
    """MLflow holds no such run or model, or cannot be reached."""


class FeedbackError(TonearmError):
    """Feedback that cannot be kept or read now.

    Parameters
    ----------
    why
        What is wrong with its database, in words that name no place: for everybody.
    cause
        What the database says, which may name places: for who runs it.
    """

    def __init__(self, why: str, cause: str = "") -> None:
        super().__init__(why, cause)
        self.why, self.cause = why, cause

    def __str__(self) -> str:
        return f"the database of feedback cannot be used: {self.why}{f' ({self.cause})' if self.cause else ''}"


class ClientError(TonearmError):
    """A server that refuses a request, or does not answer it.

    Parameters
    ----------
    code
        A short one, for programs, as the server's documentation has them; ``no_answer`` if there was none.
    detail
        What was wrong and what to do, in a sentence.
    status
        Of HTTP, 400 to 599; 0 if there was no answer.
    """

    def __init__(self, code: str, detail: str, status: int) -> None:
        super().__init__(code, detail, status)
        self.code, self.detail, self.status = code, detail, status

    def __str__(self) -> str:
        return f"{self.detail} ({self.code}{f', {self.status}' if self.status else ''})"


class JobError(TonearmError):
    """A job that must stop, with the reason a person needs."""
