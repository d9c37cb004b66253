"""A trained model as a folder that needs nothing else: ``bundle.json`` and ``weights.safetensors``.

Load is the inverse of save. Nothing is pickled, so a bundle may come from anybody. One whose network or task is the
code of somebody's own module names that module, which is imported only if whoever loads it has allowed it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from tonearm.core import plugins, storage
from tonearm.core.damage import describe_unreadable, is_damage
from tonearm.core.descriptions import read_description
from tonearm.core.errors import BundleError, ConfigError, DatasetError
from tonearm.datasets.vocabulary import Vocabulary
from tonearm.features.base import Feature, Representation
from tonearm.features.metadata import TableFeature, TableScaling, TokensFeature
from tonearm.features.normalisation import TrainingStatistics
from tonearm.features.weights import licence_texts
from tonearm.models.base import Network
from tonearm.models.mean_kernel import MeanKernelNetwork
from tonearm.training.config import TrialConfig
from tonearm.training.readers import FittedTransform

FORMAT_VERSION = 4  # 2: scaling; 3: a scaling for each input; 4: vocabularies
DESCRIPTION = "bundle.json"
WEIGHTS = "weights.safetensors"
REMEDY = "delete the trial and train it again"


@dataclass(frozen=True)
class Bundle:
    """A trained network with all that is needed to use it.

    Attributes
    ----------
    config
        The whole trial.
    classes
        What the outputs stand for: sorted class names, or the names of regression targets.
    metrics
        Validation metrics of the epoch that was kept.
    network
        In evaluation mode.
    fitted
        By the name of the input ("" where there is one) what was fitted to its training split: scaling,
        vocabulary, or None.
    landmarks
        Ids of the training tracks that a mean kernel compares with, in their order; none of other networks, and where
        that is not known.
    licences
        Texts of the licences of the frozen encoders that it hears through, by their names; what the home knows of them
        is added when it is written.
    """

    config: TrialConfig
    classes: tuple[str, ...]
    metrics: dict[str, float]
    network: Network
    fitted: Mapping[str, FittedTransform] = field(default_factory=dict)
    landmarks: tuple[str, ...] = ()
    licences: Mapping[str, str] = field(default_factory=dict)

    def scaling_of(self, name: str) -> TrainingStatistics | None:
        """Of a representation, by the name of its input."""
        own = self.fitted.get(name)
        return own if isinstance(own, TrainingStatistics) else None

    @property
    def scaling(self) -> TrainingStatistics | None:
        """Of the one representation."""
        return self.scaling_of("")


def build_network(config: TrialConfig, outputs: int) -> Network:
    """The network that a trial's config describes."""
    return config.built_model.build(config.inputs, outputs)


def save_bundle(uri: str, bundle: Bundle) -> None:
    """Write a bundle; the description, which makes it complete, comes last."""
    from safetensors.torch import save

    modules = plugins.modules_of(bundle.config)
    licences = {**licence_texts(bundle.config.representations.values()), **bundle.licences}
    weights = {k: v.contiguous() for k, v in bundle.network.state_dict().items()}
    storage.write_bytes(storage.join(uri, WEIGHTS), save(weights))
    description = {
        "format": FORMAT_VERSION,
        "config": bundle.config.to_dict(),
        "classes": list(bundle.classes),
        "metrics": bundle.metrics,
        "fitted": {name: asdict(found) if found else None for name, found in bundle.fitted.items()},
        **({"modules": modules} if modules else {}),
        **({"landmarks": list(bundle.landmarks)} if bundle.landmarks else {}),
        **({"licences": licences} if licences else {}),
    }
    storage.write_json(storage.join(uri, DESCRIPTION), description)


def load_bundle(uri: str, allowed_modules: Collection[str] = ()) -> Bundle:
    """Read a bundle.

    Parameters
    ----------
    allowed_modules
        Modules that it may have imported, beside those of ``TONEARM_ALLOWED_MODULES`` and of installed packages.

    Raises
    ------
    BundleError
        If it is missing, damaged, of another format version, which is named, or needs a module that is not allowed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    damages = (KeyError, TypeError, AttributeError, ConfigError, OSError, SafetensorError, RuntimeError, ValueError,
               DatasetError)  # fmt: skip
    description = read_description(uri, DESCRIPTION, (FORMAT_VERSION,), REMEDY)
    _import_own_modules(uri, description.get("modules", []), allowed_modules)
    try:
        config = TrialConfig.from_dict(description["config"])
        classes = tuple(description["classes"])
        network = build_network(config, len(classes))
        network.load_state_dict(load(storage.read_bytes(storage.join(uri, WEIGHTS))))
        metrics = dict(description["metrics"])
        fitted = {str(name): _fitted(noted) for name, noted in description["fitted"].items()}
        for name, feature in config.feature.named_inputs().items():
            _require_fitted(name, feature, fitted.get(name))
        landmarks = _landmarks(description.get("landmarks", ()), network)
        licences = {str(name): str(text) for name, text in description.get("licences", {}).items()}
    except damages as error:
        if not is_damage(error):
            raise BundleError(describe_unreadable(f"the bundle at {uri}", error, "")) from error
        raise BundleError(f"the bundle at {uri} is damaged: {error}. Train or fetch it again") from error
    return Bundle(config, classes, metrics, network.eval(), fitted, landmarks, licences)


def read_config(uri: str) -> TrialConfig:
    """The trial of a bundle, without its network; own modules that it names are imported already.

    Raises
    ------
    BundleError
        If it is missing, damaged or of another format version.
    """
    description = read_description(uri, DESCRIPTION, (FORMAT_VERSION,), REMEDY)
    try:
        return TrialConfig.from_dict(description["config"])
    except (KeyError, TypeError, AttributeError, ConfigError, ValueError) as error:
        raise BundleError(f"the bundle at {uri} is damaged: {error}. Train or fetch it again") from error


def _import_own_modules(uri: str, names: Any, allowed: Collection[str]) -> None:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BundleError(f"the bundle at {uri} is damaged: its modules are {names!r}, no list of names")
    refused = plugins.not_allowed(names, allowed)
    if refused:
        raise BundleError(
            f"the bundle at {uri} needs code outside Tonearm, {', '.join(refused)}, and importing it runs it: if you "
            f"trust it, allow it by {plugins.ALLOWED_MODULES}={','.join(refused)} or allowed_modules={refused}"
        )
    try:
        plugins.import_modules(names)
    except ConfigError as error:
        raise BundleError(f"the bundle at {uri} needs code that is not here: {error}") from error


def _landmarks(noted: Any, network: Network) -> tuple[str, ...]:
    """The names of the tracks that a network compares with; earlier versions did not write them."""
    there = len(network.get_buffer("dual")) if isinstance(network, MeanKernelNetwork) else 0
    if noted and (not isinstance(noted, list) or len(noted) != there):
        raise ValueError(f"it names {len(noted)} landmarks, its network has {there}")
    return tuple(str(name) for name in noted)


def _fitted(noted: Mapping[str, Any] | None) -> FittedTransform:
    if not noted:
        return None
    if "words" in noted:
        if not isinstance(noted["words"], list):
            raise ValueError(f"its words are {noted['words']!r}, no list")
        return Vocabulary(tuple(noted["words"]))
    if "deviation" in noted:
        return TrainingStatistics(float(noted["mean"]), float(noted["deviation"]))
    return TableScaling(*(tuple(float(v) for v in noted[name]) for name in ("shift", "scale", "mean")))


def _require_fitted(name: str, feature: Feature, found: FittedTransform) -> None:
    """Check that what an input needs of the training split is there; ``name`` is the input's."""
    if (
        isinstance(feature, Representation)
        and feature.normalisation == "training"
        and not isinstance(found, TrainingStatistics)
    ):
        raise ValueError(f"input {name!r} lacks the training split's mean and deviation, which its normalisation needs")
    if isinstance(feature, TableFeature):
        columns = (found.shift, found.scale, found.mean) if isinstance(found, TableScaling) else ()
        if [len(numbers) for numbers in columns] != [feature.size] * 3:
            raise ValueError(f"input {name!r} lacks the training split's scaling of its {feature.size} columns")
    if isinstance(feature, TokensFeature) and not (
        isinstance(found, Vocabulary) and len(found.words) <= feature.vocabulary
    ):
        raise ValueError(f"input {name!r} lacks a vocabulary of at most {feature.vocabulary} words")


def track_embedding(embedded: torch.Tensor) -> torch.Tensor:
    """The mean embedding (dim,) of a track's windows (windows, dim), each of unit length first, so that loud windows
    do not rule."""
    return torch.nn.functional.normalize(embedded, dim=1).mean(dim=0)
