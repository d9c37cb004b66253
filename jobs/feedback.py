"""What listeners did with what they were shown, as training data and as a report.

tonearm feedback                                             # counts; plays.csv and pairs.csv in the home's data
tonearm feedback --out ~/likes --format parquet --model models:/tonearm-scores@champion
"""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.core.text import printable
from tonearm.workflows.preflight import preflight


def main(
    out: Annotated[str, typer.Option(help="folder or URI; by default feedback in the home's data")] = "",
    model: Annotated[str, typer.Option(help="whose catalogue knows the artists: relations of artists, too")] = "",
    fmt: Annotated[str, typer.Option("--format", help="csv or parquet")] = "csv",
) -> None:
    """Export feedback in the layout that data set artists reads, and count it."""
    with cli_errors():
        preflight(tracks=model.startswith("models:"))
        from tonearm.workflows.feedback import export_feedback

        print(printable(str(export_feedback(out, model=model, fmt=fmt)), keep="\n"))


if __name__ == "__main__":
    typer.run(main)
