"""Neighbours in a large catalogue: exact and approximate search beside NumPy's product, on one core, in one run.

make bench NAME=recommend                      110 000 vectors of 800 dimensions
make bench NAME=recommend ARGS=--large         and 1 000 000 of 128; some 3 GB of memory
make bench NAME=recommend ARGS="--rows 20000"  a quick look

Vectors are made around centres, with a fixed seed. Milliseconds are CPU time, medians over queries. Ratios are what is
to be looked at: exact search with a filter to NumPy's float32 product with the same (0.4 or less), approximate to exact
(0.1 or less, at a recall at 20 of 0.98 or more), memory that became resident to the file of vectors (1.2 or less).
The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tonearm.core.text import format_table

ROOT = Path(__file__).parents[2]
K, QUERIES = 20, 40
CENTRES, SPREAD = 1_000, 0.7  # the deviation around a centre, relative to the distance between centres
SEED = 15
FEW = 0.005  # share of rows that the narrow filter leaves


def clustered(count: int, dim: int, seed: int) -> np.ndarray:
    """float32 vectors (count, dim) around the same centres for all seeds."""
    centres = np.random.default_rng(SEED).standard_normal((CENTRES, dim), np.float32)
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((count, dim), np.float32)
    noise *= SPREAD
    noise += centres[rng.integers(0, CENTRES, count)]
    return noise


def make(folder: Path, rows: int, dim: int) -> dict[str, float]:
    """Write one catalogue that is searched exactly and one with an index; CPU seconds."""
    from tonearm.recommend.catalogue_changes import Space, change_catalogue

    vectors = clustered(rows, dim, SEED + 1)
    known = [{"track_id": f"t{i}", "label": f"l{i % 50}"} for i in range(rows)]
    spent = {}
    for name, most in (("exact", rows), ("approximate", 0)):
        started = time.process_time()
        change_catalogue(str(folder / name), Space("made", dim), known, vectors, exact_most=most)
        spent[name] = time.process_time() - started
    return {"write_s": spent["exact"], "index_s": spent["approximate"] - spent["exact"]}


def measure(folder: Path, dim: int) -> dict[str, float]:
    """In a process of its own: what opening, searching and memory cost."""
    import faiss

    from tonearm.recommend.catalogue import Catalogue

    faiss.omp_set_num_threads(1)
    queries = clustered(QUERIES, dim, SEED + 2)
    before, started = resident(), time.process_time()
    exact = Catalogue.open(str(folder / "exact"))
    exact.search(queries[0], 1)
    found: dict[str, float] = {"rows": len(exact), "dim": dim, "open_s": time.process_time() - started}
    rng = np.random.default_rng(SEED)
    half, few = rng.random(len(exact)) < 0.5, rng.random(len(exact)) < FEW
    found["exact_ms"], nearest = timed(lambda q: exact.search(q, K), queries)
    found["exact_half_ms"], _ = timed(lambda q: exact.search(q, K, half), queries)
    found["exact_few_ms"], _ = timed(lambda q: exact.search(q, K, few), queries)
    size = (folder / "exact" / exact.described.base.folder / "vectors.npy").stat().st_size
    found["resident"] = (resident() - before) / size
    started = time.process_time()
    approximate = Catalogue.open(str(folder / "approximate"))
    found["open_index_s"] = time.process_time() - started
    found["approximate_ms"], near = timed(lambda q: approximate.search(q, K), queries)
    found["approximate_half_ms"], _ = timed(lambda q: approximate.search(q, K, half), queries)
    same = [len({f.place for f in a} & {f.place for f in b}) / K for a, b in zip(near, nearest, strict=True)]
    found["recall"] = float(np.mean(same))
    floats = exact.vectors(np.arange(len(exact)))

    def plain(query: np.ndarray) -> np.ndarray:
        scores = floats @ query
        scores[~half] = -np.inf
        first = np.argpartition(-scores, K)[:K]
        chosen: np.ndarray = first[np.argsort(-scores[first])]
        return chosen

    found["numpy_half_ms"], _ = timed(plain, queries)
    return found | {
        "exact_to_numpy": found["exact_half_ms"] / found["numpy_half_ms"],
        "approximate_to_exact": found["approximate_ms"] / found["exact_ms"],
    }


def timed(search: Callable[[np.ndarray], Any], queries: Sequence[np.ndarray]) -> tuple[float, list[Any]]:
    """The median CPU milliseconds of a query, after one that warms up, and what was found."""
    search(queries[0])
    spent, found = [], []
    for query in queries:
        started = time.process_time()
        found.append(search(query))
        spent.append(time.process_time() - started)
    return 1e3 * float(np.median(spent)), found


def resident() -> int:
    """Bytes of this process that are in memory, mapped files included."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=110_000)
    parser.add_argument("--dim", type=int, default=800)
    parser.add_argument("--large", action="store_true", help="1 000 000 vectors of 128 dimensions, too")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.dim)))
        return
    runs = []
    for rows, dim in ((options.rows, options.dim), *([(1_000_000, 128)] if options.large else [])):
        with tempfile.TemporaryDirectory(prefix="tonearm-bench-") as temporary:
            made = make(Path(temporary), rows, dim)
            command = [sys.executable, "-m", "tests.benchmarks.recommend", "--measure", temporary, "--dim", str(dim)]
            one_core = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
            done = subprocess.run(command, cwd=ROOT, env=one_core, check=True, capture_output=True, text=True)
            runs.append({**json.loads(done.stdout.splitlines()[-1]), **made})
    names = list(runs[0])
    print(format_table([("", *(f"{r['rows']:,.0f} x {r['dim']:.0f}" for r in runs)),
                        *((name, *(f"{r[name]:.3f}" for r in runs)) for name in names[2:])]))  # fmt: skip
    print(json.dumps({"benchmark": "recommend", "runs": runs}))


if __name__ == "__main__":
    main()
