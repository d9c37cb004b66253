"""From recordings to a data set that can be trained on: catalogue, features, rejects, splits.

python -m jobs.extract --dataset scores --space demo
python -m jobs.extract --dataset folder --audio ~/Music --label genre --features mel,cqt,chroma
python -m jobs.extract --dataset folder --audio ~/Music --features 'mel(n_mels=128),waveform' --out s3://bucket/music
python -m jobs.extract --dataset folder --audio ~/Music --features mel --position all --tail pad     # whole tracks
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.common import cli_errors, start_ray, table
from jobs.extraction_report import show_report
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
from tonearm.features.names import NAMED, parse_features
from tonearm.sweeps import SearchSpace

if TYPE_CHECKING:
    from tonearm.pipelines.extract import ExtractionReport

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
    device: str = "cpu",
    descriptors: bool = False,
) -> tuple[Manifest, ExtractionReport]:
    """Extract what is missing, set aside what cannot be used, split, and write the manifest last."""
    from tonearm.pipelines.extract import extract_features, require_usable

    tracks, notes = drop_small_classes(catalogue.tracks)
    known = load_rejects(catalogue.rejects_uri)
    report = extract_features(tracks, features, clip, home.features_home(), min_seconds, known, device, descriptors)
    rejects = [*catalogue.rejects, *report.rejects]
    save_rejects(catalogue.rejects_uri, rejects)
    require_usable(report, tracks, max_rejected, catalogue.rejects_uri)
    unusable = {r.track_id for r in report.rejects}
    usable, more_notes = drop_small_classes([t for t in tracks if t.track_id not in unusable])
    split, split_notes = split_by_group(usable, seed, together=report.duplicates)
    if report.duplicates:
        split_notes.append(
            f"{len(report.duplicates)} recording(s) occur more than once, e.g. {' = '.join(report.duplicates[0])}: "
            "each is kept in one split"
        )
    manifest = Manifest(catalogue.name, catalogue.label, split, (*notes, *more_notes, *split_notes))
    save_manifest(catalogue.manifest_uri, manifest)
    written = sum(report.bytes.values()) / 2**20
    print(f"  {report.extracted} tracks extracted now ({written:.0f} MiB), {report.stored} were there")
    _describe(manifest, rejects, catalogue.rejects_uri)
    return manifest, report


def features_of(space: SearchSpace) -> list[Representation]:
    """The distinct representations that a space's trials need."""
    distinct = {c.feature.store_name(): c.feature for c in space.sample()}
    return [distinct[name] for name in sorted(distinct)]


def _request(
    features: str, space: str, clip: dict[str, object], min_seconds: float | None
) -> tuple[list[Representation], ClipConfig, float]:
    """Representations, clips and least length: of the options, or of a search space; never half of each."""
    if features:
        if space:
            raise ConfigError(f"--features {features} and --space {space} exclude each other: leave one out")
        config, least = ClipConfig.from_dict(clip), 1.0 if min_seconds is None else min_seconds
        if not 0 < least <= config.seconds:
            raise ConfigError(
                f"--min-seconds is {least:g}: it must be above 0 and at most a clip's {config.seconds:g} s"
            )
        return parse_features(features), config, least
    if clip or min_seconds is not None:
        options = ", ".join(
            f"--{name.replace('_', '-')}" for name in [*clip, *(["min_seconds"] if min_seconds else [])]
        )
        raise ConfigError(f"{options}: a search space says this itself; give them with --features")
    chosen = SPACES[space or "demo"]()
    chosen.check()
    return features_of(chosen), chosen.base.clip, chosen.base.min_seconds


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
    features: Annotated[
        str, typer.Option(help=f"representations: {', '.join(NAMED)}; with fields as in 'mel(n_mels=128,hop=512)'")
    ] = "",
    space: Annotated[str, typer.Option(help="instead: what this search space needs, demo by default")] = "",
    out: Annotated[str, typer.Option(help="folder or URI for everything that is made; default TONEARM_HOME")] = "",
    seconds: Annotated[float | None, typer.Option(help="with --features: length of a clip; 30")] = None,
    position: Annotated[str | None, typer.Option(help="start, middle (default) or all (the whole track)")] = None,
    hop: Annotated[
        float | None, typer.Option(help="--position all: seconds between clips; by default no overlap")
    ] = None,
    tail: Annotated[str | None, typer.Option(help="a clip that the track ends in: drop (default), pad, wrap")] = None,
    min_seconds: Annotated[float | None, typer.Option(help="shorter tracks are set aside; 1")] = None,
    device: Annotated[str, typer.Option(help="cpu, or cuda: CPU workers decode, GPU workers compute")] = "cpu",
    descriptors: Annotated[bool, typer.Option(help="tempo, key, loudness ... of each track, too")] = False,
    seed: Annotated[int, typer.Option(help="of the splits")] = 0,
    max_rejected: Annotated[float, typer.Option(help="fail if a larger share is unusable")] = MAX_REJECTED,
) -> None:
    """Extract features on Ray Data into a store; only what is missing is computed, and a killed job goes on."""
    with cli_errors():
        if out:
            os.environ["TONEARM_HOME"] = out  # one home for features, manifest and report
        given = {"seconds": seconds, "position": position, "hop": hop, "tail": tail}
        wanted, clip, least = _request(features, space, {k: v for k, v in given.items() if v is not None}, min_seconds)
        if not 0 <= max_rejected <= 1:
            raise ConfigError(f"--max-rejected is {max_rejected}: a share is within 0 and 1")
        catalogue = make_catalogue(dataset, audio, label, name)
        start_ray()
        manifest, report = prepare(catalogue, wanted, clip, least, seed, max_rejected, device, descriptors)
        show_report(manifest, wanted, clip, report)
        print(f"data set {manifest.name}: {len(manifest.tracks)} tracks, signature {manifest.signature()}")


if __name__ == "__main__":
    typer.run(main)
