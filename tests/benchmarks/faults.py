"""The faults that take minutes: nodes cut off, the head killed, two of the same at once. Each is a test.

make bench NAME=faults
make bench NAME=faults ARGS="-k head"        some of them, as pytest chooses
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time

from tests.cluster.network import ROOT

LINE = re.compile(r"^(\d+\.\d+)s (call|setup)\s+(\S+)$", re.MULTILINE)


def main() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-svv", "-m", "long", "tests/cluster",
               "--durations=0", "--timeout=1800", *sys.argv[1:]]  # fmt: skip
    load, began = os.getloadavg()[0], time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = []
    for line in process.stdout:  # a test a line, as it ends: it takes long
        print(line, end="", flush=True)
        said.append(line)
    code = process.wait()
    found = LINE.findall("".join(said))
    seconds = {name.partition("::")[2] or name: float(s) for s, part, name in found if part == "call"}
    print(json.dumps({"seconds": round(time.monotonic() - began), "load_before": round(load, 1), "failed": code != 0,
                      "each": {name: round(s, 1) for name, s in seconds.items()}}))  # fmt: skip
    sys.exit(code)


if __name__ == "__main__":
    main()
