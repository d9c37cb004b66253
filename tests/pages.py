"""The pages for people: their blocks of commands and of Python."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *(ROOT / folder / "README.md" for folder in ("jobs", "search_spaces", "platform", "infra")),
    ROOT / "platform" / "ENCODERS.md",
]


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """The shell's commands, a line each; continued lines are joined and comments left out."""
    lines = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    found = [re.sub(r"\s+#\s.*$", "", line).strip() for line in lines]
    return [line for line in found if line and not line.startswith("#")]
