"""How exactly a GPU multiplies float32."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tonearm.core.errors import ConfigError

_lock = threading.Lock()
_requests: list[list[bool]] = []  # whether TF32, of each block that runs; told apart by identity
_before: list[tuple[str, bool]] = []  # the settings outside of all blocks


def is_gpu(device: str) -> bool:
    """Whether a torch device is a CUDA GPU: ``"cuda"``, ``"cuda:1"``; else it is ``"cpu"``.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    if not re.fullmatch(r"cpu(:0)?|cuda(:\d+)?", device):
        raise ConfigError(f"device {device!r}: there is no such device here; use cpu, or cuda on a machine with a GPU")
    return device.startswith("cuda")


def require_device(device: str) -> None:
    """Check that a device can compute here: ``"cpu"``, or a GPU that torch sees.

    Raises
    ------
    ConfigError
        If it is another, or there is no such GPU.
    """
    if not is_gpu(device):
        return
    import torch

    if not torch.cuda.is_available():
        raise ConfigError(f"device {device!r}: torch sees no GPU here; use cpu, or cuda on a machine with a GPU")
    number, known = int(device.partition(":")[2] or 0), torch.cuda.device_count()
    if number >= known:
        last = "cuda:0" if known == 1 else f"cuda:0 to cuda:{known - 1}"
        raise ConfigError(f"device {device!r}: torch sees {known} GPU{'s' if known > 1 else ''} here; use {last}")


@contextmanager
def float32_products(tf32: bool = False) -> Iterator[None]:
    """Within it, matrix products, convolutions and recurrent layers on a GPU compute in float32, or in TF32.

    TF32 keeps 10 of float32's 23 bits of mantissa: a product is then exact to about 1e-3, and several times faster. By
    default torch computes convolutions and recurrent layers so, but not matrix products. A CPU knows no TF32. What was
    set before is set again behind the last block that runs.

    The settings are of the whole process. Threads may enter blocks at the same time; if they ask for different
    precisions, all compute in the one that was asked for last.
    """
    request = [tf32]
    with _lock:
        if not _requests:
            _before[:] = [_settings()]
        _requests.append(request)
        _apply()
    try:
        yield
    finally:
        with _lock:
            _requests[:] = [r for r in _requests if r is not request]
            _apply()


def _settings() -> tuple[str, bool]:
    import torch

    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


def _apply() -> None:
    """Set what the last request asks for, or what was before all of them."""
    import torch

    tf32 = bool(_requests) and _requests[-1][0]
    products, layers = ("high" if tf32 else "highest", tf32) if _requests else _before[0]
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = layers
