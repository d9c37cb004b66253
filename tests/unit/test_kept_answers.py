"""Answers that are kept for files: which code they are of, and how a table is made of very many."""

from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.builders import CLASSES, write_recordings
from tests.unit.test_predict_files import CONFIG, write_model
from tonearm.datasets.content import content_digest
from tonearm.features.row_store import write_rows
from tonearm.inference import load
from tonearm.inference.answers import TABLE, AnswerTable
from tonearm.inference.blocks import plan_blocks
from tonearm.inference.catalogues import CATALOGUE
from tonearm.recommend import CatalogueIndex
from tonearm.recommend.doubt import HeardTracks
from tonearm.recommend.memory import MemoryLibrary
from tonearm.tasks import SingleLabel
from tonearm.workflows.answer_table import write_table
from tonearm.workflows.predict_files import predict_files
from tonearm.workflows.predicted_table import place_recordings, table_parts


def test_what_other_code_has_heard_is_heard_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, out = write_model(tmp_path / "model"), str(tmp_path / "answers.csv")
    tracks = write_recordings(tmp_path / "music", per_class=1)
    blocks = set()
    for version, count in ((1, 3), (2, 3), (1, 0)):  # a table of each: what version 1 has heard is there again
        monkeypatch.setattr(type(CONFIG.representation), "definition_version", version)
        assert predict_files([str(tmp_path / "music")], out, model=model).heard == count
        blocks.add(plan_blocks(model, tracks, str(tmp_path))[0].uri)
    assert len(blocks) == 2, "and so it is with blocks of a data set"


def test_a_recording_is_no_neighbour_of_itself(tmp_path: Path) -> None:
    written = write_recordings(tmp_path / "music", per_class=2)
    tracks = [dataclasses.replace(t, content=content_digest(Path(t.source))) for t in written]
    model = write_model(tmp_path / "model")
    copy = dataclasses.replace(tracks[0], track_id="copy")
    known = [*tracks[:4], copy]
    vectors = np.stack([load(model).predict(t.source).embedding for t in known])
    CatalogueIndex.build(vectors, known).save(f"{model}/{CATALOGUE}")
    out = tmp_path / "answers.parquet"
    predict_files([t.source for t in tracks], str(out), model=model, neighbours=4)
    ids = {t.track_id for t in known}
    for track, row in zip(tracks, pq.read_table(out).to_pylist(), strict=True):
        near = [row[f"neighbour_{i}"] for i in range(1, 5)]
        others = ids - {t.track_id for t in known if t.content == track.content}
        assert set(near) - {None} <= others and len(set(near) - {None}) == min(4, len(others))
        assert near == [n for n in near if n] + [None] * near.count(None)


def test_no_embedding_is_kept_while_a_table_is_made(tmp_path: Path) -> None:
    """2 000 answers with 1024 numbers each, 8 MB of embeddings, among as many of other folders."""
    count, dim = 2000, 1024
    rng, table = np.random.default_rng(0), AnswerTable(str(tmp_path), [], [])
    contents = [f"{i:032x}" for i in range(count)]
    embeddings = rng.normal(size=(5, dim)).astype(np.float32)
    chances = rng.dirichlet(np.ones(3), count).astype(np.float32)
    for first in range(0, 2 * count, 500):
        write_rows(table.uri, TABLE, [
            {"track_key": f"{i:032x}", "reason": "", "detail": "", "embedding": embeddings[i % 5].tobytes(),
             "probabilities": chances[i % count].tobytes()} for i in range(first, first + 500)
        ])  # fmt: skip
    library = MemoryLibrary(embeddings, [{"track_id": f"t{i}", "title": f"T{i}"} for i in range(5)])
    heard = HeardTracks.of(embeddings / 40, list("abcde"))
    files = [(f"/music/{i}.wav", content) for i, content in enumerate(contents)]
    tables = [str(tmp_path / f"answers.{suffix}") for suffix in ("parquet", "csv")]
    tracemalloc.start()
    try:
        answers = table.read(contents, embeddings=False)
        placed = place_recordings(table, contents, library, 2, heard)
        for out in tables:
            write_table(out, table_parts(files, {}, answers, SingleLabel(), CLASSES, placed))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5e6
    for made in (pd.read_parquet(tables[0]), pd.read_csv(tables[1])):
        assert made["file"].to_list() == [file for file, _ in files]
        assert set(made["doubt"]) == {"no"} and made["heard"].to_list() == [made["heard"][i % 5] for i in range(count)]
        assert made["neighbour_1"].to_list() == [f"t{i % 5}" for i in range(count)]
        np.testing.assert_allclose(made[[f"p:{n}" for n in CLASSES]], chances, rtol=1e-5)
        assert [c for c in made if "title" in c] == ["title", "neighbour_1_title", "neighbour_2_title"]
