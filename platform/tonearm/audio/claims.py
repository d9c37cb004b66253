"""What a file's header claims of its length, against what the rest of the file shows; nothing is decoded for it."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass, field

from tonearm.audio.flac import claimed_seconds, counts_anew, ends_as_claimed, joined_places
from tonearm.audio.formats import Format
from tonearm.audio.mp4 import boxes, require_few_packets
from tonearm.audio.mpeg import ReadAt
from tonearm.audio.ogg import MOST_PAGES, SHORTEST_PACKET, survey_pages

PIECE = 2**17  # larger ones are memory from the system, page by page
CHUNK_NAME = re.compile(rb"[A-Za-z0-9_ (),.\-]{4}")
TRAILERS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS", b"3DI")
#: Chunks that stand behind samples, also where the file was cut within them; and what a joined file begins with.
KNOWN_CHUNKS = (
    b"LIST", b"id3 ", b"bext", b"iXML", b"axml", b"fact", b"cue ", b"smpl", b"inst", b"plst", b"JUNK", b"junk", b"PAD ",
    b"FLLR", b"PEAK", b"acid", b"DISP", b"_PMX", b"levl", b"chna", b"cart", b"strc", b"afsp", b"SAUR", b"umid", b"minf",
    b"elm1", b"regn", b"LGWV", b"NAME", b"AUTH", b"ANNO", b"(c) ", b"MARK", b"INST", b"COMT", b"APPL", b"MIDI", b"AESD",
    b"COMM", b"fmt ",
)  # fmt: skip
PLAIN_AIFFS = (b"NONE", b"sowt", b"twos", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64", b"raw ")
JOINED = (b"RIFF", b"RIFX", b"FORM")
MOST_CHUNKS = 500
WEBM_HEAD = 4096  # bytes, in which WebM and Matroska state how long they are
WEBM_DURATION = re.compile(rb"\x44\x89(?:\x84(.{4})|\x88(.{8}))", re.DOTALL)
WEBM_SCALE = re.compile(rb"\x2a\xd7\xb1\x83(.{3})", re.DOTALL)  # nanoseconds a tick
LONGEST_STATED = 1e8  # seconds; more is noise
LARGEST = 2**32 - 1  # that a header can state
LEAST_REST = 4096  # bytes behind the samples that are worth a look
STREAMED = 2**32 - 1 - 2**16  # a recorder that does not know how long it will be writes sizes about the largest


@dataclass(frozen=True)
class Finding:
    """What is wrong with a header.

    Attributes
    ----------
    claimed
        The seconds that it claims; None if it claims none.
    patches
        Bytes to put over those of the file, by place: then libsndfile reads all of it. Without any FFmpeg must.
    unread
        What is in the file and is not read, for people; what is read then is as the header says.
    places
        Where each of several joined files begins, in bytes; each is to be decoded by itself.
    unsure
        Whether the end was not seen, so that the last sample must be read to know whether it is there.
    """

    claimed: float | None = None
    patches: dict[int, bytes] = field(default_factory=dict)
    unread: str = ""
    places: tuple[int, ...] = ()
    unsure: bool = False

    @property
    def needs_ffmpeg(self) -> bool:
        """Whether libsndfile would not read all of it."""
        return not self.patches and not self.unread and not self.unsure


def length_note(claimed: float | None, held: float) -> str:
    """What a person should know about a claimed length, in seconds; "" if it is about what the file holds."""
    if claimed is None or abs(claimed - held) <= max(1.0, 0.02 * held):
        return ""
    return f"claims {claimed:.0f} s, holds {held:.0f} s"


def find_false_claim(found: Format, read_at: ReadAt, size: int, at_most: float = math.inf) -> Finding | None:
    """What is wrong with what the header claims; None if nothing that can be seen without decoding.

    Parameters
    ----------
    found
        The format of the file.
    read_at
        Reads some of its bytes at a place.
    size
        Its bytes.
    at_most
        Seconds; of an Ogg no more pages are looked at than these can have.

    Raises
    ------
    AudioError
        ``bad_header``, of an M4A that states too much.
    """
    if found.name == "MP3":
        return _of_mp3(found, read_at)
    if found.name == "OGG":
        return _of_ogg(read_at, found.start, size, round(min(MOST_PAGES, at_most / SHORTEST_PACKET)))
    if found.name == "FLAC":
        return _of_flac(read_at, found.start, size)
    if found.name == "M4A":
        return _of_m4a(read_at, found.start, size)
    if found.name == "WEBM":
        return _of_webm(read_at, found.start)
    if found.demuxer == "wav":
        return _of_wav(read_at, found.start, size)
    if found.name == "AIFF":
        return _of_aiff(read_at, found.start, size)
    return None


def _of_mp3(found: Format, read_at: ReadAt) -> Finding | None:
    stream = found.mp3
    if stream is None:
        return None  # of "free" bitrate, or too short to walk
    head = read_at(stream.start, 180)
    # Behind the header and the side information, whose length depends on the version and the channels.
    side = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}
    place = 4 + side[head[1] >> 3 & 3 == 3, head[3] >> 6 == 3]
    checked = 2 if not head[1] & 1 else 0  # a checksum
    for at in (place, place + checked):
        if head[at : at + 4] in (b"Xing", b"Info") and len(head) >= at + 12:
            if not head[at + 7] & 1:
                break
            claimed = int.from_bytes(head[at + 8 : at + 12], "big")
            # The frame with the header itself is counted by some encoders.
            if stream.frames - 2 <= claimed <= stream.frames and stream.uniform:
                return None
            return Finding(claimed * stream.seconds / stream.frames)
    return None if stream.uniform else Finding()


def _of_ogg(read_at: ReadAt, start: int, size: int, most: int) -> Finding | None:
    """Joined streams, or pages that are missing."""
    survey = survey_pages(read_at, start, size, most)
    if len(survey.places) > 1:
        return Finding(places=survey.places)
    return Finding(survey.claimed) if survey.damaged else None


def _of_flac(read_at: ReadAt, start: int, size: int) -> Finding | None:
    """One that ends elsewhere than its header claims, or joined ones."""
    whole = ends_as_claimed(read_at, start, size)
    if whole is None:
        return Finding(unsure=True)
    if whole and not counts_anew(read_at, start, size):
        return None
    places = joined_places(read_at, start, size)
    if whole and len(places) < 2:
        return None
    return Finding(claimed_seconds(read_at, start), places=places if len(places) > 1 else ())


def _of_m4a(read_at: ReadAt, start: int, size: int) -> Finding | None:
    """Joined ones: a second box that states the type. What states too much is refused."""
    require_few_packets(read_at, start, size)
    places = [place for place, name, _ in boxes(read_at, start) if name == b"ftyp"]
    return Finding(places=tuple(places)) if len(places) > 1 else None


def _of_webm(read_at: ReadAt, start: int) -> Finding | None:
    """The duration that is stated, which streams leave out; whether it is right is seen when packets are counted."""
    head = read_at(start, WEBM_HEAD)
    stated, scale = WEBM_DURATION.search(head), WEBM_SCALE.search(head)
    if stated is None:
        return None
    ticks = struct.unpack(">f" if stated[1] else ">d", stated[1] or stated[2])[0]
    nanoseconds = int.from_bytes(scale[1], "big") if scale else 1_000_000
    seconds = ticks * nanoseconds / 1e9
    return Finding(seconds, unsure=True) if 0 < seconds < LONGEST_STATED else None


def _of_wav(read_at: ReadAt, start: int, size: int) -> Finding | None:
    """A WAV whose recorder crashed: the size of its samples is 0, or of long ago, and the samples go on behind it."""
    order = ">" if read_at(start, 4) == b"RIFX" else "<"
    place, bytes_a_second, sizes = start + 12, 0, 0
    for _ in range(MOST_CHUNKS):
        head = read_at(place, 24)
        if len(head) < 8:
            return None
        length = struct.unpack(f"{order}I", head[4:8])[0]
        if head[:4] == b"fmt " and len(head) >= 20:
            bytes_a_second = struct.unpack(f"{order}I", head[16:20])[0]
        if head[:4] == b"ds64" and length >= 24:
            sizes = place + 8
        if head[:4] == b"data":
            break
        place += 8 + length + length % 2
    else:
        return None
    first = place + 8
    if length >= STREAMED:
        return _of_rf64(read_at, sizes, first, size, bytes_a_second) if sizes else None
    if (joined := _joined_behind(read_at, first + length, size)) is not None:
        return joined
    if not _goes_on(read_at, first + length, size, order):
        return None
    rest = struct.pack(f"{order}I", min(size - first, STREAMED))
    whole = struct.pack(f"{order}I", min(size - start - 8, STREAMED))
    claimed = length / bytes_a_second if bytes_a_second else None
    return Finding(claimed, {place + 4: rest, start + 4: whole})


def _of_rf64(read_at: ReadAt, sizes: int, first: int, size: int, bytes_a_second: int) -> Finding | None:
    """A WAV with sizes of 64 bits, whose recorder did not come to write them."""
    stated = read_at(sizes, 24)
    length = struct.unpack("<Q", stated[8:16])[0] if len(stated) == 24 else size
    if not _goes_on(read_at, first + length, size, "<"):
        return None
    whole = struct.pack("<3Q", size - 8, size - first, 0)
    return Finding(length / bytes_a_second if bytes_a_second else None, {sizes: whole})


def _of_aiff(read_at: ReadAt, start: int, size: int) -> Finding | None:
    """An AIFF whose recorder crashed, as :func:`_of_wav` has it; only of plain samples."""
    place, common, form = start + 12, (0, 0, 0, 0), b""
    for _ in range(MOST_CHUNKS):
        head = read_at(place, 30)
        if len(head) < 8:
            return None
        length = struct.unpack(">I", head[4:8])[0]
        if head[:4] == b"COMM" and len(head) >= 16:
            form = head[26:30] if length >= 22 else b"NONE"
            common = (place + 10, *struct.unpack(">hIh", head[8:16]))
        if head[:4] == b"SSND":
            break
        place += 8 + length + length % 2
    else:
        return None
    at, channels, frames, bits = common
    first = place + 16  # behind an offset and a block size, which count
    end = max(first, place + 8 + length)
    if form not in PLAIN_AIFFS or not at or channels < 1 or bits < 1 or length >= STREAMED:
        return None
    if (joined := _joined_behind(read_at, end, size)) is not None:
        return joined
    if not _goes_on(read_at, end, size, ">"):
        return None
    there = (size - first) // (channels * -(-bits // 8))
    return Finding(None if frames else 0.0, {
        at: struct.pack(">I", min(there, LARGEST)), place + 4: struct.pack(">I", min(size - first + 8, LARGEST)),
        start + 4: struct.pack(">I", min(size - start - 8, LARGEST)),
    })  # fmt: skip


def _joined_behind(read_at: ReadAt, end: int, size: int) -> Finding | None:
    """A finding if another file begins behind the samples: it may have another form, and is not read."""
    if size - end >= LEAST_REST and any(read_at(at, 4) in JOINED for at in (end, end + end % 2)):
        return Finding(unread="is followed by another recording in the same file, which is not read")
    return None


def _goes_on(read_at: ReadAt, end: int, size: int, order: str) -> bool:
    """Whether what is behind the samples is more of them: no chunks, no tag, no zeros alone."""
    if size - end < LEAST_REST:
        return False
    # A chunk begins at an even place, but some writers leave out the byte before it, and others fill up with zeros.
    sound = _first_sound(read_at, end, size)
    for place in {end, end + 1, sound}:
        if read_at(place, 12).startswith((*TRAILERS, *KNOWN_CHUNKS)):
            return False
    return size - sound >= LEAST_REST and not any(_are_chunks(read_at, at, size, order) for at in (end, end + 1))


def _first_sound(read_at: ReadAt, place: int, size: int) -> int:
    """Where the first byte is that is not zero; the end of the file if none is."""
    while place < size:
        data = read_at(place, PIECE)
        if rest := data.lstrip(b"\0"):
            return place + len(data) - len(rest)
        place += max(1, len(data))
    return size


def _are_chunks(read_at: ReadAt, place: int, size: int, order: str) -> bool:
    """Whether there are chunks up to the end of the file; so many of them are no music, either."""
    first = place
    for _ in range(MOST_CHUNKS):
        if place + 8 > size:
            return True
        head = read_at(place, 8)
        length = struct.unpack(f"{order}I", head[4:8])[0]
        if not CHUNK_NAME.fullmatch(head[:4]) or place + 8 + length > size:
            return place != first
        place += 8 + length + length % 2
    return True
