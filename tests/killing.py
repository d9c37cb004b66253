"""Work that is cut off behind a number of its steps, as if its process had been killed there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest


@contextmanager
def killed_after(steps: int, place: Any, names: Sequence[str]) -> Iterator[None]:
    """Call so many times functions of a module or methods of a class; the next call of any of them ends the block.

    Parameters
    ----------
    place, names
        The module or class, and what of it counts as a step.
    """
    done = 0

    def counted(step: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **named: Any) -> Any:
            nonlocal done
            done += 1
            if done > steps:
                raise KeyboardInterrupt
            return step(*arguments, **named)

        return stepped

    with pytest.MonkeyPatch.context() as patch, suppress(KeyboardInterrupt):
        for name in names:
            patch.setattr(place, name, counted(getattr(place, name)))
        yield
