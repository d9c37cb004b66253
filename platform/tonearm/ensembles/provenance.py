"""What a model has learned from, and what it predicted without: kept in its bundle, so that another can be compared.

``training_tracks.parquet`` has a row a track of the training and the validation split. ``held_out.npz`` has the
predictions of validation tracks by what was chosen without them.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tonearm.core import storage
from tonearm.core.parquet import read_parquet
from tonearm.core.types import FloatArray
from tonearm.datasets.assignment import without_suffix
from tonearm.datasets.manifest import Manifest, Track

TRACKS, HELD_OUT = "training_tracks.parquet", "held_out.npz"
COLUMNS = ("track_id", "content", "recording", "group")


@dataclass(frozen=True)
class KnownTracks:
    """Tracks that a model has seen, by all that may identify them.

    Attributes
    ----------
    ids
        Their ids, and those of other forms of the same recordings.
    contents
        Digests of their files.
    groups
        Their artists, as a rule.
    """

    ids: frozenset[str]
    contents: frozenset[str]
    groups: frozenset[str]

    @classmethod
    def of(cls, tracks: Sequence[Track]) -> KnownTracks:
        return cls(
            frozenset(i for t in tracks for i in (t.track_id, t.recording) if i),
            frozenset(t.content for t in tracks if t.content),
            frozenset(t.group for t in tracks),
        )

    def unknown(self, tracks: Sequence[Track], others: Sequence[Track], by_group: bool) -> list[Track]:
        """Those of the tracks that are not among these.

        Parameters
        ----------
        others
            All tracks of the data set: what is another form of a known recording is known.
        by_group
            Whether a track of a known group is known, too.
        """
        recordings = {t.recording for t in others if t.recording and self._has(t)}
        groups = self.groups if by_group else frozenset()
        return [t for t in tracks if not self._has(t) and t.recording not in recordings and t.group not in groups]

    def seen(self, tracks: Sequence[Track]) -> list[Track]:
        """Those of the tracks that are among these."""
        return [t for t in tracks if self._has(t)]

    def _has(self, track: Track) -> bool:
        known = track.content in self.contents or track.track_id in self.ids or track.recording in self.ids
        return known or without_suffix(track.track_id) in self._names

    @cached_property
    def _names(self) -> frozenset[str]:
        """Of files that may have been encoded anew since."""
        return frozenset(map(without_suffix, self.ids))


def save_provenance(uri: str, manifest: Manifest, held_out_ids: Sequence[str], held_out: Sequence[FloatArray]) -> None:
    """Keep in a bundle what it was trained and chosen on, and what was predicted of it without.

    Parameters
    ----------
    held_out_ids
        Validation tracks.
    held_out
        Predictions (tracks, outputs) of them by what was chosen without them, several times over; none where there are
        no such.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    seen = [t for t in manifest.tracks if t.split in ("train", "validation")]
    columns = {name: [getattr(t, name) for t in seen] for name in (*COLUMNS, "split")}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    storage.write_bytes(storage.join(uri, TRACKS), buffer.getvalue())
    content = {t.track_id: t.content for t in seen}
    buffer = io.BytesIO()
    np.savez(buffer, contents=np.array([content[i] for i in held_out_ids] if held_out else [], dtype=str),
             predictions=np.stack(held_out) if held_out else np.empty((0, 0, 0), dtype=np.float32))  # fmt: skip
    storage.write_bytes(storage.join(uri, HELD_OUT), buffer.getvalue())


def read_training_tracks(uri: str) -> tuple[KnownTracks, KnownTracks] | None:
    """The tracks that a model was trained on, and those that it was chosen on; None of a bundle that does not know."""
    if not storage.exists(storage.join(uri, TRACKS)):
        return None
    rows = read_parquet(storage.read_bytes(storage.join(uri, TRACKS))).to_pylist()
    trained, chosen = ([_track(r) for r in rows if r["split"] == split] for split in ("train", "validation"))
    return KnownTracks.of(trained), KnownTracks.of(chosen)


def read_held_out(uri: str) -> dict[str, FloatArray]:
    """By the content of a validation track its predictions (repeats, outputs) by what was chosen without it."""
    if not storage.exists(storage.join(uri, HELD_OUT)):
        return {}
    kept = np.load(io.BytesIO(storage.read_bytes(storage.join(uri, HELD_OUT))), allow_pickle=False)
    return {str(content): kept["predictions"][:, i] for i, content in enumerate(kept["contents"].tolist())}


def _track(row: dict[str, str]) -> Track:
    return Track(track_id=row["track_id"], content=row["content"], recording=row["recording"], group=row["group"],
                 source="", label="")  # fmt: skip
