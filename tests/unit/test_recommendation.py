"""What a model recommends of recordings and ids, with reasons, windows and a picture."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tonearm
from tests.builders import CLASSES, encode, sounds_like, tiny_config
from tests.libraries import PlainLibrary
from tonearm.audio.sources import Source
from tonearm.core.errors import AudioError, ConfigError, StoreError
from tonearm.datasets.content import digest_files
from tonearm.ensembles.bundle import Ensemble
from tonearm.inference import pairs
from tonearm.inference.alike import listening_member
from tonearm.inference.model import Model
from tonearm.inference.pairs import Listener
from tonearm.inference.recommendation import Recommendation
from tonearm.inference.recommending import find_way, recommend
from tonearm.recommend.request import Request
from tonearm.training.bundle import Bundle, build_network

SECONDS = 2.0


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)  # windows of some untrained networks are all alike
    config = tiny_config().replace({"window.per_track": 3})
    bundle = Bundle(config, CLASSES, {}, build_network(config, len(CLASSES)).eval())
    return Model(Ensemble((bundle,), (1.0,), {}, (1.0,)), "untrained", "")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("recordings")
    files = {f"{label}{i}": folder / f"{label}{i}.wav" for label in CLASSES for i in range(3)}
    for i, (name, file) in enumerate(files.items()):
        file.write_bytes(encode(sounds_like(name[:-1], i, SECONDS)))
    return files


@pytest.fixture(scope="module")
def library(model: Model, recordings: dict[str, Path]) -> PlainLibrary:
    predictions = [model.predict(str(file)) for file in recordings.values()]
    contents, _ = digest_files(recordings)
    order = [np.argsort(-p.probabilities)[:2] for p in predictions]
    return PlainLibrary(
        np.stack([p.embedding for p in predictions]),
        track_id=list(recordings), title=[name.title() for name in recordings], label=[n[:-1] for n in recordings],
        tempo=[100.0 + i for i in range(9)], source=[str(f) for f in recordings.values()],
        content=[contents[name] for name in recordings],
        predicted=[[p.labels[i] for i in own] for p, own in zip(predictions, order, strict=True)],
        probabilities=[[float(p.probabilities[i]) for i in own] for p, own in zip(predictions, order, strict=True)],
    )  # fmt: skip


def model_recommends(model: Model, library: PlainLibrary, source: Source, **request: Any) -> Recommendation:
    """As a person asks the model, of another library than its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "library", library)
        return model.recommend(source, **request)


def columns_of(library: PlainLibrary) -> dict[str, list[Any]]:
    return {name: [library.row(i).get(name) for i in range(len(library))] for name in library.names()}


def test_a_recording_that_the_catalogue_holds_is_not_recommended_to_itself(
    model: Model, library: PlainLibrary, recordings: dict[str, Path]
) -> None:
    columns = columns_of(library)
    columns["recording"] = ["flute1" if name in ("flute1", "bass0") else None for name in recordings]
    columns["artist"] = ["A", "A", "B", "A", "A", "B", "B", "B", "B"]
    held = PlainLibrary(library.vectors(np.arange(9)), **columns)
    own = list(recordings).index("flute1")
    data = recordings["flute1"].read_bytes()
    for source in (data, str(recordings["flute1"]), recordings["flute1"], memoryview(data), io.BytesIO(data)):
        answer = model_recommends(model, held, source, k=9)
        ids = [r.track["track_id"] for r in answer.results]
        assert sorted(ids) == sorted(set(recordings) - {"flute1", "bass0"}), "nor in another form"
    apart = model_recommends(model, held, data, not_same=("artist",))
    assert {r.track["artist"] for r in apart.results} == {"AB".replace(columns["artist"][own], "")}
    assert not any("not_same" in note for note in apart.notes)


def test_who_made_an_unknown_recording_is_not_known(
    model: Model, library: PlainLibrary, recordings: dict[str, Path]
) -> None:
    new = encode(sounds_like("flute", 7, SECONDS))
    answer = model_recommends(model, library, new, k=2, not_same=("artist",))
    assert "not_same leaves out nothing of the recording: the catalogue does not hold it" in answer.notes


def test_a_recording_in_another_file_finds_itself_with_reasons(
    model: Model, library: PlainLibrary, recordings: dict[str, Path]
) -> None:
    longer = recordings["flute1"].read_bytes() + bytes(2)  # by its own bytes it would be known, and left out
    answer = model_recommends(model, library, longer, k=3)
    first = answer.results[0]
    assert first.track["track_id"] == "flute1" and first.similarity == pytest.approx(1, abs=1e-5)
    assert first.reasons.labels[0].label == first.track["predicted"][0]
    assert all(s.probability == pytest.approx(s.seed, abs=1e-5) for s in first.reasons.labels)
    match = answer.match(0)
    assert match.start == match.seed_start and match.similarity == pytest.approx(1, abs=1e-5)
    assert 0 <= match.start <= SECONDS - match.seconds


def test_ids_find_what_the_recording_of_one_finds(
    model: Model, library: PlainLibrary, recordings: dict[str, Path]
) -> None:
    by_id = recommend(library, Request(like=("flute1",), k=4), listener=Listener.of(model.ensemble))
    by_audio = model_recommends(model, library, str(recordings["flute1"]), k=4)
    assert [r.track["track_id"] for r in by_id.results] == [r.track["track_id"] for r in by_audio.results]
    assert [m.seed_start for m in map(by_id.match, range(4))] == [by_audio.match(i).seed_start for i in range(4)]
    assert "also flute; heard as" in by_id.results[0].because
    assert list(by_id.table["track_id"]) == [r.track["track_id"] for r in by_id.results]
    assert "because" in repr(by_id) and "Flute" in repr(by_id)


def test_sliders_are_part_of_the_reason(model: Model, library: PlainLibrary) -> None:
    answer = recommend(
        library, Request(like=("flute1",), sliders={"faster": 1.0}, k=8), listener=Listener.of(model.ensemble)
    )
    moved = next(r for r in answer.results if r.rank != r.rank_before)
    tempo = moved.track["tempo"]
    assert moved.because.startswith(f"from place {moved.rank_before}; tempo {tempo:.4g}, the seeds' 104")


def test_a_result_and_its_seed_are_one_picture(model: Model, library: PlainLibrary) -> None:
    answer = recommend(library, Request(like=("flute1",), k=2), listener=Listener.of(model.ensemble))
    axes = answer.figure(1).axes
    marked = [axis.patches[0].get_x() for axis in axes if axis.patches]
    assert marked == pytest.approx([answer.match(1).seed_start, answer.match(1).start])
    with pytest.raises(ConfigError, match="no result 2"):
        answer.figure(2)


def test_what_is_not_there_any_more_cannot_be_heard(model: Model, library: PlainLibrary, tmp_path: Path) -> None:
    row = {name: [library.row(i).get(name) for i in range(9)] for name in library.names()}
    row["source"][3:] = [str(tmp_path / "away.wav")] * 6
    row["content"][:3] = [None] * 3
    gone = PlainLibrary(library.vectors(np.arange(9)), **row)
    answer = recommend(gone, Request(like=("flute1",), k=8), listener=Listener.of(model.ensemble))
    assert len(answer.results) == 8, "who only wants the list needs no audio"
    with pytest.raises(AudioError, match=r"away\.wav cannot be read"):
        answer.match(0)
    with pytest.raises(AudioError, match="does not say where"):
        recommend(gone, Request(like=("bass0",), k=8), listener=Listener.of(model.ensemble)).match(0)


def test_windows_of_a_damaged_store_are_left_out_and_logged(
    model: Model, library: PlainLibrary, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def damaged(*_: object) -> None:
        raise StoreError("the shard is cut")

    answer = recommend(library, Request(like=("flute1",), k=2), listener=Listener.of(model.ensemble))
    monkeypatch.setattr(pairs, "hear_track", damaged)
    assert [row["match"] for row in answer.to_dict(windows=True)["neighbours"]] == [None, None]
    assert "the windows of result 1 cannot be told: the shard is cut" in caplog.text


def test_several_windows_count_before_weight(model: Model) -> None:
    (bundle,) = model.ensemble.members
    once = dataclasses.replace(bundle, config=bundle.config.replace({"window.per_track": 1}))
    assert listening_member(Ensemble((once, bundle), (5.0, 1.0), {}, (1.0, 1.0))) == 1
    assert listening_member(Ensemble((once, once), (1.0, 5.0), {}, (1.0, 1.0))) == 1
    assert listening_member(Ensemble((bundle, bundle), (1.0, 1.0), {}, (1.0, 1.0))) == 0


def test_a_way_has_both_ends_and_goes_on(library: PlainLibrary) -> None:
    way = find_way(library, "flute1", "noise2", 1)
    assert [s.track["track_id"] for s in way.steps][::2] == ["flute1", "noise2"]
    assert [s.progress for s in way.steps][::2] == [0, 1] and 0 < way.steps[1].progress < 1
    assert "Flute1" in repr(way)
    only = find_way(library, "flute1", "noise2", 1, {"label": way.steps[1].track["label"]})
    assert [s.track["track_id"] for s in only.steps] == [s.track["track_id"] for s in way.steps]
    with pytest.raises(ConfigError, match="no row 'flute9'"):
        find_way(library, "flute9", "noise2", 1)
    with pytest.raises(ConfigError, match="Did you mean 'label'"):
        find_way(library, "flute1", "noise2", 1, {"lable": "x"})


def test_the_page_of_jobs_shows_what_works(
    model: Model, library: PlainLibrary, recordings: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "jobs" / "README.md").read_text("utf-8")
    block = page.partition("### You may like this, because")[2].partition("```python\n")[2].partition("```")[0]
    (tmp_path / "song.ogg").write_bytes(encode(sounds_like("flute", 5, SECONDS), container="OGG"))
    monkeypatch.chdir(tmp_path)
    ids, files = ["a.mp3", *(f"{i}.mp3" for i in range(12)), "c.mp3", "b.mp3"], [*recordings.values()] * 2
    arc = np.linspace(0, 1.5, len(ids))
    vectors = np.zeros((len(ids), library.dim), np.float32)
    vectors[:, 0], vectors[:, 1] = np.cos(arc), np.sin(arc)
    known = PlainLibrary(
        vectors, track_id=ids, label=["folk"] * len(ids), year=[1950.0 + i for i in range(len(ids))],
        tempo=[100.0 + i for i in range(len(ids))], artist=[f"{i}" for i in range(len(ids))],
        predicted=[["electronic"]] * len(ids), probabilities=[[0.5]] * len(ids),
        source=[str(f) for f in files[: len(ids)]],
        content=list(digest_files(dict(zip(ids, files, strict=False)))[0].values()),
    )  # fmt: skip
    monkeypatch.setattr(Model, "library", known)
    monkeypatch.setattr(tonearm, "load", lambda uri: model)
    names: dict[str, Any] = {"tonearm": tonearm}
    exec(block, names)
    assert len(names["found"].results) == 5 and "match" in block and "model.path" in block
