"""A new champion says which libraries were indexed for the one before it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.builders import write_recordings
from tests.unit.selecting import make_manifest, train_sweep
from tonearm.core import home
from tonearm.inference import load
from tonearm.inference.made_catalogues import made_catalogues
from tonearm.workflows import select as selecting
from tonearm.workflows.index import index_library
from tonearm.workflows.predict_blocks import predict_blocks
from tonearm.workflows.select import select

pytestmark = pytest.mark.usefixtures("database")


def test_a_new_champion_names_the_libraries_of_the_one_before(one_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selecting, "predict_blocks", partial(predict_blocks, seconds_for_ray=float("inf")))
    manifest, trial = make_manifest(one_home / "music", "left", per_class=6), {"optim.lr": 1e-2, "optim.epochs": 1}
    one, other = (train_sweep(manifest, [{**trial, "seed": seed}], f"b{seed}") for seed in (0, 1))
    first = select(one, promotion=True)
    assert first.to_index == (), "there was none before"
    write_recordings(one_home / "library", per_class=1)
    made = index_library(first.model, audio=[str(one_home / "library")])
    assert made.uri.startswith(home.catalogues_home())
    again = select(one, promotion=True)
    assert again.version == first.version and again.to_index == ()

    second = select(other, promotion=True)
    assert second.version != first.version and second.promoted
    (told,) = second.to_index
    assert told == f"tonearm index --audio {one_home}/library --model models:/tonearm-left@champion"
    assert f"indexed for it:\n    {told}" in str(second) and "1 catalogue(s) of libraries" in str(second)
    index_library("models:/tonearm-left@champion", audio=[str(one_home / "library")])  # as it says
    assert len(made_catalogues(load(second.model).digest)) == 1

    select(one, promotion=True)
    third = select(other, promotion=True)
    assert third.to_index == (), "both have it"
