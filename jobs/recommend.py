"""How good the champion's neighbours are, beside chance.

python -m jobs.recommend --dataset scores
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.core.errors import ConfigError
from tonearm.core.text import format_table
from tonearm.core.threads import limit_threads
from tonearm.datasets.manifest import Manifest, load_manifest
from tonearm.inference import load_recommender
from tonearm.recommend.evaluate import HitRate, hit_rate
from tonearm.tracking.query import champion_uri
from tonearm.workflows.prepared import manifest_uri

K = 5


def run(manifest: Manifest, model: str) -> dict[str, HitRate]:
    """Hit rates of the test tracks among all others: by label, and by artist where a label has several."""
    index = load_recommender(model).index
    queries = [t.track_id for t in manifest.of("test")]
    rates = {manifest.label: hit_rate(index, "label", queries, K)}
    # An artist counts where a label has several: else "same artist" is another word for "same label".
    artists: dict[str, Counter[str]] = {}
    for t in manifest.tracks:
        if t.artist:
            artists.setdefault(t.label, Counter())[t.artist] += 1
    varied = {label for label, counts in artists.items() if len(counts) > 1}
    by_artist = [t.track_id for t in manifest.of("test") if t.artist and t.label in varied]
    try:
        rates["artist"] = hit_rate(index, "artist", by_artist, K)
    except ConfigError as error:
        print(f"  note: {error}")
    _describe(rates, len(index.tracks))
    return rates


def _describe(rates: dict[str, HitRate], tracks: int) -> None:
    rows = [("neighbours share their", "queries", f"any of {K}", "chance", f"share of {K}", "chance")]
    for field, r in rates.items():
        rows.append((field, str(r.queries), f"{r.at_least_one:.3f}", f"{r.chance_at_least_one:.3f}",
                     f"{r.precision:.3f}", f"{r.chance_precision:.3f}"))  # fmt: skip
    print(f"  catalogue of {tracks} tracks, queries from the test split, a query is not its own neighbour:")
    print(format_table(rows))


def main(
    dataset: Annotated[str, typer.Option(help="data set, as jobs.extract named it")] = "scores",
    model: Annotated[str, typer.Option(help="folder, URI or models:/NAME@ALIAS; by default the champion")] = "",
) -> None:
    """Measure the recommender: hit rate at 5 of a track's own label and artist."""
    with cli_errors():
        limit_threads()
        manifest = load_manifest(manifest_uri(dataset))
        run(manifest, model or champion_uri(manifest.name))


if __name__ == "__main__":
    typer.run(main)
