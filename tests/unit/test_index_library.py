"""``tonearm index``: a library in a model's space, changed as the library changes, and followed by who serves it."""

from __future__ import annotations

import csv
import dataclasses
import shutil
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from jobs import index as job
from tests.builders import CLASSES, encode, sounds_like, track, write_recordings
from tests.commands import run_job
from tests.serve.in_process import serve_in_process
from tests.unit.test_predict_files import counting_heard, write_model
from tonearm.core.errors import BundleError, ConfigError, JobError
from tonearm.datasets.manifest import Manifest, save_manifest
from tonearm.features.descriptors import DESCRIPTORS
from tonearm.features.row_store import DESCRIPTOR_TABLE, write_rows
from tonearm.features.store import track_key
from tonearm.inference import load, made_catalogues
from tonearm.inference.catalogues import CATALOGUE
from tonearm.inference.described import measured
from tonearm.inference.measuring import DescriptorMeter
from tonearm.recommend import CatalogueIndex
from tonearm.recommend.catalogue import Catalogue
from tonearm.recommend.catalogue_rows import group_rows, track_row
from tonearm.tasks.answers import ClassAnswer, Value, ValuesAnswer, VectorAnswer
from tonearm.workflows.home_catalogues import read_request
from tonearm.workflows.index import index_library
from tonearm.workflows.prepared_names import manifest_uri

FLUTE = encode(sounds_like("flute", 7, 3.0))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(made_catalogues, "SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)  # what a replica sets would stay for other tests


@pytest.fixture
def music(tmp_path: Path) -> Path:
    write_recordings(tmp_path / "music", per_class=2)
    return tmp_path / "music"


@pytest.fixture
def model(tmp_path: Path) -> str:
    return write_model(tmp_path / "model")


run = partial(run_job, job.main)


def test_a_library_is_indexed_recommended_from_and_followed_while_it_changes(
    music: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (music / "broken.mp3").write_bytes(b"no audio" * 99)
    with counting_heard() as heard:
        code, told = run("--audio", str(music), "--model", model)
    assert code == 0 and "6 tracks in the space of" in told and "6 added, 0 removed, 0 replaced" in told
    assert "set aside: 1 (undecodable 1)" in told and len(heard) == 7
    loaded, asked = load(model), serve_in_process(model, monkeypatch)
    library = loaded.library
    assert isinstance(library, Catalogue) and library.uri.endswith(f"/{loaded.digest}/music")
    with (Path(library.uri) / "set_aside.csv").open() as file:
        assert [row["track_id"] for row in csv.DictReader(file)] == ["broken.mp3"]
    first = library.row(0)
    assert first["source"] == str(music / first["track_id"]) and first["predicted"][0] in CLASSES
    assert sum(first["probabilities"]) == pytest.approx(1, abs=1e-4)
    near = loaded.recommend(first["source"], k=6).neighbours
    assert {n.track["track_id"] for n in near} == set(library.ids) - {first["track_id"]}, "nothing is like itself"
    assert asked("GET", "/healthz")["tracks"] == 6
    assert asked("GET", "/healthz")["catalogue"] == {"name": "music", "kind": "track", "number": 1}

    with counting_heard() as heard:
        assert "0 added, 0 removed, 0 replaced" in run("--audio", str(music), "--model", model)[1] and not heard
    (music / "new.wav").write_bytes(FLUTE)
    (music / first["track_id"]).unlink()
    with counting_heard() as heard:
        assert "1 added, 1 removed, 0 replaced" in run("--audio", str(music), "--model", model)[1]
    assert heard == ["new.wav"] and asked("GET", "/healthz")["tracks"] == 6 == len(library)
    found = asked("POST", "/v1/recommend?k=1", content=FLUTE + bytes(2))
    assert found["neighbours"][0]["track_id"] == "new.wav", "a server that runs knows it"
    assert len(loaded.library.parts) == 2  # type: ignore[attr-defined]
    assert "one base of all" in run("--audio", str(music), "--model", model, "--merge")[1]
    assert len(loaded.library.parts) == 1 and len(library) == 6  # type: ignore[attr-defined]


def test_a_library_elsewhere_is_indexed_and_not_fetched_again(
    music: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, memory = f"memory://{uuid.uuid4().hex}/music", fsspec.filesystem("memory")
    names = [path.relative_to(music).as_posix() for path in music.glob("*/*")]
    for name in names:
        memory.pipe_file(f"{uri}/{name}", (music / name).read_bytes())
    here = index_library(model, audio=[str(music)], name="here")
    with counting_heard() as heard:
        code, told = run("--audio", uri, "--model", model)
    assert code == 0 and "6 added, 0 removed, 0 replaced" in told and not heard, "they are the same recordings"
    there = Catalogue.open(here.uri.replace("/here", "/music"), load(model).digest)
    assert sorted(there.column("source")) == sorted(f"{uri}/{name}" for name in names)  # type: ignore[arg-type]
    assert read_request(there.uri).audio == (uri,)
    memory.pipe_file(f"{uri}/new.wav", FLUTE)
    memory.rm_file(f"{uri}/{there.ids[0]}")
    with counting_heard() as heard:
        assert "1 added, 1 removed, 0 replaced" in run("--audio", f"{uri}/", "--model", model)[1]
    assert heard == ["new.wav"]
    forbidden, ls = f"/{names[-1].partition('/')[0]}", MemoryFileSystem.ls

    def refusing(self: MemoryFileSystem, path: str, *rest: Any, **more: Any) -> Any:
        if path.endswith(forbidden):
            raise PermissionError(13, "Permission denied")
        return ls(self, path, *rest, **more)

    monkeypatch.setattr(MemoryFileSystem, "find", AbstractFileSystem.find)  # as most drivers list
    monkeypatch.setattr(MemoryFileSystem, "ls", refusing)
    told = run("--audio", uri, "--model", model)[1]
    assert "0 added, 0 removed, 0 replaced" in told and "recordings cannot be read this time" in told


def test_a_catalogue_that_is_damaged_while_it_is_served_is_told_and_the_last_one_stays(
    music: Path, model: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    index_library(model, audio=[str(music)])
    asked = serve_in_process(model, monkeypatch)
    catalogue = load(model).library
    (Path(catalogue.uri) / "catalogue.json").write_text("{")  # type: ignore[attr-defined]
    for _ in range(3):
        assert len(asked("POST", "/v1/recommend?k=2", content=FLUTE)["neighbours"]) == 2
    assert caplog.text.count("the catalogue stays as it was") == 1
    with pytest.raises(BundleError, match="is damaged"):
        load(model).library  # noqa: B018


def test_another_models_catalogue_is_neither_found_nor_opened(music: Path, model: str, tmp_path: Path) -> None:
    made = index_library(model, audio=[str(music)])
    other = load(write_model(tmp_path / "other", seed=2))
    assert not other.has_catalogue and load(model).has_catalogue
    shutil.copytree(made.uri, made_catalogues.catalogue_uri(other.digest, "music"))
    with pytest.raises(BundleError, match=f"of the model {load(model).digest}, this one is {other.digest}"):
        other.library  # noqa: B018


def test_of_several_catalogues_the_newest_of_tracks_counts_or_the_one_that_is_named(
    music: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_library(model, audio=[str(music)], name="All")
    index_library(model, audio=[str(music / "bass")], name="Bass")
    assert len(load(model).library) == 2
    monkeypatch.setenv("TONEARM_CATALOGUE", "all")
    assert len(load(model).library) == 6
    monkeypatch.setenv("TONEARM_CATALOGUE", "none")
    with pytest.raises(BundleError, match=r"'none', but the model's catalogues are all, bass"):
        load(model).library  # noqa: B018


def with_own_catalogue(model: str) -> str:
    """The same model, registered with a catalogue of two tracks."""
    dim = len(load(model).classify(FLUTE).embedding)
    CatalogueIndex.build(np.eye(2, dim, dtype=np.float32), [track("own0"), track("own1")]).save(f"{model}/{CATALOGUE}")
    return model


def test_a_catalogue_of_artists_is_recommended_from_only_by_its_name(
    music: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks = [dataclasses.replace(t, artist="A") for t in write_recordings(tmp_path / "known", per_class=1)]
    save_manifest(manifest_uri("known"), Manifest("known", "sound", tuple(tracks)))
    index_library(model, dataset="known", kind="artist")
    assert not load(model).has_catalogue
    own = load(with_own_catalogue(model))
    assert own.recommend(like="own0", k=1).neighbours[0].track["track_id"] == "own1"
    monkeypatch.setenv("TONEARM_CATALOGUE", "known-artists")
    assert load(model).library.row(0)["track_id"] == "A"


def test_a_damaged_new_catalogue_leaves_a_server_the_one_it_has(
    music: Path, model: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with_own_catalogue(model)
    made = Path(index_library(model, audio=[str(music)]).uri)
    assert serve_in_process(model, monkeypatch)("GET", "/healthz")["tracks"] == 6
    description = (made / "catalogue.json").read_text()
    (made / "catalogue.json").write_text("{")
    asked = serve_in_process(model, monkeypatch)
    assert asked("GET", "/healthz")["tracks"] == 2
    assert len(asked("POST", "/v1/recommend?k=2", content=FLUTE)["neighbours"]) == 2
    assert caplog.text.count("is damaged") == 2, "told once by each process: who listens, and who searches"
    monkeypatch.setenv("TONEARM_CATALOGUE", "music")
    with pytest.raises(BundleError, match="is damaged"):
        load(model).library  # noqa: B018
    monkeypatch.delenv("TONEARM_CATALOGUE")
    assert index_library(model, audio=[str(music / "bass")], name="other").change.count == 2
    (made / "catalogue.json").write_text(description)
    next(made.glob("base-*/rows.arrow")).write_bytes(b"")
    assert str(load(model).library.uri).endswith("/other")  # type: ignore[attr-defined]
    (made / "catalogue.json").touch()
    health = asked("GET", "/healthz")
    assert (health["tracks"], health["catalogue"]["name"]) == (2, "other")


def test_a_data_sets_rows_say_what_is_known_of_its_tracks(music: Path, model: str, tmp_path: Path) -> None:
    tracks = [dataclasses.replace(t, artist="A", year=1900 + i, licence="CC0", labels=("x", t.label), recording="r")
              for i, t in enumerate(write_recordings(tmp_path / "known", per_class=1))]  # fmt: skip
    silent = dataclasses.replace(tracks[0], track_id="silent", source="", content="none")
    save_manifest(manifest_uri("known"), Manifest("known", "sound", (*tracks, silent)))
    key = track_key(tracks[0].content, load(model).clip)
    write_rows(str(tmp_path / "home" / "features"), DESCRIPTOR_TABLE, [{"track_key": key, "tempo": 99.5, "key": "C"}])
    made = index_library(model, dataset="known")
    assert made.set_aside == {"silent": ("no_audio", "it is known by its metadata alone")}
    library = load(model).library
    first = library.row(library.place(tracks[0].track_id))
    assert first["tempo"] == 99.5 and first["key"] == "C" and first["labels"] == ("x", tracks[0].label)
    assert {first[n] for n in ("artist", "year", "licence", "recording")} == {"A", 1900, "CC0", "r"}
    loudness = library.column("loudness")
    assert loudness is not None and np.isnan(loudness).sum() == 1, (
        "the row that was kept says none; what extraction has not measured is measured"
    )
    artists = index_library(model, dataset="known", kind="artist")
    assert artists.change.count == 1 and artists.uri.endswith("/known-artists") and artists.heard == 0
    assert len(load(model).library) == 3, "tracks are served where there are any"


def test_rows_of_a_folder_say_what_extraction_would_measure(
    music: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (music / "short.wav").write_bytes(encode(sounds_like("flute", 7, 0.05)))
    made = index_library(model, audio=[str(music)])
    library, clip = load(model).library, load(model).clip
    assert isinstance(library, Catalogue)
    for place in range(len(library)):
        row = library.row(place)
        assert {n: row[n] for n in DESCRIPTORS if n in row} == {
            n: v for n, v in measured(row["source"], clip).items() if n in DESCRIPTORS
        }
    assert all(library.row(library.place(t)).get("loudness") for t in library.ids if t != "short.wav")
    assert ("1 recordings have no tempo" in str(made)) == ("short.wav" in library.ids)
    monkeypatch.setattr(DescriptorMeter, "_row", lambda *_: pytest.fail("measured again"))
    assert "0 added, 0 removed, 0 replaced" in str(index_library(model, audio=[str(music)]))


def test_nothing_that_can_be_heard_is_an_error(tmp_path: Path, model: str) -> None:
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "x.mp3").write_bytes(b"no audio" * 99)
    with pytest.raises(JobError, match=r"none of 1 recordings could be placed: undecodable 1"):
        index_library(model, audio=[str(tmp_path / "noise")])
    assert not load(model).has_catalogue
    for wrong in ({}, {"dataset": "a", "audio": ["b"]}):
        with pytest.raises(ConfigError, match="either a data set"):
            index_library(model, **wrong)  # type: ignore[arg-type]


def test_albums_and_artists_are_the_mean_direction_of_their_tracks() -> None:
    tracks = [track(f"t{i}", "ab"[i % 2], artist="A" if i < 3 else "B", album="X" if i != 3 else None, year=1900 + i,
                    licence="CC0" if i < 2 else "BY") for i in range(4)]  # fmt: skip
    vectors = np.array([[2, 0], [0, 5], [0, 1], [3, 3]], np.float32)
    answer = ClassAnswer((("q", 0.8), ("p", 0.2)))
    rows = [track_row(t, answer, {"tempo": 100.0 + i}) for i, t in enumerate(tracks)]
    assert rows[0]["predicted"] == ["q", "p"] and rows[0]["probabilities"] == [0.8, 0.2]
    made, means, without = group_rows(rows, vectors, "artist")
    assert [r["track_id"] for r in made] == ["A", "B"] and without == 0
    np.testing.assert_allclose(means, [[1 / 5**0.5, 2 / 5**0.5], [0.5**0.5, 0.5**0.5]], atol=1e-6)
    assert made[0]["count"] == 3 and made[0]["tempo"] == 101.0 and made[0]["year"] == 1901
    assert made[0]["label"] == "a" and made[0]["labels"] == ["a", "b"] and "licence" not in made[0]
    assert made[1]["licence"] == "BY" and made[0]["content"] != made[1]["content"]
    albums, _, left_out = group_rows(rows, vectors, "album")
    assert [r["track_id"] for r in albums] == ["A - X"] and left_out == 1
    with pytest.raises(ConfigError, match="none of 1 tracks says its album"):
        group_rows([{"track_id": "x"}], vectors[:1], "album")


def test_values_are_no_probabilities_and_a_vector_is_no_attribute() -> None:
    values = track_row(track("t"), ValuesAnswer((Value("tempo", 3.5, "BPM"), Value("mood", -1.0))), {})
    assert values["value:tempo"] == 3.5 and values["value:mood"] == -1 and "predicted" not in values
    vector = track_row(track("t"), VectorAnswer("factors", ("f0",), np.ones(1, np.float32)), {"key": None})
    assert set(vector) == {"track_id", "source", "content", "label", "labels"}
