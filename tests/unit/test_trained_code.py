"""Which code trained a trial is known and told: what nobody trains again may be another code's."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import tiny_config, toy_batches
from tonearm.core import storage
from tonearm.training import trained_code
from tonearm.training.anew import begin_anew
from tonearm.training.config import Member
from tonearm.training.trained_code import code_digest, code_of, note_machine, told_of_other_code, tree_digest
from tonearm.training.trial import TrialFolder, run_trial

SOURCE = '''"""A module."""

def rate(step):
    """A docstring."""
    return 0.1 * step  # falls
'''


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("A docstring.", "Another one.", True),
        ('    """A docstring."""\n', "", True),
        ("# falls", "# rises", True),
        ("return 0.1", "return  0.10", True),
        ("A module.", "Of another text.", True),
        ("0.1", "0.2", False),
        ("* step", "* step * 1", False),
        ("def rate", "def speed", False),
    ],
)
def test_comments_and_docstrings_are_no_other_code(old: str, new: str, same: bool) -> None:
    assert old in SOURCE and (tree_digest(SOURCE) == tree_digest(SOURCE.replace(old, new))) is same


def test_a_trial_of_other_code_is_told_and_one_of_this_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config({"optim.epochs": 2})
    batches = toy_batches(tmp_path / "features", config)
    folders = [TrialFolder(str(tmp_path / name)) for name in ("now", "before", "both", "unknown")]
    for folder in folders:
        running = run_trial(config, batches, folder)
        next(running)
        running.close()
        assert folder.code() == [code_digest()]
    (tmp_path / "before" / "code.json").write_text(json.dumps(["0ld"]))
    (tmp_path / "both" / "code.json").write_text(json.dumps(["0ld"]))
    (tmp_path / "unknown" / "code.json").unlink()
    list(run_trial(config, batches, folders[2]))
    assert folders[2].code() == ["0ld", code_digest()], "one code began it, another went on"
    assert told_of_other_code([(folders[0], config)]) == ""
    told = told_of_other_code([(folder, config) for folder in folders])
    assert told.startswith("3 of 4 trials were trained by other code (digest 1 by 0ld, 1 by 0ld then ")
    assert f"1 by unknown, of an earlier version; now {code_digest()})" in told
    assert told.endswith("--retrain trains them anew")
    assert [begin_anew(folder, config) for folder in folders] == [False, True, True, True]
    assert [len(folder.history()) for folder in folders] == [1, 0, 0, 0]


@pytest.mark.parametrize("code", [["now"], ["0ld"], None])
def test_who_goes_on_from_another_trial_was_trained_by_its_code_too(tmp_path: Path, code: list[str] | None) -> None:
    first = tiny_config({"optim.epochs": 1})
    batches = toy_batches(tmp_path / "features", first)
    source, member = TrialFolder(str(tmp_path / "source")), TrialFolder(str(tmp_path / "member"))
    list(run_trial(first, batches, source))
    kept, now = tmp_path / "source" / "code.json", code_digest()
    if code is None:  # of an earlier version
        kept.unlink()
    elif code != ["now"]:
        kept.write_text(json.dumps(code))
    start = Member(name="start", trial=first.signature(), bundle=source.uri)
    list(run_trial(first.replace({"optim.epochs": 2, "start": start}), batches, member))
    assert member.code() == ([now] if code == ["now"] else [*(code or ["unknown"]), now])
    assert (told_of_other_code([(member, first)]) == "") is (code == ["now"])


def test_a_trial_begins_anew_as_if_it_had_never_been_trained(tmp_path: Path) -> None:
    config = tiny_config({"optim.epochs": 2})
    batches = toy_batches(tmp_path / "features", config)
    folder = TrialFolder(str(tmp_path / "trial"))
    first = list(run_trial(config, batches, folder))
    (tmp_path / "trial" / "code.json").write_text(json.dumps(["0ld"]))
    note_machine(folder, {"tonearm.commit": "abc"})
    (tmp_path / "trial" / "vectors.parquet").write_text("of the former model")
    with folder.lock():
        assert folder.trainer()
    assert begin_anew(folder, config) and not begin_anew(folder, config)
    left = [p.name for p in (tmp_path / "trial").rglob("*") if p.is_file()]
    assert left == ["training.json"], "nothing of the former training is left, its predictions on test neither"
    again = list(run_trial(config, batches, folder))
    assert folder.code() == [code_digest()] and folder.is_completed()
    assert [row["validation_f1_micro"] for row in again] == [row["validation_f1_micro"] for row in first]
    assert begin_anew(folder, config, whatever_code=True)


def test_a_kill_while_a_trial_is_emptied_leaves_one_that_is_emptied_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config({"optim.epochs": 1})
    batches = toy_batches(tmp_path / "features", config)
    folder = TrialFolder(str(tmp_path / "trial"))
    list(run_trial(config, batches, folder))
    files = len([p for p in (tmp_path / "trial").rglob("*") if p.is_file()])
    remove = storage.remove
    for removed in range(1, files - 1):
        list(run_trial(config, batches, folder))
        (tmp_path / "trial" / "code.json").write_text(json.dumps(["0ld"]))
        left = iter(range(removed))

        def killed(uri: str, left: Iterator[int] = left) -> None:
            next(left)
            remove(uri)

        with monkeypatch.context() as patch, pytest.raises(StopIteration):
            patch.setattr(storage, "remove", killed)
            begin_anew(folder, config)
        assert not folder.is_completed()
        assert folder.state() is None or folder.code() == ["0ld"], "it can be told that other code has trained it"
    list(run_trial(config, batches, folder))
    assert folder.is_completed() and folder.validation().track_ids


def test_own_modules_that_a_config_names_are_part_of_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, config = tmp_path / "own_optim.py", tiny_config()
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()

    def code(text: str) -> str:
        source.write_text(f"from tonearm.training.optim import OptimConfig\n\n{text}\n")
        trained_code.with_modules.cache_clear()
        return code_of(replace(config, optim=importlib.import_module("own_optim").Own()))

    first = code("class Own(OptimConfig):\n    kind, factor = 'own', 1.0")
    assert code_of(config) == code_digest() != first
    assert code("class Own(OptimConfig):\n    kind, factor = 'own', 1.0  # a comment") == first
    assert code("class Own(OptimConfig):\n    kind, factor = 'own', 2.0") not in (first, code_digest())
    del sys.modules["own_optim"]


@pytest.mark.parametrize("deep", [False, True])
def test_own_modules_of_an_earlier_stage_are_part_of_the_code_of_what_builds_upon_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deep: bool
) -> None:
    source, bundle = tmp_path / "own_stage.py", tmp_path / "first" / "bundle"
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()

    def describe(place: Path, *members: Member, modules: tuple[str, ...] = ()) -> Member:
        config = tiny_config({"members": members}).to_dict()
        storage.write_json(str(place / "bundle.json"), {"config": config, "modules": list(modules)})
        return Member(name="first", trial="1", bundle=str(place))

    def code(text: str) -> str:
        source.write_text(text)
        trained_code.with_modules.cache_clear()
        return code_of(last)

    last = tiny_config({"members": (Member(name="first", trial="1", bundle=str(bundle)),)})
    assert code("RATE = 1\n") == code_digest(), "it is not trained yet"
    member = describe(bundle, modules=("own_stage",))
    if deep:
        last = tiny_config({"members": (describe(tmp_path / "second" / "bundle", member),)})
    first = code("RATE = 1\n")
    assert first == code("RATE = 1  # a comment\n") != code_digest()
    assert code("RATE = 2\n") not in (first, code_digest())
    assert code_of(tiny_config()) == code_digest() and "own_stage" not in sys.modules, "nothing of it is run"
