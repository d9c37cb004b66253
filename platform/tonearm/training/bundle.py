"""A trained model as a folder that needs nothing else: ``bundle.json`` and ``weights.safetensors``.

Load is the inverse of save. Nothing is pickled, so a bundle may come from anybody.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import torch

from tonearm.core import storage
from tonearm.core.errors import BundleError, ConfigError
from tonearm.features.scaling import Scaling
from tonearm.models.base import Network, in_chunks
from tonearm.training.config import TrialConfig

FORMAT_VERSION = 2  # 2: scaling
DESCRIPTION = "bundle.json"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Bundle:
    """A trained network with all that is needed to use it.

    Attributes
    ----------
    config
        The whole trial.
    classes
        Sorted class names, in the order of the network's outputs.
    metrics
        Validation metrics of the epoch that was kept.
    network
        In evaluation mode.
    scaling
        Mean and deviation of the training split, for representations that are normalised by them.
    """

    config: TrialConfig
    classes: tuple[str, ...]
    metrics: dict[str, float]
    network: Network
    scaling: Scaling | None = None


def build_network(config: TrialConfig, outputs: int) -> Network:
    """The network that a trial's config describes."""
    model = config.model.for_representation(config.feature.kind)
    return model.build(config.inputs, outputs)


def save_bundle(uri: str, bundle: Bundle) -> None:
    """Write a bundle; the description, which makes it complete, comes last."""
    from safetensors.torch import save

    weights = {k: v.contiguous() for k, v in bundle.network.state_dict().items()}
    storage.write_bytes(storage.join(uri, WEIGHTS), save(weights))
    description = {
        "format": FORMAT_VERSION,
        "config": bundle.config.to_dict(),
        "classes": list(bundle.classes),
        "metrics": bundle.metrics,
        "scaling": asdict(bundle.scaling) if bundle.scaling else None,
    }
    storage.write_json(storage.join(uri, DESCRIPTION), description)


def load_bundle(uri: str) -> Bundle:
    """Read a bundle.

    Raises
    ------
    BundleError
        If it is missing, damaged, or of another format version, which is named.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    description = read_description(uri, DESCRIPTION, FORMAT_VERSION)
    try:
        config = TrialConfig.from_dict(description["config"])
        classes = tuple(description["classes"])
        network = build_network(config, len(classes))
        network.load_state_dict(load(storage.read_bytes(storage.join(uri, WEIGHTS))))
        metrics = dict(description["metrics"])
        noted = description["scaling"]
        scaling = Scaling(float(noted["mean"]), float(noted["deviation"])) if noted else None
        if config.feature.normalisation == "training" and scaling is None:
            raise ValueError("it lacks the training split's mean and deviation, which its normalisation needs")
    except (KeyError, TypeError, ConfigError, OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise BundleError(f"the bundle at {uri} is damaged: {error}. Train or fetch it again") from error
    return Bundle(config, classes, metrics, network.eval(), scaling)


def read_description(uri: str, name: str, version: int) -> dict[str, Any]:
    """The JSON description of a bundle, its format version checked."""
    path = storage.join(uri, name)
    if not storage.exists(path):
        raise BundleError(f"no model at {uri}: {name} is not there")
    try:
        description = storage.read_json(path)
        found = description["format"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise BundleError(f"{path} is damaged: {error!r}") from None
    if found != version:
        raise BundleError(f"{path} has format version {found}, this Tonearm reads {version}: train it again")
    return dict(description)


def embed_windows(network: Network, windows: torch.Tensor) -> torch.Tensor:
    """The mean embedding (dim,) of a track's windows, each of unit length first, so that loud windows do not rule."""
    with torch.inference_mode():
        return torch.nn.functional.normalize(in_chunks(network.embed, windows), dim=1).mean(dim=0)
