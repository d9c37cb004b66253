"""Arrays that stay on disk: ``.npy`` files mapped into memory, of which no descriptor stays open.

numpy's own maps keep a descriptor each, and a process may have 256 (macOS) or 1 024 (Linux) of them.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np


def map_array(path: Path) -> Any:
    """The array of a ``.npy`` file, read-only; its values are read from the disk when they are used.

    Raises
    ------
    OSError
        If the file is not there, or cannot be opened or mapped.
    ValueError
        If it is no such file, is cut off, or holds Python objects.
    """
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"it is of version {version} of the format, expected 1.0 or 2.0")
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(file)
        offset, size = file.tell(), os.fstat(file.fileno()).st_size
    wanted = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never read")
    if size != offset + wanted:
        raise ValueError(f"it has {size} bytes, its header says {offset + wanted}")
    array = np.empty(shape, dtype, "F" if fortran else "C") if not wanted else (
        _map_bytes(path, size)[offset:].view(dtype).reshape(shape, order="F" if fortran else "C")
    )  # fmt: skip
    array.flags.writeable = False
    return array


def _map_bytes(path: Path, size: int) -> Any:
    import torch

    try:  # a private map, of which nothing is ever written: pages are shared with all processes that map the file
        mapped = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8).numpy()
    except RuntimeError as error:  # the text of the system's error, with its number: "... memory (12)"
        told = str(error).splitlines()[0]
        number = told.rpartition("(")[2].rstrip(")")
        raise OSError(int(number) if number.isdecimal() else errno.EIO, told) from None
    mapped.flags.writeable = False  # nor can it be made so again
    return mapped
