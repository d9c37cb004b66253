"""Collaborative factors: the normal equations, what is held out, and rankings judged by hand."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_matrix

from tonearm.core.errors import ConfigError, DatasetError
from tonearm.datasets.metadata import load_metadata
from tonearm.recommend.factors import LatentFactors, evaluate_factors, fit_factors
from tonearm.recommend.plays import hold_out, load_plays
from tonearm.workflows.factors import fit_artist_factors


def two_crowds(users: int = 60, artists: int = 40) -> csr_matrix:
    """Each half of the users plays about half of one half of the artists."""
    rng = np.random.default_rng(0)
    same = (np.arange(users)[:, None] < users // 2) == (np.arange(artists)[None] < artists // 2)
    return csr_matrix(np.where(same & (rng.random((users, artists)) < 0.5), rng.integers(1, 500, (users, artists)), 0))


def test_artists_solve_the_normal_equations_of_hu_et_al() -> None:
    plays, alpha, regularization = two_crowds(), 2.0, 0.5
    found = fit_factors(plays, dim=3, alpha=alpha, regularization=regularization, iterations=3)
    assert found.users.shape == (60, 3) and found.artists.shape == (40, 3) and found.users.dtype == np.float32
    x, r = found.users.astype(np.float64), plays.toarray()
    for a in range(40):
        confidence = 1 + alpha * np.log(1 + r[:, a])
        left = x.T @ np.diag(confidence) @ x + regularization * np.eye(3)
        wanted = np.linalg.solve(left, x.T @ (confidence * (r[:, a] > 0)))
        np.testing.assert_allclose(found.artists[a], wanted, rtol=2e-3, atol=1e-4)


def test_the_same_input_gives_the_same_factors_and_no_warning() -> None:
    plays = two_crowds()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, again = fit_factors(plays, dim=5), fit_factors(coo_array(plays), dim=5)
    assert np.array_equal(one.users, again.users) and np.array_equal(one.artists, again.artists)
    assert not np.array_equal(one.users, fit_factors(plays, dim=5, seed=1).users)


def test_factors_find_what_is_held_out_and_beat_popularity_and_chance() -> None:
    kept, held = hold_out(two_crowds(), 0.3)
    found = evaluate_factors(fit_factors(kept, dim=4), kept, held, k=5, resamples=100)
    assert found.users == 60
    assert found.factors.ndcg.low > found.popularity.ndcg.high
    assert found.factors.recall.low > found.chance.recall.high
    assert found.gain.value == pytest.approx(found.factors.ndcg.value - found.popularity.ndcg.value)
    assert found.gain.low > 0


def test_rankings_are_judged_as_by_hand() -> None:
    #                  artists:  0  1  2  3  4  5
    kept = csr_matrix(np.array([[9, 0, 0, 0, 0, 0], [0, 1, 0, 0, 1, 0], [0, 1, 0, 0, 0, 0]]))
    held = csr_matrix(np.array([[0, 1, 0, 1, 0, 1], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]))
    users = np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32)
    artists = np.array([[9, 1], [3, 9], [2, 5], [1, 4], [4, 9], [0, 3]], dtype=np.float32)
    found = evaluate_factors(LatentFactors(users, artists), kept, held, k=3, resamples=20)
    # User 0 ranks 4 1 2 3 5 and wants 1 3 5: one hit, second. User 1 ranks 2 3 5 0 and wants 0: none among 3.
    assert found.users == 2
    assert found.factors.recall.value == pytest.approx((1 / 3 + 0) / 2)
    ideal = 1 + 1 / np.log2(3) + 1 / 2
    assert found.factors.ndcg.value == pytest.approx((1 / np.log2(3)) / ideal / 2)
    assert found.factors.average_precision.value == pytest.approx((1 / 2) / 3 / 2)
    # Listeners: 1 2 0 0 1 0. User 0 gets 1 4 2: one hit, first. User 1 gets 0 2 3: the hit, first.
    assert found.popularity.recall.value == pytest.approx((1 / 3 + 1) / 2)
    assert found.popularity.ndcg.value == pytest.approx((1 / ideal + 1) / 2)
    assert found.popularity.average_precision.value == pytest.approx((1 / 3 + 1) / 2)


def test_chance_finds_k_of_all_candidates() -> None:
    held = csr_matrix(np.vstack([np.eye(50)] * 8))
    found = evaluate_factors(
        LatentFactors(np.ones((400, 1), np.float32), np.ones((50, 1), np.float32)),
        csr_matrix((400, 50)),
        held,
        10,
        resamples=9,
    )
    assert found.chance.recall.value == pytest.approx(10 / 50, abs=0.06)  # three deviations of 0.02


def test_holding_out_parts_the_plays_of_each_user() -> None:
    plays = csr_matrix(np.array([[5, 0, 0, 0], [1, 2, 0, 0], [1, 2, 3, 4], [0, 0, 0, 0]]))
    kept, held = hold_out(plays, 0.5, seed=3)
    np.testing.assert_array_equal((kept + held).toarray(), plays.toarray())
    assert np.diff(kept.indptr).tolist() == [1, 1, 2, 0] and np.diff(held.indptr).tolist() == [0, 1, 2, 0]
    big = two_crowds()
    one, again, other = (hold_out(big, 0.2, seed)[1] for seed in (0, 0, 1))
    assert (one != again).nnz == 0 and (one != other).nnz > 0
    most = hold_out(big, 0.99)[0]
    assert np.diff(most.indptr).min() >= 1


def test_plays_are_read_with_names_that_hold_quotation_marks(tmp_path: Path) -> None:
    (tmp_path / "user_artists.dat").write_text("userID\tartistID\tweight\n7\t51\t10\r\n3\t52\t4\n7\t60\t1\n")
    (tmp_path / "artists.dat").write_text(
        'id\tname\turl\tpictureURL\n51\t"Weird Al" Yankovic\tu\tp\n52\tSigur R\u00f3s\tu\tp\n1\tNobody\tu\tp\n', "utf-8"
    )
    plays = load_plays(str(tmp_path))
    assert plays.users == (3, 7) and plays.artists == ('"Weird Al" Yankovic', "Sigur R\u00f3s", "60")
    assert plays.counts.toarray().tolist() == [[0, 4, 0], [10, 0, 1]]


def test_values_that_cannot_work_are_all_named() -> None:
    with pytest.raises(ConfigError) as caught:
        fit_factors(csr_matrix(np.array([[-1, 2]])), dim=0, alpha=0, regularization=-1, iterations=0)
    for name in ("dim is 0", "alpha is 0", "regularization is -1", "iterations is 0", "2 play counts: give some"):
        assert name in str(caught.value)
    with pytest.raises(ConfigError, match="0 play counts"):
        fit_factors(csr_matrix((2, 3)))
    with pytest.raises(ConfigError, match="play counts"):
        fit_factors(csr_matrix(np.array([[np.nan, 2]])))
    for share in (0.0, 1.0):
        with pytest.raises(ConfigError, match="share is"):
            hold_out(two_crowds(), share)


def test_evaluation_refuses_what_does_not_belong_together() -> None:
    kept, held = hold_out(two_crowds(), 0.2)
    factors = fit_factors(kept, dim=2, iterations=1)
    with pytest.raises(ConfigError, match=r"give all \(users, artists\)"):
        evaluate_factors(factors, kept[:, :5], held)
    with pytest.raises(ConfigError, match="k is 41: it must be 1 to 40"):
        evaluate_factors(factors, kept, held, k=41)
    with pytest.raises(ConfigError, match="nothing is held out"):
        evaluate_factors(factors, kept, csr_matrix(kept.shape))


@pytest.mark.parametrize("line", ["1\t2", "1\t2\t3\t4", "1\tx\t3", "1\t2\t0", "1\t2\t-4", "1,2,3"])
def test_lines_of_plays_that_are_none_are_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "user_artists.dat").write_text(f"userID\tartistID\tweight\n1\t1\t1\n{line}\n")
    with pytest.raises(DatasetError, match=r"user_artists\.dat, line 3: .*expected userID, artistID and a count"):
        load_plays(str(tmp_path))


def test_plays_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"user_artists\.dat cannot be read \(No such file"):
        load_plays(str(tmp_path))
    (tmp_path / "user_artists.dat").write_text("userID\tartistID\tweight\n")
    with pytest.raises(DatasetError, match="holds no plays"):
        load_plays(str(tmp_path))


def test_workflow_fits_checks_writes_and_shows_itself(tmp_path: Path) -> None:
    counts = coo_array(two_crowds())
    rows = zip(counts.row.tolist(), counts.col.tolist(), counts.data.tolist(), strict=True)
    lines = [f"{user}\t{artist}\t{count}" for user, artist, count in rows]
    (tmp_path / "user_artists.dat").write_text("userID\tartistID\tweight\n" + "\n".join(lines) + "\n")
    names = "\n".join(f"{i}\t{'Twins' if i < 2 else f'Artist {i}'}\tu\tp" for i in range(40))
    (tmp_path / "artists.dat").write_text(f"id\tname\turl\tpictureURL\n{names}\n", "utf-8")
    out = str(tmp_path / "factors.parquet")
    found = fit_artist_factors(str(tmp_path), out, dim=4, k=5)
    assert len(found.names) == 39 and found.vectors.shape == (39, 4) and found.without_own == 1
    shown = repr(found).splitlines()
    assert [line.split()[0] for line in shown[1:4]] == ["factors", "popularity", "chance"]
    assert "recall@5 [95 %]" in shown[0] and shown[4].startswith("  NDCG gained over popularity, by user: ")
    assert shown[5:] == [
        "  1 artists share a name with another: the more played one counts",
        f"  factors of 39 artists, fitted on all plays: {out}",
    ]
    kept = load_metadata(out)
    np.testing.assert_array_equal(kept.of(found.names, "factors"), found.vectors)
