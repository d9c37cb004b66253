"""Training of a network that is solved, not stepped: ridge regression on the mean kernel, in one epoch.

The solution is exact up to ``model.landmarks`` training tracks, above that on landmarks. What each group's tracks would
have been given without that group follows from the same solution (leave one group out), at no further cost: by these
decisions the logits are scaled, so that probabilities mean what they say. A class of one group is not known without it,
so its tracks say nothing of that.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from typing import TypeGuard

import numpy as np
import torch
from torch import Tensor

from tonearm.core.errors import TrainingError
from tonearm.core.seeding import derive_seed
from tonearm.models.base import Network
from tonearm.models.mean_kernel import MeanKernelNetwork
from tonearm.tasks.base import Task
from tonearm.tasks.multi_hot import MultiHot
from tonearm.tasks.regression import Regression
from tonearm.tasks.single_label import SingleLabel
from tonearm.training.batches import Examples
from tonearm.training.epochs import EpochReport, State
from tonearm.training.logits import on_device, predict_split

logger = logging.getLogger(__name__)

JITTERS = (1e-6, 1e-5, 1e-4, 1e-3)  # on the kernel's diagonal, the first that suffices: equal tracks make it singular,
# and of tracks that are all alike single precision makes some eigenvalues negative
FACTORS = (0.1, 100.0)  # of the logits; decisions of two classes differ by 1 at most
TRACKS_AT_ONCE = 2048


def solve(
    model: MeanKernelNetwork, task: Task, examples: Examples, seed: int, state: State | None, device: str
) -> Iterator[EpochReport]:
    """Solve a network; one report, or none where ``state`` is that of a solution.

    Raises
    ------
    TrainingError
        If the task's targets are no classes, labels or numbers, or there is no training track.
    """
    if state is not None:
        model.load_state_dict(state["best_weights"])
        return
    started = time.monotonic()
    train = _track_vectors(model, examples)
    count = len(train[0])
    truth, groups = examples.targets("train"), examples.groups("train")
    targets = _decision_targets(task, truth, len(examples.classes))
    known = known_without_group(targets.numpy(), groups)
    if 2 * known.sum() < count:
        logger.warning(f"{count - known.sum()} of {count} training tracks are of classes that no other group has: "
                       "each is left out alone, and answers to new groups are surer than they should be")  # fmt: skip
        groups, known = [str(i) for i in range(count)], np.ones(count, dtype=bool)
    model.cpu().scale(train)
    chosen = landmark_places(count, model.config.landmarks, seed)
    model.choose_landmarks(train, torch.from_numpy(chosen))
    weights = _track_weights(targets, model.config.class_balance)
    solution = ridge(model, train, torch.from_numpy(chosen), targets, weights, groups)
    factor, threshold = calibrate(task, solution.left_out[known], truth[known])
    model.solve(solution.dual, solution.offset, solution.root, factor, threshold)
    model.to(device)
    predictions = predict_split(model, task, examples, "validation", device, TRACKS_AT_ONCE)
    scores = task.metrics(predictions, examples.targets("validation"), examples.groups("validation"))
    logits = torch.from_numpy(factor * (solution.left_out[known] - threshold)).float()
    metrics = {
        "train_loss": float(task.loss(logits, torch.from_numpy(truth[known]))),
        **{f"validation_{k}": v for k, v in scores.items()},
        "factor": factor,
        "round": 0.0,  # the only one
        "epoch_seconds": time.monotonic() - started,
    }
    kept = {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}
    yield EpochReport(1, metrics, True, predictions, {"model": kept, "best_weights": kept})


def landmark_places(count: int, most: int, seed: int) -> np.ndarray:
    """Which of ``count`` training tracks the others are compared with, ``most`` at most: their places, in order."""
    return np.sort(np.random.default_rng(derive_seed("landmarks", seed)).permutation(count)[:most])


def landmark_ids(model: Network, examples: Examples, seed: int) -> tuple[str, ...]:
    """The tracks that a network which was solved compares with, in the order of its landmarks; of others none."""
    if not solved(model):
        return ()
    ids = examples.ids("train")
    return tuple(ids[i] for i in landmark_places(len(ids), model.config.landmarks, seed).tolist())


class Ridge:
    """A solution: ``dual`` (landmarks, outputs), ``offset`` (outputs,), ``root`` (landmarks, dim), and the decisions on
    the training tracks without their groups, ``left_out`` float64 (tracks, outputs)."""

    def __init__(self, dual: Tensor, offset: Tensor, root: Tensor, left_out: np.ndarray) -> None:
        self.dual, self.offset, self.root, self.left_out = dual, offset, root, left_out


def ridge(
    model: MeanKernelNetwork, train: list[Tensor], chosen: Tensor, targets: Tensor, weights: Tensor,
    groups: Sequence[str],
) -> Ridge:  # fmt: skip
    """Solve ridge regression on the model's kernel.

    With K the kernel of the landmarks and L its Cholesky factor, tracks are described by F = k(tracks, landmarks) L^-T,
    and B minimises sum_i w_i |F_i B + offset - y_i|^2 + ridge |B|^2, offset being the weighted mean of y. What group g
    would be given without itself is y_g - (I - H_gg)^-1 (y_g - F_g B - offset), with H = F (F'WF + ridge)^-1 F'W.

    Parameters
    ----------
    train
        Vectors of all training tracks, an input each.
    chosen
        Places of the landmarks.
    targets
        float64 (tracks, outputs).
    weights
        float64 (tracks,), of mean 1.
    groups
        Of the tracks.
    """
    kernel = _likeness(model, [values[chosen] for values in train])
    kernel, cholesky = _factored((kernel + kernel.T) / 2)
    described = torch.linalg.solve_triangular(cholesky, _likeness(model, train).T, upper=False).T
    offset = (weights[:, None] * targets).sum(dim=0) / weights.sum()
    normal = described.T @ (weights[:, None] * described)
    normal.diagonal().add_(model.config.ridge)
    factor = torch.linalg.cholesky(normal)
    primal = torch.cholesky_solve(described.T @ (weights[:, None] * (targets - offset)), factor)
    dual = torch.linalg.solve_triangular(cholesky.T, primal, upper=True)
    residual = targets - offset - described @ primal
    left_out = targets.clone()
    for places in _places(groups):
        own = described[places]
        hat = own @ torch.cholesky_solve((weights[places, None] * own).T, factor)
        left_out[places] -= torch.linalg.solve(torch.eye(len(places), dtype=hat.dtype) - hat, residual[places])
    return Ridge(dual, offset, _root(kernel, model.config.embedding_dim), left_out.numpy())


def known_without_group(targets: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """Of each track whether its group can be left out, bool (tracks,): another group has its class, or all its labels.

    Parameters
    ----------
    targets
        float64 (tracks, outputs), as decisions are to be: 0 or 1 of classes and labels. Of others any group will do.
    groups
        Of the tracks.
    """
    number = np.unique(groups, return_inverse=True)[1]
    known = np.full(len(number), number.max() > 0)
    if np.isin(targets, (0.0, 1.0)).all():
        for own in targets.T > 0:
            known &= ~own | (len(np.unique(number[own])) > 1)
    return known


def _factored(kernel: Tensor) -> tuple[Tensor, Tensor]:
    """The kernel with as much on its diagonal as it needs, and its Cholesky factor.

    Raises
    ------
    TrainingError
        If there is none: it is not finite.
    """
    for jitter in JITTERS:
        raised = kernel + jitter * torch.eye(len(kernel), dtype=kernel.dtype)
        cholesky, failed = torch.linalg.cholesky_ex(raised)
        if not failed and bool(torch.isfinite(cholesky).all()):
            return raised, cholesky
    raise TrainingError("the kernel of the training tracks cannot be solved: some of their features are not finite")


def calibrate(task: Task, decisions: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Factor and threshold with which logits ``factor * (decisions - threshold)`` have the least loss; (1, 0) where the
    task takes logits as they are. Softmax does not see a threshold."""
    squashed = isinstance(task, MultiHot) or (isinstance(task, Regression) and task.squash == "sigmoid")
    if not (squashed or isinstance(task, SingleLabel)):
        return 1.0, 0.0
    from scipy.optimize import minimize  # 20 MiB, which a server never needs

    values, truth = torch.from_numpy(decisions), torch.from_numpy(target)

    def loss(at: np.ndarray) -> float:
        threshold = float(at[1]) if squashed else 0.0
        return float(task.loss(math.exp(at[0]) * (values - threshold), truth))

    bounds = [(math.log(FACTORS[0]), math.log(FACTORS[1])), (0.0, 1.0)][: 1 + squashed]
    found = minimize(loss, np.array([math.log(5.0), 0.5][: 1 + squashed]), method="Nelder-Mead", bounds=bounds)
    return math.exp(found.x[0]), float(found.x[1]) if squashed else 0.0


def _track_vectors(model: MeanKernelNetwork, examples: Examples) -> list[Tensor]:
    """Of each input float32 (tracks, size)."""
    parts: list[list[Tensor]] = []
    for inputs, each in examples.evaluation("train"):
        parts.append(model.vectors(model.gather(on_device(inputs, "cpu"), each)[0]))
    if not parts:
        raise TrainingError("no training track: give the training split some")
    return [torch.cat(own) for own in zip(*parts, strict=True)]


def _decision_targets(task: Task, target: np.ndarray, outputs: int) -> Tensor:
    """What decisions are to be, float64 (tracks, outputs): 0 or 1 of classes and labels, else the numbers, scaled."""
    if isinstance(task, SingleLabel):
        return torch.nn.functional.one_hot(torch.from_numpy(target), outputs).double()
    if target.ndim != 2 or target.shape[1] != outputs or not np.isfinite(target).all():
        raise TrainingError(
            f"a mean kernel learns classes, labels or numbers, one an output; {task.kind} has targets of shape "
            f"{target.shape} for {outputs} outputs: choose a network that is trained in steps"
        )
    low, high = task.range if isinstance(task, Regression) else (0.0, 1.0)
    return torch.from_numpy((target.astype(np.float64) - low) / (high - low))


def _track_weights(targets: Tensor, balance: float) -> Tensor:
    """Of tracks of one class each, its size to the power of minus ``balance``; of others 1. Their mean is 1."""
    if not bool(((targets == 0) | (targets == 1)).all() and (targets.sum(dim=1) == 1).all()):
        return torch.ones(len(targets), dtype=torch.float64)
    sizes = (targets @ targets.sum(dim=0)).pow(-balance)
    return sizes / sizes.mean()


def _likeness(model: MeanKernelNetwork, vectors: list[Tensor]) -> Tensor:
    """In float64, some tracks at a time."""
    starts = range(0, len(vectors[0]), TRACKS_AT_ONCE)
    return torch.cat([model.likeness([v[s : s + TRACKS_AT_ONCE] for v in vectors]).double() for s in starts])


def _places(groups: Sequence[str]) -> list[Tensor]:
    """Of each group the places of its tracks."""
    found: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        found.setdefault(group, []).append(i)
    return [torch.tensor(places) for places in found.values()]


def _root(kernel: Tensor, most: int) -> Tensor:
    """R (landmarks, dim) such that cosines of k(x, landmarks) R are the kernel, by its ``most`` strongest parts."""
    values, vectors = torch.linalg.eigh(kernel)
    kept = slice(max(0, len(values) - most), None)
    root: Tensor = vectors[:, kept].flip(1) / values[kept].flip(0).clamp(min=JITTERS[0]).sqrt()
    return root


def solved(model: Network) -> TypeGuard[MeanKernelNetwork]:
    """Whether a network is solved here, not trained in steps."""
    return isinstance(model, MeanKernelNetwork)
