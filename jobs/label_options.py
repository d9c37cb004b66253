"""Options on how labels are read, which every job that prepares recordings takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from tonearm.core.errors import ConfigError
from tonearm.core.text import parse_fields

Options = Annotated[
    list[str] | None, typer.Option("--option", help="another field of the data set, as in subset=medium")
]
MergeLabels = Annotated[
    bool, typer.Option("--merge-labels", help="folder: labels that differ in case, spaces or hyphens are one")
]
SeveralLabels = Annotated[
    str, typer.Option(metavar="[first|all]", help="folder: of several labels in one tag or cell the first, or all")
]
Separator = Annotated[str, typer.Option(help="folder: what is between several labels in one tag or cell, as in '/'")]


def dataset_fields(
    option: Sequence[str] | None, merge_labels: bool = False, several_labels: str = "", separator: str = ""
) -> dict[str, object]:
    """Fields of a data set's config, from ``--option`` and from the options that have names of their own.

    Raises
    ------
    ConfigError
        If one is given both ways, or ``--option`` cannot be read.
    """
    named = {"merge_labels": merge_labels, "several_labels": several_labels, "separator": separator}
    given = {name: value for name, value in named.items() if value}
    fields = parse_fields(option or [])
    if twice := sorted(given.keys() & fields.keys()):
        raise ConfigError(f"{twice[0]} is given twice, by an option of this name and by --option: leave one out")
    return {**given, **fields}
