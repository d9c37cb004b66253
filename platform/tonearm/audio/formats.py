"""Which format a file has: told by what is in it behind tags and junk, never by its name."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tonearm.audio.mpeg import (
    LONGEST_FRAME,
    LONGEST_JUNK,
    MpegStream,
    ReadAt,
    begins_as_adts,
    behind_tags,
    first_adts,
    first_frame,
    is_chain,
    walk_mp3,
)

READ_FORMATS = "MP3, Ogg (Vorbis, Opus, FLAC), FLAC, WAV, AIFF, M4A, AAC and WebM"
#: What a stream that was saved or cut may have in front of its first frame, besides zeros and white space.
STREAM_HEADS = (b"ICY ", b"HTTP/", b"APETAGEX", b"TAG", b"LYRICS", b"ID3")
#: Files that hold MP3 frames at times and are no music: archives, programs, documents, pictures, films.
FOREIGN_HEADS = (
    b"PK", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"MZ", b"\x7fELF", b"\xca\xfe\xba\xbe", b"%PDF",
    b"\xd0\xcf\x11\xe0", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"BM", b"II*\x00", b"MM\x00*", b"\x00\x00\x01\xba",
    b"\x00\x00\x01\xb3", b"FLV", b"FWS", b"CWS", b"G@", b"0&\xb2u", b"SQLite", b"\xef\xbb\xbf", b"\xff\xfe",
    b"\xfe\xff", b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b"OggS", b"fLaC", b"\x1aE\xdf\xa3", b"MThd", b"caff",
    b".snd", b"8BPS", b"{\\rtf", b"\0asm", b"\0\0\1\0", b"\0\0\2\0", b"MSCF", b"(\xb5/\xfd", b"\x04\"M\x18", b"PAR1",
    b"\x93NUMPY", b"\x89HDF", b"\x80\x04\x95", b"\0\0\0\1Bud1", b"\0\5\x16\7", b"\0\5\x16\0", b"!<arch>", b"OTTO",
    b"wOFF", b"\0\1\0\0\0", b"wOF2", b"true", b"ttcf", b"\1CD001", b"\x89LZO", b"LZIP", b"xar!", b"AT&T", b"ITSF",
    b"DICM", b"v/1\1", b"BLENDER", b"glTF", b"\0\0\0\x0cjP", b"\0\0\0\x0cJXL",
)  # fmt: skip
EMPTY = b"\0\r\n\t "  # what says nothing in front of music
COMPILED = b"\r\n"  # Python writes it behind the two bytes that name its version
TEXT = bytes(range(0x20, 0x7F)) + b"\t\r\n"
MOST_HEADS = 8  # one behind the other
LONGEST_HEAD = 2**14  # bytes, of a stream
ID3V1 = 128  # bytes
LEAST_HEAD = 512  # bytes that must be seen of a file
SHORT_TEXT = 24  # bytes of text in a row are a script or a page, not a cut frame


@dataclass(frozen=True)
class AudioInfo:
    """What a recording is: length in seconds, sample rate in Hz, channels, container format."""

    duration: float
    sample_rate: int
    channels: int
    format: str


@dataclass(frozen=True)
class Format:
    """What a file holds.

    Attributes
    ----------
    name
        ``"MP3"``, ``"WAV"``, ``"AIFF"``, ``"FLAC"``, ``"OGG"``, ``"M4A"``, ``"AAC"`` or ``"WEBM"``.
    start
        Where it begins, behind tags and junk, in bytes.
    demuxer
        FFmpeg's name for it.
    by_libsndfile
        Whether libsndfile is asked first.
    mp3
        The frames of an MP3.
    """

    name: str
    start: int
    demuxer: str
    by_libsndfile: bool
    mp3: MpegStream | None = None


def find_format(read_at: ReadAt, at_most: float = math.inf) -> Format:
    """The format of a file.

    Only what begins as one of the formats below is ever given to a decoder: an uploaded file may be hostile.

    Parameters
    ----------
    read_at
        Reads some bytes of the file at a place.
    at_most
        Seconds after which the frames of an MP3 are not counted any more.

    Raises
    ------
    RuntimeError
        If it is none that is read here; the message lists those.
    """
    start, foreign, harmless = 0, False, 0
    for _ in range(MOST_HEADS):
        start = behind_tags(read_at, start)
        data = read_at(start, LONGEST_JUNK)
        if not data:
            raise RuntimeError("it holds nothing but a tag")
        if (found := _by_head(data, start, harmless)) is not None:
            return found
        foreign = foreign or data.startswith(FOREIGN_HEADS) or data[257:262] == b"ustar" or _is_bytecode(data)
        more = _harmless(data)
        if not more or foreign:
            break
        start, harmless = start + more, harmless + more
    if not foreign:
        if _mp3_in_front(data):
            return Format("MP3", start, "mp3", not harmless, walk_mp3(read_at, start, at_most))
        first, adts = first_frame(data), first_adts(data)
        if first is not None and (adts is None or first < adts) and _may_be_junk(data[:first]):
            return Format("MP3", start + first, "mp3", not first, walk_mp3(read_at, start + first, at_most))
        if adts is not None and _may_be_junk(data[:adts]):
            return Format("AAC", start + adts, "aac", False)
    raise RuntimeError(f"it begins as none of the known formats, {READ_FORMATS}, but {_shown(read_at(0, 12) or data)}")


def is_known(head: bytes) -> bool:
    """Whether a file that begins with these bytes is one of the formats; False: more of it must be seen.

    Raises
    ------
    RuntimeError
        If it is none, whatever follows; the message says what it begins with.
    """
    cut = False

    def read_at(place: int, count: int) -> bytes:
        nonlocal cut
        cut = cut or place + count > len(head)
        return head[place : place + count]

    try:
        find_format(read_at)
    except RuntimeError:
        if not cut or (len(head) >= LEAST_HEAD and not _may_be_junk(head)):
            raise
        return False
    return len(head) >= LEAST_HEAD or not cut


def _by_head(data: bytes, start: int, harmless: int) -> Format | None:
    """The format that states itself in its first bytes; libsndfile knows of no bytes in front of it but tags."""
    head, alone = data[:12], not harmless
    if head.startswith((b"RIFF", b"RIFX", b"RF64")) and head[8:12] in (b"WAVE", b""):
        return Format("WAV", start, "wav", alone)
    if head.startswith(b"riff"):
        return Format("WAV", start, "w64", alone)
    if head.startswith(b"FORM") and head[8:12] in (b"AIFF", b"AIFC", b""):
        return Format("AIFF", start, "aiff", alone)
    if head.startswith(b"fLaC"):
        return Format("FLAC", start, "flac", alone)
    if head.startswith(b"OggS"):
        return Format("OGG", start, "ogg", alone and b"\x7fFLAC" not in data[:128])
    if head[4:8] == b"ftyp":
        return Format("M4A", start, "mp4", False)
    if head.startswith(b"\x1aE\xdf\xa3"):
        return Format("WEBM", start, "matroska", False)
    return Format("AAC", start, "aac", False) if begins_as_adts(data) else None


def _harmless(data: bytes) -> int:
    """How many bytes in front say nothing: zeros, empty lines, the head of a saved stream, an ID3v1 tag."""
    if data.startswith((b"ICY ", b"HTTP/")):
        ends = [at + len(end) for end in (b"\r\n\r\n", b"\n\n") if (at := data.find(end, 0, LONGEST_HEAD)) >= 0]
        return min(ends, default=0)
    if data.startswith(b"TAG") and len(data) > ID3V1:
        return ID3V1
    count = len(data) - len(data.lstrip(EMPTY))
    if data[count + 1 : count + 5] == b"ftyp":
        return max(0, count - 3)  # a size that begins with zeros
    return count


def _is_bytecode(data: bytes) -> bool:
    """Whether it begins as a .pyc, and not with empty lines, which have the same bytes behind other ones."""
    return data[2:4] == COMPILED and bool(data[:2].strip(EMPTY))


def _mp3_in_front(data: bytes) -> bool:
    """Whether it begins with an MP3 frame, with others behind it or as the only one; or with one of "free" bitrate."""
    if data[0] != 0xFF or len(data) < 4 or data[1] < 0xE0:
        return False
    if is_chain(data):
        return True
    alone = len(data) < 4 * LONGEST_FRAME and is_chain(data, frames=1)
    free = data[1] >> 1 & 3 == 1 and data[2] >> 4 == 0 and data[2] >> 2 & 3 != 3
    return alone or free


def _may_be_junk(junk: bytes) -> bool:
    """Whether these bytes may stand in front of the first frame of an MP3: what savers and cutters of streams leave."""
    text = junk.lstrip(EMPTY)
    if not text or text.startswith(STREAM_HEADS):
        return True
    if text.startswith(FOREIGN_HEADS) or junk.startswith(FOREIGN_HEADS):
        return False
    return len(text) < SHORT_TEXT or any(byte not in TEXT for byte in text[:SHORT_TEXT])


def _shown(head: bytes) -> str:
    """The first bytes as a person may know them."""
    text = head.decode("ascii", "replace")
    return f"with {text!r}" if all(byte in TEXT for byte in head) else f"with the bytes {head[:8].hex(' ')}"
