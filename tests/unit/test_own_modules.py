"""Modules of one's own: found by entry points and by their names, imported only where that is allowed."""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serve.listener import Listener
from serve.settings import AppArgs
from serve.versions import resolve
from tests.builders import CLASSES, tiny_config
from tonearm.core.errors import BundleError, ConfigError, UnknownNameError
from tonearm.core.plugins import (
    ALLOWED_MODULES,
    call_by_place,
    import_modules,
    load_plugins,
    module_folders,
    modules_to_send,
    not_allowed,
    source_of,
)
from tonearm.core.registry import Namespace, Registry
from tonearm.training.bundle import Bundle, build_network, load_bundle, save_bundle

WORDS: Registry[str] = Registry("word")
REGISTERS = f"from {__name__} import WORDS\n"

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a file below a folder in which Python finds modules; what was imported of it is forgotten."""
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    before = set(sys.modules)

    def file(path: str, text: str) -> Path:
        place = tmp_path / "code" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        importlib.invalidate_caches()
        return place

    yield file
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    WORDS._items.clear()


def install(write: Write, *modules: str) -> None:
    """What pip leaves of a package that names modules in the entry-point group."""
    write("fake-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: fake\nVersion: 1.0\n")
    lines = [f"{module} = {module}\n" for module in modules]
    write("fake-1.0.dist-info/entry_points.txt", "[tonearm.modules]\n" + "".join(lines))


# --- found


def test_entry_point_is_imported_when_a_name_is_unknown(write: Write) -> None:
    write("fake_words.py", REGISTERS + "WORDS.add('hello', 'a greeting')")
    install(write, "fake_words")
    assert "fake_words" not in sys.modules
    assert WORDS["hello"] == "a greeting"


def test_entry_point_is_imported_when_all_are_listed_or_one_is_sought(write: Write) -> None:
    write("fake_words.py", REGISTERS + "WORDS.add('hello', 'a greeting')")
    install(write, "fake_words")
    assert list(WORDS) == ["hello"]
    del sys.modules["fake_words"]
    WORDS._items.clear()
    assert "hello" in WORDS and ["no", "key"] not in WORDS


def test_allowed_module_is_imported_too(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("mine_words.py", REGISTERS + "WORDS.add('hello', 'a greeting')")
    with pytest.raises(UnknownNameError, match=f"unknown word 'hello'.*Name its module in {ALLOWED_MODULES}"):
        WORDS["hello"]
    monkeypatch.setenv(ALLOWED_MODULES, " mine_words, ")
    assert WORDS["hello"] == "a greeting"


def test_broken_module_is_one_clear_error_and_keeps_no_other_away(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    broken = write(
        "broken_words.py", REGISTERS + "def bye(): ...\nWORDS.add('bye', bye)\nraise ValueError('too many words')"
    )
    write("fake_words.py", REGISTERS + "WORDS.add('hello', 'a greeting')")
    install(write, "broken_words", "fake_words")
    cause = f"the module broken_words could not be imported: ValueError: too many words ({broken}, line 4)"
    with caplog.at_level(logging.WARNING, "tonearm"):
        assert "hello" in WORDS
        list(WORDS)
    assert [r.getMessage() for r in caplog.records] == [cause]
    with pytest.raises(UnknownNameError) as caught:
        WORDS["unheard"]
    assert str(caught.value).endswith(f"; {cause}")
    with pytest.raises(ConfigError) as told:
        import_modules(["broken_words", "absent_words", "no name", "fake_words"])
    assert told.value.problems == [
        cause,
        "the module absent_words could not be imported: ModuleNotFoundError: No module named 'absent_words'",
        "'no name' is no module's name: give it as Python imports it, such as mine.nets",
    ]


def test_modules_that_ask_for_each_others_names_do_not_wait_for_each_other(write: Write) -> None:
    write("first_words.py", REGISTERS + "FOUND = 'hello' in WORDS\nWORDS.add('first', '')")
    write("second_words.py", REGISTERS + "WORDS.add('hello', '')")
    install(write, "first_words", "second_words")
    assert load_plugins() == [] and list(WORDS) == ["first", "hello"]


def test_module_that_is_run_again_replaces_what_it_registered(write: Write) -> None:
    write("mine_words.py", REGISTERS + "def hello(): return 'a greeting'\nWORDS.add('hello', hello)")
    import_modules(["mine_words"])
    first = WORDS["hello"]
    importlib.reload(sys.modules["mine_words"])
    assert WORDS["hello"] is not first
    with pytest.raises(ConfigError, match="word 'hello' is registered twice"):
        WORDS.add("hello", "another")


def test_what_failed_is_tried_again_once_it_was_changed(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOWED_MODULES, "mine_words,later_words")
    broken = write("mine_words.py", REGISTERS + "raise ValueError('not yet')\n")
    assert "hello" not in WORDS and len(load_plugins()) == 2
    write("mine_words.py", REGISTERS + "WORDS.add('hello', 'a greeting')")
    os.utime(broken, (0, 0))
    assert WORDS["hello"] == "a greeting" and len(load_plugins()) == 1
    later = write("later_words.py", REGISTERS + "WORDS.add('later', '')")
    os.utime(later.parent, (1, 1))
    assert "later" in WORDS and load_plugins() == []


def test_thread_waits_for_what_another_is_loading(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOWED_MODULES, "slow_words")
    write("slow_words.py", REGISTERS + "import time\ntime.sleep(0.3)\nWORDS.add('hello', '')")
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: "hello" in WORDS, range(4))) == [True] * 4


def test_names_are_attributes() -> None:
    registry: Registry[int] = Registry("number")
    registry.add("one", 1)
    numbers = Namespace(registry)
    assert numbers.one == 1 and dir(numbers) == ["one"] and repr(numbers) == "number: one"
    assert not hasattr(numbers, "_repr_html_")
    with pytest.raises(AttributeError, match=r"unknown number 'oen'. Did you mean 'one'\?"):
        numbers.oen  # noqa: B018


# --- named by a place


def test_function_is_found_by_its_place(write: Write) -> None:
    write("mine_places.py", "def seven(): return 7\n")
    assert call_by_place("number", "mine_places:seven", int) == 7
    with pytest.raises(ConfigError, match="'mine_places:seven' gives a int, a text is needed"):
        call_by_place("text", "mine_places:seven", str)
    with pytest.raises(ConfigError, match=r"no number 'mine_places:eight'.*no attribute 'eight'"):
        call_by_place("number", "mine_places:eight", int)
    with pytest.raises(ConfigError, match=r"no number 'absent_places:one'.*No module named 'absent_places'"):
        call_by_place("number", "absent_places:one", int)


def test_current_folder_is_searched_where_the_command_added_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lies_here.py").write_text("def one(): return 1\n")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="No module named 'lies_here'"):
        call_by_place("number", "lies_here:one", int)
    sys.path.append(str(tmp_path))  # as the command tonearm does
    assert call_by_place("number", "lies_here:one", int) == 1
    assert str(tmp_path) in module_folders()
    del sys.modules["lies_here"]


def test_source_that_must_travel(write: Write) -> None:
    package = write("mine_package/nets.py", "")
    (package.parent / "__init__.py").touch()
    file = write("mine_file.py", "")
    assert source_of("mine_package.nets") == str(package.parent) and source_of("mine_file") == str(file)
    for name in ("absent_package.nets", "../x", "sys"):
        with pytest.raises(ConfigError, match="is not found"):
            source_of(name)


def test_what_a_job_needs_elsewhere_is_sent(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    spaces = write("mine_package/spaces.py", "")
    nets = write("mine_nets.py", "")
    (write("music/genre/a.ogg", "").parents[1] / "rock").mkdir()
    loose = write("loose/spaces.py", "").parent
    assert modules_to_send(["music:genre", "numpy:array", "music.genre:a", "loose.spaces:rates"]) == [str(loose)]
    arguments = ["mine_package.spaces:rates", "--dataset", "music", "absent:thing", "models:/tonearm@champion", "a=b:c"]
    assert modules_to_send(arguments) == [str(spaces.parent)]
    monkeypatch.setenv(ALLOWED_MODULES, "mine_nets")
    assert modules_to_send(arguments) == [str(nets), str(spaces.parent)]
    monkeypatch.setenv(ALLOWED_MODULES, "absent_nets")
    with pytest.raises(ConfigError, match="'absent_nets' is not found"):
        modules_to_send(arguments)


# --- what a bundle may have imported


def named_by_bundle(tmp_path: Path, modules: object) -> str:
    """A bundle that names modules, as JSON has it."""
    uri, config = tmp_path / "bundle", tiny_config()
    save_bundle(str(uri), Bundle(config, CLASSES, {}, build_network(config, 3)))
    description = json.loads((uri / "bundle.json").read_text())
    assert "modules" not in description
    (uri / "bundle.json").write_text(json.dumps({**description, "modules": modules}))
    return str(uri)


def test_bundle_imports_nothing_that_is_not_allowed(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "was imported"
    write("mine_nets.py", f"from pathlib import Path\nPath({str(seen)!r}).touch()")
    uri = named_by_bundle(tmp_path, ["mine_nets", "json"])
    with pytest.raises(BundleError, match=f"needs code outside Tonearm, mine_nets, .*{ALLOWED_MODULES}=mine_nets"):
        load_bundle(uri)
    monkeypatch.setenv(ALLOWED_MODULES, "mine_net")
    with pytest.raises(BundleError, match="mine_nets"):
        load_bundle(uri, allowed_modules=["nets", "mine_nets.deeper"])
    assert not seen.exists()
    assert load_bundle(uri, allowed_modules=["mine_nets"]).classes == CLASSES and seen.exists()
    assert load_bundle(uri).classes == CLASSES  # it is imported already


def test_server_passes_on_what_its_operator_allows(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("mine_nets.py", "")
    uri = named_by_bundle(tmp_path, ["mine_nets"])
    about = Listener(resolve(uri), 900.0, AppArgs(model=uri).allowed_modules).about()
    assert about["problem"] == "unusable" and "needs code outside Tonearm, mine_nets, " in about["detail"]
    monkeypatch.setenv(ALLOWED_MODULES, "mine_nets")
    args = AppArgs(model=uri)
    monkeypatch.delenv(ALLOWED_MODULES)  # a replica on another machine has not got it
    assert Listener(resolve(uri), 900.0, args.allowed_modules).about()["classes"] == list(CLASSES)
    assert "mine_nets" in sys.modules


def test_bundle_may_import_what_is_installed_and_what_lies_in_the_allowed(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("fake_package", "mine_package"):
        write(f"{name}/__init__.py", "")
        write(f"{name}/nets.py", "")
    install(write, "fake_package")
    monkeypatch.setenv(ALLOWED_MODULES, "mine_package")
    names = ["fake_package.nets", "mine_package.nets"]
    assert not_allowed(names) == []
    load_bundle(named_by_bundle(tmp_path, names))
    assert all(name in sys.modules for name in names)


@pytest.mark.parametrize(
    ("modules", "problem"),
    [
        (["absent_nets"], "needs code that is not here: the module absent_nets could not be imported"),
        ("os", "is damaged: its modules are 'os'"),
        ([1], "is damaged: its modules are"),
    ],
)
def test_modules_that_cannot_be_imported_are_told(tmp_path: Path, modules: object, problem: str) -> None:
    uri = named_by_bundle(tmp_path, modules)
    with pytest.raises(BundleError, match=problem):
        load_bundle(uri, allowed_modules=["absent_nets"])
