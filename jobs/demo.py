"""The whole way with one command: recordings, features, sweep, ensemble, recommender, an answer from the server.

python -m jobs.demo
python -m jobs.demo --audio ~/Music --label genre
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs import recommend, select, serve, sweep
from jobs.common import Steps, cli_errors
from search_spaces import SPACES
from serve.settings import AppArgs
from tonearm.core import home, storage
from tonearm.core.seeding import digest
from tonearm.core.text import format_table
from tonearm.datasets.manifest import Manifest, Track
from tonearm.recommend.evaluate import HitRate
from tonearm.sweeps import SearchSpace
from tonearm.tracking.query import champion_uri
from tonearm.training.evaluate import Scores
from tonearm.workflows.defaults import MAX_REJECTED
from tonearm.workflows.prepare import choose_dataset, make_catalogue, prepare_catalogue
from tonearm.workflows.ray_session import start_ray
from tonearm.workflows.sweep_setup import prepare_sweep

SECONDS_A_TRACK = 0.06  # decoding and three spectrograms, one core; measured on 2 cores with 30 s MP3
SECONDS_A_WINDOW = 0.015  # a training step, a 10 s window, one core
ASHA_SHARE = 0.5  # of the epochs that a sweep without stopping would train
FIXED_SECONDS = 60.0  # starting Ray, workers and the server; selecting and registering


def estimate(tracks: int, space: SearchSpace, cores: int) -> float:
    """About how many seconds the demo takes on recordings that lie ready."""
    trial = space.trial
    epochs = space.trials * trial.optim.epochs * ASHA_SHARE
    windows = tracks * (0.6 * trial.window.train_per_track + 0.2 * trial.window.per_track / 3)
    return FIXED_SECONDS + (tracks * SECONDS_A_TRACK + epochs * windows * SECONDS_A_WINDOW) / cores


def held_out(manifest: Manifest) -> Track:
    """A test track, the same one every time."""
    return min(manifest.of("test"), key=lambda t: digest("held-out", t.track_id))


def ask(url: str, track: Track) -> dict[str, Any]:
    """Send a track's audio to both endpoints, as any client would, and print the answers."""
    import httpx

    audio = storage.read_bytes(track.source)
    upload = {"audio": (Path(track.source).name, io.BytesIO(audio), "application/octet-stream")}
    answer = httpx.post(f"{url}/v1/classify", files=upload, timeout=60).raise_for_status().json()
    upload = {"audio": (Path(track.source).name, io.BytesIO(audio), "application/octet-stream")}
    found = httpx.post(f"{url}/v1/recommend", params={"k": 6}, files=upload, timeout=60).raise_for_status().json()
    print(f"  asked with a clip held out from training: {track.name} ({track.artist or 'artist unknown'})")
    print(format_table([("truth", track.label)]))
    print(format_table([(f"answer {i}", p["label"], f"{p['probability']:.3f}")
                 for i, p in enumerate(answer["probabilities"][:3], 1)]))  # fmt: skip
    # The catalogue holds the clip itself, which is no recommendation.
    others = [n for n in found["neighbours"] if n["track_id"] != track.track_id][:5]
    rows = [("similarity", "neighbour", "artist", "label")]
    rows += [(f"{n['similarity']:.3f}", n["title"] or n["track_id"], n["artist"] or "", n["label"]) for n in others]
    print(format_table(rows))
    return {"track": track.track_id, "truth": track.label, "answer": answer, "neighbours": others}


def summarise(
    manifest: Manifest, selection: select.Selection, rates: dict[str, HitRate], steps: Steps, answer: dict[str, Any]
) -> None:
    """Print and keep what a person wants to know at the end."""
    label = rates[manifest.label]
    first, *others = selection.ensemble.intervals
    chance = "" if selection.chance is None else f"chance {selection.chance:.3f}"

    def row(name: str, scores: Scores) -> tuple[str, ...]:
        rest = ", ".join(f"{select.metric_name(m)} {select.format_with_interval(scores.intervals[m])}" for m in others)
        return name, select.format_with_interval(scores.intervals[first]), rest

    print(f"\n=== {manifest.name}: {len(manifest.tracks)} tracks, {len(manifest.classes)} classes ({manifest.label})")
    print(format_table([
        row(f"test {select.metric_name(first)}", selection.ensemble),
        row("best single trial", selection.single),
        (selection.trivial_name, select.rounded(selection.trivial[first]), chance),
        (f"any of {label.k} neighbours of own {manifest.label}", f"{label.at_least_one:.3f}",
         f"chance {label.chance_at_least_one:.3f}"),
    ]))  # fmt: skip
    seconds = ", ".join(f"{name.split(':')[0]} {s:.0f}" for name, s in steps.seconds.items())
    print(f"  seconds: {seconds}; in all {sum(steps.seconds.values()):.0f}")
    for note in manifest.notes:
        print(f"  note: {note}")
    reports = home.reports_home(manifest.name)
    storage.write_json(storage.join(reports, "summary.json"), {
        "dataset": manifest.name, "tracks": len(manifest.tracks), "classes": list(manifest.classes),
        "test": selection.ensemble.to_dict(), "best_single": selection.single.to_dict(),
        "trivial": selection.trivial, "chance": selection.chance, "seconds": steps.seconds,
        "hit_rate": {k: vars(v) for k, v in rates.items()}, "answer": answer, "notes": list(manifest.notes),
    })  # fmt: skip
    print(f"""  plots and summary  {reports}
  MLflow database    {home.tracking_uri()}
next:
  make mlflow                            compare the trials in a browser
  make serve                             the server stays up; ask it with curl (README)
  make demo AUDIO=~/Music LABEL=genre    your own recordings""")


def main(
    audio: Annotated[str, typer.Option(help="folder with your recordings; without it scores are rendered")] = "",
    label: Annotated[str, typer.Option(help="folder, artist, album, genre or a column of tracks.csv")] = "folder",
    name: Annotated[str, typer.Option(help="what to call the data set; by default the folder's name")] = "",
    space: Annotated[str, typer.Option(help="search space")] = "demo",
    trials: Annotated[int, typer.Option(help="draw so many trials; 0: as the space says")] = 0,
    epochs: Annotated[int, typer.Option(help="at most so many epochs a trial; 0: as the space says")] = 0,
    seed: Annotated[int, typer.Option(help="of the splits")] = 0,
    max_rejected: Annotated[float, typer.Option(help="fail if a larger share is unusable")] = MAX_REJECTED,
    port: Annotated[int, typer.Option(help="of the server; 0: any free one")] = 0,
) -> None:
    """From recordings to a served answer. What is finished is kept: a second run goes on, or recomputes nothing."""
    with cli_errors():
        run(audio, label, name, space, trials, epochs, seed, max_rejected, port)


def run(
    audio: str,
    label: str,
    name: str,
    space_name: str,
    trials: int,
    epochs: int,
    seed: int,
    max_rejected: float,
    port: int,
) -> None:
    """The six steps."""
    space = sweep.resize(SPACES[space_name](), trials, epochs)
    space.check()
    steps, cores = Steps(), os.cpu_count() or 1
    print(f"Tonearm demo on {cores} cores; everything is kept in {home.home()}")
    with steps.step("Catalogue: recordings and their labels"):
        chosen = choose_dataset("folder", audio, {"label": label}) if audio else choose_dataset("scores")
        catalogue = make_catalogue(chosen, name)
        seconds = estimate(len(catalogue.tracks), space, cores)
        print(
            f"  {len(catalogue.tracks)} recordings; about {seconds / 60:.0f} minutes from here if nothing is done yet"
        )
    with steps.step("Features: mel spectrograms at every window length of the sweep"):
        start_ray()
        data = prepare_catalogue(
            catalogue, space.representations(), space.trial.clip, space.trial.min_seconds, seed, max_rejected
        )
        print(data.describe())
        manifest = data.manifest
    planned = prepare_sweep(space_name, space, {"": manifest})
    with steps.step(f"Sweep: {space.trials} trials on Ray Tune, logged to MLflow"):
        results = sweep.run(planned)
    with steps.step("Select: greedy ensemble on validation, scored once on test"):
        selection = select.run(planned, results)
    with steps.step("Recommend: neighbours in the champion's embedding"):
        rates = recommend.run(manifest, champion_uri(manifest.name))
    with steps.step("Serve: ask the champion over HTTP"):
        url = serve.start(AppArgs(model=champion_uri(manifest.name)), port=port)
        try:
            answer = ask(url, held_out(manifest))
        finally:
            serve.stop()
    import ray

    ray.shutdown()
    summarise(manifest, selection, rates, steps, answer)


if __name__ == "__main__":
    typer.run(main)
