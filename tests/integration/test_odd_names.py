"""The jobs on classes with odd names, first where no picture can be drawn, then where all can: both come to an end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import matplotlib.figure
import pytest

from tests.builders import CLASSES, encode, sounds_like
from tests.integration.conftest import Workplace, workplace
from tests.integration.quick_sweep import extract

pytestmark = pytest.mark.integration

SPACES = "tests.integration.spaces"
ODD = ("Joey Bada$$", "ロック A$AP & Ke$ha", "<script>50% a_b^c\\")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared_ray: str) -> Iterator[Workplace]:
    root = tmp_path_factory.mktemp("odd")
    for found in workplace(root, shared_ray):
        for k, (label, sound) in enumerate(zip(ODD, CLASSES, strict=True)):
            (root / "odd" / "music" / label).mkdir(parents=True)
            for i in range(10):
                data = encode(sounds_like(sound, 100 * k + i, 12.0), container="OGG")
                (root / "odd" / "music" / label / f"{i}.ogg").write_bytes(data)
        yield Workplace(found.home, root / "odd" / "music", found.environment, found.shared)


def fails(*_: Any, **__: Any) -> NoReturn:
    raise ValueError("no pictures here")


def run_all(place: Workplace) -> str:
    """All jobs that draw; their output."""
    extract(place)
    sweep = place.call("jobs.sweep", f"{SPACES}:learning", "--dataset", "music", "--trials", "2")
    name = sweep.split("tonearm compare ")[1].split()[0]
    trained = place.call("jobs.train", "--recipe", f"{SPACES}:recipe", "--dataset", "folder", "--data",
                         str(place.music))  # fmt: skip
    return sweep + place.call("jobs.select", name) + trained + place.call("jobs.compare", name)


def pictures(place: Workplace) -> set[str]:
    return {path.name for path in Path(place.home, "reports").rglob("*.png")}


def test_jobs_end_well_without_any_picture(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matplotlib.figure.Figure, "__init__", fails)
    said = run_all(place)
    assert pictures(place) == set() and "sweep.png could not be made and is left out: ValueError: no pictures" in said
    assert "registered as tonearm-music version 1, promoted" in said and "Traceback" not in said


def test_jobs_draw_odd_names(place: Workplace) -> None:
    said = run_all(place)
    assert "left out" not in said and "Traceback" not in said
    assert {"sweep.png", "runs.png", "confusion_test.png", "scores.png", "extraction.png"} <= pictures(place)
    (page,) = Path(place.home, "reports").rglob("comparison.html")
    text = page.read_text("utf-8")
    assert "<script" not in text and "ロック A$AP &amp; Ke$ha" in text
