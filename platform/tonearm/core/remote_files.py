"""Files elsewhere, by any driver of fsspec: which one reads a URI, and what its store tells of a file."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime
from typing import Any

MILLISECONDS = "modificationTime"  # of HDFS; all other numbers are seconds
WRITTEN = ("LastModified", "last_modified", "mtime", "modified", "updated", "modify", MILLISECONDS, "created")
MARKS = ("ETag", "etag", "generation", "content_md5", "md5Hash", "sha")  # another one when a file is written anew
DIGITS = re.compile(r"^(\d{8})(\d{6})")  # as FTP writes a time, in UTC
HEAD_BYTES = 2**18  # that are read at once where a beginning and an end may be all that is looked at
BLOCK_BYTES = 4 * 2**20  # that are read at once; the driver of S3 would read 50 MiB for a file's first bytes
MOST_BLOCKS = 16  # of a file, that are held in memory
CHAINED = re.compile(r"^[^/:]+::|::[A-Za-z][A-Za-z0-9+.\-]*://")  # zip://a.mp3::s3://bucket/all


def filesystem_of(uri: str) -> tuple[Any, str]:
    """The file system of a URI, and the path in it.

    Two colons in a name, as in ``s3://bucket/Kino :: Noch.mp3``, chain nothing.
    """
    import fsspec  # lazy: local files, which a bare training machine reads, need no fsspec

    if "::" in uri and not CHAINED.search(uri):
        kind = fsspec.get_filesystem_class(uri.partition("://")[0])
        return kind(**kind._get_kwargs_from_urls(uri)), str(kind._strip_protocol(uri))
    filesystem, path = fsspec.core.url_to_fs(uri)
    return filesystem, path


def open_remote(uri: str, block: int = BLOCK_BYTES, held: int = MOST_BLOCKS) -> Any:
    """A file elsewhere, opened to be read anywhere: what is asked for is fetched by blocks, of which the last are held.

    Parameters
    ----------
    block
        Bytes of a block.
    held
        So many of them.
    """
    filesystem, path = filesystem_of(uri)
    return filesystem.open(path, "rb", block_size=block, cache_type="blockcache", cache_options={"maxblocks": held})


def fresh_info(uri: str) -> dict[str, Any]:
    """What the store tells of a file now, whatever an earlier listing said."""
    filesystem, path = filesystem_of(uri)
    filesystem.invalidate_cache(path)
    return dict(filesystem.info(path))


def written_at(entry: dict[str, Any]) -> float | None:
    """When a file elsewhere was last written, by what its store tells of it, in seconds since 1970."""
    for name in WRITTEN:
        at = entry.get(name)
        with contextlib.suppress(ValueError):
            at = datetime.fromisoformat(DIGITS.sub(r"\1T\2", at)) if isinstance(at, str) else at
        if isinstance(at, datetime):
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        if isinstance(at, int | float):
            return at / 1000 if name == MILLISECONDS else float(at)
    return None


def stamp_text(size: int | None, mark: str, written: float | None) -> str:
    """Size and mark of a file, or the time it was written, as text; "" where its store does not tell."""
    told = mark or written
    return f"{size}-{told}" if told and size is not None and size >= 0 else ""


def mark_of(entry: dict[str, Any]) -> str:
    """What a store calls the content of a file, which is another one when it is written anew; "" if it does not."""
    return next((str(entry[name]).strip('"') for name in MARKS if entry.get(name)), "")
