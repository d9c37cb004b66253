"""A data set that was prepared before, by its name: its tracks, and which of its features are stored."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tonearm.examples  # noqa: F401  the demo's corpus is a data set like any other
from tonearm.audio.windows import ClipConfig
from tonearm.core import home, storage
from tonearm.core.errors import ConfigError, StoreError, TonearmError
from tonearm.core.text import command
from tonearm.datasets import DatasetConfig
from tonearm.datasets.manifest import Manifest, load_manifest, load_rejects
from tonearm.features.presets import display_name
from tonearm.features.store import read_representation, track_key
from tonearm.features.store_clips import read_clip_configs
from tonearm.features.store_index import read_index
from tonearm.workflows.prepared import PreparedData
from tonearm.workflows.prepared_names import manifest_uri, not_prepared, prepared_name
from tonearm.workflows.set_aside import rejects_uri

if TYPE_CHECKING:
    from tonearm.features.base import Representation

logger = logging.getLogger(__name__)

StoredFeatures = dict[ClipConfig, list["Representation"]]


def load_data(name: str, *, clip: ClipConfig | None = None) -> PreparedData:
    """A prepared data set of the home, as :func:`prepare` returned it; nothing is decoded, extracted or changed.

    Parameters
    ----------
    name
        Of the data set; ``tonearm ls`` lists them.
    clip
        Which clips of the tracks, where features of several kinds of clips are stored; None: those it was prepared
        with.

    Returns
    -------
    PreparedData
        ``features`` are the representations that are stored of all its tracks; its ``features_of`` reads them.

    Raises
    ------
    ConfigError
        If there is no such data set, or no features of such clips.
    """
    known = prepared_name(name)
    if not known:
        raise not_prepared(name, DatasetConfig.registry)
    manifest = load_manifest(manifest_uri(known))
    made = manifest.made
    prepared_with = ClipConfig.from_dict(made["clip"]) if made.get("clip") else None
    stored, silent = stored_features(manifest, [prepared_with or ClipConfig()])
    chosen = clip or prepared_with or max(stored, key=lambda c: len(stored[c]), default=ClipConfig())
    if clip is not None and clip not in stored:
        there = "; ".join(c.brief() for c in stored) or "none"
        raise ConfigError(f"no features of {clip.brief()} are stored of all of {known}; there are those of: {there}")
    if silent and not stored.get(chosen):
        logger.warning(
            "%s: %s, made before stores kept which clips they hold: %s of this data set once more, as before, notes it "
            "and computes nothing", known, ", ".join(silent), command("extract"),
        )  # fmt: skip
    return PreparedData(
        manifest,
        tuple(stored.get(chosen, ())),
        chosen,
        tuple(load_rejects(rejects_uri(known))),
        config=_config(manifest),
        split_seed=int(made.get("seed", 0)),
        grouped=bool(made.get("grouped", True)),
        fractions=tuple(made.get("fractions", (0.6, 0.2, 0.2))),
    )


def stored_features(manifest: Manifest, usual: Sequence[ClipConfig]) -> tuple[StoredFeatures, list[str]]:
    """Which representations are stored of every track of a data set, by the way in which clips were cut.

    Parameters
    ----------
    usual
        The ways that are tried with a store from before it was kept which clips it holds.

    Returns
    -------
    They, sorted by name; and the names of those stores of which none of these ways finds the tracks.
    """
    found: StoredFeatures = {}
    silent = []
    root = home.features_home()
    for folder in storage.list_folders(root):
        uri = storage.join(root, folder)
        description = storage.join(uri, "representation.json")
        if not storage.exists(description):
            continue  # a table beside the stores
        try:
            representation = read_representation(description)
            if (named := representation.store_name()) != folder:
                logger.warning("%s is not read: it is a copy of %s, or of an earlier version", uri, named)
                continue
            configs = read_clip_configs(uri)
            keys = set(read_index(uri).column("key").unique().to_pylist())
        except StoreError as error:
            logger.warning("%s", error)
            continue
        whole = [clip for clip in configs or usual if keys and _holds_all(keys, manifest, clip)]
        for clip in whole:
            found.setdefault(clip, []).append(representation)
        if not configs and not whole and keys:
            silent.append(display_name(representation))
    return {clip: sorted(some, key=display_name) for clip, some in found.items()}, silent


def _holds_all(keys: Iterable[str], manifest: Manifest, clip: ClipConfig) -> bool:
    return bool(manifest.tracks) and all(track_key(t.content, clip) in keys for t in manifest.tracks)


def _config(manifest: Manifest) -> DatasetConfig | None:
    """The data set's config, its root where the files are now; None for one from before that was kept."""
    values: Mapping[str, Any] = manifest.made.get("config") or {}
    if not values:
        return None
    try:
        config = DatasetConfig.from_dict(values)
    except TonearmError as error:  # of code of one's own that is not imported here
        logger.warning("the config of data set %s cannot be read: %s", manifest.name, error)
        return None
    return config.replace({"root": manifest.root}) if manifest.root else config
