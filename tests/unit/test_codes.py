"""Exact search that looks at bytes first: how far they may be off, and that the result is an exact comparison's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.unit.test_library import plain_nearest, unit_half
from tonearm.core.errors import BundleError, DamagedCatalogueError
from tonearm.recommend import part
from tonearm.recommend.catalogue import Catalogue
from tonearm.recommend.catalogue_changes import Space, change_catalogue
from tonearm.recommend.codes import Codes
from tonearm.recommend.exact import exact_nearest
from tonearm.recommend.vectors import Vectors

ROWS = 3_000


def made(kind: str, dim: int) -> np.ndarray:
    """float16 vectors of unit length, ``ROWS`` of them."""
    rng = np.random.default_rng(dim)
    if kind == "clustered":
        return unit_half(rng.normal(size=(30, dim))[rng.integers(0, 30, ROWS)] + 0.5 * rng.normal(size=(ROWS, dim)))
    if kind == "crowded":  # all are nearly the same direction, as those of networks often are
        return unit_half(np.abs(rng.normal(size=(ROWS, dim))) * 0.02 + 1)
    if kind == "one dimension":  # which says nearly all
        return unit_half(rng.normal(size=(ROWS, dim)) * np.where(np.arange(dim) == 1, 50, 1))
    vectors = rng.normal(size=(ROWS, dim))
    if kind == "sparse":
        vectors[:, 0] = 0.0
        vectors[5] = np.eye(dim)[1]
    return unit_half(vectors)


KINDS = ("random", "clustered", "crowded", "one dimension", "sparse")


@pytest.mark.parametrize("dim", [5, 32, 128, 1100])
@pytest.mark.parametrize("kind", KINDS)
def test_a_look_is_never_farther_off_than_it_says(kind: str, dim: int) -> None:
    vectors = made(kind, dim)
    codes, units = Codes.of(vectors), Vectors(vectors).unit(np.arange(ROWS))
    for query in (units[7], np.random.default_rng(1).normal(size=dim)):
        unit = query / np.linalg.norm(query)
        values, places, error = codes.nearest(unit, ROWS, None)
        assert sorted(places) == list(range(ROWS))
        off = np.abs(values - units[places] @ unit)
        assert off.max() <= error < (0.1 if kind in KINDS[:3] else 1), "of some others a look says little"


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_are_those_of_a_plain_comparison(kind: str, share: float) -> None:
    vectors = made(kind, 24)
    vectors[100:900] = vectors[99]  # more equal ones than a look leaves at first
    stored, rng = Vectors(vectors, Codes.of(vectors)), np.random.default_rng(3)
    allowed = rng.random(ROWS) < share if share < 1 else np.ones(ROWS, bool)
    for query in (*rng.normal(size=(3, 24)).astype(np.float32), vectors[99].astype(np.float32)):
        found = exact_nearest(stored, query, 20, None if share == 1 else allowed)
        expected = plain_nearest(vectors, query.astype(np.float64), 20, allowed)
        assert [f.place for f in found] == [place for place, _ in expected]
        np.testing.assert_allclose([f.similarity for f in found], [c for _, c in expected], atol=1e-6)


def test_of_few_that_are_near_only_these_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = made("clustered", 128)
    stored = Vectors(vectors, Codes.of(vectors))
    monkeypatch.setattr(Vectors, "require_finite", lambda _: pytest.fail("all of float16 are looked at"))
    for row in range(20):
        assert exact_nearest(stored, vectors[row].astype(np.float32), 10)[0].place == row


def test_a_vector_that_is_no_number_is_named_where_it_would_be_found() -> None:
    vectors = made("random", 16)
    codes = Codes.of(vectors)
    query = vectors[300].astype(np.float32)
    vectors[300, 2] = np.nan
    with pytest.raises(BundleError, match="vector of row 300"):
        exact_nearest(Vectors(vectors, codes), query, 3)


@pytest.fixture
def coded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(part, "CODED_LEAST", 1000)
    rows = [{"track_id": f"t{i}"} for i in range(ROWS)]
    change_catalogue(str(tmp_path), Space("m", 24), rows, made("clustered", 24).astype(np.float32))
    return tmp_path


def test_a_catalogue_has_codes_of_many_and_is_searched_as_one_without(coded: Path, tmp_path: Path) -> None:
    change_catalogue(str(coded), Space("m", 24), [{"track_id": "new"}], np.ones((1, 24), np.float32), ["t3"])
    found = Catalogue.open(str(coded))
    base = found.parts[0].vectors
    assert base.codes is not None and found.parts[1].vectors.codes is None
    plain = Vectors(np.array(base.halves))
    allowed = np.arange(ROWS) != 3
    for query in np.random.default_rng(0).normal(size=(5, 24)).astype(np.float32):
        near = [f for f in found.search(query, 9) if found.ids[f.place] != "new"]
        expected = exact_nearest(plain, query, len(near), allowed)
        assert [found.ids[f.place] for f in near] == [f"t{f.place}" for f in expected]
    np.testing.assert_array_equal(found.halves(np.array([5, 2])), plain.halves[[6, 2]])


@pytest.mark.parametrize("name", [part.CODES, part.STEPS])
def test_codes_that_are_damaged_are_told_of(coded: Path, name: str) -> None:
    path = next(coded.rglob(name))
    path.write_bytes(path.read_bytes()[:-1] + b"#")
    if name == part.CODES:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedCatalogueError, match="is damaged"):
        Catalogue.open(str(coded))


def test_a_search_needs_no_torch(coded: Path) -> None:
    code = (
        "import json, sys, numpy as np; from tonearm.recommend.catalogue import Catalogue\n"
        "found = Catalogue.open(sys.argv[1]).search(np.ones(24, np.float32), 3)\n"
        "print(json.dumps([len(found), 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(coded)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [3, False]
