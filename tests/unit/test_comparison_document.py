"""A report is one page that needs nothing else, and the same as Markdown."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from tonearm.comparison.document import Document, Plot, Section, Table, to_html, to_markdown, write_document

EVIL = "<script>alert('x')</script>"
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Reads a page; an end tag without its beginning is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def document(name: str = "a name") -> Document:
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    table = Table(["", "candidate"], [["A", name], ["B", "x | y"]], "a note")
    return Document(f"title {name}", [f"{name} is better", "*really*"], [
        Section("Table", [f"of {name}"], [table], [Plot("scores", figure, f"caption of {name}")]),
        Section("Words only", ["the end"]),
    ])  # fmt: skip


def markdown_tables(text: str) -> list[list[str]]:
    """The rows of each table, as their cells' count; a table is lines that begin with a bar."""
    found: list[list[str]] = []
    before = ""
    for line in text.splitlines():
        if line.startswith("|"):
            if not before.startswith("|"):
                found.append([])
            found[-1].append(line)
        before = line
    return found


def cells(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", row)) - 1


def test_the_page_is_well_formed_and_needs_nothing_else(tmp_path: Path) -> None:
    files = write_document(document(), str(tmp_path))
    assert sorted(Path(f).name for f in files) == ["comparison.html", "comparison.md", "scores.png"]
    text = (tmp_path / "comparison.html").read_text("utf-8")
    page = Page(text)
    assert page.open == []
    assert [tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "object")] == []
    sources = [a[key] or "" for _, a in page.tags for key in ("src", "href", "srcset", "action") if key in a]
    assert len(sources) == 1 and sources[0].startswith("data:image/png;base64,iVBOR")
    assert not re.search(r"https?://|@import|url\(", text)
    assert {"viewport", "color-scheme"} <= {a.get("name") for tag, a in page.tags if tag == "meta"}
    assert "prefers-color-scheme: dark" in text and (tmp_path / "scores.png").read_bytes()[:4] == b"\x89PNG"


def test_figures_with_their_intervals_stand_on_one_line() -> None:
    long = "04 time dropout=0.3 n_fft=4096 lr=0.001748"
    text = to_html(Document("", [], [Section("", tables=[Table(["", ""], [[long, "+0.125 [-0.065, +0.324]"]])])]), {})
    assert f'<td class="long">{long}</td>' in text and '<td class="short">+0.125 [-0.065, +0.324]</td>' in text


def test_names_are_no_marks() -> None:
    shown = document(EVIL)
    html = to_html(shown, {"scores": b"x"})
    assert "<script" not in html and html.count("&lt;script&gt;") == 7
    page = Page(html)
    assert any(EVIL in word for word in page.words)
    markdown = to_markdown(shown)
    assert "<script" not in markdown and r"\*really\*" in markdown


def test_markdown_tables_are_well_formed() -> None:
    (rows,) = markdown_tables(to_markdown(document()))
    assert len(rows) == 4 and {cells(row) for row in rows} == {2} and rows[1] == "| --- | --- |"
    assert rows[3] == r"| B | x \| y |"


def test_markdown_tells_the_same() -> None:
    text = to_markdown(document())
    for words in ("# title a name", "a name is better", "## Table", "a note", "caption of a name", "(scores.png)",
                  "the end"):  # fmt: skip
        assert words in text


def test_a_plot_without_its_picture_is_an_error() -> None:
    import jinja2

    with pytest.raises(jinja2.UndefinedError):
        to_html(document(), {})


def test_folded_table_stands_behind_its_summary() -> None:
    folded = Table(["a"], [["1"]], folded="2 more <b>")
    document = Document("title", ["answer"], [Section("part", tables=[Table(["a"], [["0"]]), folded])])
    page = to_html(document, {})
    assert page.count("<details>") == page.count("</details>") == 1 and "<summary>2 more &lt;b&gt;</summary>" in page
    assert page.index("<details>") > page.index("</table>")
    assert "2 more &lt;b>" in to_markdown(document)
