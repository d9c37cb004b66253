"""A catalogue that grows, shrinks and is merged: what is seen is the state before or behind, also if a writer dies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tonearm.core import storage
from tonearm.core.errors import BundleError, UnknownNameError
from tonearm.recommend import catalogue_changes
from tonearm.recommend.catalogue import Catalogue
from tonearm.recommend.catalogue_changes import Change, Space, change_catalogue
from tonearm.recommend.memory import half_of

SPACE = Space("model-a", 6)


def row(track_id: str, **known: Any) -> dict[str, Any]:
    return {"track_id": track_id, **known}


def vector(seed: int, dim: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=dim).astype(np.float32)


def add(uri: Path, ids: str, seed: int = 0, **options: Any) -> Change:
    """Rows named by letters, their vectors by these and a seed."""
    vectors = np.stack([vector(ord(i) + 1000 * seed) for i in ids]) if ids else None
    return change_catalogue(str(uri), SPACE, [row(i, title=f"{i}{seed}") for i in ids], vectors, **options)


def titles(catalogue: Catalogue) -> dict[str, str]:
    rows = [catalogue.row(place) for place in range(len(catalogue))]
    return {r["track_id"]: r["title"] for r in rows}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    add(tmp_path / "c", "abcdef")
    return tmp_path / "c"


def test_what_was_written_is_read(made: Path) -> None:
    found = Catalogue.open(str(made), "model-a")
    assert (len(found), found.dim, found.described.kind, found.described.count) == (6, 6, "track", 6)
    assert found.names() == ("track_id", "title") and found.row(2) == {"track_id": "c", "title": "c0"}
    stored = half_of(np.stack([vector(ord(i)) for i in "abcdef"]))
    np.testing.assert_array_equal(found.halves(np.arange(6)), stored)
    np.testing.assert_allclose(np.linalg.norm(found.vectors(np.arange(6)), axis=1), 1, atol=1e-6)
    assert [f.place for f in found.search(vector(ord("d")), 1)] == [3]


def test_a_change_is_seen_by_refresh_and_what_was_opened_stays(made: Path) -> None:
    before = Catalogue.open(str(made))
    assert before.refresh() is before
    assert add(made, "gc", seed=1, remove=["a", "absent"]) == Change(1, 1, 1, 6, merged=False)
    now = before.refresh()
    assert titles(before) == {i: f"{i}0" for i in "abcdef"}
    assert titles(now) == {"b": "b0", "d": "d0", "e": "e0", "f": "f0", "g": "g1", "c": "c1"}
    assert now.parts[0] is before.parts[0], "the base is mapped once"
    assert [now.row(f.place)["track_id"] for f in now.search(vector(ord("c") + 1000), 1)] == ["c"]
    assert now.place("g") == 4 and before.place("a") == 0
    with pytest.raises(UnknownNameError, match="no row 'a'"):
        now.place("a")


def test_filters_hold_for_base_and_delta(made: Path) -> None:
    add(made, "gh", remove=["b"])
    found = Catalogue.open(str(made))
    ids = np.array(found.ids)
    assert found.ids == list("acdefgh")
    for letters in ("ag", "h", "cf", ""):
        near = found.search(vector(7), 5, np.isin(ids, list(letters)))
        assert sorted(found.ids[f.place] for f in near) == sorted(letters)


def test_columns_join_what_the_parts_know(made: Path) -> None:
    change_catalogue(str(made), SPACE, [row("g", year=1900, labels=["x", "y"])], vector(1)[None])
    change_catalogue(str(made), SPACE, [row("h", year=1950.5, title="h")], vector(2)[None])
    found = Catalogue.open(str(made))
    year, labels, title = (found.column(name) for name in ("year", "labels", "title"))
    assert year is not None and np.isnan(year[:6]).all() and year[6:].tolist() == [1900.0, 1950.5]
    assert labels is not None and labels[6] == ("x", "y") and labels[0] is None
    assert title is not None and title[5] == "f0" and title[6] is None
    assert found.row(6)["labels"] == ("x", "y") and found.column("tempo") is None


def test_nothing_is_written_where_nothing_changes(made: Path) -> None:
    files = sorted(made.rglob("*.npy"))
    assert change_catalogue(str(made), SPACE, remove=["absent"]).removed == 0
    assert change_catalogue(str(made), SPACE, merge=True) == Change(0, 0, 0, 6, merged=False)
    assert sorted(made.rglob("*.npy")) == files


def test_a_merge_makes_one_base_and_old_parts_go_at_the_second_change_after(made: Path) -> None:
    add(made, "gc", seed=1, remove=["a"])
    opened = Catalogue.open(str(made))
    assert add(made, "", merge=True) == Change(0, 0, 0, 6, merged=True)
    merged = opened.refresh()
    assert len(merged.parts) == 1 and titles(merged) == titles(opened)
    assert merged.described.contents == opened.described.contents
    np.testing.assert_array_equal(merged.halves(np.arange(6)), opened.halves(np.arange(6)))
    assert len(list(made.glob("*-0*"))) == 3, "of the state before somebody may be opening the parts"
    add(made, "z")
    assert len(list(made.glob("*-0*"))) == 2 and titles(opened)["g"] == "g1", "what is mapped stays readable"


def test_a_large_delta_is_merged(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_changes, "LEAST_ADDED", 2)
    assert not add(made, "gh").merged and add(made, "i").merged
    assert not add(made, "", remove="ab").merged and add(made, "", remove="c").merged
    assert Catalogue.open(str(made)).ids == list("defghi")


def test_all_may_be_removed_and_others_added(made: Path) -> None:
    for merge in (False, True):
        assert add(made, "", remove="abcdef", merge=merge).count == 0
        empty = Catalogue.open(str(made))
        assert len(empty) == 0 and empty.search(vector(1), 3) == [] and empty.ids == []
    add(made, "q")
    assert titles(Catalogue.open(str(made))) == {"q": "q0"}


def test_what_was_removed_stays_so_when_others_are_added_to_nothing(made: Path) -> None:
    add(made, "", remove="abcdef")
    add(made, "q")
    assert titles(Catalogue.open(str(made))) == {"q": "q0"} and Catalogue.open(str(made)).described.number == 3


@pytest.mark.parametrize(
    ("space", "vectors", "told"),
    [
        (Space("model-b", 6), np.ones((1, 6)), "of the model model-a, this one is model-b"),
        (Space("model-a", 6, "artist"), np.ones((1, 6)), "kind 'track' and 6 dimensions, these are of 'artist'"),
        (SPACE, np.full((1, 6), np.nan), "vector of x is not finite"),
        (SPACE, np.zeros((1, 6)), "vector of x is zero"),
        (SPACE, np.ones((1, 5)), "5 dimensions for a catalogue of 6"),
        (SPACE, np.ones((2, 6)), "one vector a row"),
    ],
)
def test_what_does_not_belong_is_refused_and_the_old_one_stays(
    made: Path, space: Space, vectors: np.ndarray, told: str
) -> None:
    with pytest.raises(BundleError, match=told):
        change_catalogue(str(made), space, [row("x")], vectors.astype(np.float32))
    assert titles(Catalogue.open(str(made))) == {i: f"{i}0" for i in "abcdef"}
    add(made, "g")


def test_the_catalogue_of_another_model_is_not_opened(made: Path) -> None:
    with pytest.raises(BundleError, match="of the model model-a, this one is model-b: its vectors are in another"):
        Catalogue.open(str(made), "model-b")


@pytest.mark.parametrize("name", ["catalogue.json", "vectors.npy", "rows.arrow", "removed.npy"])
@pytest.mark.parametrize("damage", ["absent", "empty", "cut"])
def test_a_damaged_catalogue_is_refused_and_what_was_opened_stays(made: Path, name: str, damage: str) -> None:
    opened = Catalogue.open(str(made))
    add(made, "g", remove=["a"])
    path = sorted(made.rglob(name))[-1]
    data = path.read_bytes()
    path.unlink() if damage == "absent" else path.write_bytes(data[: len(data) // 2] if damage == "cut" else b"")
    for read in (opened.refresh, lambda: Catalogue.open(str(made))):
        with pytest.raises(BundleError, match=r"damaged|is not there|lacks a file"):
            read()
    assert opened.ids == list("abcdef") and len(opened.search(vector(1), 9)) == 6


def test_another_format_is_refused_by_name(made: Path) -> None:
    described = json.loads((made / "catalogue.json").read_text())
    (made / "catalogue.json").write_text(json.dumps({**described, "format": 3}))
    with pytest.raises(BundleError, match="format version 3, this Tonearm reads 2"):
        Catalogue.open(str(made))


def test_parts_that_a_merge_replaces_while_they_are_opened_are_read_anew(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tonearm.recommend import catalogue as module

    first, read = module.open_part, []

    def opened(uri: str, files: Any) -> Any:
        if not read:
            read.append(files)
            add(made, "", remove=["a"], merge=True)
            shutil.rmtree(made / files.folder)
        return first(uri, files)

    monkeypatch.setattr(module, "open_part", opened)
    assert Catalogue.open(str(made)).ids == list("bcdef")


def test_a_catalogue_elsewhere_is_copied_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_CACHE", str(tmp_path / "cache"))
    uri = f"memory://{tmp_path.name}/c"
    change_catalogue(uri, SPACE, [row(i, title=i) for i in "ab"], np.stack([vector(1), vector(2)]))
    opened = Catalogue.open(uri, "model-a")
    change_catalogue(uri, SPACE, [row("c", title="c")], vector(3)[None], remove=["a"])
    fetched: list[str] = []
    with monkeypatch.context() as patch:
        fetch = storage.fetch
        patch.setattr(storage, "fetch", lambda uri, path: (fetched.append(uri), fetch(uri, path)))
        assert titles(opened.refresh()) == {"b": "b", "c": "c"} and titles(opened) == {"a": "a", "b": "b"}
    assert len(fetched) == 3 and all("/delta-000002-" in uri for uri in fetched), "the base is here already"
