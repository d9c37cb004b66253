"""Distributed extraction: many representations from one decoding, into the stores, only what is missing."""

from __future__ import annotations

import json
import logging
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tonearm.audio.decoders import DECODER_VERSION
from tonearm.audio.windows import ClipConfig
from tonearm.core import storage
from tonearm.core.errors import ConfigError, StoreError
from tonearm.core.metrics import EXTRACTION_RATE, WAITING_TRACKS
from tonearm.core.precision import is_gpu
from tonearm.core.progress import Progress
from tonearm.core.seeding import digest
from tonearm.datasets.manifest import Reject, Track
from tonearm.features.base import Representation
from tonearm.features.join_parts import join_small_parts
from tonearm.features.presets import require_whole_clips
from tonearm.features.row_store import DESCRIPTOR_TABLE, FINGERPRINT_TABLE, join_rows, read_keys
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.features.store_index import write_index
from tonearm.features.weights import require_weights
from tonearm.pipelines.decoding import attempts_folder, count_track
from tonearm.pipelines.duplicates import duplicate_keys
from tonearm.pipelines.extractor import Extractor
from tonearm.pipelines.header_notes import NOTE_TABLE, keep_notes
from tonearm.pipelines.on_gpu import gpu_pool
from tonearm.pipelines.remembering import remembering
from tonearm.pipelines.workers import WorkerStage, run_workers

logger = logging.getLogger(__name__)

TRACKS_A_PART = 16  # that a worker decodes and writes at once: a kill loses so many. Parts are joined afterwards
#: Reasons that may be gone the next time; other rejects are not tried again while their content is the same.
TRANSIENT_REASONS = ("missing", "changed", "out_of_memory", "kills_worker", "unexpected_error")


@dataclass(frozen=True)
class ExtractionReport:
    """Result of an extraction.

    Attributes
    ----------
    rejects
        Tracks that have no features, now or from an earlier run, with the reason.
    extracted
        Tracks that were decoded now.
    stored
        Tracks whose features were there already.
    seconds
        Wall-clock time; start-up of Ray's workers included.
    working_seconds
        From the first worker result to the last.
    audio_seconds
        Length of the audio that was decoded now.
    decode_seconds, compute_seconds
        CPU time of the workers; writing counts as computing.
    bytes
        Written now, by store and table.
    duplicates
        Groups of track ids that hold the same recording.
    notes
        What is odd about files that were used, such as "claims 600 s, holds 60 s", by source.
    """

    rejects: tuple[Reject, ...]
    extracted: int
    stored: int
    seconds: float
    working_seconds: float = 0.0
    audio_seconds: float = 0.0
    decode_seconds: float = 0.0
    compute_seconds: float = 0.0
    bytes: Mapping[str, int] = field(default_factory=dict)
    duplicates: tuple[tuple[str, ...], ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def reasons(self) -> Counter[str]:
        """Rejects by reason."""
        return Counter(r.reason for r in self.rejects)

    @property
    def tracks_per_core_second(self) -> float:
        """Tracks a second of CPU time; 0 if nothing was extracted."""
        spent = self.decode_seconds + self.compute_seconds
        return self.extracted / spent if spent else 0.0

    @property
    def real_time_factor(self) -> float:
        """Seconds of audio a second of wall-clock time; 0 if nothing was extracted."""
        return self.audio_seconds / self.seconds if self.extracted else 0.0


def extract_features(
    tracks: Sequence[Track],
    features: Sequence[Representation],
    clip: ClipConfig,
    root: str,
    min_seconds: float,
    known_rejects: Sequence[Reject] = (),
    device: str = "cpu",
    descriptors: bool = False,
    start: Callable[[], None] = lambda: None,
    remember: Callable[[Sequence[Reject]], None] = lambda rejects: None,
) -> ExtractionReport:
    """Extract the representations that the stores below ``root`` lack.

    Parameters
    ----------
    tracks
        To extract; two with the same content are extracted once.
    features
        Each distinct representation is extracted once, however many trials use it.
    clip
        The part of a track that stands for it.
    root
        Folder or URI of the stores.
    min_seconds
        Shorter tracks are rejected as ``too_short``.
    known_rejects
        Of an earlier run: the same content is not tried again.
    device
        ``"cpu"``: one kind of worker does it all. ``"cuda"``: CPU workers decode and write, one process
        a GPU computes batches of clips.
    descriptors
        Whether to describe each track for people, too (tempo, key, loudness, ...).
    start
        Called before workers are needed: where everything is stored, Ray need not be started.
    remember
        Called with the rejects so far: at the first, every few seconds if there are new ones, and when the work is
        broken off, so that a job that is stopped or killed has not heard them for nothing. It may end the work by
        raising.

    Raises
    ------
    ConfigError
        If there is nothing to extract, or no such device; if a representation would keep a part of each clip only; if
        an encoder's file is not here.
    """
    if not features:
        raise ConfigError("no representations to extract: name at least one")
    require_whole_clips(features, clip.seconds)
    require_weights(features)
    on_gpu = is_gpu(device)
    started = time.monotonic()
    distinct = {f.store_name(): f for f in features}
    uris = {name: prepare_store(root, f, clip) for name, f in distinct.items()}
    by_key: dict[str, list[Track]] = {}
    for t in tracks:
        by_key.setdefault(track_key(t.content, clip), []).append(t)
    # A reject holds only for its request: other features, another minimum length, or a better decoder may succeed.
    request = digest(sorted(distinct), min_seconds, DECODER_VERSION)
    known = {r.key: r for r in known_rejects if r.reason not in TRANSIENT_REASONS}
    failed = {key: known[digest(key, request)] for key in by_key if digest(key, request) in known}
    stores = {name: FeatureStore(uri) for name, uri in uris.items()}
    failed |= _too_short(stores, by_key, min_seconds)
    tables = (FINGERPRINT_TABLE, DESCRIPTOR_TABLE) if descriptors else (FINGERPRINT_TABLE,)
    not_rejected = {key: same for key, same in by_key.items() if key not in failed}
    stored = {table: read_keys(root, table) for table in tables}
    items = _pending_items(stores, stored, not_rejected)
    totals, written, heard = Counter[str](), Counter[str](), dict[str, str]()
    first = last = time.monotonic()
    if items:
        start()
        WAITING_TRACKS.set(len(items))
        job = {
            "features": [f.to_dict() for f in distinct.values()],
            "clip": clip.to_dict(),
            "root": root,
            "min_seconds": min_seconds,
            "attempts": uuid.uuid4().hex,
        }
        with (
            Progress("tracks extracted", len(items)) as progress,
            remembering(failed, lambda: remember(_rejects(failed, by_key, request))) as batch_ended,
            ExitStack() as ending,
        ):
            ending.callback(shutil.rmtree, attempts_folder(str(job["attempts"])), ignore_errors=True)
            for gauge in (WAITING_TRACKS, EXTRACTION_RATE):  # said again and again: one that failed waits for nothing
                ending.callback(gauge.set, 0)
            for n, row in enumerate(_worker_results(items, job, device if on_gpu else "")):
                last = time.monotonic()
                first = last if n == 0 else first
                written.update(json.loads(row["written"]))
                totals.update({name: row[name] for name in ("audio", "decode", "compute")})
                heard[row["key"]] = row["note"]
                count_track(row)
                WAITING_TRACKS.set(len(items) - n - 1)
                if last > first:
                    EXTRACTION_RATE.set(n / (last - first))
                if row["reason"]:
                    source = by_key[row["key"]][0].source
                    failed[row["key"]] = Reject(track_id="", source=source, stage="extract", reason=row["reason"],
                                                detail=row["detail"], bytes=row["size"])  # fmt: skip
                if not row["left"]:
                    batch_ended()
                progress.add(note=f"({len(failed)} set aside)" if failed else "")
        for name, uri in uris.items():
            _join_and_index(uri, distinct[name])
        for table in (*tables, NOTE_TABLE):
            join_rows(root, table)
    printed = stored[FINGERPRINT_TABLE] | ({i["key"] for i in items} - set(failed))
    return ExtractionReport(
        rejects=tuple(_rejects(failed, by_key, request)),
        extracted=len([i for i in items if i["key"] not in failed]),
        stored=len(by_key) - len({i["key"] for i in items} | set(failed)),
        seconds=time.monotonic() - started,
        working_seconds=last - first,
        audio_seconds=float(totals["audio"]),
        decode_seconds=float(totals["decode"]),
        compute_seconds=float(totals["compute"]),
        bytes=dict(written),
        duplicates=_duplicates(root, clip, by_key, printed),
        notes={by_key[key][0].source: note for key, note in keep_notes(root, by_key, heard).items()},
    )


def _join_and_index(uri: str, feature: Representation) -> None:
    """What is done to a store when a job has written to it."""
    try:
        join_small_parts(uri, feature)
        write_index(uri)
    except (OSError, StoreError) as error:  # a full disk, say: all is stored, and is read as it is
        logger.warning("all is stored, but small parts or indices of %s could not be joined: %s", uri, error)


def _rejects(failed: Mapping[str, Reject], by_key: Mapping[str, Sequence[Track]], request: str) -> list[Reject]:
    """A reject for each track whose content failed, sorted by id."""
    found = (
        Reject(track_id=t.track_id, source=t.source, stage="extract", reason=r.reason, detail=r.detail,
               key=digest(key, request), bytes=r.bytes)
        for key, r in failed.items()
        for t in by_key[key]
    )  # fmt: skip
    return sorted(found, key=lambda r: r.track_id)


def _too_short(
    stores: Mapping[str, FeatureStore], by_key: Mapping[str, Sequence[Track]], min_seconds: float
) -> dict[str, Reject]:
    """Tracks that were stored by a request with a smaller minimum length."""
    found = {}
    for store in stores.values():
        feature = store.representation
        least = feature.frames_kept(min_seconds)
        for key, tracks in by_key.items():
            if key in store and store.frames(key) < least:
                found[key] = Reject(
                    track_id="", source=tracks[0].source, stage="extract", reason="too_short",
                    detail=f"{feature.seconds_of(store.frames(key)):.2f} s of audio, at least {min_seconds:.2f} s are "
                    f"needed ({store.frames(key)} frames of {feature.kind} of {least})",
                )  # fmt: skip
    return found


def _pending_items(
    stores: Mapping[str, FeatureStore], tables: Mapping[str, set[str]], by_key: Mapping[str, Sequence[Track]]
) -> list[dict[str, str]]:
    """What workers are given: a row for each track that a store or a table lacks."""
    places: dict[str, Container[object]] = {**stores, **tables}
    lacking = {k: [n for n, there in places.items() if k not in there] for k in by_key}
    firsts = {k: same[0] for k, same in by_key.items() if lacking[k]}
    return [
        {"source": t.source, "key": k, "lacking": " ".join(lacking[k]), "stamp": t.stamp or _local_stamp(t.source)}
        for k, t in firsts.items()
    ]


def _local_stamp(source: str) -> str:
    """The stamp of a file that was not listed; one elsewhere is asked for by the worker that decodes it."""
    return storage.stamp(source) if storage.is_local(source) else ""


def _worker_results(items: list[dict[str, str]], job: dict[str, Any], gpu: str) -> Iterator[dict[str, Any]]:
    if not gpu:
        yield from run_workers(items, WorkerStage(Extractor, job, TRACKS_A_PART))
        return
    with gpu_pool("cuda") as pool:
        yield from run_workers(items, WorkerStage(Extractor, {**job, "batch_compute": pool}, TRACKS_A_PART))


def _duplicates(
    root: str, clip: ClipConfig, by_key: Mapping[str, Sequence[Track]], printed: Container[str]
) -> tuple[tuple[str, ...], ...]:
    """Groups of tracks with the same recording: by their bytes, or by what they sound like."""
    alike = duplicate_keys(root, clip, (key for key in by_key if key in printed))
    groups = [[t.track_id for key in keys for t in by_key[key]] for keys in alike]
    found = {key for keys in alike for key in keys}
    groups += [[t.track_id for t in same] for key, same in by_key.items() if len(same) > 1 and key not in found]
    return tuple(sorted(tuple(sorted(g)) for g in groups))
