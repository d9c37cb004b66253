"""What a selection leaves out, and when it is told."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.unit.selecting import make_manifest, train_sweep
from tonearm.core import storage
from tonearm.training.bundle import DESCRIPTION
from tonearm.workflows import select as selecting
from tonearm.workflows.predict_blocks import predict_blocks
from tonearm.workflows.select import select
from tonearm.workflows.sweep_result import Sweep
from tonearm.workflows.trial_library import library_of_sweep

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def swept(one_home: Path) -> Sweep:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(one_home))
        changes = ({"optim.epochs": 2}, {"optim.epochs": 2, "seed": 1})
        return train_sweep(make_manifest(one_home / "known", "known"), changes, "b2")


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch, swept: Sweep) -> None:
    """However slow the machine is now, no Ray is started; and nothing is selected yet."""
    monkeypatch.setattr(selecting, "predict_blocks", partial(predict_blocks, seconds_for_ray=float("inf")))
    for record in Path(library_of_sweep(swept).folder).glob("selection-*.json"):
        record.unlink()


def test_a_trial_without_its_model_is_left_out_and_told(swept: Sweep, caplog: pytest.LogCaptureFixture) -> None:
    uri = storage.join(swept.results[1].folder.bundle_uri, DESCRIPTION)
    kept = storage.read_bytes(uri)
    storage.remove(uri)
    try:
        with caplog.at_level("INFO"):
            assert 1 not in select(swept, most_members=4).ensemble_members
    finally:
        storage.write_bytes(uri, kept)
    assert "trial 01 simple is left out: a process was killed while it wrote the model" in caplog.text


def test_a_selection_is_told_before_the_champions_catalogue_is_made(
    swept: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    monkeypatch.setattr(selecting, "refresh_champion", lambda *_: steps.append("catalogue"))
    selection = select(swept, told=lambda found: steps.append(str(found)))
    assert steps == [str(selection), "catalogue"]
