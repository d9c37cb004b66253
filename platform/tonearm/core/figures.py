"""Figures whose texts are drawn as they are: ``A$AP`` is no formula, and each letter is drawn by a font that has it.

Every plot is made with :func:`new_figure`. Figures are made without pyplot, whose global state threads would share.
"""

from __future__ import annotations

import functools
import io
import logging
import warnings
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from tonearm.core.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

DOTS_PER_INCH = 110
MIN_FONT_WEIGHT, MAX_FONT_WEIGHT = 400, 500
NO_LETTERS = ("Last Resort", "cm", "STIXSize", "STIXNonUnicode")  # fonts of boxes, or in an order of their own
_families: dict[str, str] = {}  # of a character, the font's family that has it; "" for none


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that draws all its texts as they are, each letter by a font that has it.

    Letters that no installed font has are boxes, and are told once in a process.
    """
    figure: Figure = _figure_class()(figsize=(width, height), layout="constrained")
    return figure


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DOTS_PER_INCH, format="png")
    return buffer.getvalue()


def draw_png(draw: Callable[..., Figure], *args: Any) -> bytes:
    """What a function draws, as the bytes of a PNG."""
    return png(draw(*args))


@functools.cache
def _figure_class() -> type[Figure]:
    from matplotlib.figure import Figure  # lazy: who draws nothing does not load it

    class PlainTextFigure(Figure):
        """A figure that prepares its texts whenever it is drawn, in a file, in MLflow or in a notebook."""

        def draw(self, renderer: Any) -> None:
            complete = _prepare_texts(self)
            with nullcontext() if complete else warnings.catch_warnings():
                if not complete:
                    warnings.filterwarnings("ignore", message="Glyph")  # a line for each letter: told once, below
                super().draw(renderer)

    return PlainTextFigure


def _prepare_texts(figure: Figure) -> bool:
    """Make the texts ready to be drawn; whether a font was found for each letter."""
    from matplotlib.text import Text

    numbers = {id(text) for axes in figure.axes for text in _tick_labels(axes)}
    texts = [text for text in figure.findobj(Text) if id(text) not in numbers]
    for text in texts:
        text.set_parse_math(False)
        text.set_text(printable(text.get_text(), keep="\n"))
    return _set_fonts(texts)


def _tick_labels(axes: Any) -> list[Any]:
    """The labels of ticks that are numbers; those that are names are made, without what cannot be printed."""
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    numbers = []
    for axis in (axes.xaxis, axes.yaxis):
        labels = list(axis.get_ticklabels(which="both"))  # this call makes them
        formatter = axis.get_major_formatter()
        if not isinstance(formatter, FixedFormatter | FuncFormatter):
            numbers += [*labels, axis.get_offset_text()]  # some write 10³ as a formula
            continue
        names = [label.get_text() for label in axis.get_ticklabels()]
        clean = [printable(name, keep="\n") for name in names]
        if clean != names:
            axis.set_major_formatter(FixedFormatter(clean))
            axis.get_ticklabels()
    return numbers


def _set_fonts(texts: Iterable[Any]) -> bool:
    """Give texts with letters that their font lacks other fonts for these letters; whether all letters have one."""
    lacking = {text: missing for text in texts if (missing := _missing(text))}
    _find_families({letter for letters in lacking.values() for letter in letters})
    for text, letters in lacking.items():
        own = text.get_fontfamily()
        more = dict.fromkeys(family for letter in sorted(letters) if (family := _families[letter]))
        text.set_fontfamily([*own, *(family for family in more if family not in own)])
    return all(_families[letter] for letters in lacking.values() for letter in letters)


def _missing(text: Any) -> set[str]:
    from matplotlib.font_manager import findfont

    if text.get_text().isascii():
        return set()
    path = str(findfont(text.get_fontproperties()))
    return {c for c in text.get_text() if not c.isascii() and not c.isspace() and not _has(path, c)}


@functools.cache
def _has(path: str, letter: str) -> bool:
    """Whether a font has a letter, and can draw it: fonts of coloured pictures cannot be scaled."""
    from matplotlib.font_manager import get_font

    try:
        font = get_font(path)
        if not font.get_char_index(ord(letter)):
            return False
        font.set_size(12, 72)
        font.load_char(ord(letter))
    except (RuntimeError, OSError, ValueError):
        return False
    return True


def _find_families(letters: set[str]) -> None:
    """Look for letters that were not looked for yet, in all installed fonts, the one that has most of them first."""
    from matplotlib.font_manager import fontManager

    left = {letter for letter in letters if letter not in _families}
    if not left:
        return
    fonts = [f for f in fontManager.ttflist if f.style == "normal" and not f.name.startswith(NO_LETTERS)
             and (not isinstance(f.weight, int) or MIN_FONT_WEIGHT <= f.weight <= MAX_FONT_WEIGHT)]  # fmt: skip
    found = {font.name: {c for c in left if _has(font.fname, c)} for font in reversed(fonts)}
    while left:
        name, has = max(found.items(), key=lambda item: (len(item[1] & left), item[0]), default=("", set()))
        if not has & left:
            break
        _families.update(dict.fromkeys(has & left, name))
        left -= has
    _families.update(dict.fromkeys(left, ""))
    if left:
        shown = "".join(sorted(left)[:12])
        logger.warning(
            f"  pictures show boxes for {len(left)} letter(s) that no font here has ({shown}): install a font that "
            "has them, such as Noto Sans CJK"
        )
