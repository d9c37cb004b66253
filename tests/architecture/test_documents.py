"""No text names a document that is not in the repository."""

from __future__ import annotations

import re

from tests.architecture.files import ROOT, relative, repository_files

DOCUMENT = re.compile(r"\b[A-Z][A-Z_]{2,}\.md\b")
TEXTS = {".py", ".toml", ".md", ".yaml", ".yml", ".html", ".txt", ""}


def test_no_document_is_named_that_is_not_there() -> None:
    there = {path.name for path in repository_files()}
    for path in repository_files():
        if path.suffix in TEXTS and path.is_relative_to(ROOT):
            named = set(DOCUMENT.findall(path.read_text("utf-8", errors="replace")))
            assert named <= there, (relative(path), named - there)
