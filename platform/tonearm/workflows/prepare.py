"""Data sets on the command line: which one, where its files are, and everything that training needs of it."""

from __future__ import annotations

import ast
import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from tonearm.audio.windows import ClipConfig
from tonearm.core import home, storage
from tonearm.core.errors import ConfigError, DatasetError
from tonearm.datasets import DatasetConfig
from tonearm.datasets.base import Catalogue
from tonearm.datasets.labels import drop_small_classes
from tonearm.datasets.manifest import SPLITS, Manifest, Reject, Track, load_rejects, save_manifest, save_rejects
from tonearm.datasets.metadata import Metadata
from tonearm.datasets.metadata_tables import read_metadata_table
from tonearm.datasets.split_report import report_splits as split_report
from tonearm.datasets.splits import split_by_group, stratified_split
from tonearm.examples import ScoresConfig
from tonearm.features.base import Representation
from tonearm.training.examples import descriptor_metadata, metadata_of_tracks
from tonearm.workflows.ray_session import start_ray

if TYPE_CHECKING:
    from tonearm.pipelines.extract import ExtractionReport

MAX_REJECTED = 0.2


def manifest_uri(name: str) -> str:
    """Where a data set's manifest lies."""
    return storage.join(home.data_home(name), "manifest.parquet")


def rejects_uri(name: str) -> str:
    """Where the table of what was set aside lies."""
    return storage.join(home.data_home(name), "rejects.parquet")


def parse_fields(texts: Sequence[str]) -> dict[str, object]:
    """Fields from texts such as ``"optim.lr=1e-3"``: values are read as Python literals, and as texts otherwise.

    So are lists without brackets, ``"model.widths=16,32"``, which configs keep as text.

    Raises
    ------
    ConfigError
        If one has no equals sign, or names a field twice.
    """
    found: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name or name in found:
            raise ConfigError(f"{text!r} is no setting, or the second one of its field: write field=value")
        found[name] = value = value.strip()
        with suppress(ValueError, SyntaxError, TypeError):
            literal = ast.literal_eval(value)
            bare_list = isinstance(literal, tuple) and not value.startswith("(")
            odd_number = isinstance(literal, int) and str(literal) != value  # 0x10, 1_000: maybe no number at all
            if not bare_list and not odd_number:
                found[name] = literal
    return found


def choose_dataset(kind: str, root: str = "", fields: Mapping[str, object] | None = None) -> DatasetConfig:
    """A data set's config from what was typed.

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
    if isinstance(chosen, ScoresConfig):
        return chosen.replace({"root": storage.join(home.data_home("scores"), "audio")})
    if not chosen.root:
        raise ConfigError(f"data set {kind} needs the folder of its files: --audio PATH (or --data PATH)")
    return chosen


def make_catalogue(data: DatasetConfig, name: str = "") -> Catalogue:
    """List the tracks of a data set; what must be made first is made (``scores`` is rendered)."""
    make = MAKERS.get(data.kind)
    if make:
        make(data)
    found = data.catalogue()
    return dataclasses.replace(found, name=name or found.name)


def _render(data: DatasetConfig) -> None:
    from tonearm.examples.render import make_scores

    start_ray()
    make_scores(data.root)


MAKERS: dict[str, Callable[[DatasetConfig], None]] = {"scores": _render}
"""What is made before a data set can be listed, by its kind."""


def prepare(
    catalogue: Catalogue,
    features: Sequence[Representation],
    clip: ClipConfig,
    min_seconds: float,
    seed: int = 0,
    max_rejected: float = MAX_REJECTED,
    device: str = "cpu",
    descriptors: bool = False,
    predicted: bool = False,
    classes: bool = True,
    grouped: bool = True,
    metadata: str = "",
    balanced: bool = True,
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
) -> tuple[Manifest, ExtractionReport | None]:
    """Extract what is missing, set aside what cannot be used, split, and write the manifest last.

    Parameters
    ----------
    descriptors
        Whether tempo, energy, ... are measured.
    predicted
        Whether they become metadata, which a network may learn to predict; the data set then is another one.
    classes
        Whether the label is a class of which several tracks are needed; else a label may be there or not.
    grouped
        Whether a group stays in one split; else classes are balanced and groups cross splits.
    metadata
        A table of further metadata, CSV or Parquet, a row a track or an artist.
    balanced
        Whether the splits balance the labels.
    fractions
        Of training, validation and test, where none is published.

    Returns
    -------
    The manifest, and what extraction did, None where nothing is heard.
    """
    tracks, notes = drop_small_classes(catalogue.tracks) if classes else (tuple(catalogue.tracks), [])
    together: Sequence[Sequence[str]] = ()
    extraction = None
    rejects = list(catalogue.rejects)
    if features:
        extraction, usable = _extract(catalogue, tracks, features, clip, min_seconds, max_rejected, device, descriptors)
        rejects += extraction.rejects
        tracks, more_notes = drop_small_classes(usable) if classes else (tuple(usable), [])
        notes, together = [*notes, *more_notes], extraction.duplicates
    save_rejects(rejects_uri(catalogue.name), rejects)
    split, split_notes = _split(tracks, seed, together, grouped, balanced, fractions)
    known = catalogue.metadata
    if predicted:
        if extraction is None:
            raise ConfigError("descriptors are measured of audio, of which this data set has none: leave them out")
        known = _joined(known, descriptor_metadata(tracks, clip, home.features_home()))
    if metadata:
        known = _joined(known, metadata_of_tracks(read_metadata_table(os.path.expanduser(metadata)), tracks))  # noqa: PTH111  a URI
    manifest = Manifest(catalogue.name, catalogue.label, split, (*catalogue.notes, *notes, *split_notes), known)
    save_manifest(manifest_uri(catalogue.name), manifest)
    if extraction:
        written = sum(extraction.bytes.values()) / 2**20
        print(f"  {extraction.extracted} tracks extracted now ({written:.0f} MiB), {extraction.stored} were there")
    describe(manifest, rejects)
    return manifest, extraction


def _extract(
    catalogue: Catalogue, tracks: Sequence[Track], features: Sequence[Representation], clip: ClipConfig,
    min_seconds: float, max_rejected: float, device: str, descriptors: bool,
) -> tuple[ExtractionReport, list[Track]]:  # fmt: skip
    from tonearm.pipelines.extract import extract_features, require_enough_tracks

    known = load_rejects(rejects_uri(catalogue.name))
    extraction = extract_features(
        tracks, features, clip, home.features_home(), min_seconds, known, device, descriptors, start_ray
    )
    save_rejects(rejects_uri(catalogue.name), [*catalogue.rejects, *extraction.rejects])
    require_enough_tracks(extraction, tracks, max_rejected, rejects_uri(catalogue.name))
    unusable = {r.track_id for r in extraction.rejects}
    return extraction, [t for t in tracks if t.track_id not in unusable]


def _split(
    tracks: Sequence[Track], seed: int, together: Sequence[Sequence[str]], grouped: bool, balanced: bool,
    fractions: tuple[float, float, float],
) -> tuple[tuple[Track, ...], list[str]]:  # fmt: skip
    """The source's own split; where no track has one, one that keeps groups, or one that balances classes.

    Raises
    ------
    DatasetError
        If only some tracks have one, or they cannot be split.
    """
    published = sum(t.split is not None for t in tracks)
    if 0 < published < len(tracks):
        raise DatasetError(
            f"{len(tracks) - published} of {len(tracks)} tracks have no split, the others have a published one: leave "
            "them out of the data set, or give none of its tracks a split"
        )
    if published:
        split, notes, kept = tuple(tracks), ["split as published"], "they stay where the source has them"
    else:
        divide = split_by_group if grouped else stratified_split
        plain = tracks if balanced else [dataclasses.replace(t, label="", labels=()) for t in tracks]
        divided, notes = divide(plain, seed, dict(zip(SPLITS, fractions, strict=True)), together)
        placed = {t.track_id: t for t in divided}
        split = tuple(
            dataclasses.replace(t, split=placed[t.track_id].split, group=placed[t.track_id].group)
            for t in sorted(tracks, key=lambda t: t.track_id)
        )
        kept = "each is kept in one split"
    if together:
        notes = [*notes, f"{len(together)} recording(s) occur more than once, e.g. {' = '.join(together[0])}: {kept}"]
    return split, notes


def _joined(known: Metadata, more: Metadata) -> Metadata:
    return known.joined(more) if len(known) else more


def describe(manifest: Manifest, rejects: Sequence[Reject]) -> None:
    """Print what is in a data set, how it is split, what leaks, and what was set aside."""
    for line in split_report(manifest).lines():
        print(f"  {line}")
    for note in manifest.notes:
        print(f"  note: {note}")
    if rejects:
        reasons = ", ".join(f"{reason} {n}" for reason, n in Counter(r.reason for r in rejects).most_common())
        print(f"  set aside: {len(rejects)} ({reasons}); listed in {rejects_uri(manifest.name)}")
