"""Loading whatever was saved: a single model, an ensemble, a folder, a URI, or MLflow's registry."""

from __future__ import annotations

import os
from collections.abc import Collection

from tonearm.core.errors import BundleError, ConfigError
from tonearm.ensembles.bundle import load_ensemble
from tonearm.features.weights import require_weights
from tonearm.inference.model import Model
from tonearm.inference.recommend import Recommender
from tonearm.tracking.fetch import fetch_model


def load(uri: str | os.PathLike[str], allowed_modules: Collection[str] = (), device: str = "cpu") -> Model:
    """Load a model for inference.

    Parameters
    ----------
    uri
        A bundle's folder or fsspec URI, or MLflow's ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``.
    allowed_modules
        Modules outside Tonearm that the model may have imported, such as ``mine.nets``; beside those that the
        environment variable ``TONEARM_ALLOWED_MODULES`` names.
    device
        Where it computes: ``"cpu"``, or a torch device such as ``"cuda"``.

    Raises
    ------
    BundleError
        If there is no model, it is damaged, it needs a module that is not allowed, or the file of a frozen encoder that
        is not here, or is another.
    TrackingError
        If MLflow knows no such model.
    """
    uri = os.path.expanduser(os.fspath(uri))  # noqa: PTH111  a URI must stay as it is
    folder = fetch_model(uri)
    ensemble = load_ensemble(folder, allowed_modules)
    try:
        require_weights(r for member in ensemble.members for r in member.config.representations.values())
    except ConfigError as error:
        raise BundleError(f"the model at {uri} hears through a frozen encoder: {error}") from error
    return Model(ensemble, uri, folder, device)


def load_recommender(uri: str | os.PathLike[str], allowed_modules: Collection[str] = ()) -> Recommender:
    """Load a bundle that has a catalogue; ``allowed_modules`` as :func:`load` has them.

    Raises
    ------
    BundleError
        If it has none.
    """
    return load(uri, allowed_modules).recommender
