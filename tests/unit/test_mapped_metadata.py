"""Metadata on disk: vectors are mapped and read by row, hashed once, and are what they were to the bit."""

from __future__ import annotations

import dataclasses
import errno
import os
import uuid
from pathlib import Path

import numpy as np
import pytest

from tests.builders import track
from tests.unit.toy_problems import table_config
from tonearm.core import home, storage
from tonearm.core.errors import DatasetError
from tonearm.core.seeding import ByteBlocks, digest
from tonearm.datasets import columns as columns_module
from tonearm.datasets import metadata as metadata_module
from tonearm.datasets.manifest import Manifest, load_manifest, manifest_leftovers, save_manifest, shared_leftovers
from tonearm.datasets.metadata import Metadata, save_metadata
from tonearm.datasets.metadata_files import open_metadata, write_metadata
from tonearm.features.metadata import TableFeature, fit_table, scale_table
from tonearm.tasks.embedding import Embedding
from tonearm.training import batches as batches_module
from tonearm.training import table_reader
from tonearm.training.batches import by_tracks, truth_of
from tonearm.training.examples import keep_usable_tracks, make_examples, with_vectors
from tonearm.training.table_reader import TableReader

RNG = np.random.default_rng(0)
TRACKS = tuple(track(f"t{i:03}", "a", split=("train", "validation", "test")[i % 3], group=f"g{i // 2}")
               for i in range(60))  # fmt: skip
IDS = [t.track_id for t in TRACKS]
SINGLE = RNG.normal(0, 1, (60, 7)).astype(np.float32).astype(np.float64)
SINGLE[4] = np.nan
DOUBLE = RNG.normal(0, 1, (60, 5))
COLUMNS = {
    "single": SINGLE,
    "double": DOUBLE,
    "huge": DOUBLE[:, :2] * 1e200,
    "words": RNG.integers(0, 2**40, (60, 3)),
    "tempo": RNG.normal(120, 9, 60),
    "lyrics": np.array([f"words ä {i}" if i % 5 else "" for i in range(60)], dtype=object),
}
ORDER = list(RNG.permutation(60))
METADATA = Metadata([IDS[i] for i in ORDER], {name: np.asarray(v)[ORDER] for name, v in COLUMNS.items()})
MANIFEST = Manifest("m", "genre", TRACKS, metadata=METADATA)


@pytest.fixture(params=["local", "remote"])
def uri(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TONEARM_CACHE", str(tmp_path / "cache"))
    root = str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}"
    uri = f"{root}/data/m/manifest.parquet"
    save_manifest(uri, MANIFEST)
    return uri


def same(got: np.ndarray, wanted: np.ndarray) -> bool:
    if wanted.dtype.kind not in "fiu":
        return bool(got.dtype == object and list(got) == list(wanted))
    return bool(got.dtype.kind == wanted.dtype.kind and got.dtype.itemsize == 8
                and np.array_equal(got, wanted, equal_nan=got.dtype.kind == "f"))  # fmt: skip


def test_what_is_read_is_what_was_saved_and_nothing_is_hashed(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Metadata(METADATA.track_ids, {name: METADATA.of(METADATA.track_ids, name) for name in METADATA})
    with monkeypatch.context() as patch:
        patch.setattr(metadata_module, "digest", None)
        read = load_manifest(uri)
        assert read.signature() == MANIFEST.signature()
        for name, values in COLUMNS.items():
            assert same(read.metadata.of(IDS, name), np.asarray(values)), name
            assert same(read.metadata.of(IDS[5:7] * 2, name), np.asarray(values)[[5, 6, 5, 6]]), name
    assert fresh.signature() == read.metadata.signature()
    again = Metadata(IDS, {name: read.metadata.of(IDS, name) for name in read.metadata})
    assert again.signature() == fresh.signature()
    save_manifest(f"{uri}.again.parquet", read)  # of columns that are mapped themselves
    assert load_manifest(f"{uri}.again.parquet").signature() == MANIFEST.signature()


def test_vectors_are_mapped_and_single_precision_where_that_loses_nothing(tmp_path: Path) -> None:
    uri = str(tmp_path / "data" / "m" / "manifest.parquet")
    save_manifest(uri, MANIFEST)
    read = load_manifest(uri).metadata
    stored = {name: read.column(name).values for name in ("single", "double", "huge", "words")}  # type: ignore[attr-defined]
    assert {n: v.dtype.name for n, v in stored.items()} == {
        "single": "float32", "double": "float64", "huge": "float64", "words": "int64"}  # fmt: skip
    assert not any(v.flags.owndata or v.flags.writeable for v in stored.values())


def test_texts_are_read_when_they_are_asked_for(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = load_manifest(uri).metadata
    seen: list[str] = []
    real = storage.read_bytes
    monkeypatch.setattr(storage, "read_bytes", lambda place: (seen.append(place), real(place))[1])
    assert read.of(IDS[:2], "tempo").shape == (2,) and not seen
    assert read.texts(IDS[:2], "lyrics") == ["", "words ä 1"] and len(seen) == 1
    assert read.texts(IDS[2:3], "lyrics") == ["words ä 2"] and len(seen) == 1


def test_metadata_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    uri = str(tmp_path / "data" / "m" / "manifest.parquet")
    save_manifest(uri, MANIFEST)
    for path in (tmp_path / "data" / "m").glob("*.npy"):
        path.unlink()
    (facts,) = (tmp_path / "data" / "m").glob("*.facts-*.parquet")
    save_metadata(str(facts), METADATA)
    read = load_manifest(uri)
    assert read.signature() == MANIFEST.signature()
    assert all(same(read.metadata.of(IDS, name), np.asarray(v)) for name, v in COLUMNS.items())


def test_files_of_an_earlier_manifest_are_left_over_and_those_of_this_one_are_not(tmp_path: Path) -> None:
    uri = str(tmp_path / "data" / "m" / "manifest.parquet")
    save_manifest(uri, MANIFEST)
    before = set((tmp_path / "data" / "m").iterdir())
    assert manifest_leftovers(uri) == []
    changed = Metadata(IDS, {**{n: METADATA.of(IDS, n) for n in METADATA}, "tempo": np.zeros(60)})
    save_manifest(uri, dataclasses.replace(MANIFEST, metadata=changed))
    assert {Path(p) for p in manifest_leftovers(uri)} == before - {Path(uri)}
    assert len(before) == 6


def test_manifests_share_metadata_until_none_has_them(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "m" / "splits"
    folds = [dataclasses.replace(MANIFEST, notes=(f"fold {i}",)) for i in range(4)]
    uris = [str(folder / f"{i:02d}.parquet") for i in range(4)]
    save_manifest(uris[0], folds[0], shared=True)
    alone = {path.name for path in folder.iterdir()}
    for uri, fold in zip(uris[1:], folds[1:], strict=True):
        save_manifest(uri, fold, shared=True)
    others = {path.name for path in folder.iterdir()}
    assert others == {*alone, "01.parquet", "02.parquet", "03.parquet"}
    for uri, fold in zip(uris, folds, strict=True):
        read = load_manifest(uri)
        assert read.notes == fold.notes and read.signature() == fold.signature() and manifest_leftovers(uri) == []
        assert all(same(read.metadata.of(IDS, name), np.asarray(v)) for name, v in COLUMNS.items())
    save_manifest(uris[0], dataclasses.replace(MANIFEST, metadata=Metadata(IDS, {"tempo": np.zeros(60)})), shared=True)
    assert shared_leftovers(str(folder), uris) == []
    left = shared_leftovers(str(folder), uris[:1])
    assert {Path(p).name for p in left} == alone - {"00.parquet"}


@pytest.mark.parametrize("damage", ["cut", "absent", "other shape"])
def test_damaged_vectors_are_named(tmp_path: Path, damage: str) -> None:
    uri = str(tmp_path / "data" / "m" / "manifest.parquet")
    save_manifest(uri, MANIFEST)
    file = sorted((tmp_path / "data" / "m").glob("*.npy"))[1]
    if damage == "other shape":
        np.save(file, np.zeros((2, 2)))
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-8])
    else:
        file.unlink()
    with pytest.raises(DatasetError, match=rf"{file.name} is damaged.*make the data set again"):
        load_manifest(uri)


def test_a_node_copies_vectors_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_CACHE", str(tmp_path / "cache"))
    uri = f"memory://{uuid.uuid4().hex}/data/m/manifest.parquet"
    save_manifest(uri, MANIFEST)
    fetched: list[str] = []
    fetch = storage.fetch
    monkeypatch.setattr(storage, "fetch", lambda place, path: (fetched.append(place), fetch(place, path))[1])
    for _ in range(3):
        read = load_manifest(uri).metadata
        assert fetched == [] or len(fetched) == 1
        assert same(read.of(IDS, "double"), DOUBLE)
    assert len(fetched) == 1 and home.node_cache() == str(tmp_path / "cache")


def test_too_many_open_files_are_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = str(tmp_path / "data" / "m" / "manifest.parquet")
    save_manifest(uri, MANIFEST)

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(Path, "open", fails)
    with pytest.raises(DatasetError, match=r"cannot be read now .*Too many open files"):
        load_manifest(uri)


def test_blocks_are_hashed_as_one() -> None:
    data = RNG.bytes(1000)
    assert digest(ByteBlocks(1000, (data[i : i + 99] for i in range(0, 1000, 99))), "x") == digest(data, "x")


# --- vectors of other models


def test_given_vectors_are_not_copied_and_are_unknown_where_they_lack(tmp_path: Path) -> None:
    values = RNG.normal(0, 1, (20, 4)).astype(np.float32)
    known = IDS[10:30]
    write_metadata(str(tmp_path / "vectors.parquet"), Metadata(known, {"vector": values}))
    column = open_metadata(str(tmp_path / "vectors.parquet")).column("vector")
    assert column.values.dtype == np.float32 and not column.values.flags.owndata  # type: ignore[attr-defined]
    made = with_vectors(MANIFEST, {"made": (known, column), "other": (["g1", "g2"], values[:2])})
    assert same(made.metadata.of(known, "made"), values.astype(np.float64))
    assert np.isnan(made.metadata.of(IDS[:10], "made")).all()
    assert same(made.metadata.of(["t002", "t005"], "other"), values[:2].astype(np.float64))
    assert np.isnan(made.metadata.of(["t000"], "other")).all() and same(made.metadata.of(IDS, "double"), DOUBLE)
    plain = Metadata(IDS, {**{n: METADATA.of(IDS, n) for n in METADATA},
                           **{n: made.metadata.of(IDS, n) for n in ("made", "other")}})  # fmt: skip
    assert made.metadata.signature() == plain.signature()
    save_manifest(str(tmp_path / "m.parquet"), made)
    assert load_manifest(str(tmp_path / "m.parquet")).signature() == made.signature()


@pytest.mark.parametrize("scaling", ["minmax", "standard", "unit", "none"])
@pytest.mark.parametrize("missing", ["mean", "keep"])
def test_a_large_table_is_read_by_row_and_scaled_to_the_bit_as_a_small_one(
    scaling: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    feature = TableFeature(columns=("single", "tempo", "double"), width=13, scaling=scaling, missing=missing)  # type: ignore[arg-type]
    small = TableReader(feature, TRACKS, METADATA)
    train = [t.track_id for t in TRACKS if t.split == "train"]
    whole = np.column_stack([METADATA.of(train, n) for n in feature.columns])
    assert small.fitted == fit_table(whole, feature)
    everything = np.column_stack([METADATA.of(IDS, n) for n in feature.columns])
    wanted = scale_table(everything, feature, small.fitted)
    monkeypatch.setattr(table_reader, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(table_reader, "FITTED_BYTES", 20 * 8 * 3)
    monkeypatch.setattr(table_reader, "ROWS_AT_ONCE", 7)
    large = TableReader(feature, TRACKS, METADATA)
    assert large.fitted == small.fitted and large._scaled is None and small._scaled is not None
    for reader in (small, large):
        read = reader.read(TRACKS, [], np.zeros(60), 0).numpy()
        assert read.dtype == np.float32 and np.array_equal(read, wanted, equal_nan=True)
        assert np.array_equal(reader.windows(TRACKS[7]).numpy(), wanted[7:8], equal_nan=True)


def test_a_large_table_is_fitted_once_on_a_machine(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    feature = TableFeature(columns=("single", "tempo"), width=8, missing="keep")
    metadata = load_manifest(uri).metadata
    wanted = TableReader(feature, TRACKS, METADATA).fitted
    monkeypatch.setattr(table_reader, "IN_MEMORY_BYTES", 0)
    made: list[int] = []
    monkeypatch.setattr(table_reader, "fit_table", lambda *a: (made.append(1), fit_table(*a))[1])
    for _ in range(3):
        found = TableReader(feature, TRACKS, metadata).fitted
        assert repr(found) == repr(wanted)  # NaN where all is unknown, if at all
    assert len(made) == 1
    others = [dataclasses.replace(t, split="train") for t in TRACKS]
    assert TableReader(feature, others, metadata).fitted.mean != wanted.mean and len(made) == 2


def test_unknown_and_infinite_values_of_large_tables_are_named_as_of_small_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusing = TableFeature(columns=("double", "single"), width=12, missing="refuse")
    infinite = Metadata(IDS, {"double": np.where(np.arange(60) == 50, np.inf, 1.0)[:, None], "single": SINGLE})
    told = set()
    for size in (1 << 30, 0):
        monkeypatch.setattr(table_reader, "IN_MEMORY_BYTES", size)
        monkeypatch.setattr(table_reader, "ROWS_AT_ONCE", 7 if size == 0 else 4096)
        with pytest.raises(DatasetError) as error:
            TableReader(refusing, TRACKS, METADATA)
        told.add(str(error.value))
        with pytest.raises(DatasetError, match="is infinite"):
            TableReader(refusing.replace({"width": 8}), TRACKS, infinite)
    assert len(told) == 1 and "number 5 of the table" in told.pop()


def test_targets_that_are_vectors_are_encoded_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("cosine", "mse"):
        task = Embedding(target="double", loss_kind=kind)  # type: ignore[arg-type]
        names = task.names(truth_of(TRACKS[:1], METADATA), ())
        wanted = task.encode(truth_of(TRACKS, METADATA), names)
        with monkeypatch.context() as patch:
            patch.setattr(batches_module, "MADE_AT_ONCE", 7)
            made = by_tracks(task, TRACKS, METADATA, lambda truth, task=task, names=names: task.encode(truth, names))
            assert np.array_equal(made, wanted)
            has = by_tracks(task, TRACKS, METADATA, task.has_target)
        assert np.array_equal(has, task.has_target(truth_of(TRACKS, METADATA)))


def test_a_trial_reads_only_the_columns_that_it_uses(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[int, ...]] = []
    real = columns_module.ArrayColumn.take

    def take(self: columns_module.ArrayColumn, rows: np.ndarray, numbers: slice = slice(None)) -> np.ndarray:
        taken.append(self.shape)
        return real(self, rows, numbers)

    monkeypatch.setattr(columns_module.ArrayColumn, "take", take)
    config = table_config({"task": Embedding(target="double"), "feature": TableFeature(columns=("words",), width=3)})
    manifest = keep_usable_tracks(config.task, config.feature, load_manifest(uri))
    examples = make_examples(config, manifest, str(Path(home.node_cache()) / "features"), home.node_cache())
    next(examples.train(0, 8, 2))
    assert set(taken) == {(60, 5), (60, 3)}
