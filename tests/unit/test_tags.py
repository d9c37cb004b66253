"""Tags where people have them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.builders import RATE, encode, music, tone
from tests.odd_audio import write
from tonearm.audio import tags
from tonearm.audio.tags import read_tag_values, read_tags
from tonearm.datasets.folder import scan_folder

CONTAINERS = {"flac": "FLAC", "ogg": "OGG", "mp3": "MP3", "wav": "WAV", "opus": "OGG"}


def write_tagged(path: Path, tags: dict[str, str]) -> None:
    import mutagen
    from mutagen import id3

    kind = path.suffix[1:]
    rate, subtype = (48_000, "OPUS") if kind == "opus" else (RATE, None)
    path.write_bytes(encode(tone(440, 0.3, rate), rate, CONTAINERS[kind], subtype))
    if kind == "wav":  # no easy tags: ID3 frames in a chunk
        file = mutagen.File(path)
        file.add_tags()
        frames = {"title": id3.TIT2, "artist": id3.TPE1, "album": id3.TALB, "genre": id3.TCON, "date": id3.TDRC}
        for key, value in tags.items():
            file.tags.add(frames[key](encoding=3, text=[value]))
    else:
        file = mutagen.File(path, easy=True)
        if file.tags is None:
            file.add_tags()
        for key, value in tags.items():
            file[key] = [value]
    file.save()


@pytest.mark.parametrize("kind", ["flac", "ogg", "mp3", "opus"])
def test_tags_are_read_from_every_container(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    write_tagged(path, {"title": "Für Elise", "artist": "Ludwig", "album": "Bagatellen", "genre": "Classical",
                        "date": "1867-04-27"})  # fmt: skip
    assert read_tags(path) == {
        "title": "Für Elise", "artist": "Ludwig", "album": "Bagatellen", "genre": "Classical", "year": "1867",
    }  # fmt: skip


def test_absent_and_empty_tags_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    write_tagged(path, {"title": "  ", "artist": " Clara ", "date": "long ago"})
    assert read_tags(path) == {"artist": "Clara"}


def test_files_without_tags_have_none(tmp_path: Path) -> None:
    plain, text = tmp_path / "a.wav", tmp_path / "b.mp3"
    plain.write_bytes(encode(tone(440, 0.1)))
    text.write_bytes(b"no audio at all")
    assert read_tags(plain) == {} and read_tags(text) == {} and read_tags(tmp_path / "absent.mp3") == {}
    assert read_tags("memory://somewhere/a.mp3") == {}


def test_tags_of_wav_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_tagged(path, {"title": "Lied", "artist": "Fanny", "genre": "Art song", "date": "1846"})
    assert read_tags(path) == {"title": "Lied", "artist": "Fanny", "genre": "Art song", "year": "1846"}


@pytest.mark.parametrize("kind", ["flac", "ogg", "mp3", "opus", "wav"])
def test_damaged_files_have_tags_or_none_but_never_fail(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    write_tagged(path, {"title": "Lied", "artist": "Fanny"})
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for i in range(60):
        damaged = bytearray(whole[: int(len(whole) * rng.uniform(0, 1))] if i % 2 else whole)
        for place in rng.integers(0, max(1, min(len(damaged), 400)), 12):
            if damaged:
                damaged[place] = int(rng.integers(0, 256))
        path.write_bytes(bytes(damaged))
        assert set(read_tags(path)) <= {"title", "artist", "album", "genre", "year", "albumartist"}


# --- where people have them

WANTED = {"title": "Lied", "artist": "Fanny", "album": "Lieder", "genre": "Jazz", "year": "1999"}


def info(**chunks: bytes) -> bytes:
    body = b"INFO"
    for name, text in chunks.items():
        body += name.encode() + len(text).to_bytes(4, "little") + text + b"\0" * (len(text) % 2)
    return b"LIST" + len(body).to_bytes(4, "little") + body


def test_info_of_wav(tmp_path: Path) -> None:
    path, wav = tmp_path / "a.wav", encode(tone(440, 0.2))
    chunk = info(INAM=b"Lied\0", IART=b"Fanny\0", IPRD=b"Lieder\0", IGNR=b"Jazz\0", ICRD=b"1999-01-02\0")
    path.write_bytes(wav + chunk)
    assert read_tags(path) == WANTED
    path.write_bytes(wav[:12] + chunk + wav[12:])  # in front of the samples, as FFmpeg writes it
    assert read_tags(path) == WANTED
    path.write_bytes(wav + info(IART=b"\xca\xe8\xed\xee\0", IGNR=b"17\0", INAM="Für Elise".encode() + b"\0"))
    assert read_tags(path) == {"title": "Für Elise", "artist": "Кино", "genre": "Rock"}


def test_apev2_behind_an_mp3(tmp_path: Path) -> None:
    from mutagen.apev2 import APEv2

    path = tmp_path / "a.mp3"
    path.write_bytes(encode(tone(440, 0.5), container="MP3"))
    tags = APEv2()
    for key, value in zip(("Title", "Artist", "Album", "Genre", "Year"), WANTED.values(), strict=True):
        tags[key] = value
    tags.save(path)
    assert read_tags(path) == WANTED


def id3_file(path: Path, body: bytes, version: int = 4, encoding: int = 3, **frames: str) -> Path:
    from mutagen import id3

    tags = id3.ID3()
    for name, text in frames.items():
        tags.add(getattr(id3, name)(encoding=encoding, text=text.split("|")))
    path.write_bytes(body)
    if version == 3:
        tags.update_to_v23()
    tags.save(path, v2_version=version)
    return path


@pytest.mark.parametrize("kind", ["aac", "flac", "mp3"])
def test_id3_in_front(kind: str, tmp_path: Path) -> None:
    body = {
        "aac": lambda: write(music(1.0), RATE, "adts", "aac"),
        "flac": lambda: encode(tone(440, 0.3), container="FLAC"),
        "mp3": lambda: encode(tone(440, 0.5), container="MP3"),
    }[kind]()
    path = id3_file(tmp_path / f"a.{kind}", body, TIT2="Lied", TPE1="Fanny", TALB="Lieder", TCON="8", TDRC="1999")
    assert read_tags(path) == WANTED


@pytest.mark.parametrize(("text", "wanted"), [
    ("Ðîê", "Рок"), ("Êèíî", "Кино"), ("Ãðóïïà êðîâè (live)", "Группа крови (live)"), ("Für Elise", "Für Elise"),
    ("À côté", "À côté"), ("À l'été", "À l'été"), ("Là où çà", "Là où çà"), ("Où ça? Là-bas!", "Où ça? Là-bas!"),
    ("Ça a été", "Ça a été"), ("Über Öl", "Über Öl"), ("Früh süß", "Früh süß"), ("Äußere Größe", "Äußere Größe"),
    ("São João é cá", "São João é cá"), ("Não há pão", "Não há pão"), ("Córka Róż".replace("ż", "z"), "Córka Róz"),
    ("Górą".replace("ą", "a"), "Góra"), ("Íslensk ástaljóð", "Íslensk ástaljóð"),
    ("Àëëà Ïóãà÷åâà", "Алла Пугачева"), ("ÄÄÒ", "ДДТ"), ("Çåìôèðà - ß èñêàëà (live)", "Земфира - Я искала (live)"),
    ("Beyoncé", "Beyoncé"), ("Motörhead", "Motörhead"), ("Ærø", "Ærø"), ("Sigur Rós", "Sigur Rós"), ("Ñu", "Ñu"),
    ("Für Elise".encode().decode("latin-1"), "Für Elise"), ("Plain", "Plain"),
    ("Рок".encode().decode("latin-1"), "Рок"),
])  # fmt: skip
def test_texts_marked_as_latin_1_are_read_as_they_were_meant(text: str, wanted: str, tmp_path: Path) -> None:
    path = id3_file(tmp_path / "a.mp3", encode(tone(440, 0.5), container="MP3"), encoding=0, TPE1=text)
    assert read_tags(path) == {"artist": wanted}


def test_texts_whose_encoding_is_right_are_left_alone(tmp_path: Path) -> None:
    path = id3_file(tmp_path / "a.mp3", encode(tone(440, 0.5), container="MP3"), encoding=3, TPE1="Ðîê", TCON="Рок")
    assert read_tags(path) == {"artist": "Ðîê", "genre": "Рок"}


def test_a_wrong_encoding_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tags._told.clear()
    for name in ("a.mp3", "b.mp3"):
        read_tags(id3_file(tmp_path / name, encode(tone(440, 0.5), container="MP3"), encoding=0, TPE1="Êèíî"))
    assert [r.getMessage() for r in caplog.records] == [
        "the tags of a.mp3 are marked as latin-1 and read as cp1251: 'Êèíî' is 'Кино'; others like it are not named"
    ]


@pytest.mark.parametrize(("text", "wanted"), [
    ("17", ("Rock",)), ("(17)", ("Rock",)), ("(4)Eurodisco", ("Disco", "Eurodisco")),
    ("(51)(39)", ("Techno-Industrial", "Noise")),
    ("(255)", ()), ("255", ()), ("Rock|Pop", ("Rock", "Pop")), ("Shoegaze", ("Shoegaze",)),
])  # fmt: skip
def test_genres_by_number_are_named(text: str, wanted: tuple[str, ...], tmp_path: Path) -> None:
    path = id3_file(tmp_path / "a.mp3", encode(tone(440, 0.5), container="MP3"), TCON=text)
    assert read_tag_values(path).get("genre", ()) == wanted


@pytest.mark.parametrize(("artist", "wanted"), [
    ("Simon/Garfunkel", ("Simon", "Garfunkel")), ("AC/DC", ("AC/DC",)), ("Clara", ("Clara",)),
])  # fmt: skip
def test_slashes_of_id3v2_3(artist: str, wanted: tuple[str, ...], tmp_path: Path) -> None:
    mp3 = encode(tone(440, 0.5), container="MP3")
    old = id3_file(tmp_path / "old.mp3", mp3, 3, 1, TPE1=artist, TCON="Rock/Pop", TALB="Sun/Moon")
    assert read_tag_values(old) == {"artist": wanted, "genre": ("Rock", "Pop"), "album": ("Sun/Moon",)}
    new = id3_file(tmp_path / "new.mp3", mp3, 4, 3, TPE1=artist, TCON="Rock/Pop")
    assert read_tag_values(new) == {"artist": (artist,), "genre": ("Rock/Pop",)}


@pytest.mark.parametrize("container", ["webm", "matroska"])
def test_webm_and_matroska_have_tags(container: str, tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream("libopus", rate=48_000, layout="mono")
        for name, text in {"title": "Lied", "artist": "Кино", "genre": "Rock", "DATE": "1986-01-01", "album": "Ночь",
                           "album_artist": "All"}.items():  # fmt: skip
            out.metadata[name] = text
        frame = av.AudioFrame.from_ndarray(tone(440, 1.0, 48_000)[None], format="flt", layout="mono")
        frame.sample_rate = 48_000
        for part in av.AudioResampler(stream.codec.audio_formats[0].name, "mono", 48_000).resample(frame):
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    assert read_tags(path) == {"title": "Lied", "artist": "Кино", "album": "Ночь", "genre": "Rock", "year": "1986",
                               "albumartist": "All"}  # fmt: skip
    path.write_bytes(path.read_bytes()[:20])
    assert read_tags(path) == {}


def test_aiffs_have_a_name_and_an_author(tmp_path: Path) -> None:
    path, data = tmp_path / "a.aiff", bytearray(encode(tone(440, 0.5), container="AIFF"))
    for name, text in ((b"NAME", b"Lied"), (b"AUTH", "Кино".encode("cp1251"))):
        data += name + len(text).to_bytes(4, "big") + text
    data[4:8] = (len(data) - 8).to_bytes(4, "big")
    path.write_bytes(data)
    assert read_tags(path) == {"title": "Lied", "artist": "Кино"}


def test_repaired_tags_are_told_of_the_whole_data_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for i, name in enumerate(["Êèíî", "Àêâàðèóì", "Müller"]):
        song = encode(tone(440 + i, 0.5), container="MP3")
        id3_file(tmp_path / f"{i}.mp3", song, encoding=0, TPE1=name, TCON="Rock")
    found = scan_folder(str(tmp_path), "genre")
    assert [t.artist for t in found.tracks] == ["Кино", "Аквариум", "Müller"]
    told = [n for n in found.notes if "latin-1" in n]
    assert told == [
        "the tags of 2 recording(s) are marked as latin-1 and were read as cp1251, e.g. 0.mp3: 'Êèíî' is 'Кино'"
    ]
    assert not [r for r in caplog.records if "latin-1" in r.getMessage()]
