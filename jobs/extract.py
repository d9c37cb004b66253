"""From recordings to a data set that can be trained on: catalogue, features, rejects, splits.

python -m jobs.extract --dataset scores --space demo
python -m jobs.extract --dataset folder --audio ~/Music --label genre --features mel,cqt,chroma
python -m jobs.extract --dataset folder --audio ~/Music --features 'mel(n_mels=128),waveform' --out s3://bucket/music
python -m jobs.extract --dataset folder --audio ~/Music --features mel --position all --tail pad     # whole tracks
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from jobs.common import cli_errors
from search_spaces import SPACES
from tonearm.audio.windows import ClipConfig
from tonearm.core.errors import ConfigError
from tonearm.datasets import DatasetConfig
from tonearm.features import Representation
from tonearm.features.presets import PRESETS, parse_features
from tonearm.workflows.extraction_report import show_report
from tonearm.workflows.prepare import MAX_REJECTED, choose_dataset, make_catalogue, parse_fields, prepare


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
    clips = chosen.extractions()
    if len(clips) > 1:
        raise ConfigError(f"--space {space} varies the clip: python -m jobs.sweep {space} --data FOLDER extracts all")
    return chosen.representations(), chosen.trial.clip, chosen.trial.min_seconds


def main(
    dataset: Annotated[str, typer.Option(help=f"one of {', '.join(DatasetConfig.registry)}; folder: your recordings")],
    audio: Annotated[str, typer.Option(help="folder of the recordings, or of the data set's files")] = "",
    label: Annotated[str, typer.Option(help="folder: folder, artist, album, genre or a column of tracks.csv")] = "",
    option: Annotated[list[str] | None, typer.Option(help="another field of the data set, as in subset=medium")] = None,
    name: Annotated[str, typer.Option(help="what to call the data set; by default the folder's name")] = "",
    features: Annotated[
        str, typer.Option(help=f"representations: {', '.join(PRESETS)}; with fields as in 'mel(n_mels=128,hop=512)'")
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
        data = choose_dataset(dataset, audio, {**({"label": label} if label else {}), **parse_fields(option or [])})
        if not data.has_audio:
            raise ConfigError(f"data set {dataset} has no audio to extract features of: python -m jobs.train uses it")
        catalogue = make_catalogue(data, name)
        manifest, report = prepare(catalogue, wanted, clip, least, seed, max_rejected, device, descriptors)
        if report:
            show_report(manifest, wanted, clip, report)
        print(f"data set {manifest.name}: {len(manifest.tracks)} tracks, signature {manifest.signature()}")


if __name__ == "__main__":
    typer.run(main)
