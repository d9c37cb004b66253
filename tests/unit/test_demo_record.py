"""A demo is said to be finished only while all that it was made of, and all that it left, is as it was."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from search_spaces import SPACES, find_space
from tonearm.core import home, storage
from tonearm.features.weight_files import weights_home
from tonearm.sweeps import SearchSpace
from tonearm.sweeps.find import is_own
from tonearm.tracking import names
from tonearm.tracking.log import client
from tonearm.tracking.register import promote
from tonearm.workflows import demo_record
from tonearm.workflows.demo import earlier_summary, seconds_of_work
from tonearm.workflows.demo_record import DemoRequest, code_signature, finished_demo, record_demo

pytestmark = pytest.mark.usefixtures("database")
DATASET = "recorded"


@pytest.fixture(scope="module")
def champion(one_home: Path) -> str:
    """Two versions of a model; the first one is the champion."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(one_home))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(one_home)
        api, name = client(), names.model_name(DATASET)
        api.create_registered_model(name)
        versions = [str(api.create_model_version(name, source=str(one_home)).version) for _ in range(2)]
        promote(DATASET, versions[0])
    return versions[1]


@pytest.fixture
def request_(champion: str, tmp_path: Path) -> DemoRequest:
    """A demo on two recordings that left two files and is finished."""
    for name in (
        "music/a.ogg",
        "music/b/b.ogg",
        "left/trial/state.pt",
        "left/report.png",
        "left/ray/noise",
        "music/ray/c.ogg",
        "music/d.tmp",
        "left/trial/ray/more",
        "left/trial/driver.json",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    request = DemoRequest(str(tmp_path / "music"))
    assert finished_demo(request) is None
    record_demo(request, "it came to this", DATASET, [str(tmp_path / "left")], str(tmp_path / "left"))
    assert finished_demo(request) == "it came to this"
    return request


def test_other_options_are_another_demo(request_: DemoRequest) -> None:
    for change in ({"trials": 3}, {"label": "genre"}, {"seed": 1}, {"space": "demo_grid"}, {"name": "other"}):
        assert finished_demo(dataclasses.replace(request_, **change)) is None


def test_with_an_encoder_that_came_it_listens_anew(request_: DemoRequest) -> None:
    place = storage.join(weights_home(), "musicnn.json")
    storage.write_json(place, {})
    try:
        assert finished_demo(request_) is None
    finally:
        storage.remove(place)
    assert finished_demo(request_) == "it came to this"


def test_relative_folder_is_the_same(request_: DemoRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert finished_demo(dataclasses.replace(request_, audio="music")) == "it came to this"


@pytest.mark.parametrize(
    "name",
    [
        *("music/a.ogg", "music/b/b.ogg", "music/ray/c.ogg", "music/d.tmp"),
        *("left/trial/state.pt", "left/report.png", "left/trial/ray/more", "left/trial/driver.json"),
    ],
)
def test_what_is_gone_or_changed_is_noticed(request_: DemoRequest, tmp_path: Path, name: str) -> None:
    path, before = tmp_path / name, (tmp_path / name).stat()
    path.write_text("something else")
    assert finished_demo(request_) is None
    path.write_text(name)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert finished_demo(request_) == "it came to this"
    path.unlink()
    assert finished_demo(request_) is None


def test_added_recording_is_noticed_and_ray_files_do_not_count(request_: DemoRequest, tmp_path: Path) -> None:
    (tmp_path / "left" / "ray" / "noise").unlink()
    (tmp_path / "left" / "driver.json").write_text("{}")
    assert finished_demo(request_) == "it came to this"
    (tmp_path / "music" / "c.ogg").write_text("c")
    assert finished_demo(request_) is None


def test_other_champion_is_noticed(request_: DemoRequest, champion: str) -> None:
    try:
        promote(DATASET, champion)
        assert finished_demo(request_) is None
        client().delete_registered_model_alias(names.model_name(DATASET), names.CHAMPION)
        assert finished_demo(request_) is None
    finally:
        promote(DATASET, "1")
    assert finished_demo(request_) == "it came to this"


def test_other_code_is_noticed(request_: DemoRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_record, "CODE", ("tonearm",))
    assert finished_demo(request_) is None


def test_other_versions_of_dependencies_are_noticed(request_: DemoRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_record, "version", lambda package: "0.0" if package == "torch" else version(package))
    assert finished_demo(request_) is None


def test_tables_and_pages_are_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fake_code").mkdir()
    (tmp_path / "fake_code" / "__init__.py").touch()
    table = tmp_path / "fake_code" / "names.csv"
    table.write_text("a")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(demo_record, "CODE", ("fake_code",))
    before = code_signature()
    table.write_text("b")
    assert code_signature() != before


def test_what_cannot_be_watched_is_never_finished(champion: str, tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    request = DemoRequest(str(tmp_path / "music"))
    record_demo(request, "it came to this", DATASET, ["memory://elsewhere"])
    assert finished_demo(request) is None
    own = dataclasses.replace(request, space="mine")  # registered by a module of one's own
    record_demo(own, "it came to this", DATASET, [home.home()], own=True)
    assert finished_demo(own) is None


def test_only_code_outside_tonearm_makes_a_space_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    space = find_space("demo")
    assert not is_own("demo", space) and not is_own("search_spaces.demo:demo", space)
    assert is_own("mine.spaces:rates", space)
    monkeypatch.setitem(SPACES._items, "mine", own_space)
    assert is_own("mine", space)


def own_space() -> SearchSpace:
    return find_space("demo")


@pytest.mark.integration
def test_looking_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from tonearm.workflows.demo_record import DemoRequest, finished_demo\n"
        "assert finished_demo(DemoRequest(sys.argv[1])) is None\n"
        "print([m for m in ('torch', 'ray', 'mlflow', 'numpy', 'search_spaces') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_that_found_its_work_done_does_not_replace_the_time_that_it_took() -> None:
    first = seconds_of_work({"Sweep": 100.0, "Select": 40.0}, {}, "demo-1")
    assert first == {"Sweep": 100.0, "Select": 40.0}
    written = {"sweep": "demo-1", "seconds": first}
    assert seconds_of_work({"Sweep": 3.0, "Select": 50.0}, written, "demo-1") == {"Sweep": 100.0, "Select": 50.0}
    assert seconds_of_work({"Sweep": 3.0}, written, "demo-2") == {"Sweep": 3.0}, "another sweep"
    assert seconds_of_work({"Sweep": 3.0}, {"seconds": {"Sweep": 9.0}}, "demo-1") == {"Sweep": 3.0}, "of whom?"


@pytest.mark.parametrize("found", [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe", b'{"sweep": "s", "seconds": [1]}',
                                   b'{"sweep": "s", "seconds": {"Sweep": "9"}}', b'{"sweep": "s", "seconds": null}',
                                   b"[" * 100_000, None])  # fmt: skip
def test_a_damaged_summary_of_an_earlier_run_is_none(found: bytes | None, tmp_path: Path) -> None:
    """It ended the demo after all the work."""
    if found is not None:
        (tmp_path / "summary.json").write_bytes(found)
    before = earlier_summary(str(tmp_path / "summary.json"))
    assert seconds_of_work({"Sweep": 3.0}, before, "s") == {"Sweep": 3.0}
