"""Users' names are text in every plot, table and page: no formula, no escape sequence, no markup."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text

from tests.builders import track
from tests.builders_names import NAMES
from tests.unit.test_comparison_document import Page, cells, document, markdown_tables
from tonearm.comparison.contrast import ClassChange
from tonearm.comparison.document import to_html, to_markdown
from tonearm.comparison.plots import agreement_plot, classes_plot
from tonearm.core import figures
from tonearm.core.figures import new_figure, png
from tonearm.core.text import display_width, format_table, printable
from tonearm.datasets.artist_groups import group_by_artist
from tonearm.datasets.contradictions import kept_apart_notes
from tonearm.datasets.label_names import find_spellings, separate_labels, several_notes, spelling_notes
from tonearm.datasets.labels import drop_small_classes
from tonearm.datasets.manifest import Manifest, Split
from tonearm.datasets.split_report import report_splits
from tonearm.tasks.plots import bar_plot, confusion_plot, scatter_plot
from tonearm.training.plots import learning_curves

COUNT = len(NAMES)


def title_plot(name: str) -> object:
    epochs = [{"epoch": i, "train_loss": 1.0, "validation_f1_micro": 0.5, "improved": True} for i in (1, 2)]
    return learning_curves(epochs, "f1_micro", name)


PLOTS: dict[str, Callable[[], object]] = {
    "confusion": lambda: confusion_plot(np.eye(COUNT, dtype=np.int64), NAMES, NAMES[0]),
    "bars": lambda: bar_plot({name: i / COUNT for i, name in enumerate(NAMES)}, "F1", NAMES[1]),
    "scatter": lambda: scatter_plot(np.ones((3, 4)), np.zeros((3, 4)), NAMES[:4], NAMES[2]),
    "classes": lambda: classes_plot([ClassChange(n, 3, 0.1, None, 1.0, 1.0) for n in NAMES[:20]], ("A", "B"), "recall"),
    "agreement": lambda: agreement_plot(NAMES[:12], np.eye(12), np.eye(12)),
    **{f"title {i}": (lambda name=name: title_plot(name)) for i, name in enumerate(NAMES)},
}  # fmt: skip


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.filterwarnings("error::UserWarning")
def test_every_plot_takes_every_name(name: str, caplog: pytest.LogCaptureFixture) -> None:
    figure = PLOTS[name]()
    assert png(figure)[:4] == b"\x89PNG"  # type: ignore[arg-type]
    texts = [text for text in figure.findobj(Text) if "$" in text.get_text()]  # type: ignore[attr-defined]
    assert not any(text.get_parse_math() for text in texts)


def test_names_stand_in_a_plot_as_they_are() -> None:
    figure = confusion_plot(np.eye(3, dtype=np.int64), ["Joey Bada$$", "Rock\nPop", "x" * 99], "$a$")
    png(figure)
    shown = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert shown == ["Joey Bada$$", r"Rock\nPop", "x" * 31 + "…"]


def test_formulas_of_axes_of_numbers_stay() -> None:
    figure = new_figure(3, 2)
    axis = figure.subplots()
    axis.plot([1, 1e6], [1, 1e6])
    axis.set(xscale="log", title="a$b$")
    png(figure)
    labels = [label for label in axis.get_xticklabels() if "$" in label.get_text()]
    assert labels and all(label.get_parse_math() for label in labels)
    assert not axis.title.get_parse_math()


def test_a_letter_is_drawn_by_a_font_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "_families", {})
    letter = "\N{MATHEMATICAL SCRIPT SMALL A}"  # matplotlib's own STIX has it, its DejaVu Sans does not
    figure = new_figure(3, 2)
    text = figure.text(0.1, 0.5, f"DJ {letter}")
    png(figure)
    assert "STIXGeneral" in text.get_fontfamily()


def test_letters_that_no_font_has_are_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(figures, "_families", {})
    monkeypatch.setattr(figures, "_has", lambda path, letter: False)
    caplog.set_level(logging.WARNING, "tonearm")
    figure = confusion_plot(np.eye(2, dtype=np.int64), ["ロック", "ジャズ"], "ロック")
    png(figure)
    png(figure)
    (told,) = caplog.messages
    assert "ロ" in told and "install a font" in told and "\n" not in told


@pytest.mark.parametrize("name", NAMES)
def test_tables_keep_their_lines(name: str) -> None:
    lines = format_table([("class", "f1"), (name, "0.5"), ("jazz", "0.25")]).split("\n")
    assert len(lines) == 3 and not any(ord(c) < 32 or ord(c) == 127 for line in lines for c in line)
    assert {display_width(line[: line.rindex("0.")]) for line in lines[1:]} == {display_width(lines[1]) - 3}
    "".join(lines).encode()  # no half of a letter


def test_printable() -> None:
    assert [printable(t) for t in ("a\nb", "\x1b[2J", "\u202ex", "\udcff", "é ロ 👩‍🎤")] == [
        r"a\nb", r"\x1b[2J", r"\u202ex", r"\udcff", "é ロ 👩‍🎤",
    ]  # fmt: skip
    assert printable("abcdef", 4) == "abc…" and printable("abcd", 4) == "abcd"


LONG = "".join(map(chr, range(0x3041, 0x3091))) * 4


@pytest.mark.parametrize("name", [*(n for n in NAMES if n.strip()), LONG])
def test_messages_of_data_sets_are_lines_of_bearable_length(name: str) -> None:
    splits: tuple[Split, ...] = ("train", "validation", "test")
    tracks = tuple(
        track(f"{label}{i}".replace("\udcff", ""), label, artist=name, split=splits[i % 3])
        for label in (name, "b") for i in range(6)
    )  # fmt: skip
    look_alike = [("a", (name,)), ("b", (f"{name} ",)), ("c", (name + "; b",))]
    told = [
        *report_splits(Manifest("m", "genre", tracks)).lines(),
        *drop_small_classes([*tracks, *(track(f"c{i}", "c") for i in range(9))], 6)[1],
        *drop_small_classes([*tracks, track("z", name * 2)], 6)[1],
        *spelling_notes(find_spellings(dict(look_alike).values()), False),
        *several_notes(separate_labels(dict(look_alike)), False),
        *group_by_artist([dataclasses.replace(t, artist="Unknown Artist") for t in tracks], {})[1],
        *kept_apart_notes(tracks, [(tracks[0].track_id, tracks[7].track_id)]),
    ]
    assert told and all("\n" not in line and "\u202e" not in line and "\x1b" not in line for line in told)
    assert max(map(len, told)) < 700


@pytest.mark.parametrize("name", NAMES)
def test_a_page_shows_every_name_as_text(name: str, tmp_path: Path) -> None:
    shown = document(name)
    text = to_html(shown, {"scores": b"x"})
    page = Page(text)
    assert page.open == [] and not any(tag == "script" for tag, _ in page.tags)
    (rows,) = markdown_tables(to_markdown(shown))
    assert len(rows) == 4 and {cells(row) for row in rows} == {2}
    (tmp_path / "page.html").write_bytes(text.encode())
