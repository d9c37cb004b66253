"""Classify audio files with a model: a table, or CSV.

tonearm predict song.mp3 other.flac                                          # with the last champion
tonearm predict ~/Music/new --model models:/tonearm-music@champion --csv > answers.csv
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.common import cli_errors
from tonearm.core.progress import Progress
from tonearm.core.text import format_table, printable
from tonearm.core.threads import limit_threads
from tonearm.workflows.preflight import preflight

if TYPE_CHECKING:
    from tonearm.workflows.classify import ClassifiedFiles


class _Answers:
    """Prints what is known, also of work that is broken off: rows of CSV as they come, a table at the end."""

    def __init__(self, as_csv: bool) -> None:
        self._writer = csv.writer(sys.stdout) if as_csv else None
        self._progress: Progress | None = None
        self._result: ClassifiedFiles | None = None
        if self._writer:
            self._writer.writerow(("file", "rank", "label", "value"))

    def add(self, result: ClassifiedFiles, file: str, total: int) -> None:
        """Take the answers so far, the last of which is that of the file."""
        self._result = result
        if self._writer:
            labels = result.labels.get(file, ())
            self._writer.writerows((file, i, label, f"{p:.6g}") for i, (label, p) in enumerate(labels, 1))
            sys.stdout.flush()
        if total > 1:
            self._progress = self._progress or Progress("files classified", total, on_stderr=True)
            self._progress.add()

    def __enter__(self) -> _Answers:
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress:
            self._progress.__exit__(None, None, None)
        if self._result and self._result.labels and not self._writer:
            print(f"answers of {self._result.model}:")
            rows = self._result.labels.items()
            print(format_table([(file, *(f"{label} {p:.3f}" for label, p in a)) for file, a in rows]), flush=True)


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

        with _Answers(as_csv) as answers:
            result = classify(files, model=model, top=top, heard=answers.add)
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
