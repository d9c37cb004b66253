"""Extraction against librosa, its scaling, and the speed of reading: ``make bench NAME=extraction``.

What is compared takes turns in one run; the table gives CPU time and medians of paired ratios. The last line is one
JSON object; the exit status is 1 if a gate is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import librosa_baseline
from tests.benchmarks.corpus import FORMATS, make_corpus
from tests.benchmarks.extraction_scaling import measure_gpu, measure_reading, measure_workers
from tonearm.audio.decode import decode
from tonearm.core.threads import keep_memory, thread_environment
from tonearm.features import extract
from tonearm.features.presets import THESIS_PRESETS

SHARED = Path("../shared/data/soundtracks/clips")
GATES = {"kinder": 4.0, "naive": 8.5}
GOALS = {"kinder": 4.5, "naive": 10.0}
PARITY = dict.fromkeys(THESIS_PRESETS, 0.02) | {"chroma": 0.01}


def ours(path: str) -> dict[str, Any]:
    """One decoding, one pass."""
    return dict(extract(decode(path), THESIS_PRESETS))


def cpu_ms(call: Callable[[str], object], path: Path) -> float:
    """CPU time of one call, milliseconds."""
    started = time.process_time()
    call(str(path))
    return (time.process_time() - started) * 1e3


def measure_speed(corpus: dict[str, list[Path]]) -> dict[str, dict[str, float]]:
    """Medians in ms a clip, and of the paired ratios, by format."""
    out = {}
    for name in FORMATS:
        for call in (librosa_baseline.naive, librosa_baseline.kinder, ours):
            call(str(corpus[name][0]))  # filters and plans are made once
        calls = (librosa_baseline.naive, librosa_baseline.kinder, ours, decode)
        rows = [[cpu_ms(call, path) for call in calls] for path in corpus[name]]
        naive, kinder, own, decoding = np.array(rows).T
        out[name] = {
            "naive_ms": round(statistics.median(naive), 1), "kinder_ms": round(statistics.median(kinder), 1),
            "ours_ms": round(statistics.median(own), 1), "decode_ms": round(statistics.median(decoding), 1),
            "naive_ratio": round(statistics.median(naive / own), 2),
            "kinder_ratio": round(statistics.median(kinder / own), 2),
            "tracks_per_core_second": round(1e3 / statistics.median(own), 1),
        }  # fmt: skip
        r = out[name]
        print(
            f"  {name:5}{r['naive_ms']:>9}{r['kinder_ms']:>9}{r['ours_ms']:>9}{r['decode_ms']:>9}"
            f"{r['naive_ratio']:>9}{r['kinder_ratio']:>9}{r['tracks_per_core_second']:>14}",
            flush=True,
        )
    return out


def measure_parity(paths: list[Path]) -> dict[str, float]:
    """The largest difference from librosa of each representation over all clips, of the same samples."""
    worst = dict.fromkeys(THESIS_PRESETS, 0.0)
    for path in paths:
        waveform = decode(path)
        found = extract(waveform, THESIS_PRESETS)
        for name, call in librosa_baseline.CALLS.items():
            worst[name] = max(worst[name], float(np.abs(found[name] - call(waveform.samples[0])).max()))
    return {name: round(value, 6) for name, value in worst.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=Path, default=SHARED if SHARED.is_dir() else None,
                        help="recordings to cut the clips from; without any, generated music")  # fmt: skip
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--tracks", type=int, default=400, help="of the comparison of workers; 0 leaves it out")
    arguments = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":  # read once, when the libraries are imported: start anew
        command = [sys.executable, "-m", "tests.benchmarks.extraction", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **thread_environment(), "RAY_BACKEND_LOG_LEVEL": "fatal"})
    warnings.simplefilter("ignore")
    keep_memory()
    gates: dict[str, bool] = {}
    with tempfile.TemporaryDirectory(prefix="tonearm-bench-") as name:
        folder = Path(name)
        print(f"{arguments.clips} clips of 30 s, from {arguments.audio or 'generated music'}; CPU ms a clip, 1 thread")
        corpus = make_corpus(folder, arguments.clips, arguments.audio)
        print(
            f"  {'':5}{'naive':>9}{'kinder':>9}{'ours':>9}{'decode':>9}{'naive/':>9}{'kinder/':>9}{'tracks/s/core':>14}"
        )
        speed = measure_speed(corpus)
        for baseline, gate in GATES.items():
            gates[f"{baseline} >= {gate}"] = bool(speed["mp3"][f"{baseline}_ratio"] >= gate)
            print(f"  {baseline}: {speed['mp3'][f'{baseline}_ratio']} x (gate {gate}, goal {GOALS[baseline]})")
        parity = measure_parity(corpus["mp3"])
        print("largest difference from librosa (dB; chroma 0..1, mfcc in its unit):", parity)
        gates["parity"] = all(parity[n] <= PARITY[n] for n in THESIS_PRESETS)
        reading = measure_reading(folder)
        gates["reading >= 10000 windows/s"] = bool(reading["windows_per_second"] >= 10_000)
        workers = measure_workers(folder, corpus["mp3"], arguments.tracks) if arguments.tracks else {}
        gpu = measure_gpu(corpus["mp3"])
    print("gates:", ", ".join(f"{name} {'ok' if ok else 'MISSED'}" for name, ok in gates.items()))
    print(json.dumps({"benchmark": "extraction", "audio": str(arguments.audio), "speed": speed, "parity": parity,
                      "reading": reading, "workers": workers, "gpu": gpu, "gates": gates}))  # fmt: skip
    return 0 if all(gates.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
