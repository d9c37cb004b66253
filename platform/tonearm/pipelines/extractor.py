"""The workers of an extraction: they decode, compute and write their own files, and answer with a line a track."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tonearm.core.errors import AudioError
from tonearm.core.threads import keep_memory
from tonearm.core.types import Waveform
from tonearm.features.base import Representation
from tonearm.features.engine import Computed, compute_layouts
from tonearm.features.shards import PartWriter
from tonearm.features.store import store_uri
from tonearm.features.table import DESCRIPTORS, FINGERPRINTS, write_rows
from tonearm.pipelines.hearing import ANSWER, Clip, Columns, Hearing, Job


class Results:
    """What becomes of the tracks of one batch: a part for each store, rows for each table."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._writers: dict[str, PartWriter] = {}
        self._fingerprints: dict[str, list[Any]] = {}
        self._descriptors: dict[str, dict[str, Any]] = {}

    def add_facts(self, key: str, lacking: Sequence[str], waveform: Waveform) -> None:
        """Fingerprint a clip, and describe a track by its first one."""
        if FINGERPRINTS in lacking:
            from tonearm.audio.fingerprint import fingerprint

            self._fingerprints.setdefault(key, []).append(fingerprint(waveform))
        if DESCRIPTORS in lacking and key not in self._descriptors:
            from tonearm.features.descriptors import describe_music

            self._descriptors[key] = describe_music(waveform).to_dict()

    def add(self, key: str, features: Sequence[Representation], computed: Sequence[Computed]) -> None:
        """Write a clip's representations."""
        for feature, one in zip(features, computed, strict=True):
            name = feature.store_name()
            if name not in self._writers:
                self._writers[name] = PartWriter(store_uri(self.job.root, feature))
            self._writers[name].add(key, one)

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
        written[FINGERPRINTS] = write_rows(self.job.root, FINGERPRINTS, prints)
        described = [{"track_key": k, **v} for k, v in self._descriptors.items()]
        written[DESCRIPTORS] = write_rows(self.job.root, DESCRIPTORS, described)
        return {name: n for name, n in written.items() if n}

    def discard(self) -> None:
        """Leave no trace."""
        for writer in self._writers.values():
            writer.discard()


class Extractor:
    """Decodes, computes on the CPU and writes, all in one worker: nothing large leaves it."""

    def __init__(self, **job: Any) -> None:
        keep_memory()
        self.job = Job(**job)

    def __call__(self, batch: Mapping[str, Any]) -> Columns:
        hearing, results = Hearing(self.job), Results(self.job)
        try:
            for source, (key, lacking, clips) in zip(batch["source"], hearing.tracks(batch), strict=True):
                features = self.job.wanted(lacking)
                with hearing.rejecting(str(source)) as row:
                    for clip in clips:
                        started = time.process_time()
                        results.add(key, features, compute_layouts(clip, features))
                        results.add_facts(key, lacking, next(iter(clip.values())))
                        row["compute"] += time.process_time() - started
                if not row["ok"]:
                    results.drop(key)
            return hearing.answer(results.close())
        except BaseException:
            results.discard()
            raise


class Decoder:
    """The first of two workers where representations are made on a GPU: decodes and passes the clips on."""

    def __init__(self, **job: Any) -> None:
        keep_memory()
        self.job = Job(**job)

    def __call__(self, batch: Mapping[str, Any]) -> Columns:
        hearing = Hearing(self.job)
        packed: list[bytes] = []
        for source, (_, _, clips) in zip(batch["source"], hearing.tracks(batch), strict=True):
            heard: list[Clip] = []
            with hearing.rejecting(str(source)):
                heard.extend(clips)
            packed.append(_pack(heard if hearing.rows[-1]["ok"] else []))
        return {**hearing.answer({}), "lacking": list(batch["lacking"]), "clips": packed}


class Analyst:
    """The second: computes batches of clips on a GPU (or with torch on a CPU) and writes."""

    def __init__(self, device: str, **job: Any) -> None:
        keep_memory()
        self.job, self.device = Job(**job), device

    def __call__(self, batch: Mapping[str, Any]) -> Columns:
        from tonearm.features.batched import extract_batch

        results = Results(self.job)
        seconds = np.array(batch["compute"], dtype=np.float64)
        clips = [
            (i, str(key), str(lacking).split(), clip)
            for i, (key, lacking, packed) in enumerate(zip(batch["key"], batch["lacking"], batch["clips"], strict=True))
            for clip in _unpack(packed)
        ]
        try:
            by_need: dict[str, list[int]] = {}
            for n, (_, _, lacking, _) in enumerate(clips):
                by_need.setdefault(" ".join(lacking), []).append(n)
            computed: dict[int, list[Computed]] = {}
            for need, indices in by_need.items():
                started = time.process_time()
                features = self.job.wanted(need.split())
                many = extract_batch([clips[n][3] for n in indices], features, self.device)
                computed |= zip(indices, many, strict=True)
                seconds[[clips[n][0] for n in indices]] += (time.process_time() - started) / len(indices)
            answer = {name: list(batch[name]) for name in ANSWER}
            answer["compute"] = seconds.tolist()
            for n, (i, key, lacking, clip) in enumerate(clips):
                if answer["reason"][i]:
                    continue
                try:
                    results.add(key, self.job.wanted(lacking), computed[n])
                    results.add_facts(key, lacking, next(iter(clip.values())))
                except AudioError as error:
                    answer["reason"][i], answer["detail"][i] = error.reason, error.detail
                    results.drop(key)
            answer["written"] = [json.dumps(results.close()), *["{}"] * (len(answer["key"]) - 1)]
            return answer
        except BaseException:
            results.discard()
            raise


def _pack(clips: Sequence[Clip]) -> bytes:
    buffer = io.BytesIO()
    arrays = {
        f"{i}|{n:02}|{rate}|{channels}": waveform.samples
        for i, clip in enumerate(clips)
        for n, ((rate, channels), waveform) in enumerate(clip.items())
    }
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _unpack(packed: bytes) -> list[Clip]:
    clips: dict[int, Clip] = {}
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        for name in arrays.files:
            i, _, rate, channels = name.split("|")
            layout: Any = (int(rate), int(channels) if channels.isdigit() else channels)
            clips.setdefault(int(i), {})[layout] = Waveform(arrays[name], int(rate))
    return [clips[i] for i in sorted(clips)]
