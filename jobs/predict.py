"""Classify audio files with a model: a table, or CSV.

tonearm predict song.mp3 other.flac                                          # with the last champion
tonearm predict ~/Music/new --model models:/tonearm-music@champion --csv > answers.csv
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.common import cli_errors
from tonearm.core.progress import Progress
from tonearm.core.text import format_table, printable
from tonearm.core.threads import limit_threads
from tonearm.workflows.preflight import preflight

if TYPE_CHECKING:
    from tonearm.workflows.classify import ClassifiedFiles


@contextmanager
def _printed(as_csv: bool) -> Iterator[Callable[[ClassifiedFiles, str, int], None]]:
    """Prints what is known, also of work that is broken off: rows of CSV as they come, a table at the end."""
    writer = csv.writer(sys.stdout)
    known: list[ClassifiedFiles] = []

    def add(result: ClassifiedFiles, file: str, total: int) -> None:
        known[:], progress.total = [result], total
        if as_csv:
            writer.writerows(
                (file, i, label, f"{p:.6g}") for i, (label, p) in enumerate(result.labels.get(file, ()), 1)
            )
            sys.stdout.flush()
        if total > 1:
            progress.add()

    if as_csv:
        writer.writerow(("file", "rank", "label", "value"))
    try:
        with Progress("files classified", 0, on_stderr=True) as progress:
            yield add
    finally:
        if known and known[0].labels and not as_csv:
            rows = [(file, *(f"{label} {p:.3f}" for label, p in answers)) for file, answers in known[0].labels.items()]
            print(f"answers of {known[0].model}:", format_table(rows), sep="\n", flush=True)


def main(
    files: Annotated[list[str], typer.Argument(help="audio files, folders of them, or URIs")],
    model: Annotated[str, typer.Option(help="folder, URI or models:/NAME@ALIAS; by default the last champion")] = "",
    top: Annotated[int, typer.Option(min=1, help="so many answers for each file")] = 3,
    as_csv: Annotated[bool, typer.Option("--csv", help="a row for each answer: file, rank, label, value")] = False,
) -> None:
    """Say what each recording is, most probable first; files that are no usable audio are named at the end."""
    with cli_errors():
        preflight(writes=False, tracks=not model or model.startswith("models:"))
        limit_threads()
        from tonearm.workflows.classify import classify

        with _printed(as_csv) as heard:
            result = classify(files, model=model, top=top, heard=heard)
        for file, reason in result.unusable.items():
            print(f"not classified: {printable(file)}: {printable(reason)}", file=sys.stderr)
        for note in result.notes:
            print(f"note: {printable(note)}", file=sys.stderr)
        if result.unusable:
            reasons = Counter(reason.partition(":")[0] for reason in result.unusable.values())
            counts = ", ".join(f"{reason} {n}" for reason, n in reasons.most_common())
            files_seen = len(result.unusable) + len(result.labels)
            print(f"set aside: {len(result.unusable)} of {files_seen} ({counts})", file=sys.stderr)
            sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
