"""The workers of an extraction: they decode, compute and write their own files, and return a row a track."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tonearm.audio.decode import Layout
from tonearm.audio.windows import Clip
from tonearm.core.errors import AudioError
from tonearm.core.log_lines import log_in_worker
from tonearm.core.threads import keep_memory
from tonearm.core.types import Waveform
from tonearm.features.base import Representation
from tonearm.features.computed import ComputedClip
from tonearm.features.descriptor_means import describe_track
from tonearm.features.descriptors import Descriptors, describe_music
from tonearm.features.engine import compute_layouts
from tonearm.features.join_parts import PartJoiner
from tonearm.features.row_store import DESCRIPTOR_TABLE, FINGERPRINT_TABLE, write_rows
from tonearm.features.shards import ShardWriter
from tonearm.features.store import store_uri
from tonearm.pipelines.decoding import (
    ANALYSIS_LAYOUT,
    LOUDNESS_LAYOUT,
    BatchDecoding,
    Columns,
    ExtractionJob,
)
from tonearm.pipelines.on_gpu import BatchCompute

BYTES_AT_ONCE = 8 * 2**20  # of samples that a worker sends to a GPU: 3 clips of 30 s, mono at 22 kHz


class ResultWriter:
    """Writes the results of one batch of tracks: a shard for each store, rows for each table.

    Parameters
    ----------
    joiner
        Joins the shards of several batches.
    """

    def __init__(self, job: ExtractionJob, joiner: PartJoiner) -> None:
        self.job, self._joiner = job, joiner
        self._writers: dict[str, ShardWriter] = {}
        self._features: dict[str, Representation] = {}
        self._fingerprints: dict[str, list[Any]] = {}
        self._descriptors: dict[str, list[Descriptors]] = {}

    def add_analysis(self, key: str, lacking: Sequence[str], clip: Clip) -> None:
        """Fingerprint and describe a clip. A failure here rejects no track."""
        waveform = clip.waveforms.get(ANALYSIS_LAYOUT)
        if waveform is None:
            return
        if FINGERPRINT_TABLE in lacking:
            from tonearm.audio.fingerprint import fingerprint

            finite = bool(np.isfinite(waveform.samples).all())
            prints = fingerprint(waveform) if finite else np.empty(0, dtype=np.uint32)
            self._fingerprints.setdefault(key, []).append(prints)
        if DESCRIPTOR_TABLE in lacking:
            described = self._descriptors.setdefault(key, [])
            # Too short or not finite, it cannot be described.
            with contextlib.suppress(AudioError):
                described.append(describe_music(waveform, clip.waveforms.get(LOUDNESS_LAYOUT)))

    def add(
        self, key: str, number: int, start: float, features: Sequence[Representation], computed: Sequence[ComputedClip]
    ) -> None:
        """Write a clip's representations."""
        for feature, one in zip(features, computed, strict=True):
            name = feature.store_name()
            if name not in self._writers:
                self._writers[name] = ShardWriter(store_uri(self.job.root, feature))
                self._features[name] = feature
            self._writers[name].add(key, one, number, start)

    def drop(self, key: str) -> None:
        """Take back what was added of the last track."""
        for writer in self._writers.values():
            writer.drop(key)
        self._fingerprints.pop(key, None)
        self._descriptors.pop(key, None)

    def close(self) -> dict[str, int]:
        """Publish everything; returns the bytes of each store and table."""
        written = {name: writer.close() for name, writer in self._writers.items()}
        prints = [{"track_key": k, "fingerprint": np.concatenate(v).tobytes()} for k, v in self._fingerprints.items()]
        written[FINGERPRINT_TABLE] = write_rows(self.job.root, FINGERPRINT_TABLE, prints)
        described = [{"track_key": k, **describe_track(v)} for k, v in self._descriptors.items()]
        written[DESCRIPTOR_TABLE] = write_rows(self.job.root, DESCRIPTOR_TABLE, described)
        for name, writer in self._writers.items():  # when all is stored
            if writer.part:
                self._joiner.add(writer.uri, self._features[name], writer.part, written[name])
        return {name: n for name, n in written.items() if n}

    def discard(self) -> None:
        """Leave no trace."""
        for writer in self._writers.values():
            writer.discard()


@dataclass(frozen=True, eq=False)
class _DecodedClip:
    """A clip that waits to be computed, and the result row of its track."""

    source: str
    key: str
    row: dict[str, Any]
    number: int
    start: float
    features: tuple[Representation, ...]
    waveforms: dict[Layout, Waveform]

    @property
    def bytes(self) -> int:
        return sum(w.samples.nbytes for w in self.waveforms.values())


class Extractor:
    """Decodes, computes and writes, all in one worker, clip by clip: however long a track is, little is in memory.

    Parameters
    ----------
    batch_compute
        Computes a few megabytes of clips at once, on a GPU; None: this worker computes them itself, one by one.
    """

    def __init__(self, batch_compute: BatchCompute | None = None, **job: Any) -> None:
        keep_memory()
        log_in_worker()
        self.job = ExtractionJob(**job)
        self._batch_compute = batch_compute
        self._joiner = PartJoiner()

    def __call__(self, batch: Mapping[str, Any]) -> Columns:
        decoding, writer = BatchDecoding(self.job), ResultWriter(self.job, self._joiner)
        waiting: list[_DecodedClip] = []
        try:
            for source, (key, lacking, clips) in zip(batch["source"], decoding.tracks(batch), strict=True):
                row, features = decoding.rows[-1], self.job.missing_representations(lacking)
                while not row["reason"]:
                    clip: Clip | None = None
                    with decoding.rejecting(str(source), row):
                        clip = next(clips, None)
                        if clip is not None:
                            started = time.process_time()
                            writer.add_analysis(key, lacking, clip)
                            row["compute"] += time.process_time() - started
                    if clip is None:
                        break
                    of_clip = tuple(f for f in features if f.layout in clip.waveforms)
                    waveforms = {f.layout: clip.waveforms[f.layout] for f in of_clip}
                    if waiting and waiting[0].features != of_clip:
                        self._finish(waiting, decoding, writer)
                    waiting.append(_DecodedClip(str(source), key, row, clip.number, clip.start, of_clip, waveforms))
                    if self._batch_compute is None or sum(w.bytes for w in waiting) >= BYTES_AT_ONCE:
                        self._finish(waiting, decoding, writer)
                clips.close()
                if row["reason"]:
                    waiting = [w for w in waiting if w.row is not row]
                    writer.drop(key)
            self._finish(waiting, decoding, writer)
            started = time.process_time()
            written = writer.close()
            decoding.rows[0]["compute"] += time.process_time() - started
            return decoding.result_columns(written)
        except BaseException:
            writer.discard()
            raise

    def _finish(self, waiting: list[_DecodedClip], decoding: BatchDecoding, writer: ResultWriter) -> None:
        """Compute and write the clips that wait, in order; none waits afterwards."""
        features = waiting[0].features if waiting else ()
        batch, seconds = None, 0.0
        if self._batch_compute and features:
            batch, seconds = self._batch_compute([w.waveforms for w in waiting], features)
        for i, clip in enumerate(waiting):
            if clip.row["reason"]:  # an earlier clip of the track failed
                continue
            started = time.process_time()
            with decoding.rejecting(clip.source, clip.row):
                computed = compute_layouts(clip.waveforms, features) if batch is None else batch[i]
                if isinstance(computed, AudioError):
                    raise computed
                writer.add(clip.key, clip.number, clip.start, features, computed)
            clip.row["compute"] += time.process_time() - started + seconds / len(waiting)
            if clip.row["reason"]:
                writer.drop(clip.key)
        waiting.clear()
