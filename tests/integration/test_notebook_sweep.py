"""The library from a notebook: sweep, select, compare and load, and what shows itself. Nothing is printed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tonearm
from tests.integration.spaces import BASE, quick
from tests.shared_ray import driver_environment, leave_ray
from tests.tiny_data import make_recordings, write_audio
from tests.unit.test_comparison_document import Page
from tonearm.core.errors import BundleError, ConfigError
from tonearm.inference import answers, blocks
from tonearm.workflows import predict_blocks as predicting
from tonearm.workflows.predict_blocks import predict_blocks
from tonearm.workflows.predict_files import predict_files
from tonearm.workflows.sweep_result import Sweep

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, shared_ray: str) -> Iterator[Path]:
    """A home, on the shared Ray."""
    root = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in driver_environment(shared_ray, root / "home", root / "cache").items():
            patch.setenv(name, value)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        write_audio(root / "music", make_recordings())
        yield root
    leave_ray()


@pytest.fixture(scope="module")
def data(home: Path) -> tonearm.PreparedData:
    return tonearm.prepare("folder", root=str(home / "music"), features=[BASE.representation], clip=BASE.clip)


@pytest.fixture(scope="module")
def swept(data: tonearm.PreparedData) -> Sweep:
    return tonearm.sweep(quick(), data, epochs=2, name="quick")


@pytest.fixture(autouse=True)
def one_home(home: Path, tonearm_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(home / "home"))


def test_sweep_shows_its_trials(data: tonearm.PreparedData, swept: Sweep) -> None:
    assert swept.name.startswith("quick-") and swept.manifest.name == data.name
    trials = swept.trials
    assert list(trials.index) == [0, 1, 2, 3] and set(trials.ending) == {"completed"} and set(trials.epochs) == {2}
    assert set(trials["optim.lr"]) == {1e-3, 5e-3} and set(trials["feature.normalisation"]) == {"frame", "track"}
    assert swept.best.best == trials.validation_f1_micro.max()
    best, luck = str(swept).splitlines()
    assert best == f"  best on validation: trial {swept.best.name}: f1_micro {trials.validation_f1_micro.max():.3f}"
    assert luck.startswith("    the highest of 4 on the same ")
    assert f"sweep {swept.name} on music: 4 trials" in repr(swept) and "feature.normalisation" in repr(swept)
    assert "<table" in swept._repr_html_() and len(swept.figure.axes) == 2
    again = tonearm.find_sweep(swept.name)
    assert again.trials.equals(trials) and again.params["space"] == "quick"


def test_the_same_call_goes_on_where_it_was_and_trains_nothing_again(data: tonearm.PreparedData, swept: Sweep) -> None:
    ended = [Path(r.folder.uri, "state.pt").stat().st_mtime_ns for r in swept.results]
    again = tonearm.sweep(quick(), data, epochs=2, name="quick")
    assert again.name == swept.name and again.trials.equals(swept.trials)
    assert [Path(r.folder.uri, "state.pt").stat().st_mtime_ns for r in again.results] == ended


def test_selection_comparison_and_model(
    home: Path,
    data: tonearm.PreparedData,
    swept: Sweep,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    selection = tonearm.select(swept)
    assert selection.promoted and selection.why.startswith("the first one: f1_micro ")
    assert list(selection.table.index) == ["ensemble", "best single trial", "majority class", "chance"]
    assert selection.table.loc["best single trial", "f1_micro"] == selection.single.metrics["f1_micro"]
    assert "chosen: " in repr(selection) and "on validation tracks that did not choose it: F1 micro" in repr(selection)
    assert "registered as tonearm-music version 1, promoted to champion" in repr(selection)
    assert "the champion" in selection._repr_html_()
    assert tonearm.select(swept.name) == selection, "it was selected anew"

    compared = tonearm.compare(swept)
    assert len(compared.table) >= 5 and compared.table.columns[1] == "configuration"
    assert set(compared.pairs.columns) >= {"first", "second", "difference", "low", "high", "p", "holm"}
    assert (compared.pairs.low <= compared.pairs.high).all() and "scores" in compared.figures
    assert compared.answer[0].startswith("Best on validation") and compared.answer[0] in repr(compared)
    page = compared.save(str(tmp_path / "report.html"))
    assert Page(Path(page).read_text("utf-8")).open == [] and [p.name for p in tmp_path.glob("*.html")]

    model = tonearm.load(selection.model)
    song = home / "music" / data.manifest.tracks[0].track_id
    assert song.exists()
    answer = model.classify(str(song))
    assert list(answer.probabilities.values()) == sorted(answer.probabilities.values(), reverse=True)
    assert set(answer.probabilities) == set(data.classes) and sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.label in repr(answer) and answer.embedding.ndim == 1
    found = model.recommend(str(song), k=3)
    assert data.manifest.tracks[0].track_id not in set(found.table.track_id) and len(found.table) == 3
    assert found.table.similarity.is_monotonic_decreasing and "similarity" in repr(found)
    assert "single_label, 2 outputs (high, low)" in repr(model)
    with pytest.raises(BundleError, match="has no catalogue to recommend from"):
        tonearm.load(swept.best.folder.bundle_uri).recommend(str(song))

    # The same tracks by workers on Ray, of which each writes its blocks down.
    bundle, some = swept.best.folder.bundle_uri, list(data.manifest.tracks)
    (here,) = predict_blocks([bundle], some)
    shutil.rmtree(home / "home" / "predictions")
    monkeypatch.setattr(blocks, "BLOCK", 6)
    (there,) = predict_blocks([bundle], some, seconds_for_ray=-1)
    for one, other in zip(here, there, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
        np.testing.assert_allclose(one.embedding, other.embedding, atol=1e-5)
    assert len(list((home / "home" / "predictions").glob("*/*.npz"))) == 4

    # A folder's answers by workers on Ray, which take the features that are stored.
    monkeypatch.setattr(answers, "FILES_AT_ONCE", 6)
    monkeypatch.setattr(predicting, "work_here_or_on_ray",
                        partial(predicting.work_here_or_on_ray, seconds_for_ray=-1))  # fmt: skip
    told = predict_files([str(home / "music")], str(tmp_path / "answers.parquet"), model=selection.model, neighbours=1)
    table = pd.read_parquet(tmp_path / "answers.parquet").set_index("file")
    assert told.heard == told.answered == len(table) and set(told.set_aside) == set()
    assert table.label[str(song)] == answer.label
    assert {name: table[f"p:{name}"][str(song)] for name in data.classes} == pytest.approx(
        answer.probabilities, abs=1e-3
    )
    assert table.neighbour_1[str(song)] in {t.track_id for t in data.manifest.tracks[1:]}, "not itself"

    quality = tonearm.evaluate_recommender(data)
    assert quality.tracks == 20 and quality.rates[data.manifest.label].k == 5
    assert "neighbours share their" in repr(quality) and "chance_precision" in quality.table
    assert capsys.readouterr().out == "", "the library prints nothing by itself"


def test_what_cannot_be_is_named(data: tonearm.PreparedData) -> None:
    with pytest.raises(ConfigError, match="the space varies it"):
        tonearm.sweep(quick(), data, changes={"optim.lr": 1.0})
    with pytest.raises(ConfigError, match=r"would extract 0\.\d+ GB"):
        tonearm.sweep(quick(), data, changes={"feature.n_mels": 40}, max_gigabytes=1e-9)
