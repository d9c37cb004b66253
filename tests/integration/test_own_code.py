"""A network, a task, a data set and a space of one's own, in a folder of one's own: swept, compared, loaded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.conftest import ROOT
from tests.tiny_data import make_recordings, write_audio
from tonearm.core.plugins import ALLOWED_MODULES

pytestmark = pytest.mark.integration

MINE = {
    "nets.py": """
        import torch
        from torch import nn

        from tonearm.models.base import ModelConfig, Network


        class MeanNetConfig(ModelConfig, kind="mean_net"):
            width: int = 4

            def network(self, inputs, outputs):
                return MeanNet(inputs.freq_bins, self.width, outputs)


        class MeanNet(Network):
            def __init__(self, bands, width, outputs):
                super().__init__()
                self.embedding_dim = width
                self.hidden, self.last = nn.Linear(bands, width), nn.Linear(width, outputs)

            def embed(self, x):
                return torch.relu(self.hidden(x.mean(dim=(1, 3))))

            def forward(self, x):
                return self.last(self.embed(x))
    """,
    "tasks.py": """
        from tonearm.tasks import SingleLabel


        class Careful(SingleLabel, kind="careful"):
            def trivial(self, target, outputs):
                return super().trivial(target, outputs)
    """,
    "data.py": """
        from pathlib import Path

        from tonearm.core.seeding import digest
        from tonearm.datasets.base import Catalogue, DatasetConfig
        from tonearm.datasets.manifest import Track


        class SidesConfig(DatasetConfig, kind="sides"):
            def catalogue(self):
                tracks = [
                    Track(track_id=path.stem, source=str(path), content=digest(path.read_bytes(), size=16),
                          label=path.parent.name, group=path.stem)
                    for path in sorted(Path(self.root).glob("*/*.mp3"))
                ]
                return Catalogue("sides", "side", tracks)
    """,
    "spaces.py": """
        import mine.data
        from mine.nets import MeanNetConfig
        from mine.tasks import Careful
        from tonearm.audio.windows import ClipConfig
        from tonearm.features import Mel
        from tonearm.sweeps import Choice, Full, Grid, SearchSpace
        from tonearm.training.config import DatasetRef, OptimConfig, TrialConfig, WindowConfig


        def rates():
            base = TrialConfig(
                dataset=DatasetRef(name="sides"), feature=Mel(n_mels=16, n_fft=1024, hop=512, frames=None),
                model=MeanNetConfig(), task=Careful(), clip=ClipConfig(seconds=10.0),
                window=WindowConfig(frames=100), optim=OptimConfig(epochs=1, batch_size=8),
            )
            return SearchSpace(base, {"optim.lr": Choice(1e-3, 1e-2)}, search=Grid(), scheduler=Full())
    """,
}  # fmt: skip

LOAD = """
import sys
from tonearm.inference import load
print(load(sys.argv[1]).predict(sys.argv[2]).top(1)[0][0])
"""


@dataclass(frozen=True)
class Own:
    """A person's folder with a package, and recordings; nothing of it is on Python's path."""

    folder: Path
    home: Path
    environment: dict[str, str]

    def python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *arguments], cwd=self.folder, env={**self.environment, **environment},
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)  # fmt: skip


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    root = tmp_path_factory.mktemp("own")
    (root / "mine").mkdir()
    for name, text in MINE.items():
        indent = " " * 8
        lines = [line.removeprefix(indent) for line in text.splitlines()]
        (root / "mine" / name).write_text("\n".join(lines))
    write_audio(root / "music", make_recordings())
    ray_folder = tempfile.mkdtemp(prefix="tn", dir="/tmp")  # short: Ray's sockets lie there
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}",
        "TONEARM_HOME": str(root / "home"),
        "TONEARM_CACHE": str(root / "cache"),
        "RAY_TMPDIR": ray_folder,
        "COLUMNS": "120",
    }
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", ALLOWED_MODULES):
        environment.pop(name, None)
    yield Own(root, root / "home", environment)
    shutil.rmtree(ray_folder, ignore_errors=True)


@pytest.fixture(scope="module")
def swept(own: Own) -> list[Path]:
    """The bundles of the trials of a sweep, run as a person does."""
    done = own.python("-m", "jobs.sweep", "mine.spaces:rates", "--dataset", "sides", "--data", "music")
    assert done.returncode == 0, done.stdout[-5000:]
    return sorted((own.home / "trials").glob("*/*/bundle/bundle.json"))


def test_code_of_ones_own_works_in_workers(swept: list[Path]) -> None:
    assert len(swept) == 2
    for path in swept:
        description = json.loads(path.read_text())
        assert description["modules"] == ["mine.nets", "mine.tasks"]
        assert (
            description["config"]["model"]["kind"] == "mean_net" and description["config"]["task"]["kind"] == "careful"
        )


def test_its_bundle_answers_elsewhere_only_where_that_is_allowed(own: Own, swept: list[Path]) -> None:
    song = str(next((own.folder / "music" / "low").glob("*.mp3")))
    refused = own.python("-c", LOAD, str(swept[0].parent), song)
    assert refused.returncode != 0
    assert "needs code outside Tonearm, mine.nets, mine.tasks, " in refused.stdout
    assert f"{ALLOWED_MODULES}=mine.nets,mine.tasks" in refused.stdout
    answered = own.python("-c", LOAD, str(swept[0].parent), song, **{ALLOWED_MODULES: "mine"})
    assert answered.returncode == 0 and answered.stdout.splitlines()[-1] in ("high", "low"), answered.stdout


def test_its_runs_are_compared_where_its_modules_are_named(own: Own, swept: list[Path]) -> None:
    refused = own.python("-m", "jobs.compare", "rates-")
    assert refused.returncode == 1
    assert "unknown model 'mean_net'" in refused.stdout and ALLOWED_MODULES in refused.stdout
    done = own.python("-m", "jobs.compare", "rates-", **{ALLOWED_MODULES: "mine.nets,mine.tasks"})
    assert done.returncode == 0, done.stdout[-3000:]
