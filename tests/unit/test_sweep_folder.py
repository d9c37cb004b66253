"""What a sweep leaves in its folder, and what it tells of where things lie."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from tests.builders import tiny_config, toy_tracks
from tests.unit.proposals import proposer, space
from tonearm.core import home, storage
from tonearm.core.errors import JobError
from tonearm.core.lock import DriverLock
from tonearm.datasets.manifest import Manifest, load_manifest
from tonearm.datasets.metadata import Metadata
from tonearm.sweeps.ledger import FILE, Ledger, Proposal
from tonearm.sweeps.results import TrialResult
from tonearm.training.trial import TrialFolder
from tonearm.workflows.earlier_sweeps import told_of_earlier
from tonearm.workflows.sweep import run_plan
from tonearm.workflows.sweep_plan import SweepPlan, signature_on
from tonearm.workflows.sweep_result import DESCRIPTION, MANIFEST, Sweep, sweep_folder


def test_a_driver_that_is_refused_leaves_the_running_sweep_as_it_is(tonearm_home: Path) -> None:
    manifest = Manifest("toy", "sound", tuple(toy_tracks()))
    running = Sweep("some", "a1", manifest, {"trials": 10})
    running.save()
    refused = Sweep("some", "a1", manifest, {"trials": 60})
    with DriverLock(running.folder), pytest.raises(JobError, match="the sweep is being run since"):
        run_plan(SweepPlan(refused, proposer(space())))
    assert storage.read_json(storage.join(running.folder, DESCRIPTION))["params"] == {"trials": 10}


def test_a_sweep_says_where_its_model_and_its_trials_lie(tonearm_home: Path) -> None:
    manifest = Manifest("toy", "sound", tuple(toy_tracks()))
    folders = [TrialFolder(f"{home.trials_home()}/single/simple-{i}") for i in range(2)]
    own = [TrialResult(i, f"0{i} simple", tiny_config(), f, [{"epoch": 1, "best": i / 2}], "completed", i / 2)
           for i, f in enumerate(folders)]  # fmt: skip
    sweep = Sweep("some", "a1", manifest, {}, tuple(own))
    model, trials, *_ = sweep.places.splitlines()
    assert model == f"its model: {home.trials_home()}/single/simple-1/bundle"
    assert trials == f"trials and their models: {home.trials_home()}/single"


@pytest.mark.parametrize("tried", [1, 3])
def test_the_highest_of_many_is_said_to_be_partly_luck(tried: int, tonearm_home: Path) -> None:
    manifest = Manifest("toy", "sound", tuple(toy_tracks()))
    own = [TrialResult(i, f"0{i} simple", tiny_config(), TrialFolder(str(i)), [{"epoch": 1}] if i < tried else [],
                       "stopped", i / 4 if i < tried else None) for i in range(4)]  # fmt: skip
    best, *luck = str(Sweep("some", "a1", manifest, {}, tuple(own))).splitlines()
    assert best == f"  best on validation: trial 0{tried - 1} simple: f1_micro {(tried - 1) / 4:.3f}"
    count = sum(t.split == "validation" for t in manifest.tracks)
    wanted = f"    the highest of {tried} on the same {count} tracks, partly by luck; tonearm select says what is left"
    assert [line[: len(wanted)] for line in luck] == ([wanted] if tried > 1 else [])


def test_what_an_earlier_version_has_begun_is_told_in_a_line(tonearm_home: Path) -> None:
    """Its sweeps do not say where their trials lie: these are in the sweep's own folder."""
    manifest = Manifest("toy", "sound", tuple(toy_tracks()))
    Sweep("some", "0ld1", manifest, {"trials": 3}).save()
    configs = [tiny_config({"seed": seed}) for seed in range(3)]
    rows = [{"configuration": 0, "places": {}, "config": config.to_dict()} for config in configs]
    storage.write_json(storage.join(sweep_folder("0ld1"), FILE), rows)
    trials = [TrialFolder(f"{sweep_folder('0ld1')}/{i:02d}-{c.signature()}") for i, c in enumerate(configs)]
    trials[0].complete()
    told = told_of_earlier("some", "toy")
    assert told.startswith("an earlier version has begun some-0ld1 (1 of 3 trials ended; tonearm select some-0ld1): ")
    assert "\n" not in told and told_of_earlier("other", "toy") == told_of_earlier("some", "other") == ""
    for trial in trials:
        trial.complete()
    assert told_of_earlier("some", "toy") == "", "it was not broken off"
    Sweep("some", "new1", manifest, {"trials": 3}).save()
    storage.write_json(storage.join(sweep_folder("new1"), FILE), [{**row, "trial": "single/simple-1"} for row in rows])
    assert told_of_earlier("some", "toy") == "", "it can be gone on with"


@pytest.mark.parametrize("damage", ["an unknown field", "no manifest", "a damaged manifest", "no JSON", "no rows"])
def test_an_old_sweep_that_cannot_be_read_stops_no_other(
    damage: str, tonearm_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest, config = Manifest("toy", "sound", tuple(toy_tracks())), tiny_config().to_dict()
    for signature in ("0ld1", "0ld2"):
        Sweep("some", signature, manifest, {"trials": 1}).save()
        row = {"configuration": 0, "places": {}, "config": config}
        storage.write_json(storage.join(sweep_folder(signature), FILE), [row])
    kept, rows = (Path(storage.join(sweep_folder("0ld1"), name)) for name in (MANIFEST, FILE))
    if damage == "an unknown field":
        of_before = {**config, "optim": {**config["optim"], "of_before": 1}}
        storage.write_json(str(rows), [{"configuration": 0, "places": {}, "config": of_before}])
    elif damage == "no manifest":
        kept.unlink()
    elif damage == "a damaged manifest":
        kept.write_bytes(b"PAR1")
    else:
        rows.write_text("[{" if damage == "no JSON" else "[3]")
    with caplog.at_level(logging.WARNING):
        told = told_of_earlier("some", "toy")
    assert told.startswith("an earlier version has begun some-0ld2 (0 of 1 trials ended")
    (line,) = [record.getMessage() for record in caplog.records if "passed over" in record.getMessage()]
    assert sweep_folder("0ld1") in line and "\n" not in line


def test_a_sweep_on_other_vectors_of_a_stage_that_was_trained_anew_is_another(tonearm_home: Path) -> None:
    """Its trials are planned for what they learn from; more of them could not be trained on anything else."""
    tracks = tuple(toy_tracks())

    def swept(value: float) -> Manifest:
        vectors = np.full((len(tracks), 4), value, np.float32)
        return Manifest("toy", "sound", tracks, metadata=Metadata([t.track_id for t in tracks], {"vector": vectors}))

    def propose(signature: str, manifest: Manifest) -> None:
        changes = {"dataset.data_signature": manifest.signature()}
        Ledger(sweep_folder(signature)).add([Proposal(0, 0, {}, tiny_config(changes))])

    before, after = swept(1.0), swept(2.0)
    assert signature_on("a1", before) == "a1" == signature_on("a1", after), "no trial is planned"
    Sweep("some", "a1", before, {}).save()
    Sweep("some", "a1", after, {}).save()
    assert load_manifest(Sweep("some", "a1", after, {}).manifest_uri).signature() == after.signature()
    propose("a1", before)
    other = signature_on("a1", after)
    assert signature_on("a1", before) == "a1" != other
    propose(other, after)
    assert signature_on("a1", after) == other, "the same command goes on with it"
