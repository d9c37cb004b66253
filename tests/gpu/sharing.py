"""Two processes with half a card each, and what must be stopped if it takes too long: processes of their own."""

from __future__ import annotations

import argparse
import json
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import torch

from tests.gpu.device import QUICK, Sizes, synchronize
from tests.gpu.report import Report
from tests.gpu.speed import compiled, training_step
from tonearm.core.precision import is_gpu
from tonearm.training.sharing import memory_fraction

COMPILED = ("simple", "time")
ROOT = Path(__file__).resolve().parents[2]


def start(*arguments: str) -> subprocess.Popen[str]:
    """A process of this module."""
    command = [sys.executable, *(["-S"] if sys.flags.no_site else []), "-m", __name__, *arguments]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def sharing(report: Report, device: str, sizes: Sizes, quick: bool) -> None:
    """Training steps a second of one process alone, and of two side by side with half a card each."""
    with report.row("half a card each"):
        alone, together = (_side_by_side(n, device, sizes.sharing_seconds, quick, report.left()) for n in (1, 2))
        ratio = sum(p["steps_per_second"] for p in together) / alone[0]["steps_per_second"]
        held = all(p["refused_beyond_its_share"] is not False for p in together)
        text = f"together {ratio:.2f} x the steps of one alone"
        if is_gpu(device):
            text += "; " + ("none can take more than its share" if held else "one took more than its share")
        status = "FAILED" if is_gpu(device) and not held else "measured"
        report.add("half a card each", status, text, ratio=ratio, alone=alone, together=together)  # type: ignore[arg-type]


def _side_by_side(count: int, device: str, seconds: float, quick: bool, limit: float) -> list[dict[str, Any]]:
    more = ["--quick"] if quick else []
    ends = time.monotonic() + max(5.0, limit)
    processes = [start("share", device, "--seconds", str(seconds), "--share", "0.5", *more) for _ in range(count)]
    try:
        for p in processes:
            _line(p.stdout, "ready", ends)
        for p in processes:  # all have loaded their kernels: now they run at the same time
            assert p.stdin
            p.stdin.write("go\n")
            p.stdin.flush()
        return [json.loads(p.communicate(timeout=max(1.0, ends - time.monotonic()))[0].splitlines()[-1])
                for p in processes]  # fmt: skip
    finally:
        for p in processes:
            p.kill()
            p.wait()


def _line(stream: IO[str] | None, wanted: str, ends: float) -> None:
    """Wait until a process says the word, at most until the monotonic clock shows ``ends``."""
    assert stream
    if not select.select([stream], [], [], max(0.0, ends - time.monotonic()))[0]:
        raise TimeoutError(f"a process that shares the card did not say {wanted!r} within its time")
    found = stream.readline().strip()
    if found != wanted:
        raise RuntimeError(f"a process that shares the card ended before it was ready ({found!r})")


def share(device: str, part: float, seconds: float, sizes: Sizes) -> dict[str, Any]:
    """Train as long as told, with no more than a part of the card."""
    if is_gpu(device):
        card = torch.device(device)
        torch.cuda.set_device(card.index or 0)  # the one whose share is limited
        total = torch.cuda.get_device_properties(card).total_memory
        torch.cuda.set_per_process_memory_fraction(memory_fraction(part, total))
    step = training_step(next(c for c in sizes.steps_of if c[0] == "simple"), device)
    for _ in range(3):
        step()
    synchronize(device)
    print("ready", flush=True)
    sys.stdin.readline()
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for _ in range(8):  # the loop looks at its losses less often
            step()
        synchronize(device)
        done += 8
    rate, refused = done / (time.perf_counter() - started), None
    if is_gpu(device):
        try:
            torch.empty(int(part * total), dtype=torch.uint8, device=device)
            refused = False
        except torch.OutOfMemoryError:
            refused = True
    return {"steps_per_second": rate, "refused_beyond_its_share": refused}


def compiling(report: Report, device: str, sizes: Sizes, quick: bool) -> None:
    """torch.compile of two networks, as long as there is time."""
    for name in report.in_time([c[0] for c in sizes.steps_of if c[0] in COMPILED], "compile {}".format):
        with report.row(f"compile {name}"):
            process = start("compile", device, "--model", name, *(["--quick"] if quick else []))
            try:
                out = process.communicate(timeout=max(1.0, report.left()))[0]
            except subprocess.TimeoutExpired:
                report.add(f"compile {name}", "not run", "compiling took longer than the time that was left")
                continue
            finally:
                process.kill()
                process.wait()
            if process.returncode:
                report.add(f"compile {name}", "not run", f"its process ended with {process.returncode}")
                continue
            row = json.loads(out.splitlines()[-1])["rows"][0]
            status = "not run" if row["status"] == "FAILED" else row["status"]  # no compiler is no fault of ours
            report.add(row["name"], status, row["text"], **row["values"])


def main() -> None:
    """What a process does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["share", "compile"])
    parser.add_argument("device")
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--model", default="simple")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else Sizes()
    if arguments.what == "share":
        print(json.dumps(share(arguments.device, arguments.share, arguments.seconds, sizes)))
        return
    report = Report(600.0)
    with report.section("compile", "", 600.0):
        compiled(report, arguments.device, next(c for c in sizes.steps_of if c[0] == arguments.model), sizes)
    print(json.dumps(report.to_dict()))


if __name__ == "__main__":
    main()
