"""A prepared data set: what ``prepare`` returns, what ``train`` and ``sweep`` take, and how it shows itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tonearm.audio.windows import ClipConfig
from tonearm.core.errors import ConfigError
from tonearm.datasets.base import DatasetConfig
from tonearm.datasets.manifest import SPLITS, Manifest, Reject
from tonearm.datasets.split_report import report_splits
from tonearm.workflows.set_aside import set_aside_lines

if TYPE_CHECKING:
    import pandas as pd

    from tonearm.features.base import Representation
    from tonearm.features.store import FeatureStore
    from tonearm.pipelines.extract import ExtractionReport
    from tonearm.workflows.track_clips import TrackClip


@dataclass(frozen=True, repr=False)
class PreparedData:
    """A data set that can be trained on: listed, extracted, split and stored.

    Attributes
    ----------
    manifest
        The tracks with their labels and splits, the metadata, the notes.
    features
        The representations that are stored of every track; none where there is no audio.
    clip
        The part of a track that was extracted.
    rejects
        What was set aside, with the reason.
    extraction
        What the extraction came to; None where there is no audio.
    config
        The data set's config; None where a catalogue was prepared that no config lists.
    report
        What the extraction came to, for people; "" if no report was asked for.
    split_seed, grouped, fractions
        How it was split, where it has no published split.
    changes
        What was added to the splits, what is gone, and what moved and why; nothing the first time.
    """

    manifest: Manifest
    features: tuple[Representation, ...] = ()
    clip: ClipConfig = field(default_factory=ClipConfig)
    rejects: tuple[Reject, ...] = ()
    extraction: ExtractionReport | None = None
    config: DatasetConfig | None = None
    report: str = ""
    split_seed: int = 0
    grouped: bool = True
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    changes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Under which it is stored."""
        return self.manifest.name

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, sorted."""
        return self.manifest.classes

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how it was made."""
        return self.manifest.notes

    @property
    def tracks(self) -> pd.DataFrame:
        """A row a track: its id, source, label, group, split and tags; the metadata that are single numbers, too."""
        import pandas as pd

        table = pd.DataFrame([vars(track) for track in self.manifest.tracks]).set_index("track_id")
        metadata, ids = self.manifest.metadata, list(table.index)
        for name in metadata:
            values = metadata.of(ids, name)
            if values.ndim == 1 and name not in table:
                table[name] = values
        return table

    @property
    def splits(self) -> pd.DataFrame:
        """Tracks by class (rows) and split (columns)."""
        import pandas as pd

        return pd.DataFrame(report_splits(self.manifest).counts, index=list(SPLITS)).T

    @cached_property
    def _keys(self) -> dict[str, str]:
        from tonearm.features.store import track_key

        return {t.track_id: track_key(t.content, self.clip) for t in self.manifest.tracks}

    @cached_property
    def _stores(self) -> dict[Representation, FeatureStore]:
        from tonearm.workflows.track_clips import open_stores

        return open_stores(self.features, list(self._keys.values()))

    def features_of(self, track_id: str) -> dict[str, list[TrackClip]]:
        """The stored features of a track.

        Returns
        -------
        By the name of the representation its clips in order: ``values`` as float32 of shape (freq_bins, frames), not
        normalised, and ``times``, the seconds of its frames in the track.

        Raises
        ------
        UnknownNameError
            If there is no such track.
        ConfigError
            If the data set has no features.
        """
        from tonearm.core.registry import unknown_name
        from tonearm.features.presets import display_name
        from tonearm.workflows.track_clips import read_track

        if track_id not in self._keys:
            raise unknown_name("track", track_id, self._keys)
        if not self.features:
            raise ConfigError(f"of data set {self.name} no features of {self.clip.brief()} are stored: prepare it so")
        return {display_name(f): read_track(store, self._keys[track_id]) for f, store in self._stores.items()}

    def describe(self) -> str:
        """What is in the data set, how it is split, what leaks, and what was set aside."""
        lines = []
        if self.extraction:
            written = sum(self.extraction.bytes.values()) / 2**20
            lines.append(f"{self.extraction.extracted} tracks extracted now ({written:.0f} MiB), "
                         f"{self.extraction.stored} were there")  # fmt: skip
        if any(t.split for t in self.manifest.tracks):
            lines += [*self.changes, *report_splits(self.manifest).lines()]
        lines += [f"note: {note}" for note in self.notes]
        lines += set_aside_lines(self.name, self.rejects)
        return "\n".join(f"  {line}" for line in lines)

    def __repr__(self) -> str:
        tracks = f"data set {self.name}: {len(self.manifest.tracks)} tracks, signature {self.manifest.signature()}"
        return "\n".join(part for part in (self.describe(), self.report, tracks) if part)
