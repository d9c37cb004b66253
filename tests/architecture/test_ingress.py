"""Who answers by id needs no torch, which would take some 250 MiB in each ingress. Seen in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.architecture.files import ROOT
from tests.builders import track
from tonearm.recommend import CatalogueIndex

HEAVY = ("torch", "pandas", "librosa", "numba", "mlflow", "sklearn", "matplotlib", "scipy.stats")

ANSWER = """
import asyncio, json, sys
from serve.lean import ask_arrow, import_serve
import_serve()
ask_arrow()
import serve.ingress
from serve.admission import Admission
from serve.answers import find_tracks, recommended, way
from serve.answers_cache import AnswersCache
from serve.front import Front
from serve.questions import read_question
from serve.rollout import Route
from serve.versions import Version

about = {"bundle": "0123456789abcdef", "folder": sys.argv[1], "has_own_catalogue": True}
said = {"current": Route(Version(sys.argv[1], "m"), about), "canary": None, "share": 0.0, "serving": True,
        "problem": "", "refused": []}
front = Front(lambda answering, outcomes: said, lambda version: None, Admission(), AnswersCache())
front.look()

async def answers():
    question = read_question({"like": ["t0"]}).model_dump(exclude={"uri"}) | {"k": 3}
    near, steps = await recommended(front, b"", question), await way(front, "t0", "t5", 1, {})
    return near["neighbours"], steps["steps"], (await find_tracks(front, "t", 9))["count"]

near, steps, found = asyncio.run(answers())
loaded = [name for name in json.loads(sys.argv[2]) if name in sys.modules]
print(json.dumps({"near": [n["track_id"] for n in near], "steps": len(steps), "found": found, "loaded": loaded}))
"""


@pytest.mark.integration
def test_an_ingress_answers_by_id_without_torch(tmp_path: Path) -> None:
    angles = np.linspace(0, 1.5, 6)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    CatalogueIndex.build(vectors, [track(f"t{i}") for i in range(6)]).save(str(tmp_path / "catalogue"))
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}", "TONEARM_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", ANSWER, str(tmp_path), json.dumps(HEAVY)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    expected = {"near": ["t1", "t2", "t3"], "steps": 3, "found": 6, "loaded": []}
    assert json.loads(done.stdout.splitlines()[-1]) == expected
