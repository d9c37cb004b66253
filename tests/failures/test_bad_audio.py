"""Audio that is broken: every file gives an AudioError with the right reason, or its samples; never anything else."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.builders import RATE, encode, music, tone
from tonearm.audio import ClipConfig, decode, load_clip
from tonearm.audio.checks import check_waveform
from tonearm.audio.decode import describe
from tonearm.core.errors import AudioError
from tonearm.core.types import Waveform
from tonearm.datasets.folder import scan_folder
from tonearm.features import Mel, extract

REASONS = {
    "empty", "missing", "undecodable", "bad_header", "too_many_channels", "too_short", "not_finite", "too_loud",
    "silent", "clipped",
}  # fmt: skip
SECONDS = 3.0


def outcome(source: bytes | str | Path, channels: object = 1, min_seconds: float = 0.5) -> str:
    """The reason of the AudioError, or ``"decoded"`` if features can be computed of it; other errors come through."""
    try:
        waveform = load_clip(source, ClipConfig(seconds=2.0), RATE, channels, min_seconds)  # type: ignore[arg-type]
    except AudioError as error:
        assert error.reason in REASONS and error.detail and str(error) == f"{error.reason}: {error.detail}"
        return error.reason
    assert waveform.samples.dtype == np.float32 and np.isfinite(waveform.samples).all()
    if channels == 1:
        (values,) = extract(waveform, [Mel(n_mels=32, n_fft=512, hop=256)]).values()
        assert np.isfinite(values).all()
    return "decoded"


def patched(data: bytes, place: int, form: str, *values: int) -> bytes:
    """The bytes with values packed over them."""
    packed = struct.pack(form, *values)
    return data[:place] + packed + data[place + len(packed) :]


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("song.wav", encode(music(SECONDS)))
    return buffer.getvalue()


def with_bad_sample(value: float) -> bytes:
    samples = music(SECONDS)
    samples[len(samples) // 2] = value
    return encode(samples, subtype="FLOAT")


WAV = encode(music(SECONDS))

BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "no bytes": (lambda: b"", "empty"),
    "one byte": (lambda: b"R", "undecodable"),
    "zeros": (lambda: bytes(5000), "undecodable"),
    "noise": (lambda: np.random.default_rng(0).bytes(5000), "undecodable"),
    "text": (lambda: b"This is not the song that you are looking for.\n" * 50, "undecodable"),
    "page": (lambda: b"<!DOCTYPE html><html><body>404 not found</body></html>", "undecodable"),
    "picture": (lambda: b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(500), "undecodable"),
    "photograph": (lambda: b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(500), "undecodable"),
    "archive": (archive, "undecodable"),
    "magic only": (lambda: b"RIFF", "undecodable"),
    "flac magic only": (lambda: b"fLaC", "undecodable"),
    "ogg magic only": (lambda: b"OggS", "undecodable"),
    "id3 only": (lambda: b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10), "undecodable"),
    "wav header only": (lambda: WAV[:44], "empty"),
    "no samples": (lambda: encode(np.zeros(0)), "empty"),
    "no samples in flac": (lambda: encode(np.zeros(0), container="FLAC"), "empty"),
    "one sample": (lambda: encode(np.ones(1) * 0.5), "too_short"),
    "one sample at another rate": (lambda: encode(np.ones(1) * 0.5, 96_000), "too_short"),
    "a tenth of a second": (lambda: encode(tone(440, 0.1)), "too_short"),
    "nan": (lambda: with_bad_sample(np.nan), "not_finite"),
    "infinity": (lambda: with_bad_sample(np.inf), "not_finite"),
    "all nan": (lambda: encode(np.full(3 * RATE, np.nan), subtype="FLOAT"), "not_finite"),
    "nan at another rate": (lambda: encode(np.full(3 * 44_100, np.nan), 44_100, subtype="FLOAT"), "not_finite"),
    "larger than any sample": (lambda: with_bad_sample(1e30), "too_loud"),
    "silence": (lambda: encode(np.zeros(3 * RATE)), "silent"),
    "nearly silence": (lambda: encode(tone(440, SECONDS, amplitude=3e-5), subtype="FLOAT"), "silent"),
    "constant": (lambda: encode(np.full(3 * RATE, 0.7)), "silent"),
    "clipped": (lambda: encode(np.sign(music(SECONDS))), "clipped"),
    "clipped at another rate": (lambda: encode(np.sign(tone(50, SECONDS, 44_100)), 44_100), "clipped"),
    "clipped in float": (lambda: encode(2 * np.sign(tone(440, SECONDS)), subtype="FLOAT"), "clipped"),
    "rate of nothing": (lambda: patched(WAV, 24, "<I", 0), "bad_header"),
    "rate of one": (lambda: patched(WAV, 24, "<I", 1), "bad_header"),
    "rate of the largest": (lambda: patched(WAV, 24, "<I", 2**31 - 1), "bad_header"),
    "rate of two gigahertz and more": (lambda: patched(WAV, 24, "<I", 2**32 - 1), "bad_header"),
    "no channels": (lambda: patched(WAV, 22, "<H", 0), "undecodable"),
    "nine channels": (lambda: encode(np.zeros((3000, 9)) + 0.1), "bad_header"),
    "unknown codec": (lambda: patched(WAV, 20, "<H", 0x4242), "undecodable"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_audio_has_its_reason(name: str) -> None:
    make, reason = BROKEN[name]
    wanted = {"undecodable", "bad_header"} if reason in ("undecodable", "bad_header") else {reason}
    assert outcome(make()) in wanted  # libsndfile refuses some lying headers itself


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_has_the_same_reason_as_its_bytes(name: str, tmp_path: Path) -> None:
    make, _ = BROKEN[name]
    for suffix in (".wav", ".mp3", ".raw"):
        path = tmp_path / f"song{suffix}"
        path.write_bytes(make())
        opened = len(list(Path("/dev/fd").iterdir()))
        assert outcome(path) == outcome(make())
        assert len(list(Path("/dev/fd").iterdir())) == opened  # a job of a million files would run out of them


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_do_not_stop_a_scan(name: str, tmp_path: Path) -> None:
    make, _ = BROKEN[name]
    for suffix in (".wav", ".mp3", ".ogg", ".flac", ".m4a", ".aiff"):
        (tmp_path / f"a{suffix}").write_bytes(make() + suffix.encode() * bool(make()))
    (tmp_path / "good.wav").write_bytes(WAV)
    tracks, rejects, *_ = scan_folder(str(tmp_path))
    assert len(tracks) + len(rejects) == 7 and "good.wav" in [Path(t.source).name for t in tracks]


# --- what is right is decoded

SOUND: dict[str, Callable[[], bytes]] = {
    "music": lambda: WAV,
    "on a constant": lambda: encode(music(SECONDS) * 0.2 + 0.6),
    "one loud sample in silence": lambda: encode(np.eye(1, 3 * RATE, RATE)[0] * 0.9),
    "scaled as integers": lambda: encode(music(SECONDS) * 32_768, subtype="FLOAT"),
    "1 kHz rate": lambda: encode(tone(100, SECONDS, 1000), 1000),
    "192 kHz rate": lambda: encode(music(SECONDS, 192_000), 192_000),
    "six channels": lambda: encode(np.stack([music(SECONDS, seed=i) for i in range(6)], axis=1)),
    "eight channels": lambda: encode(np.stack([music(SECONDS, seed=i) for i in range(8)], axis=1), container="FLAC"),
    "opposite channels": lambda: encode(np.stack([music(SECONDS), 0.9 * -music(SECONDS)], axis=1)),
    "clipped here and there": lambda: encode(np.clip(4 * music(SECONDS), -1, 1)),
    "soft square wave": lambda: encode(np.sign(music(SECONDS)) * 0.9),
    "square wave scaled as integers": lambda: encode(np.sign(music(SECONDS)) * 32_768, subtype="FLOAT"),
    "rubbish behind": lambda: WAV + b"rubbish" * 100,
    "header that claims more": lambda: patched(patched(WAV, 4, "<I", 2**31), 40, "<I", 2**31),
    "streamed": lambda: patched(patched(WAV, 4, "<I", 2**32 - 1), 40, "<I", 2**32 - 1),
}


@pytest.mark.parametrize("name", SOUND)
def test_unusual_audio_is_decoded(name: str) -> None:
    assert outcome(SOUND[name]()) == "decoded"


@pytest.mark.parametrize("channels", [2, "mid_side"])
def test_surround_sound_has_no_two_channels(channels: object) -> None:
    assert outcome(SOUND["six channels"](), channels) == "too_many_channels"
    assert outcome(SOUND["opposite channels"](), channels) == "decoded"


def test_channels_that_cancel_are_silent_as_mono_only() -> None:
    samples = music(SECONDS)
    data = encode(np.stack([samples, -samples], axis=1), subtype="FLOAT")
    assert outcome(data) == "silent" and outcome(data, "mid_side") == "decoded"


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "FLOAT"), ("FLAC", None), ("OGG", "VORBIS"), ("MP3", None)])
@pytest.mark.parametrize("name", ["song.txt", "song.raw", "song", "song.mp3", "song.wav", "song.flac"])
def test_the_name_does_not_matter(container: str, subtype: str | None, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(encode(music(1.0), container=container, subtype=subtype))
    assert outcome(tmp_path / name) == "decoded"


# --- truncated and damaged

FORMATS = {
    "wav": ("WAV", None, RATE), "flac": ("FLAC", None, RATE), "ogg": ("OGG", "VORBIS", RATE),
    "opus": ("OGG", "OPUS", 48_000), "mp3": ("MP3", None, RATE),
}  # fmt: skip


def song(name: str) -> bytes:
    container, subtype, rate = FORMATS[name]
    return encode(music(SECONDS, rate), rate, container, subtype)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.001, 0.01, 0.05, 0.1, 0.3, 0.5, 0.9, 0.999])
def test_truncated_audio_is_decoded_as_far_as_it_goes_or_refused(name: str, share: float) -> None:
    whole = song(name)
    data = whole[: max(1, round(share * len(whole)))]
    got = outcome(data)
    if share <= 0.01:
        assert got in ("undecodable", "empty", "too_short")
    assert got in ("undecodable", "empty", "too_short", "decoded")
    if name == "wav" and share >= 0.3:
        assert got == "decoded"
        assert decode(data).duration == pytest.approx(share * SECONDS, abs=0.02)


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_audio_never_raises_anything_else(name: str) -> None:
    whole, rng = song(name), np.random.default_rng(5)
    seen = set()
    for i in range(40):
        damaged = bytearray(whole)
        reach = 120 if i % 2 else len(damaged)  # every other time in the header
        for place in rng.integers(0, reach, 1 + i // 2):
            damaged[place] = int(rng.integers(0, 256))
        seen.add(outcome(bytes(damaged)))
    assert seen <= REASONS | {"decoded"}
    assert name == "mp3" or "decoded" in seen - {"undecodable"}  # the damage was not so great that all is lost


# --- the gate, which all samples pass


def checked(samples: np.ndarray, min_seconds: float = 0.01) -> str:
    """The reason that the gate gives, or ``"passed"``."""
    waveform = Waveform(np.atleast_2d(samples).astype(np.float32), RATE)
    try:
        assert check_waveform(waveform, min_seconds) is waveform
    except AudioError as error:
        return error.reason
    return "passed"


def test_gate_lets_music_pass_and_names_what_is_wrong() -> None:
    good = music(0.5)
    bad, infinite, huge = good.copy(), good.copy(), good.copy()
    bad[7], infinite[7], huge[7] = np.nan, -np.inf, 1e30
    assert checked(good) == "passed"
    assert checked(np.stack([good * 0, good])) == "passed"
    assert checked(good * 32768) == "passed"
    assert checked(bad) == "not_finite" and checked(infinite) == "not_finite"
    assert checked(huge) == "too_loud"
    assert checked(good * 0) == "silent" and checked(good * 0 + 0.5) == "silent"
    assert checked(tone(440, amplitude=0.5e-4)) == "silent" and checked(tone(440, amplitude=2e-4)) == "passed"
    assert checked(good, min_seconds=0.6) == "too_short"
    assert checked(np.zeros((1, 0)), min_seconds=0.0) == "too_short"
    square = np.sign(tone(440, 0.5))
    assert checked(square) == checked(np.where(np.arange(len(square)) % 16 < 9, square, 0.1)) == "clipped"
    assert checked(np.where(np.arange(len(square)) % 16 < 8, square, 0.1)) == "passed"
    assert checked(0.97 * square) == "passed" and checked(3 * square) == "passed"


@pytest.mark.parametrize(
    "samples", [np.zeros(RATE, np.float32), np.ones((1, RATE)), np.ones((1, RATE), np.int16), np.float32(1)]
)
def test_gate_refuses_what_is_no_array_of_float32_samples(samples: np.ndarray) -> None:
    with pytest.raises(AudioError, match=r"not float32 \(channels, samples\)") as caught:
        check_waveform(Waveform(samples, RATE), 0.0)
    assert caught.value.reason == "wrong_type"


# --- places


def test_what_is_no_file_has_its_reason(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "dangling.wav").symlink_to(tmp_path / "absent.wav")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    assert outcome(tmp_path / "folder.wav") == "undecodable"
    assert outcome(tmp_path / "absent.wav") == outcome(tmp_path / "dangling.wav") == "missing"
    assert outcome(tmp_path / "loop.wav") == "missing"
    assert outcome(tmp_path / "pipe.wav") in ("empty", "undecodable")
    assert outcome(str(tmp_path / "absent" / "x.wav")) == "missing"
    assert outcome("memory://nowhere/x.wav") == "missing"


@pytest.mark.parametrize(
    "name", ["日本語.wav", "new\nline.wav", "sp ace.wav", "per%20cent.wav", "a#b?c.wav", "🎵.wav", "'\".wav"]
)
def test_odd_names_are_no_problem(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(WAV)
    assert outcome(tmp_path / name) == outcome(str(tmp_path / name)) == "decoded"
    (tmp_path / name).write_bytes(b"no audio")
    with pytest.raises(AudioError) as caught:
        describe(tmp_path / name)
    assert name in caught.value.detail


def test_name_that_is_not_utf8_is_decoded(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    path.write_bytes(WAV)
    assert outcome(path) == "decoded"


def test_places_that_cannot_be_opened_are_missing() -> None:
    assert outcome("nothing://a/b.wav") == "missing"
    assert outcome("a\0b.wav") == "missing"
