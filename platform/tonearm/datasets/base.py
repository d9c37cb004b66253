"""The interface of all data sets: their tracks, the metadata of these, and the splits that their source has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from tonearm.core.config import Config
from tonearm.core.registry import Registry
from tonearm.datasets.manifest import Reject, Track
from tonearm.datasets.metadata import Metadata


@dataclass(frozen=True)
class Catalogue:
    """The labelled tracks of a data set, before features are extracted and splits are made.

    Attributes
    ----------
    name
        Of the data set: small letters of any script, digits and hyphens.
    label
        What the labels mean: ``genre``, ``playlist``, ...
    tracks
        Those with a published split carry it.
    rejects
        What was set aside, with the reason.
    metadata
        What else is known of the tracks.
    notes
        Notes on how it was made, for the user: rows left out, joins that failed, with counts.
    one_label
        Whether a recording has one label, so that another one of the same recording contradicts it.
    found
        Recordings that were found: those of them that were set aside count as unusable. 0: what the rejects are of is
        no measure of the files (a table names many that are not there).
    root
        The place of the files, as the data set's identity has it; "" where there is none.
    config
        The data set's config as plain values; empty where no config lists it.
    """

    name: str
    label: str
    tracks: Sequence[Track]
    rejects: Sequence[Reject] = ()
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()
    one_label: bool = False
    found: int = 0
    root: str = ""
    config: Mapping[str, object] = field(default_factory=dict)


class DatasetConfig(Config):
    """Base of all data sets: where the files are and what is read of them. Declared with a ``kind``, as models are.

    Attributes
    ----------
    root
        Folder that holds the data set's files, or its URI where they may lie elsewhere.
    """

    registry: ClassVar[Registry[type[DatasetConfig]]] = Registry("data set")
    has_audio: ClassVar[bool] = True
    on_this_machine: ClassVar[bool] = False
    """Whether the files must be."""

    root: str = ""

    def default_root(self) -> str:
        """Default folder of the files; "" if ``root`` must be given. What Tonearm makes itself is in its home."""
        return ""

    def make(self, start: Callable[[], None]) -> None:
        """Make what must be there before the tracks can be listed; files that people bring need nothing made.

        Parameters
        ----------
        start
            Starts Ray; to be called before workers are needed, and only then.
        """

    def catalogue(self) -> Catalogue:
        """Read the data set's tables and list its tracks; nothing is decoded.

        Raises
        ------
        DatasetError
            If files or columns are missing (all that are, each with where it was looked for), or a row is ill-formed.
        """
        raise TypeError(f"{type(self).__name__} must say what it holds")
