"""Part of the benchmark ``scale``: a trial of seven vectors of 800 numbers a track and a target of as many.

That is what the playlist models of the thesis learn from (158 844 tracks). The manifest is written as the driver of a
sweep does, then a fresh process loads it, makes its examples and reads batches, as a trial does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

NUMBERS, INPUTS = 800, 7
BATCHES, BATCH = 200, 64
MADE_AT_ONCE = 4096


def steps(tracks: int, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Write a manifest with its metadata, then start a trial on it."""
    from tonearm.core.mapped import map_array
    from tonearm.datasets.columns import ArrayColumn
    from tonearm.datasets.manifest import Manifest, Track, save_manifest
    from tonearm.datasets.metadata import Metadata

    splits = ("train", "train", "train", "validation", "test")
    all_tracks = tuple(Track(track_id=f"t{i:07}", source="", content=f"{i:016x}", label="a", group=f"g{i // 8}",
                             split=splits[i % 5]) for i in range(tracks))  # type: ignore[arg-type]  # fmt: skip
    names = [*(f"v{i}" for i in range(INPUTS)), "target"]
    for name in names:
        rng = np.random.default_rng(len(name))
        made = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, (tracks, NUMBERS))
        for start in range(0, tracks, MADE_AT_ONCE):
            part = made[start : start + MADE_AT_ONCE]
            part[:] = rng.standard_normal(part.shape, dtype=np.float32)
        made.flush()
        del made
    columns = {name: ArrayColumn(map_array(folder / f"{name}.npy")) for name in names}
    metadata = Metadata.of_columns([t.track_id for t in all_tracks], columns)
    uri = str(folder / "manifest.parquet")
    yield "hash and write", lambda: save_manifest(uri, Manifest("made", "x", all_tracks, metadata=metadata))
    for name in names:
        (folder / f"{name}.npy").unlink()
    yield "start the first trial on a machine", lambda: start_trial(uri)
    yield "start another one", lambda: start_trial(uri)


def start_trial(uri: str) -> dict[str, float]:
    """The figures of a fresh process."""
    code = f"from tests.benchmarks.scale_metadata import trial; trial({uri!r})"
    env = {**os.environ, "TONEARM_CACHE": str(Path(uri).parent / "cache")}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def trial(uri: str) -> None:
    """What a trial does before its network is trained, and how much memory it takes beyond its libraries."""
    from tests.builders import tiny_config
    from tests.unit.toy_problems import AnyInput
    from tonearm.datasets.manifest import load_manifest
    from tonearm.features.metadata import CompositeFeature, NamedFeature, TableFeature
    from tonearm.tasks.embedding import Embedding
    from tonearm.training.examples import make_examples

    tables = [TableFeature(columns=(f"v{i}",), width=NUMBERS, scaling="none") for i in range(INPUTS)]
    inputs = tuple(NamedFeature(name=f"in{i}", feature=table) for i, table in enumerate(tables))
    config = tiny_config().replace({"feature": CompositeFeature(inputs=inputs), "model": AnyInput(),
                                    "task": Embedding(target="target"), "optim.batch_size": BATCH})  # fmt: skip
    before, started = memory(), time.perf_counter()
    manifest = load_manifest(uri)
    manifest.signature()
    loaded = time.perf_counter()
    examples = make_examples(config, manifest, "", "")
    made = time.perf_counter()
    examples.targets("validation")
    batches = examples.train(1)
    next(batches)
    first = time.perf_counter()
    for _ in zip(range(BATCHES), batches, strict=False):
        pass
    over = time.perf_counter()
    own = {f"{name}_mib": value - before[name] for name, value in memory().items()}
    print(json.dumps({"load_s": loaded - started, "examples_s": made - loaded, "first_batch_s": first - made,
                      "ms_a_batch": 1e3 * (over - first) / BATCHES, **own}))  # fmt: skip


def memory() -> dict[str, float]:
    """MiB of this process: its own, its own at most with what is mapped, and what it maps and shares with others."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    names = {"own": "RssAnon", "peak": "VmHWM", "mapped": "RssFile"}
    return {name: int(status[field].split()[0]) / 1024 for name, field in names.items()}
