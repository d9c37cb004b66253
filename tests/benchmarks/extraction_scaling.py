"""The rest of the extraction benchmark: workers, reading a store, a GPU."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tonearm.audio.decode import decode
from tonearm.audio.windows import ClipConfig
from tonearm.core.threads import thread_environment
from tonearm.features import Mel, as_representation
from tonearm.features.computed import ComputedClip
from tonearm.features.presets import THESIS_PRESETS
from tonearm.features.row_store import FINGERPRINT_TABLE
from tonearm.features.shards import ShardWriter
from tonearm.features.store import FeatureStore, prepare_store

BATCH = 8
STORED_TRACKS = 400
_worker: Any = None


def _start(arguments: dict[str, Any]) -> None:
    global _worker
    from tonearm.pipelines.extractor import Extractor

    _worker = Extractor(**arguments)


def _work(batch: dict[str, list[str]]) -> int:
    return len(_worker(batch)["key"])


def _job(folder: Path, paths: Sequence[Path], tracks: int, name: str) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """A new store and the items of an extraction of all six representations."""
    features = [as_representation(f) for f in THESIS_PRESETS]
    root = str(folder / name)
    for feature in features:
        prepare_store(root, feature)
    job = {"features": [f.to_dict() for f in features], "clip": ClipConfig().to_dict(), "root": root,
           "min_seconds": 1.0, "attempts": uuid.uuid4().hex}  # fmt: skip
    lacking = " ".join([*(f.store_name() for f in features), FINGERPRINT_TABLE])
    items = [
        {"source": str(paths[i % len(paths)]), "key": f"{name}{i:05}", "lacking": lacking, "stamp": ""}
        for i in range(tracks)
    ]
    return job, items


def _steady_rate(times: list[float], sizes: list[int]) -> float:
    """Tracks a second from the first answer to the last: start-up does not count."""
    return sum(sizes[1:]) / (times[-1] - times[0])


def _pool_rate(folder: Path, paths: Sequence[Path], tracks: int, workers: int) -> float:
    job, items = _job(folder, paths, tracks, f"pool{workers}")
    batches = [
        {k: [i[k] for i in items[s : s + BATCH]] for k in ("source", "key", "lacking", "stamp")}
        for s in range(0, tracks, BATCH)
    ]  # fmt: skip
    times, sizes = [], []
    with multiprocessing.get_context("spawn").Pool(workers, _start, (job,)) as pool:
        for size in pool.imap_unordered(_work, batches):
            times.append(time.perf_counter())
            sizes.append(size)
    shutil.rmtree(job["root"])
    return _steady_rate(times, sizes)


def _ray_rate(folder: Path, paths: Sequence[Path], tracks: int) -> tuple[float, float]:
    """The rate, and the most bytes that were in the object store meanwhile."""
    from tonearm.pipelines.extractor import Extractor
    from tonearm.pipelines.workers import WorkerStage, run_workers

    job, items = _job(folder, paths, tracks, "ray")
    peak, stop = [0], threading.Event()

    def watch() -> None:
        import ray
        from ray._private.internal_api import node_stats

        node = ray.nodes()[0]
        while not stop.wait(0.2):
            stats = node_stats(node["NodeManagerAddress"], node["NodeManagerPort"])
            peak.append(stats.store_stats.object_store_bytes_used)

    watcher = threading.Thread(target=watch)
    watcher.start()
    times, sizes = [], []
    try:
        for n, _ in enumerate(run_workers(items, WorkerStage(Extractor, job, BATCH))):
            if n % BATCH == 0:  # the rows of a batch come together
                times.append(time.perf_counter())
                sizes.append(min(BATCH, tracks - n))
    finally:
        stop.set()
        watcher.join()
    shutil.rmtree(job["root"])
    return _steady_rate(times, sizes), float(max(peak))


def measure_workers(folder: Path, paths: Sequence[Path], tracks: int) -> dict[str, float]:
    """One process, two processes, and Ray Data with as many workers as cores, at steady state."""
    import ray

    cores = os.cpu_count() or 1
    one = _pool_rate(folder, paths, tracks // 2, 1)
    both = _pool_rate(folder, paths, tracks, cores)
    ray_home = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    ray.init(address="local", num_cpus=cores, include_dashboard=False, object_store_memory=256 * 2**20,
             _temp_dir=ray_home, log_to_driver=False,
             runtime_env={"env_vars": {**thread_environment(), "PYTHONPATH": os.pathsep.join(_paths())}})  # fmt: skip
    try:
        with_ray, peak = _ray_rate(folder, paths, tracks)
    finally:
        ray.shutdown()
        shutil.rmtree(ray_home, ignore_errors=True)
    out = {
        "one_process": round(one, 1), "processes": cores, "pool": round(both, 1), "ray_data": round(with_ray, 1),
        "scaling": round(both / one, 2), "ray_over_pool": round(with_ray / both, 2),
        "object_store_peak_mib": round(peak / 2**20, 2),
    }  # fmt: skip
    print(f"workers, tracks/s at steady state, decode to disk, {tracks} tracks: 1 process {out['one_process']}, "
          f"{cores} processes {out['pool']} ({out['scaling']} x), Ray Data {out['ray_data']} "
          f"({out['ray_over_pool']} of the pool); object store at most {out['object_store_peak_mib']} MiB")  # fmt: skip
    return out


def _paths() -> list[str]:
    root = Path(__file__).parents[2]
    return [str(root / "platform"), str(root)]


def measure_reading(folder: Path) -> dict[str, float]:
    """Random batches of 32 whole 256 x 643 windows from a warm store, a second of CPU time each."""
    import torch

    torch.set_num_threads(1)
    feature = Mel()
    uri = prepare_store(str(folder / "reading"), feature)
    rng = np.random.default_rng(0)
    for part in range(0, STORED_TRACKS, 16):
        writer = ShardWriter(uri)
        for i in range(part, part + 16):
            values = rng.normal(-40, 12, (256, 643)).astype(np.float32)
            writer.add(f"{i:04}", ComputedClip(values, values))
        writer.close()
    store = FeatureStore(uri)
    out = np.empty((32, 1, 256, 643), dtype=np.float16)
    store.read_windows([(f"{i:04}", 0, 0) for i in range(32)], 643, out)

    def rate(convert: bool) -> float:
        counts, started = 0, time.process_time()
        while time.process_time() - started < 1.0:
            keys = rng.integers(0, STORED_TRACKS, 32)
            store.read_windows([(f"{k:04}", 0, 0) for k in keys], 643, out)
            if convert:
                torch.from_numpy(out).float()
            counts += 32
        return counts / (time.process_time() - started)

    for key in range(STORED_TRACKS):
        store.read(f"{key:04}").values.max()  # warm: in the page cache
    plain = statistics.median(rate(False) for _ in range(3))
    converted = statistics.median(rate(True) for _ in range(3))
    shutil.rmtree(uri)
    found = {"windows_per_second": round(plain), "with_float32": round(converted),
             "gigabytes_per_second": round(plain * 256 * 643 * 2 / 1e9, 2)}  # fmt: skip
    print(f"reading, 1 core, warm: {plain:.0f} windows/s of 256 x 643 float16 ({found['gigabytes_per_second']} GB/s), "
          f"{converted:.0f} when converted to float32")  # fmt: skip
    return found


def measure_gpu(paths: Sequence[Path], batch: int = 32) -> dict[str, Any]:
    """All six representations of batches on a GPU, and the share of time that it would wait for decoding."""
    import torch

    if not torch.cuda.is_available():
        print("GPU: none here, left out")
        return {}
    from tonearm.features.batched import extract_batch
    from tonearm.features.engine import compute

    features = [as_representation(f) for f in THESIS_PRESETS]
    started = time.perf_counter()
    waveforms = [decode(p) for p in (list(paths) * batch)[:batch]]
    decoding = (time.perf_counter() - started) / batch
    clips = [{(22050, 1): w} for w in waveforms]
    times = []
    for _ in range(6):
        started = time.perf_counter()
        on_gpu = extract_batch(clips, features, "cuda")
        torch.cuda.synchronize()
        times.append((time.perf_counter() - started) / batch)
    started = time.perf_counter()
    on_cpu = [compute(w, features) for w in waveforms]
    cpu = (time.perf_counter() - started) / batch
    worst = {
        f.kind: max(float(np.abs(g[i].values - c[i].values).max()) for g, c in zip(on_gpu, on_cpu, strict=True))
        for i, f in enumerate(features)
    }
    gpu, cores = statistics.median(times[1:]), os.cpu_count() or 1
    waiting = max(0.0, 1 - gpu / max(gpu, decoding / cores))
    out = {
        "name": torch.cuda.get_device_name(),
        "gpu_tracks_per_second": round(1 / gpu, 1),
        "cpu_tracks_per_core_second": round(1 / cpu, 1),
        "decode_tracks_per_core_second": round(1 / decoding, 1),
        "share_waiting_for_decoding": round(waiting, 3),
        "worst": worst,
    }
    print(
        f"GPU {out['name']}: {1 / gpu:.0f} tracks/s, copies included; CPU {1 / cpu:.0f}/s/core; decoding "
        f"{1 / decoding:.0f}/s/core, so with {cores} cores the GPU waits {waiting:.0%} of the time; "
        f"largest difference {worst}"
    )
    return out
