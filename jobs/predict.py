"""Classify audio files with a model: a table, or CSV.

tonearm predict song.mp3 other.flac                                          # with the last champion
tonearm predict ~/Music/new/*.mp3 --model models:/tonearm-music@champion --csv > answers.csv
"""

from __future__ import annotations

import csv
import sys
from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.core import storage
from tonearm.core.errors import AudioError, ConfigError
from tonearm.core.text import format_table
from tonearm.core.threads import limit_threads


def main(
    files: Annotated[list[str], typer.Argument(help="audio files, or URIs")],
    model: Annotated[str, typer.Option(help="folder, URI or models:/NAME@ALIAS; by default the last champion")] = "",
    top: Annotated[int, typer.Option(min=1, help="so many answers for each file")] = 3,
    as_csv: Annotated[bool, typer.Option("--csv", help="a row for each answer: file, rank, label, value")] = False,
) -> None:
    """Say what each recording is, most probable first; files that are no usable audio are named at the end."""
    with cli_errors():
        absent = [f for f in files if storage.is_local(f) and not storage.local_path(f).is_file()]
        if absent:
            raise ConfigError(f"{', '.join(absent)}: no such file; give audio files, as in ~/Music/*.mp3")
        if model and storage.is_local(model) and not model.startswith("models:/") and not storage.exists(model):
            raise ConfigError(f"--model {model}: no such folder; give one, a URI or models:/NAME@champion")
        limit_threads()
        from serve.launch import default_model
        from tonearm.inference import load

        chosen = model or default_model()
        classifier = load(chosen)
        answers: dict[str, list[tuple[str, float]]] = {}
        unusable: dict[str, str] = {}
        for file in files:
            try:
                answers[file] = classifier.predict(file).top(top)
            except AudioError as error:
                unusable[file] = str(error)
        if as_csv:
            writer = csv.writer(sys.stdout)
            writer.writerow(("file", "rank", "label", "value"))
            writer.writerows((f, i, label, f"{p:.6g}") for f, a in answers.items() for i, (label, p) in enumerate(a, 1))
        elif answers:
            print(f"answers of {chosen}:")
            print(format_table([(file, *(f"{label} {p:.3f}" for label, p in a)) for file, a in answers.items()]))
        for file, reason in unusable.items():
            print(f"not classified: {file}: {reason}", file=sys.stderr)
        if unusable:
            sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
