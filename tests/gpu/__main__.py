"""``python -m tests.gpu``: a table, and as the last line one JSON object. See :mod:`tests.gpu`."""

from __future__ import annotations

import argparse
import json
import sys
import warnings

import torch

from tests.gpu import answering, learning, parity, sharing, speed
from tests.gpu.device import QUICK, Sizes, describe
from tests.gpu.report import Report
from tonearm.core.precision import is_gpu

SECONDS = 280.0  # of the five minutes that are promised


def main() -> int:
    """1 if something failed, 0 otherwise, also where there is no GPU."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description="Check and measure the GPU paths.")
    parser.add_argument("--device", help="cuda, cuda:1; cpu runs the same code in place of a card (default: cuda)")
    parser.add_argument("--quick", action="store_true", help="the smallest sizes: whether it runs, not how fast")
    arguments = parser.parse_args()
    device = arguments.device or "cuda"
    if is_gpu(device) and not torch.cuda.is_available():
        print("no GPU: torch.cuda.is_available() finds none here, so nothing was checked or measured")
        return 0
    if is_gpu(device):
        torch.cuda.set_device(torch.device(device).index or 0)  # "cuda" has no index, and this call wants one
    warnings.filterwarnings("ignore", message="Empty filters")
    sizes, quick = (QUICK if arguments.quick else Sizes()), arguments.quick
    head = describe(device)
    print(", ".join(f"{k} {v}" for k, v in head.items()))
    report = Report(SECONDS, sizes.patience)
    with report.section("representations", "Representations: a batch on the device against the CPU", 40):
        parity.representations(report, device, sizes)
        parity.encoders(report, device, sizes)
    with report.section("networks", "Networks: logits and gradients in float32 against the CPU", 40):
        parity.networks(report, device)
    with report.section("precisions", "The loop learns in every precision", 40):
        learning.precisions(report, device, sizes)
    with report.section("resume", "A stopped training goes on as if it had not been", 20):
        learning.resume(report, device, sizes)
    with report.section("steps", "A training step in eager float32; how many times faster other ways are", 60):
        speed.steps(report, device, sizes)
    with report.section("waiting", "How long the device waits for data in the real loop", 40):
        learning.waiting(report, device, sizes)
    with report.section("extraction", f"Extraction of {sizes.seconds:g} s clips, {sizes.clips} a batch", 40):
        speed.extraction(report, device, sizes)
    with report.section("answers", "A recording of a server, decoded", 40):
        answering.answers(report, device, sizes)
    with report.section("memory", "Peak memory of a training step", 20):
        speed.memory(report, device, sizes)
    with report.section("sharing", "Two processes with half a card each", 40):
        sharing.sharing(report, device, sizes, quick)
    with report.section("compile", "torch.compile against eager float32", SECONDS):
        sharing.compiling(report, device, sizes, quick)
    failed = report.failed()
    print(f"\n{len(failed)} failed" + (": " + ", ".join(f"{r.section} {r.name}" for r in failed) if failed else ""))
    print(json.dumps(report.to_dict(check="gpu", **head)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
