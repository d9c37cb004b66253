"""Part of the benchmark ``scale``: a feature store under macOS' limit of 256 open files, opened and trained from.

Made arrays of 32 bands and 160 frames, 10 KB a track, so that 100 000 tracks fit on a small disk. There are as many a
part as of real ones (mel, 256 bands of 30 s: 204 clips in 64 MiB), and in another store 16 a part, as stores were
written before parts were joined.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np

from tests.benchmarks.scale_metadata import memory
from tests.builders import tiny_config
from tonearm.datasets.manifest import Track
from tonearm.features import Mel
from tonearm.features.computed import ComputedClip
from tonearm.features.shards import ShardWriter
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.features.store_index import write_index
from tonearm.training.batches import Batches

OPEN_FILES = 256
TRACKS_A_PART = (204, 16)
WINDOWS = 20_000
FRAMES = 160
MEL = Mel(n_mels=32, n_fft=512, hop=256)
CONFIG = tiny_config().replace({"feature": MEL, "window.frames": 80, "optim.batch_size": 32})


def steps(tracks: int, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Open the stores and read an epoch's first windows in random order."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    all_tracks = [Track(track_id=f"t{i:07}", source="", content=f"{i:016x}", label="ab"[i % 2], group=f"g{i}",
                        split="train") for i in range(tracks)]  # fmt: skip
    for size in TRACKS_A_PART:
        uri = make_store(folder / str(size), all_tracks, size)
        opened: list[FeatureStore] = []

        def open_store(uri: str = uri, opened: list[FeatureStore] = opened) -> dict[str, float]:
            opened.append(FeatureStore(uri))
            return {"parts": len(list((Path(uri) / "parts").glob("*.parquet")))}

        def read(opened: list[FeatureStore] = opened) -> dict[str, float]:
            batches = Batches(CONFIG, all_tracks, ["a", "b"], opened[0])
            found, count, started = batches.train(1), 0, 0.0
            for batch in found:
                started = started or time.process_time()  # the first one knows the training split's statistics
                count += len(batch.track_ids)
                if count >= WINDOWS:
                    break
            return {"windows_a_cpu_second": count / (time.process_time() - started), "open_files": open_files(),
                    "own_mib": memory()["own"], "mapped_mib": memory()["mapped"]}  # fmt: skip

        yield f"open, {size} tracks a part", open_store
        yield f"read windows, {size} tracks a part", read


def make_store(folder: Path, tracks: list[Track], size: int) -> str:
    """A store of so many tracks a part."""
    uri = prepare_store(str(folder), MEL, CONFIG.clip)
    noise = np.random.default_rng(0).normal(-40, 9, (MEL.n_mels, FRAMES)).astype(np.float32)
    computed = ComputedClip(noise, noise)
    with patch.object(os, "fsync", lambda file: None):  # made data need not survive a power cut
        for start in range(0, len(tracks), size):
            writer = ShardWriter(uri)
            for track in tracks[start : start + size]:
                writer.add(track_key(track.content, CONFIG.clip), computed)
            writer.close()
    write_index(uri)
    return uri


def open_files() -> int:
    return len(os.listdir("/proc/self/fd" if Path("/proc/self/fd").exists() else "/dev/fd"))  # noqa: PTH208
