"""Whether a recording was heard before: by its nearest training tracks, of other groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from safetensors.numpy import save

from serve.listener import Listener
from serve.schemas import Classification
from serve.versions import resolve
from tests.builders import encode, sounds_like
from tests.musical import musical_model, strange
from tonearm.core.errors import BundleError, ConfigError
from tonearm.core.types import FloatArray
from tonearm.core.unit_length import unit_length
from tonearm.inference import Model, load
from tonearm.inference.member import member_windows
from tonearm.models.mean_kernel import MeanKernelNetwork
from tonearm.recommend.doubt import DOUBTFUL, FILE, NEIGHBOURS, UNHEARD, HeardTracks, is_doubted, read_heard_tracks
from tonearm.statistics.risk_coverage import area_under_risk_coverage
from tonearm.workflows.classify import classify
from tonearm.workflows.predict_files import predict_files


def vectors(count: int, dim: int = 8, seed: int = 0, spread: float = 0.6) -> FloatArray:
    """Around one direction, unit length."""
    noise = np.random.default_rng(seed).normal(0, spread, (count, dim))
    return unit_length((noise + np.eye(dim)[0]).astype(np.float32))


def plain_heard(query: FloatArray, train: FloatArray, groups: list[str]) -> float:
    """A loop over all tracks, as it is written down."""

    def near(vector: FloatArray, places: list[int]) -> float:
        cosines = sorted((float(vector @ train[i]) for i in places), reverse=True)
        return float(np.mean(cosines[:NEIGHBOURS]))

    own = near(query, list(range(len(train))))
    others = [near(v, [j for j in range(len(train)) if groups[j] != groups[i]]) for i, v in enumerate(train)]
    return sum(other <= own for other in others) / len(train)


@given(st.integers(3, 40), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_it_is_what_a_plain_loop_says(count: int, seed: int) -> None:
    train, groups = vectors(count, seed=seed), [f"g{i // 3}" for i in range(count - 1)] + ["last"]
    heard = HeardTracks.of(train, groups)
    queries = np.concatenate([vectors(4, seed=seed + 1), vectors(4, seed=seed + 2, spread=5.0)])
    found = heard.heard(queries)
    expected = [plain_heard(q, train.astype(np.float16).astype(np.float32), groups) for q in queries]
    # A cosine that is equal but for rounding is on one side here and on the other there.
    assert np.abs(found - expected).max() <= 1.5 / count
    assert ((found >= 0) & (found <= 1)).all() and sorted(heard.nearness) == heard.nearness.tolist()


def test_music_like_the_training_tracks_is_spread_evenly_and_what_is_far_is_doubted() -> None:
    heard = HeardTracks.of(vectors(1000), [f"g{i}" for i in range(1000)])
    like = heard.heard(vectors(1000, seed=1))
    assert np.abs(np.quantile(like, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.05
    assert (like < UNHEARD).mean() < 0.03
    far = heard.heard(-np.eye(8, dtype=np.float32)[:1])
    short = heard.heard(0.2 * vectors(20, seed=2))  # the right direction, but little of it is accounted for
    assert (short == 0).all()
    assert (far == 0).all() and is_doubted(float(far[0])) is True
    assert is_doubted(float(like.max())) is False and is_doubted(None) is None


def test_tracks_of_one_group_do_not_make_each_other_near() -> None:
    """Two recordings of each piece: the second is no sign that music like it is known."""
    once = vectors(40)
    twice, groups = np.repeat(once, 2, axis=0), [f"piece {i // 2}" for i in range(80)]
    by_piece, by_track = HeardTracks.of(twice, groups), HeardTracks.of(twice, [f"track {i}" for i in range(80)])
    assert by_piece.nearness.mean() < by_track.nearness.mean()


def test_what_was_kept_says_the_same(tmp_path: Path) -> None:
    heard = HeardTracks.of(vectors(50), [f"g{i}" for i in range(50)])
    heard.save(str(tmp_path))
    again = read_heard_tracks(str(tmp_path))
    assert again is not None and (tmp_path / FILE).stat().st_size < 50 * 8 * 2 + 50 * 4 + 300
    query = vectors(20, seed=3)
    np.testing.assert_array_equal(again.heard(query), heard.heard(query))
    assert read_heard_tracks(str(tmp_path / "elsewhere")) is None


@pytest.mark.parametrize(
    "damage",
    [b"", b"no tensors at all", save({"vectors": np.ones((2, 3), np.float16)}),
     save({"vectors": np.ones((2, 3), np.float16), "nearness": np.ones(5, np.float32)}),
     save({"vectors": np.full((2, 3), np.nan, np.float16), "nearness": np.ones(2, np.float32)}),
     save({"vectors": np.ones((0, 3), np.float16), "nearness": np.ones(0, np.float32)})],
)  # fmt: skip
def test_a_damaged_file_says_so(damage: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(damage)
    with pytest.raises(BundleError, match=r"is damaged: .*delete the file"):
        read_heard_tracks(str(tmp_path))


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ConfigError, match="of two groups"):
        HeardTracks.of(vectors(5), ["one"] * 5)
    with pytest.raises(ConfigError, match="of two groups"):
        HeardTracks.of(vectors(5), ["one", "two"])
    with pytest.raises(ConfigError, match="not finite"):
        HeardTracks.of(np.full((2, 3), np.nan, np.float32), ["one", "two"])
    with pytest.raises(BundleError, match="of another model"):
        HeardTracks.of(vectors(5), list("abcde")).heard(vectors(2, dim=9))


def test_risk_and_coverage() -> None:
    """Of four answers one is wrong: kept last it counts a quarter of a quarter; kept first most."""
    wrong = np.array([0, 0, 0, 1])
    assert area_under_risk_coverage(np.array([4, 3, 2, 1]), wrong) == pytest.approx(1 / 16)
    assert area_under_risk_coverage(np.array([1, 2, 3, 4]), wrong) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert area_under_risk_coverage(np.ones(4), wrong) == pytest.approx(1 / 4), "it says nothing: the error of all"
    orders = [area_under_risk_coverage(np.array(c), np.array([1, 0, 0])) for c in ([3, 2, 1], [2, 3, 1])]
    assert area_under_risk_coverage(np.array([2, 2, 1]), np.array([1, 0, 0])) == pytest.approx(np.mean(orders))
    for confidence, loss, said in (([], [], "one of each"), ([1.0], [1, 0], "one of each"), ([np.nan], [1], "finite")):
        with pytest.raises(ConfigError, match=said):
            area_under_risk_coverage(np.array(confidence), np.array(loss))


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 1)), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_risk_and_coverage_depend_on_the_order_of_confidence_alone(answers: list[tuple[float, int]]) -> None:
    confidence, loss = (np.array(column, float) for column in zip(*answers, strict=True))
    found = area_under_risk_coverage(confidence, loss)
    assert 0 <= found <= 1
    shuffled = np.random.default_rng(0).permutation(len(answers))
    assert area_under_risk_coverage(confidence[shuffled], loss[shuffled]) == pytest.approx(found)
    if loss.any():  # right answers first is the best order
        assert area_under_risk_coverage(-loss, loss) <= found + 1e-12


@pytest.fixture(scope="module")
def musical(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return musical_model(tmp_path_factory.mktemp("musical"))


def test_a_model_that_does_not_know_its_training_tracks_doubts_nothing(musical: Model) -> None:
    member = load(f"{musical.folder}/members/00")
    assert member.heard_tracks is None and member.classify(encode(strange()["noise"])).doubt is None


def test_what_is_no_music_is_doubted_and_music_is_not(musical: Model) -> None:
    for name, samples in strange().items():
        answer = musical.classify(encode(samples))
        assert answer.doubt is True and answer.heard == 0, name
        assert DOUBTFUL in str(answer)
    pieces = [musical.classify(encode(sounds_like(("bass", "flute")[i % 2], 100 + i, 2.0))) for i in range(12)]
    assert sum(bool(p.doubt) for p in pieces) <= 1, "of 48 training tracks one in 49 is expected by chance"
    assert len({p.heard for p in pieces}) > 3 and all(p.sure == p.probabilities[p.label] for p in pieces)


def test_an_embedding_is_as_long_as_the_training_tracks_account_for(musical: Model) -> None:
    """So that products with the training tracks are the kernel, which falls to 0 far from all of them."""
    (member,) = musical.ensemble.members
    known = musical.heard_tracks
    assert known is not None and isinstance(member.network, MeanKernelNetwork)
    np.testing.assert_allclose(np.linalg.norm(known.vectors, axis=1), 1.0, atol=2e-3)
    places = [member.landmarks.index(f"t{i}") for i in range(48)]
    for samples in (*strange().values(), sounds_like("bass", 99, 2.0)):
        stored = musical.hear_each(encode(samples))[0]
        network = member.network
        likeness = network.likeness(network.vectors(member_windows(member, stored)))[0].numpy()[places]
        found = musical.predict(encode(samples)).embedding
        np.testing.assert_allclose(known.vectors @ found, likeness, atol=5e-3)
        assert np.linalg.norm(found) <= 1 + 1e-6


def test_the_server_says_what_python_says(musical: Model) -> None:
    replica = Listener(resolve(musical.folder), 60.0)
    for samples in (strange()["noise"], sounds_like("bass", 99, 2.0)):
        told, answer = replica.classify(encode(samples)), musical.classify(encode(samples))
        assert TypeAdapter(Classification).validate_python(told).task == "single_label"
        assert (told["why"], told["heard"], told["doubt"]) == (answer.why, answer.heard, answer.doubt)
        assert told["sure"] == answer.sure == told["probabilities"][0]["probability"]
    old = Listener(resolve(f"{musical.folder}/members/00"), 60.0).classify(encode(samples))
    assert (old["heard"], old["doubt"]) == (None, None) and old["why"] == answer.why


def test_files_that_are_doubted_are_told(musical: Model, tmp_path: Path) -> None:
    (tmp_path / "noise.wav").write_bytes(encode(strange()["noise"]))
    (tmp_path / "song.wav").write_bytes(encode(sounds_like("bass", 99, 2.0)))
    files = [str(tmp_path / "noise.wav"), str(tmp_path / "song.wav")]
    found = classify(files, model=musical.folder)
    assert found.doubted == files[:1] and found.reasons()[0].startswith("doubtful, it sounds like nothing that was")
    assert found.reasons()[0].endswith(files[0]) and len(found.reasons()) == 1
    predict_files(files, str(tmp_path / "answers.parquet"), model=musical.folder, neighbours=0)
    table = pd.read_parquet(tmp_path / "answers.parquet")
    assert table["doubt"].to_list() == ["yes", "no"] and table["heard"][0] == 0 < table["heard"][1] <= 1
    assert table["sure"].to_list() == table["probability"].to_list()
