"""From recordings to a data set that can be trained on: catalogue, features, rejects, splits.

tonearm extract --dataset scores --space demo
tonearm extract --dataset folder --audio ~/Music --label genre --features mel,cqt,chroma
tonearm extract --dataset folder --audio ~/Music --features 'mel(n_mels=128),waveform' --out s3://bucket/music
tonearm extract --dataset folder --audio ~/Music --features mel --position all --tail pad     # whole tracks
"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from jobs.common import DATASETS, DEVICES, FEATURES, cli_errors, require_folder
from jobs.known_names import find_space
from jobs.label_options import MergeLabels, Options, Separator, SeveralLabels, dataset_fields
from tonearm.core import home
from tonearm.core.errors import ConfigError
from tonearm.core.text import command
from tonearm.workflows.defaults import MAX_REJECTED
from tonearm.workflows.preflight import preflight
from tonearm.workflows.prepared_names import require_kind
from tonearm.workflows.ray_address import check_ray_address

Position = Literal["start", "middle", "all"]
Tail = Literal["drop", "pad", "wrap"]


def main(
    dataset: Annotated[str, typer.Option(help=f"folder: your recordings; all kinds: {DATASETS}")],
    audio: Annotated[str, typer.Option(help="folder of the recordings (s3:// too), or of the data set's files")] = "",
    label: Annotated[str, typer.Option(help="folder: folder, artist, album, genre or a column of tracks.csv")] = "",
    option: Options = None,
    merge_labels: MergeLabels = False,
    several_labels: SeveralLabels = "",
    separator: Separator = "",
    name: Annotated[str, typer.Option(help="what to call the data set; by default the folder's name")] = "",
    features: Annotated[
        str,
        typer.Option(help=f"representations, with fields or not, 'mel(hop=512)': {FEATURES}; or an encoder, musicnn"),
    ] = "",
    space: Annotated[str, typer.Option(help="instead: what this search space needs, demo by default")] = "",
    out: Annotated[str, typer.Option(help="folder or URI for everything that is made; default TONEARM_HOME")] = "",
    seconds: Annotated[float | None, typer.Option(help="with --features: length of a clip; 30")] = None,
    position: Annotated[Position | None, typer.Option(help="where a clip lies; middle. all: the whole track")] = None,
    hop: Annotated[
        float | None, typer.Option(help="--position all: seconds between clips; by default no overlap")
    ] = None,
    tail: Annotated[Tail | None, typer.Option(help="what becomes of a clip that the track ends in; drop")] = None,
    min_seconds: Annotated[float | None, typer.Option(help="shorter tracks are set aside; 1")] = None,
    device: Annotated[str, typer.Option(metavar=DEVICES, help="cuda: CPU workers decode, GPU workers compute")] = "cpu",
    descriptors: Annotated[bool, typer.Option("--descriptors", help="tempo, key, loudness ... of tracks")] = False,
    seed: Annotated[int, typer.Option(help="number that the splits follow from; another one deals them anew")] = 0,
    max_rejected: Annotated[float, typer.Option(min=0, max=1, help="largest share of unusable files")] = MAX_REJECTED,
) -> None:
    """Extract features on Ray Data into a store; only what is missing is computed, and a killed job goes on."""
    with cli_errors():
        if out:
            check_ray_address(out)  # as it was typed: a relative one is made absolute here
            home.set_home(out)  # one home for features, manifest and report
        require_kind(dataset)
        require_folder("--audio", audio)
        preflight(uses_ray=True, tracks="://" not in out)  # features may lie where no database can
        from tonearm.workflows.extraction_request import what_to_extract
        from tonearm.workflows.prepare import choose_dataset, prepare

        fields = dataset_fields(option, merge_labels, several_labels, separator)
        data = choose_dataset(dataset, audio, {**({"label": label} if label else {}), **fields})
        if not data.has_audio:
            raise ConfigError(f"data set {dataset} has no audio to extract features of: {command('train')} uses it")
        given = {"seconds": seconds, "position": position, "hop": hop, "tail": tail}
        given = {k: v for k, v in given.items() if v is not None}
        wanted, clip, least = what_to_extract(features, space, given, min_seconds, find_space)
        print(prepare(data, features=wanted, clip=clip, min_seconds=least, name=name, seed=seed, device=device,
                      max_rejected=max_rejected, descriptors=descriptors, classes=None))  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
