"""One folder that holds everything which libraries of people have been seen to hold, for the demo to run through."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import mutagen
import mutagen.apev2

from tests.builders import RATE, encode, sounds_like
from tests.odd_audio import id3, with_xing_count, write

SECONDS = 12.0  # a little more than the demo's clip of 10 s
#: A class and what its recordings sound like. The last is written in three ways.
CLASSES = {"Joey Bada$$": "bass", "日本の音楽": "flute", "Hip-Hop": "noise"}
OTHER_SPELLINGS = ("hip hop", "Hip Hop")
NOT_READ = ("demo.wma", "book.m4b", "book-2.m4b")


def write_worst_library(folder: Path) -> None:
    """Three classes of some fourteen recordings, and everything around them.

    ``folder`` and a ``nas`` beside it are made. Labels come from tags (``genre``) and from a ``tracks.csv`` as Excel
    writes it: ``sep=;``, cp1252, Windows paths and base names, a contradiction, rows without a file.
    """
    nas = folder.parent / "nas"
    dollars, japan = nas / "Joey Bada$$", folder / "日本の音楽"
    rap = folder / unicodedata.normalize("NFD", "Forró Café")
    for place in (dollars, japan, rap):
        place.mkdir(parents=True)
    (folder / "Linked").symlink_to(nas, target_is_directory=True)  # the first class lies on another disk
    (folder / "Linked again").symlink_to(nas, target_is_directory=True)
    (japan / "loop").symlink_to(folder, target_is_directory=True)
    rows = ["sep=;", " Filename ;Genre;Artist"]
    for i in range(12):
        joey = f"{'The ' if i % 3 == 1 else ''}Joey {i // 3}{f' feat. Guest {i}' if i % 3 == 0 else ''}"
        _tagged(dollars / f"{i:02}.ogg", "Joey Bada$$", 100 + i, joey)
        _tagged(japan / f"曲 #{i} 100%?.ogg", "日本の音楽", 200 + i, "Unknown Artist" if i % 2 else f"歌手{i}")
        rap_file = rap / f"rap.{i:05}.wav"
        rap_file.write_bytes(encode(_sound("Hip-Hop", 300 + i)))
        label = "Hip-Hop" if i < 8 else OTHER_SPELLINGS[i % 2]
        there = unicodedata.normalize("NFC", rap.name)
        path = rf"C:\Users\Zoë\Music\{there}\{rap_file.name}" if i % 2 else rap_file.name
        rows.append(f"{path};{label};{'nan' if i % 4 == 0 else f'MC {i // 2} & Zoë'}")
    rows += ["gone-1.wav;Hip-Hop;x", "gone-2.wav;Hip-Hop;x", "rap.00000.wav;Polka;x", "rap.00001.wav;nan;x"]
    _odd_sounds(rap, rows)
    (folder / "tracks.csv").write_bytes("\r\n".join([*rows, ""]).encode("cp1252"))
    _around(folder, japan, dollars)


def _sound(label: str, seed: int) -> object:
    return sounds_like(CLASSES[label], seed, SECONDS)


def _tagged(path: Path, label: str, seed: int, artist: str) -> None:
    path.write_bytes(encode(_sound(label, seed), container="OGG"))
    file = mutagen.File(path, easy=True)
    file["genre"], file["artist"], file["title"] = [label], [artist], [f"<b>Song {seed}</b>"]
    file.save()


def _odd_sounds(folder: Path, rows: list[str]) -> None:
    """Recordings that decoders and headers make hard, with a row each."""
    samples = [sounds_like(CLASSES["Hip-Hop"], 400 + i, SECONDS) for i in range(6)]
    mp3s = [write(s, RATE, "mp3", "libmp3lame", options={"write_xing": "1", "id3v2_version": "0"}) for s in samples]
    flac = encode(sounds_like(CLASSES["Hip-Hop"], 410, 4 * SECONDS), container="FLAC")
    sounds = {
        "xing-x10.mp3": with_xing_count(mp3s[0], lambda n: 10 * n),
        "xing-zero.mp3": with_xing_count(mp3s[1], lambda n: 0),
        "joined.mp3": mp3s[2] + mp3s[3],
        "crlf-front.mp3": b"\r\n" * 700 + mp3s[4],
        "id3-front.aac": id3(400) + write(samples[5], RATE, "adts", "aac"),
        "cut-short.flac": flac[: len(flac) // 2],
    }
    for name, data in sounds.items():
        (folder / name).write_bytes(data)
        rows.append(f"{name};Hip-Hop;")
    apev2 = folder / "ape-only.mp3"
    apev2.write_bytes(write(sounds_like(CLASSES["Hip-Hop"], 420, SECONDS), RATE, "mp3", "libmp3lame",
                            options={"id3v2_version": "0"}))  # fmt: skip
    tags = mutagen.apev2.APEv2()
    tags["Genre"], tags["Artist"] = "Hip-Hop", "Ape"
    tags.save(apev2)


def _around(folder: Path, japan: Path, dollars: Path) -> None:
    """What is no music, what was thrown away, what systems keep, and one recording under two labels."""
    trash = [".Trash-1000/files", "$RECYCLE.BIN/S-1-5", "#recycle", "@eaDir/x.mp3", "__MACOSX", ".hidden"]
    for place in trash:
        (folder / place).mkdir(parents=True)
        shutil.copy(dollars / "00.ogg", folder / place / "thrown away.ogg")
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "._00.mp3").write_bytes(b"\0\5\26\7")
    for name in NOT_READ:
        (folder / name).write_bytes(bytes(100))
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / "text.mp3").write_text("#!/bin/sh\necho this is a script\n")
    (folder / "empty.wav").write_bytes(b"")
    double = japan / "double.ogg"  # the bytes are others, the music is the same
    shutil.copy(dollars / "01.ogg", double)
    file = mutagen.File(double, easy=True)
    file["genre"] = ["日本の音楽"]
    file.save()
    locked = folder / "locked"
    locked.mkdir()
    locked.chmod(0)
