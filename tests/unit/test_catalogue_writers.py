"""Writers of a catalogue that are killed, and whatever they do one after the other, beside a dict."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.unit.test_catalogue import add, made, titles, vector
from tonearm.core import storage
from tonearm.recommend.catalogue import Catalogue
from tonearm.recommend.catalogue_changes import LOCK
from tonearm.recommend.memory import half_of

__all__ = ["made"]  # a fixture


def killed_at(steps: int, work: Callable[[], object]) -> bool:
    """Do work in a process that is killed before its so-manyth publication or removal of a file; whether it was."""
    child = os.fork()
    if child == 0:
        done = 0
        for name in ("publish", "remove"):
            step = getattr(storage, name)

            def counted(*arguments: Any, step: Any = step) -> Any:
                nonlocal done
                done += not str(arguments[-1]).endswith(LOCK)
                if done > steps:
                    os.kill(os.getpid(), signal.SIGKILL)
                return step(*arguments)

            setattr(storage, name, counted)
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("merge", [False, True])
def test_a_writer_that_is_killed_at_any_write_loses_nothing_and_harms_nothing(made: Path, merge: bool) -> None:
    add(made, "g")
    add(made, "h")  # so that there are parts to remove
    before, behind, seen, steps = list("abcdefgh"), list("bcdefghi"), list[list[str]](), 0
    while True:
        copy = made.with_name(f"copy{steps}")
        shutil.copytree(made, copy)
        killed = killed_at(steps, lambda at=copy: add(at, "i", remove=["a"], merge=merge))  # type: ignore[misc]
        found = Catalogue.open(str(copy))
        assert len(found.search(vector(1), 20)) == 8
        seen.append(found.ids)
        add(copy, "i", remove=["a"], merge=merge)
        add(copy, "j")
        assert Catalogue.open(str(copy)).ids == [*behind, "j"]
        add(copy, "k")
        assert not list(copy.glob("*/.*.tmp")) and len(list(copy.glob("*-0*"))) <= 4, "what it left is removed"
        steps += 1
        if not killed:
            break
    switched = seen.index(behind)
    assert seen == [before] * switched + [behind] * (len(seen) - switched) and switched >= 3


class Growing(RuleBasedStateMachine):
    """A catalogue beside a dict: the same rows, whatever is done."""

    IDS = st.sampled_from("abcdefgh")

    @initialize()
    def make(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="catalogue-"))
        self.rows: dict[str, int] = {}
        self.write("ab", 0, "", False)

    def write(self, added: str, seed: int, removed: str, merge: bool) -> None:
        add(self.folder / "c", added, seed, remove=removed, merge=merge)
        self.rows = {i: s for i, s in self.rows.items() if i not in removed} | dict.fromkeys(added, seed)
        self.opened = self.opened.refresh() if hasattr(self, "opened") else Catalogue.open(str(self.folder / "c"))

    @rule(added=st.sets(IDS, max_size=3), seed=st.integers(0, 2), removed=st.sets(IDS, max_size=3), merge=st.booleans())
    def change(self, added: set[str], seed: int, removed: set[str], merge: bool) -> None:
        self.write("".join(sorted(added)), seed, "".join(sorted(removed)), merge)

    @rule()
    def reopen(self) -> None:
        self.opened = Catalogue.open(str(self.folder / "c"))

    @invariant()
    def holds_the_same(self) -> None:
        if not hasattr(self, "opened"):
            return
        found = self.opened
        assert titles(found) == {i: f"{i}{seed}" for i, seed in self.rows.items()}
        assert all(found.place(found.ids[place]) == place for place in range(len(found)))
        vectors = {i: half_of(vector(ord(i) + 1000 * s)[None])[0] for i, s in self.rows.items()}
        for place, i in enumerate(found.ids):
            np.testing.assert_array_equal(found.halves(np.array([place]))[0], vectors[i])
        near = found.search(vector(5), 20)
        assert sorted(f.place for f in near) == list(range(len(found)))
        assert [f.similarity for f in near] == sorted((f.similarity for f in near), reverse=True)

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


Growing.TestCase.settings = settings(max_examples=12, stateful_step_count=10, deadline=None)
test_a_catalogue_holds_what_a_dict_would = Growing.TestCase
