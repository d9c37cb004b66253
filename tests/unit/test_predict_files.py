"""A back catalogue's answers in a table: what is in it, what is heard again, and what odd files and names do to it."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from mutagen.flac import FLAC
from typer.testing import CliRunner

from jobs import predict as job
from tests.builders import CLASSES, encode, sounds_like, tiny_config, write_recordings
from tests.shared_ray import ROOT
from tonearm.core import home
from tonearm.core.errors import AudioError, ConfigError, JobError
from tonearm.ensembles.bundle import save_ensemble
from tonearm.inference import load
from tonearm.inference.answers import FilePredictor
from tonearm.inference.catalogues import CATALOGUE
from tonearm.recommend import CatalogueIndex
from tonearm.training.bundle import Bundle, build_network, save_bundle
from tonearm.workflows.predict_files import predict_files

ODD = ("file", 'rock, pop & "roll"', "título")
CONFIG = tiny_config({"feature.normalisation": "track"})


def write_model(folder: Path, classes: tuple[str, ...] = CLASSES, seed: int = 1) -> str:
    """A network that was never trained, which is all that a table needs."""
    torch.manual_seed(seed)
    save_bundle(str(folder), Bundle(CONFIG, tuple(sorted(classes)), {}, build_network(CONFIG, len(classes)).eval(), {}))
    return str(folder)


@pytest.fixture
def model(tmp_path: Path) -> str:
    return write_model(tmp_path / "model", ODD)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Six recordings."""
    write_recordings(tmp_path / "music", per_class=2)
    return tmp_path / "music"


@contextmanager
def counting_heard() -> Iterator[list[str]]:
    """The files that are heard in the block, by their names."""
    heard: list[str] = []
    predict = FilePredictor._predict

    def counted(self: FilePredictor, content: str, source: str, stamp: str) -> tuple[np.ndarray, np.ndarray]:
        heard.append(Path(source).name)
        return predict(self, content, source, stamp)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FilePredictor, "_predict", counted)
        yield heard


def run(*arguments: str) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command()(job.main)
    result = CliRunner().invoke(app, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, result.stdout, result.stderr


def test_the_command_writes_a_table_that_says_what_the_model_says(music: Path, model: str, tmp_path: Path) -> None:
    (music / "bass" / "text.mp3").write_text("this is no music")
    out = tmp_path / "new" / "answers.parquet"
    code, printed, _ = run(str(music), "--model", model, "--out", str(out), "--neighbours", "2")
    table = pd.read_parquet(out)
    assert code == 0 and f"6 files answered by {model}, 7 heard now: {out}" in printed
    assert "set aside: 1 of 7 (undecodable 1)" in printed and "has no catalogue, so there are no neighbours" in printed
    doubts = ["heard", "sure", "doubt"]
    assert list(table) == ["file", "title", "artist", "label", "probability", *doubts, *(f"p:{n}" for n in sorted(ODD))]
    assert table["heard"].isna().all() and table["doubt"].isna().all() and (table["sure"] == table["probability"]).all()
    for row in table.to_dict("records"):
        said = load(model).classify(row["file"])
        assert row["label"] == said.label and row["probability"] == pytest.approx(said.probabilities[said.label])
        assert {name: row[f"p:{name}"] for name in ODD} == pytest.approx(said.probabilities, abs=1e-6)
    aside = pd.read_csv(tmp_path / "new" / "answers.set_aside.csv")
    assert aside[["file", "reason"]].to_numpy().tolist() == [[str(music / "bass" / "text.mp3"), "undecodable"]]
    assert not list(music.rglob("*.parquet")) and not list(music.rglob("*.csv")), "nothing is written to the music"


def test_csv_of_odd_names_is_read_as_it_was_meant(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ['=cmd|" C calc".flac', "-1.flac", "a, \"b\"; 'c'.flac", "two\nlines.flac", "file.flac"]
    for i, name in enumerate(names):
        (tmp_path / name).write_bytes(encode(sounds_like("flute", i), container="FLAC"))
        tagged = FLAC(tmp_path / name)
        tagged["title"], tagged["artist"] = "=1+1", 'Ä, „B“ & "C"' if i else "unknown"
        tagged.save()
    monkeypatch.chdir(tmp_path)
    predict_files(names, "answers.csv", model=model)
    table = pd.read_csv("answers.csv")
    assert table["file"].to_list() == [f"'{n}" if n[0] in "=-" else n for n in names]
    assert set(table["title"]) == {"'=1+1"} and table["artist"].isna().to_list() == [True, *[False] * 4]
    assert [f"p:{name}" for name in sorted(ODD)] == [c for c in table if c.startswith("p:")]
    np.testing.assert_allclose(table.filter(regex="^p:").sum(axis=1), 1, atol=1e-5)
    with Path("answers.csv").open(newline="") as file:
        assert {len(row) for row in csv.reader(file)} == {8 + len(ODD)}
    predict_files(names, "answers.parquet", model=model)
    exact = pd.read_parquet("answers.parquet")
    assert exact["file"].to_list() == names and set(exact["title"]) == {"=1+1"}
    assert exact["artist"].fillna("").to_list() == ["", *['Ä, „B“ & "C"'] * 4]


def test_only_what_is_new_is_heard(music: Path, model: str, tmp_path: Path) -> None:
    out = str(tmp_path / "answers.csv")
    with counting_heard() as heard:
        first = predict_files([str(music)], out, model=model)
    assert first.heard == len(heard) == 6
    before = Path(out).read_bytes()
    with counting_heard() as heard:
        assert predict_files([str(music)], out, model=model).heard == 0
    assert heard == [] and Path(out).read_bytes() == before
    (music / "bass" / "bass0.wav").rename(music / "moved.wav")
    (music / "copy.wav").write_bytes((music / "flute" / "flute0.wav").read_bytes())
    (music / "flute" / "flute1.wav").write_bytes(encode(sounds_like("noise", 77)))
    (music / "a.wav").write_bytes(encode(sounds_like("noise", 78)))
    with counting_heard() as heard:
        assert predict_files([str(music)], out, model=model).answered == 8
    assert sorted(heard) == ["a.wav", "flute1.wav"], "by content: one that moved or was copied is known"
    other = write_model(tmp_path / "other", ODD, seed=2)
    with counting_heard() as heard:
        predict_files([str(music)], out, model=other)
    assert len(heard) == 7, "another model hears all, what occurs twice once"
    with counting_heard() as heard:
        predict_files([str(music)], out, model=write_model(tmp_path / "again", ODD))
    assert heard == [], "the same model elsewhere is the same one"


KILLED = """
import os, signal, sys
from tonearm.inference import answers
from tonearm.workflows.predict_files import predict_files
answers.FILES_AT_ONCE, write, calls = 2, answers.write_rows, []
def cut_off(*arguments):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return write(*arguments)
answers.write_rows = cut_off
predict_files(sys.argv[1:2], sys.argv[2], model=sys.argv[3])
"""


def test_a_killed_job_goes_on_where_it_was(music: Path, model: str, tmp_path: Path) -> None:
    out = str(tmp_path / "answers.parquet")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}"}
    done = subprocess.run([sys.executable, "-c", KILLED, str(music), out, model], env=environment, timeout=120)
    assert done.returncode == -9 and not Path(out).exists()
    with counting_heard() as heard:
        found = predict_files([str(music)], out, model=model)
    assert found.answered == 6 and found.heard == len(heard) == 2
    whole = pd.read_parquet(out)
    for row in whole.to_dict("records"):
        assert row["label"] == load(model).classify(row["file"]).label


def test_an_ensemble_hears_a_file_once_and_names_neighbours(music: Path, tmp_path: Path) -> None:
    members = [write_model(tmp_path / f"member{seed}", seed=seed) for seed in (1, 2)]
    uri = str(tmp_path / "ensemble")
    save_ensemble(uri, members, [2.0, 1.0], {}, [1.5, 0.7])
    tracks = write_recordings(tmp_path / "known", per_class=2)
    vectors = np.stack([load(uri).predict(t.source).embedding for t in tracks])
    CatalogueIndex.build(vectors, tracks).save(f"{uri}/{CATALOGUE}")
    out = tmp_path / "answers.parquet"
    with counting_heard() as heard:
        predict_files([str(music)], str(out), model=uri, neighbours=2)
    assert len(heard) == 6
    table = pd.read_parquet(out)
    for row in table.to_dict("records"):
        unknown = Path(row["file"]).read_bytes() + bytes(2)  # by its own bytes it would not be recommended to itself
        found = load(uri).recommend(unknown, k=2).neighbours
        for i, near in enumerate(found, 1):
            assert row[f"neighbour_{i}"] == near.track["track_id"]
            assert row[f"neighbour_{i}_similarity"] == pytest.approx(near.similarity, abs=1e-5)
            assert row[f"neighbour_{i}_title"] == near.track["title"] and pd.isna(row[f"neighbour_{i}_artist"])
            assert row[f"neighbour_{i}_label"] == near.track["label"]
        said = load(uri).classify(row["file"]).probabilities
        assert {name: row[f"p:{name}"] for name in CLASSES} == pytest.approx(said, abs=1e-6)
    assert "neighbour_3" not in table
    predict_files([str(music)], str(out), model=uri, neighbours=0)
    assert not [c for c in pd.read_parquet(out) if c.startswith("neighbour")]


def test_a_list_of_files_may_name_what_is_not_there(
    music: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "=empty.wav").write_bytes(b"")
    lines = ["music/bass/bass0.wav", "", "gone.wav", "=empty.wav", "music/flute", "music/bass/bass0.wav"]
    for end, encoding in (("\n", "utf-8"), ("\r\n", "utf-8-sig"), ("\r\n", "utf-16")):
        Path("list.txt").write_bytes(end.join([*lines, ""]).encode(encoding))
        found = predict_files(["list.txt"], "answers.csv", model=model)
        assert found.answered == 3 and {f: why for f, (why, _) in found.set_aside.items()} == {
            "gone.wav": "missing", "=empty.wav": "empty"
        }  # fmt: skip
        aside = pd.read_csv("answers.set_aside.csv")
        assert aside["file"].to_list() == ["gone.wav", "'=empty.wav"]
    code, printed, told = run("list.txt", "--model", model)
    assert (
        code == 1
        and printed.count(".wav") == 3
        and "set aside: 2 of 5 (empty 1, missing 1)" in told.replace("missing 1, empty 1", "empty 1, missing 1")
    )
    Path("list.txt").write_text("\n\n")
    with pytest.raises(ConfigError, match="names no file"):
        predict_files(["list.txt"], "answers.csv", model=model)


def test_names_that_are_no_text_are_set_aside(model: str, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in (b"latin-\xe9.wav", b"good.wav"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(encode(sounds_like("bass", 1)))
    listed = tmp_path / "list.txt"
    listed.write_bytes(os.fsencode(folder) + b"/latin-\xe9.wav\n" + os.fsencode(folder) + b"/good.wav\n")
    for given in (str(folder), str(listed)):
        found = predict_files([given], str(tmp_path / "answers.csv"), model=model)
        assert found.answered == 1 and [why for why, _ in found.set_aside.values()] == ["bad_name"]
        aside = pd.read_csv(tmp_path / "answers.set_aside.csv")
        assert aside["file"].to_list() == [f"{folder}/latin-\\xe9.wav"]


def test_files_elsewhere_are_heard_again_when_they_were_written_again(model: str, tmp_path: Path) -> None:
    import fsspec

    storage, out = fsspec.filesystem("memory"), "memory://tables/answers.csv"
    for i in range(2):
        storage.pipe_file(f"/songs/{i} #.wav", encode(sounds_like("bass", i)))
    uris = [f"memory://songs/{i} #.wav" for i in range(3)]
    with counting_heard() as heard:
        found = predict_files(uris, out, model=model)
        assert found.answered == 2 and found.set_aside[uris[2]][0] == "missing"
        assert predict_files(uris, out, model=model).heard == 0
        storage.pipe_file("/songs/1 #.wav", encode(sounds_like("bass", 5)))
        assert predict_files(uris, out, model=model).heard == 1
    assert heard == ["0 #.wav", "1 #.wav", "1 #.wav"]
    assert storage.cat_file("/tables/answers.csv").decode().count("\n") == 3


def test_a_failure_that_may_be_gone_is_tried_again(
    music: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict, fails = FilePredictor._predict, [MemoryError(), ValueError("odd"), AudioError("too_short", "0.1 s")]

    def failing(self: FilePredictor, content: str, source: str, stamp: str) -> tuple[np.ndarray, np.ndarray]:
        if fails:
            raise fails.pop()
        return predict(self, content, source, stamp)

    monkeypatch.setattr(FilePredictor, "_predict", failing)
    out = str(tmp_path / "answers.csv")
    found = predict_files([str(music)], out, model=model)
    assert sorted(why for why, _ in found.set_aside.values()) == ["out_of_memory", "too_short", "unexpected_error"]
    found = predict_files([str(music)], out, model=model)
    assert found.heard == 2 and [why for why, _ in found.set_aside.values()] == ["too_short"]


def test_nothing_that_can_be_heard_is_an_error_with_its_reasons(model: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"no audio" * 9)
    with pytest.raises(JobError, match=r"none of 1 files could be heard \(undecodable 1\)"):
        predict_files([str(tmp_path / "a.mp3")], str(tmp_path / "answers.csv"), model=model)
    assert (tmp_path / "answers.set_aside.csv").exists() and not (tmp_path / "answers.csv").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "answers.xlsx"], "whose name ends in .csv or .parquet"),
        (["--out", "/proc/answers.csv"], "no file can be written there"),
        (["--out", "answers.csv", "--csv"], "give one of the two"),
        (["--out", "answers.csv", "--model", "/nowhere"], "no such folder"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_heard(options: list[str], said: str, music: Path) -> None:
    with counting_heard() as heard:
        code, _, told = run(str(music), "--model", str(music), *options)
    assert code == 1 and said in told and heard == [] and not Path(home.predictions_home()).exists()
