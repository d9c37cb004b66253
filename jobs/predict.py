"""Classify audio files with a model: a few at once, or a back catalogue into a table.

tonearm predict song.mp3 other.flac                                          # with the last champion
tonearm predict ~/Music/new --model models:/tonearm-music@champion --csv > answers.csv
tonearm predict ~/Music --out answers.parquet    # all classes, neighbours; stopped, it goes on where it was
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.common import cli_errors
from tonearm.core.errors import ConfigError
from tonearm.core.progress import Progress
from tonearm.core.text import format_table, printable
from tonearm.core.threads import limit_threads
from tonearm.workflows.preflight import preflight

if TYPE_CHECKING:
    from tonearm.workflows.classify import ClassifiedFiles


@contextmanager
def _printed(as_csv: bool, top: int) -> Iterator[Callable[[ClassifiedFiles, str, int], None]]:
    """Prints what is known, also of work that is broken off: rows of CSV as they come, a table at the end."""
    writer = csv.writer(sys.stdout)
    known: list[ClassifiedFiles] = []

    def add(result: ClassifiedFiles, file: str, total: int) -> None:
        known[:], progress.total = [result], total
        if as_csv:
            writer.writerows(result.rows(file, top))
            sys.stdout.flush()
        if total > 1:
            progress.add()

    if as_csv:
        writer.writerow(("file", "rank", "label", "value"))
    try:
        with Progress("files classified", 0, on_stderr=True) as progress:
            yield add
    finally:
        if known and known[0].answers and not as_csv:
            rows = [(file, *answer.brief(top)) for file, answer in known[0].answers.items()]
            print(f"answers of {known[0].model}:", format_table(rows), *known[0].reasons(), sep="\n", flush=True)


def main(
    files: Annotated[list[str], typer.Argument(help="audio files, folders of them, URIs, or .txt lists of these")],
    model: Annotated[str, typer.Option(help="folder, URI or models:/NAME@ALIAS; by default the last champion")] = "",
    top: Annotated[int, typer.Option(min=1, help="so many answers for each file")] = 3,
    out: Annotated[str, typer.Option(help="a .parquet or .csv of all labels' values; goes on if it was stopped")] = "",
    neighbours: Annotated[int, typer.Option(min=0, help="with --out, so many of the model's catalogue")] = 5,
    as_csv: Annotated[bool, typer.Option("--csv", help="a row for each answer: file, rank, label, value")] = False,
) -> None:
    """Say what each recording is, most probable first; files that are no usable audio are named at the end."""
    with cli_errors():
        preflight(uses_ray=bool(out), writes=bool(out), tracks=not model or model.startswith("models:"))
        limit_threads()
        if out and as_csv:
            raise ConfigError("--csv prints a few answers, --out writes all of them to a file: give one of the two")
        if out:
            from tonearm.workflows.predict_files import predict_files

            print(printable(str(predict_files(files, out, model=model, neighbours=neighbours)), keep="\n"))
            return
        from tonearm.workflows.classify import classify

        with _printed(as_csv, top) as heard:
            result = classify(files, model=model, heard=heard)
        for line in result.messages():
            print(line, file=sys.stderr)
        if result.unusable:
            sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
