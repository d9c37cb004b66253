"""Distributed extraction: many representations from one decoding, into the stores, only what is missing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.audio.windows import ClipConfig, load_clip
from tonearm.core.errors import AudioError, ConfigError, JobError
from tonearm.core.progress import Progress
from tonearm.core.types import FloatArray
from tonearm.datasets.manifest import Reject, Track
from tonearm.features.base import Representation
from tonearm.features.engine import extract
from tonearm.features.store import FeatureStore, prepare_store, store_uri, track_key, write_part
from tonearm.pipelines.workers import map_on_workers

TRACKS_A_PART = 16  # 16 x 256 x 643 float16 = 5 MB a file


@dataclass(frozen=True)
class ExtractionReport:
    """What an extraction came to.

    Attributes
    ----------
    rejects
        Tracks that have no features, now or from an earlier run, with the reason.
    extracted
        Tracks that were decoded now.
    stored
        Tracks whose features were there already.
    seconds
        Wall-clock time.
    bytes
        Written now.
    """

    rejects: tuple[Reject, ...]
    extracted: int
    stored: int
    seconds: float
    bytes: int

    @property
    def reasons(self) -> Counter[str]:
        """Rejects by reason."""
        return Counter(r.reason for r in self.rejects)


class Extractor:
    """A worker: decodes tracks, computes what their stores lack, writes one part a store."""

    def __init__(self, features: list[dict[str, object]], clip: dict[str, object], root: str, seconds: float) -> None:
        self.features = {f.store_name(): f for f in map(Representation.from_dict, features)}
        self.clip = ClipConfig.from_dict(clip)
        self.root, self.seconds = root, seconds

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[object]]:
        parts: dict[str, dict[str, FloatArray]] = {name: {} for name in self.features}
        out: dict[str, list[object]] = {"key": [], "reason": [], "detail": [], "bytes": []}
        for source, key, lacking in zip(batch["source"], batch["key"], batch["lacking"], strict=True):
            reason = detail = ""
            try:
                wanted = [self.features[name] for name in str(lacking).split()]
                waveform = load_clip(str(source), self.clip, wanted[0].sample_rate, min_seconds=self.seconds)
                for name, values in extract(waveform, wanted).items():
                    parts[name][str(key)] = values
            except AudioError as error:
                reason, detail = error.reason, error.detail
            except MemoryError as error:
                reason, detail = "out_of_memory", str(error) or "the decoded clip does not fit into memory"
            for column, value in zip(out, (str(key), reason, detail, 0), strict=True):
                out[column].append(value)
        written = 0
        for name, arrays in parts.items():
            if arrays:
                uri = store_uri(self.root, self.features[name])
                written += write_part(uri, list(arrays), list(arrays.values()))
        out["bytes"][0] = written
        return out


def extract_features(
    tracks: Sequence[Track],
    features: Sequence[Representation],
    clip: ClipConfig,
    root: str,
    min_seconds: float,
    known_rejects: Sequence[Reject] = (),
    max_rejected: float = 0.2,
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
    max_rejected
        Share of the tracks above which the job fails.

    Raises
    ------
    JobError
        If more than ``max_rejected`` of the tracks cannot be used; the message counts the reasons.
    """
    if not features:
        raise ConfigError("no representations to extract: name at least one")
    started = time.monotonic()
    distinct = {f.store_name(): f for f in features}
    stores = {name: FeatureStore(prepare_store(root, f)) for name, f in distinct.items()}
    by_key: dict[str, list[Track]] = {}
    for t in tracks:
        by_key.setdefault(track_key(t.content, clip), []).append(t)
    failed = {r.key: (r.reason, r.detail) for r in known_rejects if r.key in by_key}
    items = []
    for key, same in by_key.items():
        lacking = " ".join(name for name, store in stores.items() if key not in store)
        if lacking and key not in failed:
            items.append({"source": same[0].source, "key": key, "lacking": lacking})
    written = 0
    if items:
        arguments = {
            "features": [f.to_dict() for f in distinct.values()],
            "clip": clip.to_dict(),
            "root": root,
            "seconds": min_seconds,
        }
        with Progress("tracks extracted", len(items)) as progress:
            for row in map_on_workers(items, Extractor, arguments, batch_size=TRACKS_A_PART):
                written += row["bytes"]
                progress.add()
                if row["reason"]:
                    failed[row["key"]] = (row["reason"], row["detail"])
    rejects = [
        Reject(track_id=t.track_id, source=t.source, stage="extract", reason=reason, detail=detail, key=key)
        for key, (reason, detail) in failed.items()
        for t in by_key[key]
    ]
    report = ExtractionReport(
        tuple(sorted(rejects, key=lambda r: r.track_id)),
        len(items),
        len(by_key) - len({i["key"] for i in items} | set(failed)),
        time.monotonic() - started,
        written,
    )
    if tracks and len(rejects) > max_rejected * len(tracks):
        reasons = ", ".join(f"{reason} {n}" for reason, n in report.reasons.most_common())
        first = report.rejects[0]
        raise JobError(
            f"{len(rejects)} of {len(tracks)} tracks cannot be used ({reasons}), more than {max_rejected:.0%}; "
            f"e.g. {first.track_id}: {first.detail}. Repair or remove them, or raise --max-rejected"
        )
    return report
