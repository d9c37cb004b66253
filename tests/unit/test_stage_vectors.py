"""What an earlier stage predicts of every track is computed once, kept beside it, and mapped from there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.builders import track
from tests.unit.toy_problems import table_config
from tonearm.core import storage
from tonearm.datasets.manifest import SPLITS, Manifest
from tonearm.datasets.metadata import Metadata, save_metadata
from tonearm.tasks.embedding import Embedding
from tonearm.training import stages
from tonearm.training.examples import bind_to_data, make_examples, with_vectors
from tonearm.training.recipe import Stage
from tonearm.training.stages import FinishedStage, StagePaths, StageRun, track_vectors
from tonearm.training.trial import TrialFolder, run_trial


def test_vectors_of_a_stage_are_computed_once_and_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    tracks = tuple(track(f"t{i:02}", split=SPLITS[i % 3]) for i in range(24))
    columns = {**dict(zip("abc", rng.normal(0, 1, (3, 24)), strict=True)), "place": rng.normal(0, 1, (24, 4))}
    manifest = Manifest("toy", "genre", tracks, metadata=Metadata([t.track_id for t in tracks], columns))
    config = table_config({"task": Embedding(target="place"), "optim.epochs": 1})
    config = bind_to_data(config, manifest)
    folder = TrialFolder(str(tmp_path / "trial"))
    for _ in run_trial(config, make_examples(config, manifest, "", ""), folder, test=True):
        pass
    done = FinishedStage(
        "first", config, folder, manifest, folder.predictions("validation"), folder.predictions("test")
    )
    paths = StagePaths("", str(tmp_path), "", "cpu")
    ids, column = track_vectors(done, paths)
    values = column.take(np.arange(24))
    assert sorted(ids) == [t.track_id for t in tracks] and values.shape == (24, 4) and np.isfinite(values).all()
    validation = folder.predictions("validation")
    by_id = dict(zip(ids, values, strict=True))
    for track_id, predicted in zip(validation.track_ids, validation.probabilities, strict=True):
        assert np.allclose(by_id[track_id], predicted, atol=1e-6)
    monkeypatch.setattr(stages, "load_bundle", None)  # nothing is computed again
    again, mapped = track_vectors(done, paths)
    assert again == ids and np.array_equal(mapped.take(np.arange(24)), values)
    assert not mapped.values.flags.owndata  # type: ignore[attr-defined]
    joined = with_vectors(manifest, {"made": (again, mapped)}).metadata
    assert np.array_equal(joined.of(ids, "made"), values) and joined.columns == ["a", "b", "c", "made", "place"]
    kept = next((tmp_path / "trial").glob("vectors*.npy"))
    kept.unlink()  # as stages of an earlier version kept them
    save_metadata(str(tmp_path / "trial" / "vectors.parquet"), Metadata(ids, {"vector": values}))
    assert np.array_equal(track_vectors(done, paths)[1].take(np.arange(24)), values)


def test_a_stage_is_completed_with_its_test_predictions_and_old_trials_are_looked_through_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks = tuple(track(f"t{i:02}", split=SPLITS[i % 3]) for i in range(24))
    columns = {name: np.linspace(0, i + 1.0, 24) for i, name in enumerate("abc")}
    columns["place"] = np.ones((24, 4))
    manifest = Manifest("toy", "genre", tracks, metadata=Metadata([t.track_id for t in tracks], columns))
    (tmp_path / "0ld5weep" / "00-1234").mkdir(parents=True)
    listed, list_folders = list[str](), storage.list_folders
    monkeypatch.setattr(storage, "list_folders", lambda uri: listed.append(uri) or list_folders(uri))
    paths, config = StagePaths("", str(tmp_path), ""), table_config({"task": Embedding(target="place")})
    for seed in range(3):
        own = config.replace({"optim.epochs": 1, "seed": seed})
        run = StageRun(Stage("first", own), manifest, {}, paths)
        assert [m["epoch"] for m in run.run()] == [1] and run.folder.is_completed(tested=True)
    assert len(listed) == len(set(listed)) == 3
