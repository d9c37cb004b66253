"""Deterministic identities and seeds: blake2 everywhere, never ``hash()``, which differs by process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ByteBlocks:
    """Many bytes that come in blocks; hashed as if they were one.

    Attributes
    ----------
    size
        Bytes of all blocks together.
    """

    size: int
    blocks: Iterable[bytes]


def digest(*parts: Any, size: int = 8) -> str:
    """A hexadecimal blake2b digest of the parts, the same in every process and on every machine.

    Parameters
    ----------
    parts
        bytes, and :class:`ByteBlocks`, are hashed as they are, anything else as canonical JSON.
    size
        Bytes of digest; the text has twice as many characters.
    """
    h = hashlib.blake2b(digest_size=size)
    for part in parts:
        if not isinstance(part, ByteBlocks):
            data = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, ensure_ascii=False).encode()
            part = ByteBlocks(len(data), (data,))
        h.update(part.size.to_bytes(8, "little"))  # so that ("ab", "c") and ("a", "bc") differ
        for block in part.blocks:
            h.update(block)
    return h.hexdigest()


def derive_seed(*parts: Any) -> int:
    """A seed in 0..2**63-1 derived from the parts: every random choice gets a stream of its own."""
    return int(digest(*parts, size=8), 16) & (2**63 - 1)
