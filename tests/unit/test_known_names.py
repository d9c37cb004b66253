"""Names that a job knows before it imports what they stand for, and data sets by the names that people type."""

from __future__ import annotations

from pathlib import Path

import pytest

from tonearm.core import known_names
from tonearm.core.errors import UnknownNameError
from tonearm.core.known_names import require_name
from tonearm.core.plugins import ALLOWED_MODULES
from tonearm.core.text import command
from tonearm.workflows.prepared_names import manifest_uri, prepared_name


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of a package that stands for ``search_spaces``; its names were remembered."""
    package = tmp_path / "some_spaces"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "genre.py").write_text("one\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(known_names, "OURS", "some_spaces")
    known_names.remember_names("recipe", ["time", "freq"])
    return package / "genre.py"


def refused(name: str, what: str = "recipe") -> bool:
    try:
        require_name(what, name)
    except UnknownNameError:
        return True
    return False


def test_names_hold_for_the_sources_that_they_were_read_from(source: Path) -> None:
    assert refused("tim") and not refused("time")
    with pytest.raises(UnknownNameError, match=r"unknown recipe 'tim'\. Did you mean 'time'\? Known: freq, time$"):
        require_name("recipe", "tim")
    assert not refused("tim", "search space"), "nothing is known of spaces"
    source.write_text("two\n")
    assert not refused("tim"), "other sources may have other names"
    source.write_text("one\n")
    assert refused("tim")
    (source.parent / "more.py").write_text("")
    assert not refused("tim")


def test_code_of_ones_own_is_asked_for_its_names(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not refused("mine.recipes:tim")
    monkeypatch.setenv(ALLOWED_MODULES, "mine")
    assert not refused("tim")
    known_names.remember_names("search space", ["of my own"])
    monkeypatch.delenv(ALLOWED_MODULES)
    assert not refused("demoo", "search space"), "what one's own code registered was remembered"


def test_folder_that_cannot_be_written_is_no_error(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TONEARM_CACHE", str(tmp_path / "file"))
    known_names.remember_names("recipe", ["time"])
    assert not refused("tim")


@pytest.mark.parametrize("text", ["", "[1", "{}", "[1]", "[]"])
def test_damaged_list_is_not_believed(source: Path, text: str) -> None:
    Path(known_names._cache_file("recipe")).write_text(text)
    assert not refused("tim")


def test_data_set_is_found_as_its_folder_is_called() -> None:
    for name in ("music", "My Set", "my-set"):
        path = Path(manifest_uri(name))
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    assert [prepared_name(n) for n in ("Music", "music", "My Set", "MY set", "other", "", "!")] == [
        "music", "music", "My Set", "my-set", "", "", "",
    ]  # fmt: skip


def test_command_can_be_pasted_into_a_shell() -> None:
    assert command("compare", "demo-3f2a") == "tonearm compare demo-3f2a"
    assert command("compare", "02 time") == "tonearm compare '02 time'"
