"""From recordings to a data set that can be trained on: catalogue, features, rejects, splits.

python -m jobs.extract --dataset scores --space demo
python -m jobs.extract --dataset folder --audio ~/Music --label genre --space demo
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from jobs.common import cli_errors, start_ray, table
from search_spaces import SPACES
from tonearm.audio.windows import ClipConfig
from tonearm.core import home, storage
from tonearm.core.errors import ConfigError
from tonearm.datasets.folder import scan_folder
from tonearm.datasets.labels import drop_small_classes
from tonearm.datasets.manifest import (
    SPLITS,
    Manifest,
    Reject,
    Track,
    load_rejects,
    save_manifest,
    save_rejects,
)
from tonearm.datasets.splits import split_by_group
from tonearm.features import Representation
from tonearm.sweeps import SearchSpace

MAX_REJECTED = 0.2


@dataclass(frozen=True)
class Catalogue:
    """The labelled recordings of a data set, before features and splits."""

    name: str
    label: str
    tracks: list[Track]
    rejects: list[Reject]

    @property
    def manifest_uri(self) -> str:
        return storage.join(home.data_home(self.name), "manifest.parquet")

    @property
    def rejects_uri(self) -> str:
        return storage.join(home.data_home(self.name), "rejects.parquet")


def dataset_name(audio: str) -> str:
    """A data set's name from its folder's: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", Path(audio).resolve().name.lower()).strip("-") or "folder"


def make_catalogue(dataset: str, audio: str = "", label: str = "folder", name: str = "") -> Catalogue:
    """List the recordings of a data set; ``scores`` is rendered first, where it is not yet."""
    if dataset == "scores":
        from tonearm.pipelines.render import make_scores

        start_ray()
        made, rejects = make_scores(storage.join(home.data_home("scores"), "audio"))
        return Catalogue("scores", "repertoire", made, rejects)
    if dataset == "folder":
        if not audio:
            raise ConfigError("data set folder needs the folder of your recordings: --audio PATH")
        tracks, rejects = scan_folder(os.path.expanduser(audio), label)  # noqa: PTH111  a URI must stay as it is
        return Catalogue(name or dataset_name(audio), label, tracks, rejects)
    raise ConfigError(f"unknown data set {dataset!r}: choose scores or folder")


def prepare(
    catalogue: Catalogue,
    features: Sequence[Representation],
    clip: ClipConfig,
    min_seconds: float,
    seed: int = 0,
    max_rejected: float = MAX_REJECTED,
) -> Manifest:
    """Extract what is missing, set aside what cannot be used, split, and write the manifest."""
    from tonearm.pipelines.extract import extract_features

    tracks, notes = drop_small_classes(catalogue.tracks)
    report = extract_features(
        tracks, features, clip, home.features_home(), min_seconds, load_rejects(catalogue.rejects_uri), max_rejected
    )
    rejects = [*catalogue.rejects, *report.rejects]
    save_rejects(catalogue.rejects_uri, rejects)
    unusable = {r.track_id for r in report.rejects}
    usable, more_notes = drop_small_classes([t for t in tracks if t.track_id not in unusable])
    split, split_notes = split_by_group(usable, seed)
    manifest = Manifest(catalogue.name, catalogue.label, split, (*notes, *more_notes, *split_notes))
    save_manifest(catalogue.manifest_uri, manifest)
    print(f"  {report.extracted} tracks extracted now ({report.bytes / 2**20:.0f} MiB), {report.stored} were there")
    _describe(manifest, rejects, catalogue.rejects_uri)
    return manifest


def features_of(space: SearchSpace) -> list[Representation]:
    """The distinct representations that a space's trials need."""
    distinct = {c.feature.store_name(): c.feature for c in space.sample()}
    return [distinct[name] for name in sorted(distinct)]


def _describe(manifest: Manifest, rejects: Sequence[Reject], where: str) -> None:
    counts = Counter((t.label, t.split) for t in manifest.tracks)
    groups = {c: len({t.group for t in manifest.tracks if t.label == c}) for c in manifest.classes}
    rows = [(manifest.label, "groups", *SPLITS)]
    rows += [(c, str(groups[c]), *(str(counts[c, s]) for s in SPLITS)) for c in manifest.classes]
    print(table(rows))
    for note in manifest.notes:
        print(f"  note: {note}")
    if rejects:
        reasons = ", ".join(f"{reason} {n}" for reason, n in Counter(r.reason for r in rejects).most_common())
        print(f"  set aside: {len(rejects)} ({reasons}); listed in {where}")


def main(
    dataset: Annotated[str, typer.Option(help="scores (made from music21's scores) or folder (your recordings)")],
    audio: Annotated[str, typer.Option(help="folder: where the recordings are")] = "",
    label: Annotated[str, typer.Option(help="folder, artist, album, genre or a column of tracks.csv")] = "folder",
    name: Annotated[str, typer.Option(help="what to call the data set; by default the folder's name")] = "",
    space: Annotated[str, typer.Option(help="extract what this search space needs")] = "demo",
    seed: Annotated[int, typer.Option(help="of the splits")] = 0,
    max_rejected: Annotated[float, typer.Option(help="fail if a larger share is unusable")] = MAX_REJECTED,
) -> None:
    """Extract features on Ray Data into the store under TONEARM_HOME; only what is missing is computed."""
    with cli_errors():
        chosen = SPACES[space]()
        chosen.check()
        catalogue = make_catalogue(dataset, audio, label, name)
        start_ray()
        base = chosen.base
        manifest = prepare(catalogue, features_of(chosen), base.clip, base.min_seconds, seed, max_rejected)
        print(f"data set {manifest.name}: {len(manifest.tracks)} tracks, signature {manifest.signature()}")


if __name__ == "__main__":
    typer.run(main)
