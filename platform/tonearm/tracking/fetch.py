"""Fetching a model's bundle from the registry, where it is there; folders and URIs are read where they lie."""

from __future__ import annotations

from tonearm.core.errors import BundleError


def fetch_model(uri: str) -> str:
    """The folder or URI of a bundle, fetched from MLflow's registry if it is a ``models:/`` URI.

    Raises
    ------
    BundleError
        If nothing is named.
    TrackingError
        If the registry knows no such model.
    """
    if require_named(uri).startswith("models:/"):
        from tonearm.tracking.query import download_model  # lazy: folders need no MLflow

        return download_model(uri)
    return uri


def require_named(uri: str) -> str:
    """The URI of a model, if one is given.

    Raises
    ------
    BundleError
        If none is.
    """
    if not uri:
        raise BundleError("no model named: give a folder, a URI or models:/NAME@champion")
    return uri
