"""Data sets on the command line: fields as they are typed, which data set they choose, and what it is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tiny_data import Recording, write_artists, write_audio, write_cifar, write_fma, write_playlists
from tonearm.core import home, storage
from tonearm.core.errors import ConfigError
from tonearm.core.text import parse_fields
from tonearm.datasets import DatasetConfig, FmaConfig, FolderConfig
from tonearm.examples import ScoresConfig
from tonearm.examples import render as render_module
from tonearm.examples.scores import catalogue_pieces
from tonearm.workflows import prepare as prepare_module
from tonearm.workflows.prepare import choose_dataset, make_catalogue

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
    assert choose_dataset("folder", "s3://bucket/music").root == "s3://bucket/music"
    assert choose_dataset("folder", "here", {"label": ""}) == FolderConfig(
        root="here", label=""
    )  # metadata is predicted
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
        ("fma", "", {}, r"data set fma needs the folder of its files"),
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


def test_data_set_of_ones_own_says_where_it_lies_and_makes_what_it_needs(
    tonearm_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Recorded(FolderConfig, kind="recorded-by-this-test"):
        def default_root(self) -> str:
            return home.data_home("recorded") + "/audio"

        def make(self, start: Callable[[], None]) -> None:
            start()
            write_audio(Path(self.root), SILENT)

    started = []
    monkeypatch.setattr(prepare_module, "start_ray", lambda: started.append(True))
    try:
        chosen = choose_dataset("recorded-by-this-test")
        assert chosen.root == str(tonearm_home / "data" / "recorded" / "audio")
        assert len(make_catalogue(chosen).tracks) == 20 and started == [True]
        assert choose_dataset("recorded-by-this-test", "elsewhere").root == "elsewhere"
    finally:
        del DatasetConfig.registry._items["recorded-by-this-test"]


def test_scores_that_are_rendered_start_nothing(tonearm_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("Ray is started where nothing is rendered")

    chosen = choose_dataset("scores")
    pieces = catalogue_pieces()
    for piece in pieces:
        made = {"recipe": render_module._render_signature(piece), "content": piece.piece_id, "looped": False}
        storage.write_json(storage.join(chosen.root, f"{piece.piece_id}.json"), made)
    monkeypatch.setattr(prepare_module, "start_ray", refuse)
    assert len(make_catalogue(chosen).tracks) == 160
    storage.write_json(storage.join(chosen.root, f"{pieces[0].piece_id}.json"), {"recipe": "of another version"})
    with pytest.raises(AssertionError, match="Ray is started"):
        make_catalogue(chosen)
