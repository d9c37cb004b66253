"""The workers of an extraction: they decode, compute and write their own files, and return a row a track."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tonearm.audio.windows import Clip
from tonearm.core.errors import AudioError
from tonearm.core.threads import keep_memory
from tonearm.core.types import Waveform
from tonearm.features.base import Representation
from tonearm.features.computed import ComputedClip
from tonearm.features.descriptor_means import describe_track
from tonearm.features.descriptors import Descriptors, describe_music
from tonearm.features.engine import compute_layouts
from tonearm.features.row_store import DESCRIPTOR_TABLE, FINGERPRINT_TABLE, write_rows
from tonearm.features.shards import ShardWriter
from tonearm.features.store import store_uri
from tonearm.pipelines.decoding import (
    ANALYSIS_LAYOUT,
    LOUDNESS_LAYOUT,
    RESULT_COLUMNS,
    BatchDecoding,
    Columns,
    ExtractionJob,
)

CLIPS_AT_ONCE = 32  # on a GPU: a batch of stft, in and between, takes some gigabytes


class ResultWriter:
    """Writes the results of one batch of tracks: a shard for each store, rows for each table."""

    def __init__(self, job: ExtractionJob) -> None:
        self.job = job
        self._writers: dict[str, ShardWriter] = {}
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

    def add(self, key: str, clip: Clip, features: Sequence[Representation], computed: Sequence[ComputedClip]) -> None:
        """Write a clip's representations."""
        for feature, one in zip(features, computed, strict=True):
            name = feature.store_name()
            if name not in self._writers:
                self._writers[name] = ShardWriter(store_uri(self.job.root, feature))
            self._writers[name].add(key, one, clip.number, clip.start)

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
        return {name: n for name, n in written.items() if n}

    def discard(self) -> None:
        """Leave no trace."""
        for writer in self._writers.values():
            writer.discard()


class Extractor:
    """Decodes, computes on the CPU and writes, all in one worker: nothing large leaves it."""

    def __init__(self, **job: Any) -> None:
        keep_memory()
        self.job = ExtractionJob(**job)

    def __call__(self, batch: Mapping[str, Any]) -> Columns:
        decoding, writer = BatchDecoding(self.job), ResultWriter(self.job)
        try:
            for source, (key, lacking, clips) in zip(batch["source"], decoding.tracks(batch), strict=True):
                features = self.job.missing_representations(lacking)
                with decoding.rejecting(str(source)) as row:
                    for clip in clips:
                        started = time.process_time()
                        decodable = [f for f in features if f.layout in clip.waveforms]
                        writer.add(key, clip, decodable, compute_layouts(clip.waveforms, decodable))
                        writer.add_analysis(key, lacking, clip)
                        row["compute"] += time.process_time() - started
                if not row["ok"]:
                    writer.drop(key)
            started = time.process_time()
            written = writer.close()
            decoding.rows[0]["compute"] += time.process_time() - started
            return decoding.result_columns(written)
        except BaseException:
            writer.discard()
            raise


class Decoder:
    """CPU worker that decodes clips for :class:`BatchExtractor`."""

    def __init__(self, **job: Any) -> None:
        keep_memory()
        self.job = ExtractionJob(**job)

    def __call__(self, batch: Mapping[str, Any]) -> Columns:
        decoding = BatchDecoding(self.job)
        packed: list[bytes] = []
        for source, (_, _, clips) in zip(batch["source"], decoding.tracks(batch), strict=True):
            decoded: list[Clip] = []
            with decoding.rejecting(str(source)):
                decoded.extend(clips)
            packed.append(_pack(decoded if decoding.rows[-1]["ok"] else []))
        return {**decoding.result_columns({}), "lacking": list(batch["lacking"]), "clips": packed}


class BatchExtractor:
    """GPU worker (or torch on a CPU) that computes representations of batches of clips and writes them."""

    def __init__(self, device: str, **job: Any) -> None:
        keep_memory()
        self.job, self.device = ExtractionJob(**job), device

    def __call__(self, batch: Mapping[str, Any]) -> Columns:
        writer = ResultWriter(self.job)
        results = {name: list(batch[name]) for name in RESULT_COLUMNS}
        try:
            for (_, need), run in itertools.groupby(self._clips(batch), key=lambda c: (tuple(c[3].waveforms), c[2])):
                features = self.job.missing_representations(need.split())
                while some := list(itertools.islice(run, CLIPS_AT_ONCE)):
                    decodable = [f for f in features if f.layout in some[0][3].waveforms]
                    started = time.process_time()
                    many = self._compute([clip for *_, clip in some], decodable)
                    for (i, key, lacking, clip), computed in zip(some, many, strict=True):
                        self._add(writer, results, i, key, lacking.split(), clip, decodable, computed)
                        results["compute"][i] += (time.process_time() - started) / len(some)
                        started = time.process_time()
            results["written"] = [json.dumps(writer.close()), *["{}"] * (len(results["key"]) - 1)]
            return results
        except BaseException:
            writer.discard()
            raise

    def _clips(self, batch: Mapping[str, Any]) -> Iterator[tuple[int, str, str, Clip]]:
        """Row, key, what is lacking, and clip, in order."""
        for i, packed in enumerate(batch["clips"]):
            for clip in _unpack(packed):
                yield i, str(batch["key"][i]), str(batch["lacking"][i]), clip

    def _compute(self, clips: list[Clip], features: list[Representation]) -> list[list[ComputedClip] | None]:
        """Representations of the clips; None for one that is too large for the device even alone."""
        import torch

        from tonearm.features.batched import extract_batch

        try:
            return list(extract_batch([c.waveforms for c in clips], features, self.device))
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            if len(clips) == 1:
                return [None]
            half = len(clips) // 2
            return self._compute(clips[:half], features) + self._compute(clips[half:], features)

    def _add(
        self, writer: ResultWriter, results: Columns, row: int, key: str, lacking: list[str], clip: Clip,
        features: list[Representation], computed: list[ComputedClip] | None,
    ) -> None:  # fmt: skip
        if results["reason"][row]:
            return
        try:
            if computed is None:
                raise AudioError("out_of_memory", "a clip does not fit into the memory of the GPU")
            writer.add(key, clip, features, computed)
            writer.add_analysis(key, lacking, clip)
        except AudioError as error:
            results["reason"][row], results["detail"][row] = error.reason, error.detail
            writer.drop(key)


def _pack(clips: Sequence[Clip]) -> bytes:
    buffer = io.BytesIO()
    arrays = {
        f"{clip.number}|{clip.start!r}|{n:02}|{rate}|{channels}": waveform.samples
        for clip in clips
        for n, ((rate, channels), waveform) in enumerate(clip.waveforms.items())
    }
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _unpack(packed: bytes) -> list[Clip]:
    clips: dict[int, Clip] = {}
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        for name in arrays.files:
            number, start, _, rate, channels = name.split("|")
            layout: Any = (int(rate), int(channels) if channels.isdigit() else channels)
            clip = clips.setdefault(int(number), Clip(int(number), float(start), {}))
            clip.waveforms[layout] = Waveform(arrays[name], int(rate))
    return [clips[i] for i in sorted(clips)]
