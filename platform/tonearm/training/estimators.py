"""scikit-learn's estimators as configs: from columns of numbers to probabilities of classes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, ClassVar, Literal

import numpy as np

from tonearm.core.config import Config
from tonearm.core.errors import TrainingError
from tonearm.core.registry import Registry

ClassWeights = Literal["none", "balanced"]
PredictFunction = Callable[[np.ndarray], np.ndarray]  # of (tracks, n) to (tracks, classes)
FitResult = tuple[PredictFunction, dict[str, float]]  # probabilities; what was chosen, by field
Folds = list[tuple[np.ndarray, np.ndarray]]  # tracks to learn from, and those that are held out

INNER_FOLDS = 5
EARLY_STOPPING_FOLDS = 10
FACTOR_BOUNDS = (0.01, 10.0)  # decisions for two classes differ by about 1: far beyond, probabilities would be 0 and 1
MAX_ITERATIONS = 5000  # of a logistic regression: some hundreds are usual


class Estimator(Config):
    """Base of all estimators.

    Attributes
    ----------
    takes_missing
        Whether it takes NaN for "unknown".
    fewest_classes
        How many classes it learns at least.
    """

    registry: ClassVar[Registry[type[Estimator]]] = Registry("estimator")
    takes_missing: ClassVar[bool] = False
    fewest_classes: ClassVar[int] = 2

    def fit(self, x: np.ndarray, y: np.ndarray, groups: Sequence[str], seed: int) -> FitResult:
        """Learn from tracks.

        Parameters
        ----------
        x
            float64 (tracks, n).
        y
            Class indices (tracks,), of which each up to the greatest occurs.
        groups
            Of the tracks: what is kept apart where the estimator tries itself on a part of them.
        seed
            Within 0..2**32 - 1.

        Raises
        ------
        TrainingError
            If it cannot learn from them.
        """
        raise TypeError(f"{type(self).__name__} must say how it learns")


class Svm(Estimator, kind="svm"):
    """Support-vector machine with a Gaussian kernel, on columns of zero mean and unit deviation.

    What is not given is chosen by accuracy in an inner cross-validation with groups apart; of equals the smoothest.
    Probabilities are the softmax of the one-versus-rest decisions times one factor, by which the held-out tracks of
    that cross-validation are most likely (temperature scaling, Guo et al. 2017): the order of the classes stays.

    Attributes
    ----------
    c
        Cost of a track on the wrong side, > 0; None chooses from 1, 3, 10, 30 and 100.
    gamma
        Inverse width of the kernel, > 0, as a multiple of 1 / (columns x variance), scikit-learn's ``"scale"``; None
        chooses from a half, 1 and 2.
    class_weights
        ``"balanced"``: a track's cost is divided by the size of its class.
    """

    c: float | None = None
    gamma: float | None = None
    class_weights: ClassWeights = "none"

    def problems(self) -> list[str]:
        return _not_positive(self, "c", "gamma")

    def fit(self, x: np.ndarray, y: np.ndarray, groups: Sequence[str], seed: int) -> FitResult:
        folds = group_folds(y, groups, INNER_FOLDS, seed)
        costs = (1.0, 3.0, 10.0, 30.0, 100.0) if self.c is None else (self.c,)
        widths = (0.5, 1.0, 2.0) if self.gamma is None else (self.gamma,)
        held_out = {pair: self._held_out(x, y, folds, *pair) for pair in product(costs, widths)}
        c, gamma = max(held_out, key=lambda pair: float((held_out[pair].argmax(axis=1) == y).mean()))
        decide, factor = self._decisions(x, y, c, gamma), _likeliest_factor(held_out[c, gamma], y)
        return lambda new: np.exp(_log_softmax(factor * decide(new))), {"c": c, "gamma": gamma}

    def _held_out(self, x: np.ndarray, y: np.ndarray, folds: Folds, c: float, gamma: float) -> np.ndarray:
        """Decisions (tracks, classes) on each track by what the other folds taught; -inf for a class not in them."""
        out = np.full((len(x), y.max() + 1), -np.inf)
        for fitted, held in folds:
            present, dense = np.unique(y[fitted], return_inverse=True)
            alone = len(present) == 1
            out[np.ix_(held, present)] = 0.0 if alone else self._decisions(x[fitted], dense, c, gamma)(x[held])
        return out

    def _decisions(self, x: np.ndarray, y: np.ndarray, c: float, gamma: float) -> PredictFunction:
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        scaler = StandardScaler().fit(x)
        scaled = scaler.transform(x)
        width = gamma / (scaled.shape[1] * (scaled.var() or 1.0))  # no variance: no column differs between tracks
        machine = SVC(C=c, gamma=width, class_weight=_weights(self.class_weights)).fit(scaled, y)

        def decide(new: np.ndarray) -> np.ndarray:
            found: np.ndarray = machine.decision_function(scaler.transform(new))
            return np.stack([-found, found], axis=1) if found.ndim == 1 else found

        return decide


class Logistic(Estimator, kind="logistic"):
    """Multinomial logistic regression, on columns of zero mean and unit deviation.

    Attributes
    ----------
    c
        Inverse strength of the L2 penalty, > 0.
    class_weights
        ``"balanced"``: a track's loss is divided by the size of its class.
    """

    c: float = 1.0
    class_weights: ClassWeights = "none"

    def problems(self) -> list[str]:
        return _not_positive(self, "c")

    def fit(self, x: np.ndarray, y: np.ndarray, groups: Sequence[str], seed: int) -> FitResult:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        weights = _weights(self.class_weights)
        regression = LogisticRegression(C=self.c, class_weight=weights, max_iter=MAX_ITERATIONS)
        pipeline = make_pipeline(StandardScaler(), regression)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                pipeline.fit(x, y)
            except ConvergenceWarning:
                raise TrainingError(
                    f"the logistic regression with c {self.c:g} has not converged in {MAX_ITERATIONS} iterations: "
                    "lower c"
                ) from None
        return pipeline.predict_proba, {}


class GradientBoosting(Estimator, kind="gradient_boosting"):
    """Gradient-boosted trees on histograms; by default with scikit-learn's settings, but never stopping early.

    scikit-learn stops early by itself above 10 000 tracks. Unknown values (NaN) go to the side that suits them.

    Attributes
    ----------
    learning_rate
        What each tree adds is multiplied by it, > 0.
    iterations
        Trees a class, at most.
    early_stopping
        Hold out about a tenth of the tracks, groups apart, and stop when their loss has not fallen for ten trees.
    """

    takes_missing: ClassVar[bool] = True

    learning_rate: float = 0.1
    iterations: int = 100
    early_stopping: bool = False

    def problems(self) -> list[str]:
        return _not_positive(self, "learning_rate", "iterations")

    def fit(self, x: np.ndarray, y: np.ndarray, groups: Sequence[str], seed: int) -> FitResult:
        from sklearn.ensemble import HistGradientBoostingClassifier

        model = HistGradientBoostingClassifier(
            learning_rate=self.learning_rate, max_iter=self.iterations, early_stopping=self.early_stopping,
            random_state=seed,
        )  # fmt: skip
        if not self.early_stopping:
            return model.fit(x, y).predict_proba, {}
        folds = group_folds(y, groups, EARLY_STOPPING_FOLDS, seed)
        evaluable = [held[np.isin(y[held], y[fitted])] for fitted, held in folds]  # no class may be held out whole
        held = max(evaluable, key=len)
        if not len(held):
            raise TrainingError("no class has tracks in two groups, so none can be held out: set early_stopping=False")
        fitted = np.setdiff1d(np.arange(len(y)), held)
        model.fit(x[fitted], y[fitted], X_val=x[held], y_val=y[held])
        return model.predict_proba, {"iterations": float(model.n_iter_)}


class Majority(Estimator, kind="majority"):
    """What needs no columns: each class is as probable as it is frequent among the training tracks."""

    takes_missing: ClassVar[bool] = True
    fewest_classes: ClassVar[int] = 1

    def fit(self, x: np.ndarray, y: np.ndarray, groups: Sequence[str], seed: int) -> FitResult:
        shares = np.bincount(y) / len(y)
        return lambda new: np.tile(shares, (len(new), 1)), {}


def group_folds(y: np.ndarray, groups: Sequence[str], most: int, seed: int) -> Folds:
    """Folds that balance classes as far as groups, which are never in two, allow.

    Parameters
    ----------
    y
        Class indices (tracks,).
    groups
        Of the tracks.
    most
        Folds, if there are as many groups, and as many tracks in the largest class.
    seed
        Within 0..2**32 - 1.

    Raises
    ------
    TrainingError
        If there are no two groups, or no class of two tracks.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    count = min(most, len(set(groups)), int(np.bincount(y).max()))
    if count < 2:
        raise TrainingError(
            f"{len(y)} training tracks of {len(set(groups))} group(s) and {len(set(y.tolist()))} classes cannot be "
            "split into folds with groups apart: at least two groups, and a class of two tracks, are needed"
        )
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # a class of fewer tracks than folds is no fault: it is in some of them
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return list(splitter.split(y, y, list(groups)))


def _likeliest_factor(decisions: np.ndarray, y: np.ndarray) -> float:
    """The inverse temperature of highest likelihood on held-out decisions (tracks, classes)."""
    from scipy.optimize import minimize_scalar

    own = decisions[np.arange(len(y)), y]
    evaluable = np.isfinite(own)  # no factor helps a class that was not taught
    if not evaluable.any():
        raise TrainingError(
            "no class has tracks in two groups: with groups apart each would be unknown where it is tried, so that "
            "nothing can be chosen or calibrated; add tracks by others"
        )
    rows, truth = decisions[evaluable], y[evaluable]

    def loss(log_factor: float) -> float:
        return -float(_log_softmax(math.exp(log_factor) * rows)[np.arange(len(truth)), truth].mean())

    found = minimize_scalar(loss, bounds=(math.log(FACTOR_BOUNDS[0]), math.log(FACTOR_BOUNDS[1])), method="bounded")
    return math.exp(found.x)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    from scipy.special import log_softmax

    found: np.ndarray = log_softmax(logits, axis=1)
    return found


def _weights(name: ClassWeights) -> Any:
    return None if name == "none" else name


def _not_positive(config: Config, *names: str) -> list[str]:
    given = {name: config.at(name) for name in names}
    return [
        f"estimator.{name} is {value}: it must be positive and finite"
        for name, value in given.items()
        if value is not None and not 0 < value < math.inf
    ]
