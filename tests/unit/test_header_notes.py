"""What is odd about files is kept beside their features."""

from __future__ import annotations

from pathlib import Path

from tonearm.pipelines.header_notes import keep_notes


def test_notes_are_said_again_by_a_later_job(tmp_path: Path) -> None:
    root, note = str(tmp_path), "claims 600 s, holds 60 s"
    assert keep_notes(root, ["a", "b"], {"a": note, "b": ""}) == {"a": note}
    assert keep_notes(root, ["a", "b"], {}) == {"a": note}
    assert keep_notes(root, ["b"], {}) == {}
    assert keep_notes(root, ["a", "b"], {"a": ""}) == {}, "it was decoded anew, and nothing is odd"
    assert keep_notes(root, ["a", "b"], {}) == {}
