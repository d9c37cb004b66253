"""What rows do not know is told with the command by which they would, and a recording is known by its bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from tests.libraries import PlainLibrary
from tonearm.core.seeding import digest
from tonearm.inference.described import contents_of, rows_of
from tonearm.recommend.filters import where_conditions
from tonearm.recommend.sliders import read_sliders

BARE = PlainLibrary(np.eye(3), title=["a", "b", "c"])  # as files without tags are indexed


@pytest.mark.parametrize(
    "name, fix",
    [
        ("label", "a catalogue of a prepared data set has what that knows, tonearm index --dataset NAME"),
        ("year", "tonearm index --dataset NAME"),
        ("tempo", "when their recordings were measured: tonearm extract --descriptors, then tonearm index again"),
        ("key", "tonearm extract --descriptors"),
    ],
)
def test_a_condition_on_what_nobody_knows_names_the_fix(name: str, fix: str) -> None:
    _, (problem,) = where_conditions(BARE, {name: "x"})
    assert (problem.startswith(f"where: unknown column {name!r}") and problem.endswith(fix)) or fix in problem
    _, (other,) = where_conditions(BARE, {"titel": "x"})
    assert other == "where: unknown column 'titel'. Did you mean 'title'? Known: title, track_id"


@pytest.mark.parametrize("name, fix", [("faster", "--descriptors"), ("tempo", "--descriptors"), ("older", "--dataset")])
def test_a_slider_that_nobody_can_follow_names_the_fix(name: str, fix: str) -> None:
    _, (problem,) = read_sliders(BARE, {name: 0.5})
    assert problem.startswith(f"sliders: unknown attribute {name!r}") and fix in problem
    assert ("which no track here has" in problem) == (name != "tempo")


@pytest.mark.parametrize("rendered", [False, True])
def test_a_recording_that_is_held_is_known_by_either_digest(tmp_path: Path, rendered: bool) -> None:
    """Of files it is that of the bytes alone; of what was rendered, as the demo's scores, that with their length."""
    data = b"some audio"
    content = digest(data, size=16) if rendered else hashlib.blake2b(data, digest_size=16).hexdigest()
    library = PlainLibrary(np.eye(3), content=["other", content, None])
    assert rows_of(contents_of(data), library) == (1,) and rows_of(contents_of(b"else"), library) == ()
    (tmp_path / "a.wav").write_bytes(data)
    assert rows_of(contents_of(str(tmp_path / "a.wav")), library) == (1,)
