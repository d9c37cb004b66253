"""Everything that training needs of a data set: which one, where its files are, its features, its splits."""

from __future__ import annotations

import dataclasses
import math
import os
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import tonearm.examples  # noqa: F401  the demo's corpus is a data set like any other
from tonearm.audio.windows import ClipConfig
from tonearm.core import home, storage
from tonearm.core.best_effort import best_effort
from tonearm.core.errors import ConfigError
from tonearm.core.home_use import using_home
from tonearm.core.passwords import without_password
from tonearm.core.text import slug
from tonearm.datasets import DatasetConfig
from tonearm.datasets.base import Catalogue
from tonearm.datasets.manifest import Manifest, Reject
from tonearm.datasets.recordings import dataset_name
from tonearm.workflows.dataset_identity import identity_root
from tonearm.workflows.defaults import MAX_REJECTED
from tonearm.workflows.prepare_catalogue import prepare_catalogue
from tonearm.workflows.prepared import PreparedData
from tonearm.workflows.prepared_names import manifest_uri, prepared_names
from tonearm.workflows.ray_session import start_ray

if TYPE_CHECKING:
    from tonearm.features.base import Representation

NAME_MARKS = "-_.+,&()= "
"""What may be in a name beside letters and digits: paths, URIs of models and shells read the other marks."""
MAX_NAME_BYTES = 200
"""Of a name: with what is put before and behind it, it must be one of a file and of a registered model."""


def prepare(
    dataset: str | DatasetConfig,
    *,
    root: str = "",
    label: str = "",
    options: Mapping[str, object] | None = None,
    features: str | Sequence[str | Representation] | None = None,
    clip: ClipConfig | None = None,
    min_seconds: float = 1.0,
    name: str = "",
    seed: int = 0,
    max_rejected: float = MAX_REJECTED,
    device: str = "cpu",
    descriptors: bool = False,
    classes: bool | None = True,
    grouped: bool = True,
    metadata: str = "",
) -> PreparedData:
    """From recordings to a data set that can be trained on; what is finished is kept, a second call adds what lacks.

    Recordings are extracted on Ray Data, which is started if anything is missing. Figures, what was set aside and a
    page of spectrograms are written to the data set's reports.

    Parameters
    ----------
    dataset
        A kind, ``"folder"`` for your own recordings, or a config.
    root
        Folder or URI of its files.
    label
        What is to be learned: of a folder ``folder``, ``artist``, ``album``, ``genre`` or a column of ``tracks.csv``.
    options
        Other fields of the data set's config, as in ``{"subset": "medium"}``.
    features
        Representations by name, ``"mel"`` or ``"mel(n_mels=128)"``, or as configs; in one text, ``"mel,cqt"``;
        None: ``mel``, where there is audio.
    clip
        The part of a track that is extracted; None: 30 s from its middle.
    min_seconds
        Shorter tracks are set aside; above 0 and at most a clip's length.
    name
        What to call the data set; "" as it calls itself.
    seed
        Of the splits.
    max_rejected
        The largest share of tracks that are set aside, 0..1.
    device
        ``"cpu"``, or ``"cuda"``: CPU workers decode, GPU workers compute.
    descriptors
        Whether tempo, key, loudness, ... of each track are measured.
    classes, grouped, metadata
        As in :func:`prepare_catalogue`.

    Raises
    ------
    ConfigError
        For what is no data set, representation or value.
    DatasetError
        If its files are not as they should be, or cannot be split.
    JobError
        If too many tracks are unusable.
    """
    from tonearm.features.presets import as_representation, parse_features
    from tonearm.features.weights import require_weights

    if isinstance(dataset, str):
        data = choose_dataset(dataset, root, {**({"label": label} if label else {}), **(options or {})})
    else:
        more = {"root": root, "label": label, **(options or {})}
        data = with_root(dataset.replace({k: v for k, v in more.items() if v != ""}))
    features = parse_features(features) if isinstance(features, str) else features
    names: Sequence[str | Representation] = (("mel",) if data.has_audio else ()) if features is None else features
    wanted = list(dict.fromkeys(as_representation(feature) for feature in names))
    if wanted and not data.has_audio:
        raise ConfigError(f"data set {data.kind} has no audio to extract features of: leave features out")
    require_weights(wanted)  # before recordings are looked at
    part = clip or ClipConfig()
    if wanted and not 0 < min_seconds <= part.seconds:
        raise ConfigError(f"min_seconds is {min_seconds:g}: it must be above 0 and at most a clip's {part.seconds:g} s")
    if not 0 <= max_rejected <= 1:
        raise ConfigError(f"max_rejected is {max_rejected}: a share is within 0 and 1")
    made = prepare_catalogue(
        make_catalogue(data, name), wanted, part, min_seconds, seed, max_rejected, device, descriptors,
        classes=classes, grouped=grouped, metadata=metadata,
    )  # fmt: skip
    made = dataclasses.replace(made, config=data)
    if made.extraction is None:
        return made
    from tonearm.workflows.extraction_report import write_report

    return dataclasses.replace(made, report=best_effort("the report of the extraction", write_report, made) or "")


def choose_dataset(kind: str, root: str = "", fields: Mapping[str, object] | None = None) -> DatasetConfig:
    """A data set's config from its kind, the place of its files and other fields.

    Raises
    ------
    ConfigError
        For an unknown kind or field, or if it needs a folder and none is given.
    """
    given = dict(fields or {})
    if root:
        given["root"] = os.path.expanduser(root)  # noqa: PTH111  a URI must stay as it is
    family = DatasetConfig.registry[kind]
    texts = {name for name, default in vars(family()).items() if isinstance(default, str)}
    given = {k: str(v) if k in texts and type(v) is int else v for k, v in given.items()}  # a column called 5
    chosen = family.from_dict({"kind": kind, **given})
    return with_root(chosen)


def with_root(data: DatasetConfig) -> DatasetConfig:
    """The config with the place of its files, its own default if there is none.

    Raises
    ------
    ConfigError
        If it has neither, or cannot be read from there.
    """
    root = data.root or data.default_root()
    if not root:
        raise ConfigError(f"data set {data.kind} needs the folder of its files: root")
    if data.on_this_machine and not storage.is_local(root):
        raise ConfigError(
            f"data set {data.kind} is read from a folder of this machine, not from {without_password(root)}: copy its "
            "files here; of recordings alone, data set folder reads them there"
        )
    if data.on_this_machine:
        root = str(storage.local_path(root)) if "://" in root else root
    return data.replace({"root": os.path.expanduser(root)})  # noqa: PTH111  a URI must stay as it is


def make_catalogue(data: DatasetConfig, name: str = "") -> Catalogue:
    """List the tracks of a data set; what must be made first is made (``scores`` is rendered)."""
    name = unicodedata.normalize("NFC", name)
    require_dataset_name(name)
    data.make(start_ray)
    found = data.catalogue()
    name = name or _earlier_name(found.name, data.root) or found.name
    return dataclasses.replace(found, name=name, root=identity_root(data), config=data.to_dict())


def _earlier_name(name: str, root: str) -> str:
    """The whole name of the folder where a data set was prepared under it before long names were cut; "" if none was.

    ``name`` is the one that is made of it today.
    """
    whole = dataset_name(root, None)
    cut = root and whole != name == dataset_name(root)
    return whole if cut and whole in prepared_names() and storage.exists(manifest_uri(whole)) else ""


def require_dataset_name(name: str) -> None:
    """Check that a data set's name can be one of a folder in the home; "" is none given.

    Raises
    ------
    ConfigError
        If it is none; the message proposes one.
    """
    allowed = all(unicodedata.category(c)[0] in "LMN" or c in NAME_MARKS for c in name)
    if name and (not allowed or not slug(name) or name != name.strip(". ") or name[0] == "-"):
        raise ConfigError(
            f"the name {name!r} cannot be one of a folder: give letters, digits and hyphens, such as "
            f"{slug(name) or 'music'}"
        )
    if len(name.encode()) > MAX_NAME_BYTES:
        raise ConfigError(f"the name {name[:20]!r}... has {len(name)} characters: give a shorter one")


@using_home("extraction")
def extract_missing(
    manifest: Manifest, features: Sequence[Representation], clip: ClipConfig, min_seconds: float, device: str = "cpu",
    advice: Callable[[Sequence[Reject]], str] = lambda rejects: "",
) -> None:  # fmt: skip
    """Extract the representations of a prepared data set that its stores lack.

    Parameters
    ----------
    advice
        What is to be said at the end of the error, from the tracks that failed.

    Raises
    ------
    ConfigError
        If a track cannot be extracted so, e.g. because it is shorter than ``min_seconds``.
    """
    from tonearm.pipelines.extract import extract_features

    report = extract_features(
        manifest.tracks, features, clip, home.features_home(), min_seconds, device=device, start=start_ray
    )
    if report.rejects:
        first, least = report.rejects[0], math.ceil(100 * min_seconds) / 100
        raise ConfigError(
            f"{len(report.rejects)} of {len(manifest.tracks)} tracks cannot be extracted as is wanted (clips of "
            f"{clip.seconds:g} s, at least {min_seconds:g} s), e.g. {first.track_id}: {first.reason}. Prepare the data "
            f"set anew without such: with --min-seconds {least:g} (min_seconds={least:g})" + advice(report.rejects)
        )
