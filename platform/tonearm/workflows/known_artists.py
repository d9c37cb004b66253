"""The artists of a table, heard or not, as a catalogue of the model that places recordings among them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tonearm.core import storage
from tonearm.core.seeding import digest
from tonearm.datasets.manifest import Manifest
from tonearm.features.metadata import ArtistsFeature
from tonearm.inference import load
from tonearm.inference.made_catalogues import catalogue_uri
from tonearm.recommend.catalogue import DESCRIPTION
from tonearm.recommend.catalogue_changes import Space, change_catalogue
from tonearm.recommend.library import ID
from tonearm.training.bundle import load_bundle
from tonearm.training.config import TrialConfig
from tonearm.training.relations import RelationExamples, places_of_artists
from tonearm.workflows.home_catalogues import IndexRequest, write_request
from tonearm.workflows.training_runs import FoldRun, Outcome

NAME = "known-artists"


def keep_known_artists(outcome: Outcome) -> str:
    """Write a catalogue for each run's model that is composed of networks of one table's space; it is called
    :data:`NAME`. The first one's URI; "" where there is no such model."""
    uris = [_keep(run) for run in outcome.runs]
    return uris[0]


def _keep(run: FoldRun) -> str:
    last = run.results[-1]
    tables = [d for d in run.finished.values() if isinstance(d.config, TrialConfig)
              and isinstance(d.config.feature, ArtistsFeature)]  # fmt: skip
    if not isinstance(last.config, TrialConfig) or not last.config.model.composed or len(tables) != 1:
        return ""
    (table,) = tables
    rows = _rows(table.manifest)
    if not rows:  # of tracks, which recordings stand for
        return ""
    model = load(last.folder.bundle_uri)
    uri = catalogue_uri(model.digest, NAME)
    if not storage.exists(storage.join(uri, DESCRIPTION)):  # of the same trials it is the same
        bundle = load_bundle(table.folder.bundle_uri)
        examples = RelationExamples(bundle.config, table.manifest.tracks, (), table.manifest.metadata)
        vectors = places_of_artists(examples, bundle.network.get_parameter("table.weight").detach().cpu().numpy())
        placed = np.isfinite(vectors).all(axis=1)
        rows = [row for row, has in zip(rows, placed, strict=True) if has]
        space = Space(model.digest, vectors.shape[1], "artist", f"the table of the data set {table.manifest.name}")
        change_catalogue(uri, space, rows, vectors[placed], merge=True)
    # Whose it is, so that it is cleaned away when its model is; no index command makes it, so no library is named.
    write_request(uri, IndexRequest(last.folder.bundle_uri, name=NAME, kind="artist"))
    return uri


def _rows(manifest: Manifest) -> list[dict[str, Any]]:
    """A row an artist, in the order of the table."""
    artists = sorted((t for t in manifest.tracks if t.artist), key=lambda t: t.track_id)
    ids = [t.track_id for t in artists]
    years = manifest.metadata.of(ids, "year") if ids and "year" in manifest.metadata else np.full(len(ids), np.nan)
    return [
        {ID: t.track_id, "title": t.artist, "artist": t.artist, "content": digest("artist", t.track_id),
         **({"year": round(float(year))} if np.isfinite(year) else {})}
        for t, year in zip(artists, years, strict=True)
    ]  # fmt: skip
