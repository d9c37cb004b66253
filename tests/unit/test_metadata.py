"""Metadata: a column is looked up by track, survives the file, and is part of a manifest's identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import track
from tonearm.core.errors import DatasetError
from tonearm.datasets.manifest import Manifest, load_manifest, save_manifest
from tonearm.datasets.metadata import Metadata, load_metadata, save_metadata

FACTS = Metadata(
    ["b", "a"],
    {
        "tempo": [120.0, float("nan")],
        "vector": np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32),
        "words": np.array([[0, 7], [3, 2]], dtype=np.int32),
        "picture": ["b.png", ""],
    },
)


def test_values_are_found_by_track_in_the_order_asked_for() -> None:
    assert FACTS.of(["a", "b", "a"], "words").tolist() == [[3, 2], [0, 7], [3, 2]]
    assert FACTS.of(["b"], "tempo").tolist() == [120.0] and np.isnan(FACTS.of(["a"], "tempo")[0])
    assert FACTS.of(["b", "a"], "picture").tolist() == ["b.png", ""]


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(DatasetError, match=r"no metadata column 'energy'.*picture, tempo, vector, words"):
        FACTS.of(["a"], "energy")
    with pytest.raises(DatasetError, match=r"1 tracks have no row, e.g. 'c'"):
        FACTS.of(["a", "c"], "tempo")
    with pytest.raises(DatasetError, match="2 rows for 1 track ids"):
        Metadata(["a", "a"], {})
    with pytest.raises(DatasetError, match="'tempo' has the shape"):
        Metadata(["a", "b"], {"tempo": [1.0]})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([None, 1.0], r"column 'x' holds None: give numbers \(NaN where one is unknown\), or one text a row"),
        (["a", None], "column 'x' holds None"),
        (np.array(["a", 1], dtype=object), "column 'x' holds 1"),
        ([b"a", b"b"], "column 'x' holds .*b'a'"),
        ([["a", "b"], ["c", "d"]], "column 'x' holds several texts a row"),
        ([[1.0], [1.0, 2.0]], "the rows of column 'x' are of unlike length"),
        (
            np.zeros((2, 0)),
            r"column 'x' has the shape \(2, 0\), expected \(2,\) or \(2, dim\) with a dim of at least 1",
        ),
        (np.zeros((2, 1, 1)), r"column 'x' has the shape \(2, 1, 1\)"),
    ],
)
def test_a_column_that_is_neither_numbers_nor_texts_is_refused(values: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        Metadata(["a", "b"], {"x": values})


def test_a_file_without_track_ids_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"artist": ["a"], "mood": [1.0]}), tmp_path / "f.parquet")
    with pytest.raises(DatasetError, match="has no column track_id: it has artist, mood"):
        load_metadata(str(tmp_path / "f.parquet"))


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    uri = str(tmp_path / "metadata.parquet")
    save_metadata(uri, FACTS)
    read = load_metadata(uri)
    assert read.signature() == FACTS.signature() and read.columns == FACTS.columns
    assert read.of(["a", "b"], "vector").tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert np.isnan(read.of(["a"], "tempo")[0]) and read.of(["a"], "picture").tolist() == [""]
    Path(uri).write_bytes(b"PAR1")
    with pytest.raises(DatasetError, match="is damaged"):
        load_metadata(uri)


def test_the_order_of_rows_is_no_identity_but_every_value_is() -> None:
    turned = Metadata(["a", "b"], {name: FACTS.of(["a", "b"], name) for name in FACTS})
    assert turned.signature() == FACTS.signature()
    for name in FACTS:
        columns = {n: FACTS.of(["a", "b"], n) for n in FACTS}
        columns[name] = columns[name][::-1]
        assert Metadata(["a", "b"], columns).signature() != FACTS.signature()


def test_joined_tables_keep_the_tracks_that_both_know() -> None:
    joined = FACTS.joined(Metadata(["c", "a"], {"energy": [0.1, 0.2], "tempo": [1.0, 90.0]}))
    assert joined.track_ids == ["a"] and joined.of(["a"], "tempo").tolist() == [90.0]
    assert joined.columns == ["energy", "picture", "tempo", "vector", "words"]


def test_a_manifest_keeps_its_facts_and_its_labels(tmp_path: Path) -> None:
    tracks = (track("a", "jazz", labels=("jazz", "blues")), track("b", "rock"))
    manifest = Manifest("m", "genre", tracks, metadata=FACTS)
    uri = str(tmp_path / "manifest.parquet")
    save_manifest(uri, manifest)
    read = load_manifest(uri)
    assert read.tracks == tracks and read.classes == ("blues", "jazz", "rock")
    assert read.signature() == manifest.signature() != Manifest("m", "genre", tracks).signature()
    save_manifest(uri, Manifest("m", "genre", tracks))
    assert len(load_manifest(uri).metadata) == 0
    one_label = (track("a", "jazz"), track("b", "rock"))
    assert Manifest("m", "genre", one_label).signature() != Manifest("m", "genre", tracks).signature()


def test_where_a_picture_lies_is_no_identity_but_what_it_shows_is() -> None:
    def metadata(place: str, content: str) -> Metadata:
        return Metadata(["a"], {"picture": [place], "picture_content": [content]})

    assert metadata("here.png", "1").signature() == metadata("there.png", "1").signature()
    assert metadata("here.png", "1").signature() != metadata("here.png", "2").signature()
