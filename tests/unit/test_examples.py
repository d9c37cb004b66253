"""A trial meets its data: what the data set decides, what is left out, and what is joined to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import tiny_config, toy_batches, track
from tests.unit.toy_problems import SQUARES, AnyInput, table_config
from tonearm.audio.windows import ClipConfig
from tonearm.core.errors import ConfigError, DatasetError, StoreError
from tonearm.datasets.manifest import SPLITS, Manifest
from tonearm.datasets.metadata import Metadata
from tonearm.features import Mel
from tonearm.features.descriptors import DESCRIPTORS
from tonearm.features.metadata import (
    ArtistsFeature,
    CompositeFeature,
    NamedFeature,
    PictureFeature,
    TableFeature,
    TokensFeature,
)
from tonearm.features.row_store import DESCRIPTOR_TABLE, write_rows
from tonearm.features.store import track_key
from tonearm.tasks import Embedding, MultiLabel, Regression, Relations, SingleLabel
from tonearm.training.batches import Batches
from tonearm.training.examples import (
    bind_to_data,
    dataset_ref,
    descriptor_metadata,
    keep_usable_tracks,
    make_examples,
    metadata_of_tracks,
    with_data_sizes,
    with_vectors,
)

NAN = float("nan")
#: t0 has no label, t1 no tempo, t2 no vector, t3 no lyrics, t4 no picture; two tracks of each split come after them.
LABELS = ["", *"bababab", *"abab"]
IDS = [f"t{i:02d}" for i in range(12)]
FACTS = Metadata(
    IDS,
    {
        "tempo": [100.0, NAN, *np.linspace(90, 120, 10)],
        "vector": np.array([[1.0, 2], [3, 4], [NAN, 1], *([[1, 1]] * 9)]),
        "lyrics": np.array(["sun", "moon", "la la", " ... ", *["oh"] * 8], dtype=object),
        "picture": np.array(["a.png"] * 4 + [""] + ["b.png"] * 7, dtype=object),
    },
)
TRACKS = tuple(track(i, label, group=f"artist:{'xyz'[n % 3]}", split=SPLITS[n % 3])
               for n, (i, label) in enumerate(zip(IDS, LABELS, strict=True)))  # fmt: skip
WHOLE = Manifest("songs", "genre", TRACKS, ("a note",), FACTS)


def left_out(manifest: Manifest) -> list[str]:
    return sorted(set(IDS) - {t.track_id for t in manifest.tracks})


# --- which tracks are of use


@pytest.mark.parametrize(
    ("task", "missing"),
    [
        (SingleLabel(), ["t00"]),
        (MultiLabel(), ["t00"]),
        (Regression(target="tempo", squash="none"), ["t01"]),
        (Embedding(target="vector"), ["t02"]),
        (Relations(), []),
    ],
)
def test_tracks_without_a_target_are_left_out_and_counted(task: Any, missing: list[str]) -> None:
    found = keep_usable_tracks(task, None, WHOLE)
    assert left_out(found) == missing
    assert found.notes[0] == "a note" and (found.notes[1:] == ()) == (not missing)
    assert all("1 of 12 tracks left out" in note for note in found.notes[1:])
    assert (found.name, found.label, found.metadata) == (WHOLE.name, WHOLE.label, WHOLE.metadata)
    assert keep_usable_tracks(task, None, found) == found  # and nothing more is noted


def test_tracks_without_an_input_are_left_out_too() -> None:
    inputs = (NamedFeature(name="words", feature=TokensFeature()), NamedFeature(name="cover", feature=PictureFeature()))
    for feature, missing in ((TokensFeature(), ["t00", "t03"]), (PictureFeature(), ["t00", "t04"]), (Mel(), ["t00"]),
                             (CompositeFeature(inputs=inputs), ["t00", "t03", "t04"])):  # fmt: skip
        found = keep_usable_tracks(SingleLabel(), feature, WHOLE)
        assert left_out(found) == missing and f"{len(missing)} of 12 tracks left out" in found.notes[1]


def test_split_that_would_be_empty_is_named() -> None:
    few = Manifest("songs", "genre", TRACKS[:3], metadata=FACTS)
    with pytest.raises(DatasetError, match="songs: no track with a target in train: add tracks, or labels"):
        keep_usable_tracks(SingleLabel(), None, few)
    with pytest.raises(DatasetError, match="no track with a target in validation, test"):
        keep_usable_tracks(Relations(), None, Manifest("songs", "genre", TRACKS[::3], metadata=FACTS))


# --- what only the data can say


def test_width_of_a_table_and_number_of_artists_are_filled_in() -> None:
    metadata = Metadata(["a", "b", "c"], {"n": [1, 2, 3], "v": np.ones((3, 4)), "related": [[1], [2], [0]]})
    assert with_data_sizes(TableFeature(columns=("n", "v")), metadata) == TableFeature(columns=("n", "v"), width=5)
    assert with_data_sizes(TableFeature(columns=("v",)), metadata).example_spec(1).freq_bins == 4
    assert with_data_sizes(TableFeature(columns=("n",), width=7), metadata) == TableFeature(columns=("n",))
    assert with_data_sizes(ArtistsFeature(), metadata) == ArtistsFeature(artists=3)
    several = CompositeFeature(
        inputs=(
            NamedFeature(name="x", feature=TableFeature(columns=("v",))),
            NamedFeature(name="y", feature=ArtistsFeature()),
        )
    )
    assert with_data_sizes(several, metadata).named_inputs() == {
        "x": TableFeature(columns=("v",), width=4),
        "y": ArtistsFeature(artists=3),
    }
    for other in (Mel(), TokensFeature(), PictureFeature()):
        assert with_data_sizes(other, metadata) is other
    with pytest.raises(
        DatasetError, match="no metadata column 'speed' is known of these tracks: there are n, related, v"
    ):
        with_data_sizes(TableFeature(columns=("n", "speed")), metadata)


def test_trial_is_resolved_on_the_data_as_it_is_there() -> None:
    config = table_config({"feature": TableFeature(columns=("vector",)), "model": AnyInput()})
    found = bind_to_data(config, WHOLE, "2/5")
    assert found.feature == TableFeature(columns=("vector",), width=2)
    assert found.dataset == dataset_ref(WHOLE, "2/5") and found.dataset.fold == "2/5"
    assert (found.dataset.name, found.dataset.label) == ("songs", "genre")
    assert found.dataset.data_signature == WHOLE.signature()
    fewer = Manifest("songs", "genre", TRACKS[:-1], metadata=FACTS)
    assert len({bind_to_data(config, m, f).signature() for m in (WHOLE, fewer) for f in ("", "1/5")}) == 4


def test_examples_are_of_the_task_s_own_names() -> None:
    columns = TableFeature(columns=("tempo",), missing="mean")
    manifest = keep_usable_tracks(SingleLabel(), columns, WHOLE)
    for task, names in ((SingleLabel(), ("a", "b")), (Embedding(target="vector"), ("vector[0]", "vector[1]")),
                        (SQUARES.replace({"target": "tempo"}), ("tempo",))):  # fmt: skip
        config = table_config({"feature": columns, "model": AnyInput(), "task": task})
        examples = make_examples(config, manifest, "", "")
        assert isinstance(examples, Batches) and examples.classes == names
        assert examples.ids("train") == [t.track_id for t in manifest.of("train")]


def test_representations_are_read_from_their_own_stores(tmp_path: Path) -> None:
    config = tiny_config()
    written = toy_batches(tmp_path / "features", config)
    tracks = tuple(t for split in SPLITS for t in written.tracks(split))
    examples = make_examples(config, Manifest("toy", "sound", tracks), str(tmp_path / "features"), str(tmp_path))
    for ours, theirs in zip(examples.train(1, 8, 2), written.train(1, 8, 2), strict=True):
        assert ours.track_ids == theirs.track_ids and np.array_equal(ours.inputs, theirs.inputs)
    other = config.replace({"feature.n_mels": 40})
    with pytest.raises(StoreError, match=r"no feature store at .*: extract features first"):
        make_examples(other, Manifest("toy", "sound", tracks), str(tmp_path / "features"), str(tmp_path))


# --- what is joined


def test_vectors_are_joined_by_track_or_by_artist_with_nan_where_there_is_none() -> None:
    by_track = (["t11", "elsewhere", "t03"], np.array([[1.0, 2], [9, 9], [3, 4]]))
    by_artist = (["z", "x"], np.array([[10.0], [20.0]]))
    by_group = (["artist:y"], np.array([[7.0, 8.0, 9.0]]))
    found = with_vectors(WHOLE, {"own": by_track, "artist": by_artist, "group": by_group})
    own = found.metadata.of(["t03", "t11"], "own")
    assert own.tolist() == [[3, 4], [1, 2]]
    assert np.isnan(found.metadata.of([i for i in IDS if i not in ("t03", "t11")], "own")).all()
    assert found.metadata.of(["t00", "t02", "t03", "t05"], "artist").tolist() == [[20], [10], [20], [10]]
    assert np.isnan(found.metadata.of(["t01", "t04", "t07"], "artist")).all()
    assert found.metadata.of(["t01", "t04"], "group").tolist() == [[7, 8, 9], [7, 8, 9]]
    assert np.isnan(found.metadata.of(["t00", "t02"], "group")).all()
    assert set(found.metadata) == {*FACTS, "own", "artist", "group"}
    for name in FACTS:
        assert np.array_equal(found.metadata.of(IDS, name), FACTS.of(IDS, name), equal_nan=name in ("tempo", "vector"))
    assert found.tracks == WHOLE.tracks and found.signature() != WHOLE.signature()


def test_artists_are_found_by_name_however_it_is_written() -> None:
    tracks = (track("1", "a", "artist:ann b", artist="Ann  B"), track("2", "a", "artist:A7", artist="ANN B"),
              track("3", "a", "artist:ann b", artist="Cyd"),  # its group was joined with Ann's
              track("4", "a", "track:4", artist="ann b"), track("5", "a", "artist:ann b"), track("6", "a", "alone"),
              track("7", "a", "artist:a7", artist="Dan"))  # fmt: skip
    by_name = (["cyd", "Ann B", "ANN B", ""], np.array([[1.0], [2.0], [3.0], [4.0]]))
    by_id = (["A7", "a7"], np.array([[5.0], [6.0]]))
    found = with_vectors(Manifest("songs", "genre", tracks), {"name": by_name, "id": by_id}).metadata
    np.testing.assert_array_equal(found.of("1234567", "name")[:, 0], [2, 3, 1, 2, 2, NAN, NAN])
    np.testing.assert_array_equal(found.of("1234567", "id")[:, 0], [NAN, 5, NAN, NAN, NAN, NAN, 6])


def test_track_s_own_vector_counts_before_its_artist_s() -> None:
    both = (["x", "t00"], np.array([[1.0], [2.0]]))
    assert with_vectors(WHOLE, {"v": both}).metadata.of(["t00", "t03"], "v").tolist() == [[2], [1]]


def test_vectors_are_joined_where_nothing_was_known_before() -> None:
    bare = Manifest("songs", "genre", TRACKS)
    found = with_vectors(bare, {"v": (["t05"], np.array([[1.5]]))})
    assert found.metadata.of(["t05"], "v").tolist() == [[1.5]] and set(found.metadata.track_ids) == set(IDS)


def test_vectors_of_none_of_the_tracks_are_an_error() -> None:
    with pytest.raises(
        DatasetError, match=r"metadata of \['q'\] and others, but of none of these tracks or their artists"
    ):
        with_vectors(WHOLE, {"v": (["q", "artist"], np.array([[1.5], [2.5]]))})


def test_only_numbers_may_be_unknown() -> None:
    for values in (np.array(["a"], dtype=object), [1], [[1, 2]]):
        with pytest.raises(
            DatasetError, match="the metadata column 'f' holds no floating-point numbers: only such may be unknown"
        ):
            metadata_of_tracks(Metadata(["t00"], {"f": values}), TRACKS)


def test_measured_descriptors_are_facts_of_the_tracks(tmp_path: Path) -> None:
    clip = ClipConfig(seconds=10)
    rows = [{"track_key": track_key(t.content, clip), **dict.fromkeys(DESCRIPTORS, 0.5 + n)}
            for n, t in enumerate(TRACKS[:3])]  # fmt: skip
    first = next(iter(DESCRIPTORS))
    rows[1][first] = None
    write_rows(str(tmp_path), DESCRIPTOR_TABLE, rows)
    found = descriptor_metadata(TRACKS[:3], clip, str(tmp_path))
    assert set(found) == set(DESCRIPTORS) and found.track_ids == IDS[:3]
    assert found.of(["t02", "t00"], first).tolist() == [2.5, 0.5] and np.isnan(found.of(["t01"], first)).all()
    for tracks, other in ((TRACKS[:4], clip), (TRACKS[:3], ClipConfig(seconds=11))):
        with pytest.raises(StoreError, match=r"tracks have no descriptors, e\.g\. 't0.': extract with descriptors"):
            descriptor_metadata(tracks, other, str(tmp_path))


def test_resolved_trial_is_checked_again() -> None:
    config = table_config({"feature": ArtistsFeature(artists=9), "model": AnyInput(), "task": Relations()})
    assert bind_to_data(config, WHOLE).feature == ArtistsFeature(artists=12)
    with pytest.raises(ConfigError, match="a row of a table has the shape"):
        config.replace({"feature": PictureFeature(), "model": table_config({}).model})
