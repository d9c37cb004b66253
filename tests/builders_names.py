"""Names as people give them to classes, artists and targets, each of which once broke a plot, a table or a page."""

from __future__ import annotations

NAMES = (
    "Joey Bada$$", "A$AP Rocky & Ke$ha", "$uicideboy$", "Ca$h & $$$", r"50\% \$ale", "ロック", "Музыка", "موسيقى",
    "Σ🎵🎷👩‍🎤", "Rock\nPop", "Rock\tPop", "a\rb\x1b[31mred\x00", "\u202ekcor", "bytes \udcff",
    "<script>alert('x')</script>", "100 %",
    "a_b^c", "_hidden", r"C:\Musik\neu", "{x}", "", " ", "e\u0301te\u0301", "|pipe|", "A" * 300,
    "a very long name of words " * 10,
)  # fmt: skip
