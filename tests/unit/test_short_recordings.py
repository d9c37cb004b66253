"""Recordings that are shorter than a recipe's clips: the error says which settings fit them."""

from __future__ import annotations

import pytest

from search_spaces.recipes import RECIPES
from tonearm.core.text import parse_fields
from tonearm.datasets.manifest import Reject
from tonearm.workflows.short_recordings import fitting_settings


def rejects(*lengths: float) -> list[Reject]:
    detail = "{:.2f} s of audio, at least 29.81 s are needed"
    return [Reject(track_id=str(i), source="", stage="extract", reason="too_short", detail=detail.format(s))
            for i, s in enumerate(lengths)]  # fmt: skip


@pytest.mark.parametrize(("name", "lengths", "wanted"), [
    ("time_freq_mel", [15.0] * 30, "--set clip.seconds=15 --set window.frames=323"),
    ("time_freq_mel", [1.2, *[20.5] * 30], "--set clip.seconds=20 --set window.frames=431"),
    ("time_mel", [29.5] * 3, "--set clip.seconds=29 --set window.frames=625"),
    ("time_freq_mel", [], ""), ("time_freq_mel", [0.4] * 5, ""), ("time_freq_mel", [2.0] * 5, ""),
    ("tabular_ensemble", [15.0], ""),
])  # fmt: skip
def test_settings_fit_most_of_them(name: str, lengths: list[float], wanted: str) -> None:
    found = fitting_settings(RECIPES[name](), rejects(*lengths))
    assert found == wanted
    if found:
        changed = RECIPES[name]().replace(parse_fields(found.replace("--set ", "").split()))
        seconds = changed.stages[0].config.min_seconds  # type: ignore[union-attr]
        assert seconds <= sorted(lengths)[len(lengths) // 10]
