"""A report as data: sections of sentences, tables and plots, written as one self-contained page and as Markdown."""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonearm.core import storage
from tonearm.core.best_effort import best_effort
from tonearm.core.figures import png
from tonearm.core.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HTML, MARKDOWN = "comparison.html", "comparison.md"
SHORT = 26  # characters of a cell that stands on one line, such as a figure with its interval


@dataclass(frozen=True)
class Table:
    """Cells as text; ``note`` explains how to read them, ``folded`` is the line that a page shows in its place."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    folded: str = ""


@dataclass(frozen=True)
class Plot:
    """A plot, the name of its file without its suffix, and a caption that explains how to read it."""

    name: str
    figure: Figure
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of a report."""

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()


@dataclass(frozen=True)
class Document:
    """A report, which begins with its summary."""

    title: str
    summary: Sequence[str]
    sections: Sequence[Section]


def draw_plot(name: str, caption: str, draw: Callable[..., Figure | None], *args: Any) -> list[Plot]:
    """A plot as a list of one; of none if there is nothing to draw, or it cannot be drawn, which is told."""
    figure = best_effort(f"the plot {name}", draw, *args)
    return [] if figure is None else [Plot(name, figure, caption)]


def write_document(document: Document, folder: str) -> list[str]:
    """Write ``comparison.html``, ``comparison.md`` and the plots to a folder at any URI; returns the files' URIs."""
    document, pictures = _rendered(document)
    files = {
        HTML: to_html(document, pictures).encode(),
        MARKDOWN: to_markdown(document).encode(),
        **{f"{name}.png": data for name, data in pictures.items()},
    }
    for name, data in files.items():
        storage.write_bytes(storage.join(folder, name), data)
    return [storage.join(folder, name) for name in files]


def write_page(document: Document, uri: str) -> None:
    """Write the page alone, which holds its plots, to a file at any URI."""
    storage.write_bytes(uri, to_html(*_rendered(document)).encode())


def to_html(document: Document, pictures: Mapping[str, bytes]) -> str:
    """One page that needs nothing beside it: no script, no style sheet, no picture elsewhere.

    Parameters
    ----------
    pictures
        PNG by the name of its plot.
    """
    import jinja2
    import markupsafe

    page = Path(__file__).with_name("comparison_page.html").read_text("utf-8")
    strict = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )  # fmt: skip
    encoded = {name: markupsafe.Markup(base64.b64encode(data).decode()) for name, data in pictures.items()}
    return strict.from_string(page).render(document=document, pictures=encoded, short=SHORT)


def to_markdown(document: Document) -> str:
    """The same for a text editor, with the plots as files beside it."""
    parts = [f"# {_plain(document.title)}", *(f"**{_plain(line)}**" for line in document.summary)]
    for section in document.sections:
        parts += [f"## {_plain(section.title)}", *map(_plain, section.text)]
        for table in section.tables:
            parts += [_plain(text) for text in [table.folded] if text]
            parts += [_markdown_table(table), *([_plain(table.note)] if table.note else [])]
        for plot in section.plots:
            parts += [f"![{_plain(plot.name)}]({plot.name}.png)", _plain(plot.caption)]
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    rows = [list(table.columns), ["---"] * len(table.columns), *table.rows]
    return "\n".join("| " + " | ".join(_plain(cell) if cell != "---" else cell for cell in row) + " |" for row in rows)


def _plain(text: str) -> str:
    """A text in which nothing is taken for a mark of Markdown or of HTML."""
    text = printable(text.replace("\n", " "))
    text = re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", text.replace("&", "&amp;"))
    # Within a word an underscore marks nothing, and brackets are a link only where something follows them at once.
    return re.sub(r"([\\|*`]|(?<!\w)_|_(?!\w)|\](?=[(\[:]))", r"\\\1", text)


def _rendered(document: Document) -> tuple[Document, dict[str, bytes]]:
    """Each plot as PNG by its name, and the document without those that cannot be drawn, which are told."""
    made = {p.name: best_effort(f"the plot {p.name}", png, p.figure) for s in document.sections for p in s.plots}
    pictures = {name: data for name, data in made.items() if data is not None}
    sections = [dataclasses.replace(s, plots=[p for p in s.plots if p.name in pictures]) for s in document.sections]
    return dataclasses.replace(document, sections=sections), pictures
