"""Data sets on the command line: fields as they are typed, which data set they choose, and what it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_data import Recording, write_artists, write_audio, write_cifar, write_fma, write_playlists
from tonearm.core.errors import ConfigError
from tonearm.datasets import FmaConfig, FolderConfig
from tonearm.examples import ScoresConfig
from tonearm.workflows import prepare as jobs_datasets
from tonearm.workflows.prepare import choose_dataset, make_catalogue, parse_fields

#: Files are listed here, not decoded.
SILENT = [Recording(n, "high" if n < 10 else "low", f"recording {n}".encode()) for n in range(20)]


# --- fields


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("optim.epochs=3", 3),
        ("optim.lr=1e-3", 1e-3),
        ("optim.lr = 0.5 ", 0.5),
        ("data.audio=False", False),
        ("optim.clip_norm=None", None),
        ("subset=small", "small"),
        ("label=", ""),
        ("root=s3://bucket/a=b", "s3://bucket/a=b"),
        ("hidden='10'", "10"),
        ("label=0x10", "0x10"),
        ("label=1_000", "1_000"),
        ("label=007", "007"),
        ("hidden=256,128", "256,128"),
        ("features=tempo,energy", "tempo,energy"),
        ("columns=('tempo', 'energy')", ("tempo", "energy")),
        ("place=[unclosed", "[unclosed"),
        ("strange={[]: 1}", "{[]: 1}"),
    ],
)
def test_value_is_a_literal_or_else_text(text: str, value: object) -> None:
    (found,) = parse_fields([text]).values()
    assert found == value and type(found) is type(value)


def test_whole_number_for_a_text_of_a_data_set_is_its_text() -> None:
    assert choose_dataset("folder", "here", parse_fields(["label=5"])) == FolderConfig(root="here", label="5")
    with pytest.raises(ConfigError, match=r"FolderConfig.label: 0.5 is a float, expected str"):
        choose_dataset("folder", "here", parse_fields(["label=0.5"]))


def test_fields_keep_their_order_and_their_names() -> None:
    assert list(parse_fields(["b.c = 1", "a=2", "b=3"])) == ["b.c", "a", "b"]
    assert parse_fields([]) == {}


@pytest.mark.parametrize("texts", [["epochs"], ["=3"], [" =3"], [""], ["a=1", "b=2", "a=1"]])
def test_what_is_no_setting_is_shown(texts: list[str]) -> None:
    with pytest.raises(ConfigError, match="write field=value") as caught:
        parse_fields(texts)
    assert repr(texts[-1]) in str(caught.value)


# --- which data set


def test_fields_and_folder_make_a_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert choose_dataset("fma", "~/fma", {"subset": "small"}) == FmaConfig(root="/home/me/fma", subset="small")
    assert choose_dataset("fma", "s3://bucket/fma").root == "s3://bucket/fma"
    assert choose_dataset("folder", "here", {"label": ""}) == FolderConfig(root="here", label="")  # a fact is predicted
    assert choose_dataset("folder", fields={"root": "there"}) == FolderConfig(root="there")


def test_scores_lie_in_the_home(tonearm_home: Path) -> None:
    chosen = choose_dataset("scores")
    assert isinstance(chosen, ScoresConfig) and chosen.root == str(tonearm_home / "data" / "scores" / "audio")


@pytest.mark.parametrize(
    ("kind", "root", "fields", "message"),
    [
        ("fmma", "x", {}, r"unknown data set 'fmma'\. Did you mean 'fma'\?"),
        ("fma", "x", {"subst": "small"}, r"FmaConfig has no field 'subst'\. Did you mean 'subset'\?"),
        ("fma", "x", {"subset": "tiny"}, r"'tiny' is none of 'small', 'medium', 'large'"),
        ("fma", "", {}, r"data set fma needs the folder of its files: --audio PATH \(or --data PATH\)"),
    ],
)
def test_data_set_that_cannot_be_is_refused(kind: str, root: str, fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_dataset(kind, root, fields)


def test_data_sets_are_called_by_their_kind_or_folder_or_as_told(tmp_path: Path) -> None:
    for kind, write in (("folder", write_audio), ("playlists", write_playlists)):
        root = tmp_path / f"My {kind} (2)"
        write(root, SILENT)
        assert make_catalogue(choose_dataset(kind, str(root))).name == f"my-{kind}-2"
    write_artists(tmp_path / "a", SILENT)
    write_cifar(tmp_path / "c", SILENT)
    write_fma(tmp_path / "f", SILENT)
    artists = {"audio": choose_dataset("artists", str(tmp_path / "a")),
               "alone": choose_dataset("artists", str(tmp_path / "a"), {"audio": False})}  # fmt: skip
    assert len({make_catalogue(data).name for data in artists.values()}) == 2  # each has a manifest of its own
    assert make_catalogue(choose_dataset("cifar100", str(tmp_path / "c"))).name == "cifar100"
    fma = choose_dataset("fma", str(tmp_path / "f"))
    assert make_catalogue(fma).name == "fma-medium" and make_catalogue(fma, "mine").name == "mine"
    assert make_catalogue(fma.replace({"labels": "all", "subset": "large"})).name == "fma-large-all"


def test_what_must_be_made_first_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_audio(tmp_path / "music", SILENT)
    seen = []
    monkeypatch.setitem(jobs_datasets.MAKERS, "folder", seen.append)
    data = choose_dataset("folder", str(tmp_path / "music"))
    assert len(make_catalogue(data).tracks) == 20 and seen == [data]
