"""How exactly a GPU multiplies float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def float32_products(tf32: bool = False) -> Iterator[None]:
    """Within it, matrix products, convolutions and recurrent layers on a GPU compute in float32, or in TF32.

    TF32 keeps 10 of float32's 23 bits of mantissa: a product is then exact to about 1e-3, and several times faster. By
    default torch computes convolutions and recurrent layers so, but not matrix products. A CPU knows no TF32. What was
    set before is set again afterwards.
    """
    import torch

    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
