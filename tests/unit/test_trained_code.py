"""Which code trained a trial is known and told: what nobody trains again may be another code's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builders import tiny_config, toy_batches
from tonearm.training.config import Member
from tonearm.training.trained_code import code_digest, told_of_other_code, tree_digest
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
    assert told_of_other_code(folders[:1]) == ""
    told = told_of_other_code(folders)
    assert told.startswith("3 of 4 trials were trained by other code (digest 1 by 0ld, 1 by 0ld then ")
    assert f"1 by unknown, of an earlier version; now {code_digest()})" in told
    assert all(folder.uri in told for folder in folders[1:]) and folders[0].uri not in told


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
    assert (told_of_other_code([member]) == "") is (code == ["now"])
