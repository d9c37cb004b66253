"""Arrays that stay on disk: ``.npy`` files mapped into memory, of which no descriptor stays open, or read row by row.

numpy's own maps keep a descriptor each, and a process may have 256 (macOS) or 1 024 (Linux) of them.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path
from typing import Any, Literal

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
    shape, fortran, dtype, offset, size = _header(path)
    order: Literal["C", "F"] = "F" if fortran else "C"
    if size == offset:
        array: np.ndarray = np.empty(shape, dtype, order)
        array.flags.writeable = False
        return array
    return np.asarray(_Mapping(path, size))[offset:].view(dtype).reshape(shape, order=order)


def map_halves(path: Path) -> np.ndarray:
    """A ``.npy`` file of float16, a row after the other: as :func:`map_array`.

    Raises
    ------
    OSError, ValueError
        As :func:`map_array`; also if it holds other numbers.
    """
    array: np.ndarray = map_array(path)
    if array.dtype != np.float16 or not array.flags.c_contiguous or not array.dtype.isnative:
        raise ValueError(f"it holds {array.dtype}, expected float16, a row after the other")
    return array


class RowReader:
    """Rows of a ``.npy`` file of two dimensions, read one by one when they are asked for.

    A map of the file would count as this process's memory with all that lies around each row: for a hundred rows at
    random the kernel maps most of a large file. One descriptor stays open.

    Raises
    ------
    OSError, ValueError
        As :func:`map_array`; also if rows do not lie one after the other.
    """

    def __init__(self, path: Path) -> None:
        self._file: int | None = None
        shape, fortran, self._dtype, self._offset, _ = _header(path)
        if fortran or len(shape) != 2:
            raise ValueError(f"it holds an array of shape {shape}, expected rows, one after the other")
        self._dim = shape[1]
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, places: np.ndarray) -> np.ndarray:
        """The rows at some places, within the file, (places, dim)."""
        size, file = self._dim * self._dtype.itemsize, self._file
        if file is None:
            raise ValueError("the file is closed")
        read = b"".join([os.pread(file, size, self._offset + size * place) for place in places.tolist()])
        return np.frombuffer(read, self._dtype).reshape(len(places), self._dim)

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)


def _header(path: Path) -> tuple[tuple[int, ...], bool, Any, int, int]:
    """Shape, whether columns come first, type, where values begin, and bytes of the file."""
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
    return shape, fortran, dtype, offset, size


class _Mapping:
    """The bytes of a file as numpy takes them, mapped for as long as an array of them is there.

    Python's own maps, too, keep a descriptor each before 3.13.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._address: int | None = None
        self._system = ctypes.CDLL(None, use_errno=True)
        self._system.mmap.restype = ctypes.c_void_p
        self._system.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        self._system.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        with path.open("rb") as file:
            # Private, and nothing is written: its pages are shared with all processes that map the file.
            address = self._system.mmap(None, size, mmap.PROT_READ, mmap.MAP_PRIVATE, file.fileno(), 0)
        if address in (None, ctypes.c_void_p(-1).value):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
        self._address, self._size = address, size
        # Read-only: numpy refuses to write, nor can an array of it be made writeable again.
        self.__array_interface__ = {"shape": (size,), "typestr": "|u1", "data": (address, True), "version": 3}

    def __del__(self) -> None:
        if self._address is not None:
            self._system.munmap(self._address, self._size)
