"""The mean kernel: solved as ridge regression is, left out as if never seen, kept and loaded like any network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge

from tests.builders import tiny_config, toy_batches
from tonearm.core.errors import ConfigError, TrainingError
from tonearm.core.types import InputSpec
from tonearm.models.mean_kernel import MeanKernelConfig, MeanKernelNetwork
from tonearm.tasks import MultiLabel, Regression, SingleLabel
from tonearm.training.closed_form import _root, calibrate, known_without_group, ridge
from tonearm.training.config import OptimConfig
from tonearm.training.fit import fit

SPECS = {"timbre": InputSpec(1, 20, 1), "rhythm": InputSpec(1, 5, 1), "level": InputSpec(1, 1, 1)}


def data(tracks: int = 60, seed: int = 0) -> tuple[list[torch.Tensor], np.ndarray, list[str]]:
    """Vectors of three classes, three tracks a group."""
    rng = np.random.default_rng(seed)
    classes = np.arange(tracks) % 3
    vectors = [
        torch.from_numpy(rng.normal(0, 1, (tracks, s.freq_bins)) + 0.8 * classes[:, None]).float()
        for s in SPECS.values()
    ]
    return vectors, classes, [f"g{i // 3}" for i in range(tracks)]


def plain_kernel(a: list[torch.Tensor], b: list[torch.Tensor], train: list[torch.Tensor]) -> np.ndarray:
    """As written in LISTENING: each block standardised by the training tracks, exp(-d^2 / mean d^2), the mean."""
    found = []
    for x, y, t in zip(a, b, train, strict=True):
        mean, deviation = t.double().mean(0), t.double().std(0, correction=0)
        x, y, t = ((v.double() - mean) / deviation for v in (x, y, t))
        square = torch.cdist(x, y) ** 2
        found.append(torch.exp(-square / (torch.cdist(t, t) ** 2).mean()))
    return torch.stack(found).mean(0).numpy()


def built(train: list[torch.Tensor], **fields: Any) -> MeanKernelNetwork:
    network = MeanKernelConfig(**fields).build(SPECS, 3)
    assert isinstance(network, MeanKernelNetwork)
    network.scale(train)
    network.choose_landmarks(train, torch.arange(len(train[0])))
    return network


def solved(tracks: int = 60, weights: np.ndarray | None = None, **fields: Any) -> tuple[Any, ...]:
    train, classes, groups = data(tracks)
    network = built(train, **fields)
    targets = torch.nn.functional.one_hot(torch.from_numpy(classes), 3).double()
    own = torch.ones(tracks, dtype=torch.float64) if weights is None else torch.from_numpy(weights)
    return network, train, groups, targets, own, ridge(network, train, torch.arange(tracks), targets, own, groups)


def decisions(network: MeanKernelNetwork, solution: Any, vectors: list[torch.Tensor]) -> np.ndarray:
    return (network.likeness(vectors).double() @ solution.dual + solution.offset).numpy()


# --- the kernel and its solution


def test_likeness_is_the_mean_of_gaussian_kernels() -> None:
    train, _, _ = data()
    other, _, _ = data(7, seed=1)
    np.testing.assert_allclose(built(train).likeness(other).numpy(), plain_kernel(other, train, train), atol=1e-5)


def test_weights_share_the_kernel() -> None:
    train, _, _ = data()
    rhythm = built(train, weights="timbre=0.000001,level=0.000001").likeness(train)
    alone = MeanKernelConfig().build(InputSpec(1, 5, 1), 3)
    assert isinstance(alone, MeanKernelNetwork)
    alone.scale(train[1:2])
    alone.choose_landmarks(train[1:2], torch.arange(60))
    torch.testing.assert_close(rhythm, alone.likeness(train[1:2]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_solution_is_scikit_learns(weighted: bool) -> None:
    weights = np.random.default_rng(0).uniform(0.3, 2, 60) if weighted else np.ones(60)
    weights /= weights.mean()
    network, train, _, targets, _, solution = solved(weights=weights, ridge=0.3)
    other, _, _ = data(9, seed=2)
    offset = (weights[:, None] * targets.numpy()).sum(0) / weights.sum()
    reference = KernelRidge(alpha=0.3, kernel="precomputed")
    kernel = plain_kernel(train, train, train)
    reference.fit(kernel, targets.numpy() - offset, sample_weight=weights)
    expected = reference.predict(plain_kernel(other, train, train)) + offset
    np.testing.assert_allclose(decisions(network, solution, other), expected, atol=2e-4)


def test_what_is_left_out_is_what_would_be_given_without_the_group() -> None:
    network, train, groups, targets, _, solution = solved()
    for group in ("g0", "g7"):
        inside = torch.tensor([g == group for g in groups])
        kept = torch.nonzero(~inside).flatten()
        # The same kernel (scales, landmarks) and offset; only the group's tracks are not learned from.
        kernel = plain_kernel([v[kept] for v in train], [v[kept] for v in train], train)
        to_group = plain_kernel([v[inside] for v in train], [v[kept] for v in train], train)
        dual = np.linalg.solve(kernel + 0.1 * np.eye(len(kept)), targets[kept].numpy() - solution.offset.numpy())
        expected = to_group @ dual + solution.offset.numpy()
        np.testing.assert_allclose(solution.left_out[inside.numpy()], expected, atol=2e-4)
    fitted = decisions(network, solution, train)
    assert np.abs(solution.left_out - targets.numpy()).mean() > np.abs(fitted - targets.numpy()).mean()


def test_embedding_has_the_kernel_as_its_cosine() -> None:
    network, train, _, _, _, solution = solved()
    network.solve(solution.dual, solution.offset, solution.root, 1.0, 0.0)
    unit = torch.nn.functional.normalize(network.embed(batch(train)), dim=1)
    np.testing.assert_allclose((unit @ unit.T).numpy(), plain_kernel(train, train, train), atol=2e-3)
    few = _root(network.likeness(train).double(), 5)
    assert few.shape == (60, 5)


def test_equal_tracks_do_no_harm() -> None:
    train, classes, groups = data()
    twice = [torch.cat([v, v]) for v in train]
    network = built(twice)
    targets = torch.nn.functional.one_hot(torch.from_numpy(np.tile(classes, 2)), 3).double()
    solution = ridge(network, twice, torch.arange(120), targets, torch.ones(120, dtype=torch.float64), groups * 2)
    once, _, _, _, _, heavier = solved(weights=np.full(60, 2.0))
    other, _, _ = data(9, seed=2)
    np.testing.assert_allclose(decisions(network, solution, other), decisions(once, heavier, other), atol=1e-3)
    np.testing.assert_allclose(solution.left_out, np.tile(heavier.left_out, (2, 1)), atol=1e-3)
    network.solve(solution.dual, solution.offset, solution.root, 1.0, 0.0)
    unit = torch.nn.functional.normalize(network.embed(batch(train)), dim=1)
    np.testing.assert_allclose((unit @ unit.T).numpy(), plain_kernel(train, train, train), atol=2e-3)


def test_landmarks_come_near_the_exact_solution() -> None:
    train, classes, groups = data(400)
    targets = torch.nn.functional.one_hot(torch.from_numpy(classes), 3).double()
    ones = torch.ones(400, dtype=torch.float64)
    exact_network = built(train)
    exact = ridge(exact_network, train, torch.arange(400), targets, ones, groups)
    network = MeanKernelConfig(landmarks=200).build(SPECS, 3)
    assert isinstance(network, MeanKernelNetwork)
    network.scale(train)
    chosen = torch.arange(0, 400, 2)
    network.choose_landmarks(train, chosen)
    near = ridge(network, train, chosen, targets, ones, groups)
    other, _, _ = data(50, seed=3)
    off = np.abs(decisions(network, near, other) - decisions(exact_network, exact, other)).mean()
    spread = decisions(exact_network, exact, other).std()
    assert near.dual.shape == (200, 3) and off < 0.15 * spread


def test_numbers_that_do_not_vary_and_tracks_far_away() -> None:
    train, _, _ = data()
    train[2][:] = 3.0
    network = built(train)
    far = [v[:1] + 1e6 for v in train]
    others = plain_kernel(train[:2], train[:2], train[:2])
    np.testing.assert_allclose(network.likeness(train).numpy(), (2 * others + 1) / 3, atol=1e-5)
    torch.testing.assert_close(network.likeness(far), torch.full((1, 60), 1 / 3))  # level, which never varies


def test_factor_makes_the_decisions_as_sure_as_they_are_right() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 4000)
    logits = rng.normal(0, 0.2, (4000, 3))
    logits[np.arange(4000), truth] += 0.2
    factor, threshold = calibrate(SingleLabel(), logits, truth)
    assert threshold == 0.0 and factor == pytest.approx(0.2 / 0.2**2, rel=0.1)  # of normal classes the ratio is known
    labels = (rng.random((4000, 2)) < 0.3).astype(np.float32)
    given = 0.5 * labels + rng.normal(0.2, 0.25, labels.shape)
    factor, threshold = calibrate(MultiLabel(), given, labels)
    assert factor == pytest.approx(0.5 / 0.25**2, rel=0.1)
    assert threshold == pytest.approx(0.2 + 0.25 + np.log(0.7 / 0.3) / factor, abs=0.05)
    assert calibrate(Regression(target="y", squash="none"), given, labels) == (1.0, 0.0)


def test_a_group_that_alone_has_a_class_says_nothing_of_it() -> None:
    groups = ["a", "a", "b", "b", "c"]
    classes = np.eye(3)[[0, 1, 0, 2, 2]]  # class 1 is of "a" alone
    assert known_without_group(classes, groups).tolist() == [True, False, True, True, True]
    labels = np.array([[1, 1], [1, 0], [1, 0], [0, 0], [0, 1.0]])
    assert known_without_group(labels, groups).tolist() == [True] * 5
    labels[4, 1] = 0
    assert known_without_group(labels, groups).tolist() == [False, True, True, True, True]
    assert not known_without_group(classes, ["a"] * 5).any()
    numbers = np.array([[0.1], [0.2], [0.3], [0.4], [0.5]])
    assert known_without_group(numbers, groups).all() and not known_without_group(numbers, ["a"] * 5).any()
    assert known_without_group(np.eye(2)[[0]], ["a"]).tolist() == [False]


# --- as a network


def batch(vectors: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: v[:, None, :, None] for name, v in zip(SPECS, vectors, strict=True)}


def test_unsolved_it_says_nothing_and_what_it_cannot_learn_is_refused(tmp_path: Path) -> None:
    network = MeanKernelConfig().build(SPECS, 3)
    train, _, _ = data()
    assert torch.equal(network(batch(train)), torch.zeros(60, 3))
    assert not list(network.parameters())
    examples = toy_batches(tmp_path, tiny_config())

    class Vectors:
        classes = ("a", "b", "c")

        def __getattr__(self, name: str) -> Any:
            return getattr(examples, name)

        def targets(self, split: Any) -> np.ndarray:
            return np.zeros((len(examples.ids(split)), 2))

    other = MeanKernelConfig().build(tiny_config().inputs, 3)
    with pytest.raises(TrainingError, match="targets of shape"):
        list(fit(other, Regression(target="y"), Vectors(), OptimConfig()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"width": 0.0}, "width is 0"),
        ({"ridge": float("inf")}, "ridge is inf"),
        ({"class_balance": 1.5}, "within 0 and 1"),
        ({"landmarks": 0}, "landmarks is 0"),
        ({"weights": "timbre"}, "weights is 'timbre'"),
        ({"weights": "timbre=-1"}, "above 0"),
        ({"weights": "timbre=1,timbre=2"}, "weights is"),
        ({"weights": "harmony=2"}, "weights names harmony, no input: its inputs are level, rhythm, timbre"),
    ],
)
def test_settings_that_cannot_work(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        MeanKernelConfig(**fields).build(SPECS, 3)


def test_a_damaged_solution_is_refused() -> None:
    network = MeanKernelConfig().build(SPECS, 3)
    state = network.state_dict()
    with pytest.raises(RuntimeError, match="scale_0"):
        network.load_state_dict({**state, "scale_0": torch.zeros(3)})
    with pytest.raises(RuntimeError, match="dual"):
        network.load_state_dict({**state, "dual": torch.zeros(7)})
    with pytest.raises(RuntimeError, match="landmarks"):
        network.load_state_dict({**state, "dual": torch.zeros(7, 3), "root": torch.zeros(7, 2)})
