"""Machine hours and money, from what a home has measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from infra.cost import Extraction, Training, main, measured_extraction, measured_trainings, table
from tests.builders import tiny_config, toy_batches, toy_tracks
from tonearm.core.errors import JobError
from tonearm.datasets.manifest import Manifest, save_manifest
from tonearm.training.trial import TrialFolder, run_trial


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With a trial of two epochs on 27 tracks."""
    config = tiny_config({"optim.epochs": 2})
    save_manifest(str(tmp_path / "data/toy/manifest.parquet"), Manifest("toy", "sound", tuple(toy_tracks())))
    folder = TrialFolder(str(tmp_path / "trials/single/simple-1"))
    list(run_trial(config, toy_batches(tmp_path / "features", config), folder))
    return tmp_path


def write(home: Path, name: str, content: object) -> None:
    path = home / "reports" / "toy" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_figures_are_read_from_the_home(home: Path) -> None:
    with pytest.raises(JobError, match="holds no figures of an extraction: run tonearm extract"):
        measured_extraction(home, "toy", 2)
    write(home, "summary.json", {"seconds": {"Features: mel": 27.0, "Sweep": 1.0}, "tracks": 27})
    assert measured_extraction(home, "toy", 2).core_seconds == 2, "a second on two cores"
    write(home, "extraction.json", {"decode_cpu_seconds": 3.0, "compute_cpu_seconds": 6.0, "extracted": 18})
    found = measured_extraction(home, "toy", 2)
    stored = sum(f.stat().st_size for f in (home / "features").rglob("*") if f.is_file())
    assert (found.core_seconds, found.bytes) == (0.5, stored / 27)
    (training,) = measured_trainings(home, "toy")
    history = TrialFolder(str(home / "trials/single/simple-1")).history()
    assert (training.kind, training.trials, training.epochs) == ("simple", 1, 2)
    assert training.core_seconds == pytest.approx(sum(e["epoch_seconds"] for e in history) / 2 / 27)
    save_manifest(str(home / "data/other/manifest.parquet"), Manifest("other", "sound", tuple(toy_tracks())))
    with pytest.raises(JobError, match="holds no trial on other"):
        measured_trainings(home, "other")


def test_the_arithmetic() -> None:
    extraction, training = Extraction(0.36, 1e6, ""), Training("time", 3, 10.0, 0.0036)
    _, extract, trials = table(extraction, [training], (1_000_000,), 10, 0.5, 4)
    assert extract == ("1,000,000", "extract", "100", "10", "5", "1.0 TB")
    assert trials == ("1,000,000", "4 trials of time", "40", "4", "2", "")


def test_the_command(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write(home, "extraction.json", {"decode_cpu_seconds": 3.0, "compute_cpu_seconds": 6.0, "extracted": 18})
    monkeypatch.setattr(sys, "argv", ["cost", str(home), "--dataset", "toy", "--price", "1", "--tracks", "72000"])
    main()
    said = capsys.readouterr().out
    assert "0.500 s of a core a track (CPU time of 18 tracks)" in said
    assert "72,000  extract" in said and "10" in said
    monkeypatch.setattr(sys, "argv", ["cost", str(home / "nowhere"), "--price", "1"])
    with pytest.raises(SystemExit, match=r"error: .*nowhere"):
        main()
