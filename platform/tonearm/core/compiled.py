"""Functions that numba turns into machine code when they are first called, kept on disk where that is possible."""

from __future__ import annotations

from typing import Any


def compile_function(function: Any, **options: Any) -> Any:
    """The function as machine code, which other threads may run beside.

    numba, which keeps machine code on disk, notices changes only in the file of the function: what it calls must lie in
    the same one.

    Parameters
    ----------
    function
        A plain function of numbers and arrays.
    options
        Of ``numba.njit``.
    """
    import numba

    options = {"nogil": True, "error_model": "numpy", **options}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder that numba may write its cache to
        return numba.njit(**options)(function)
