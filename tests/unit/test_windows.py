"""Which parts of a recording are used: tiles, clips over a whole track, windows; and how little memory that takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import RATE, encode, music, tone
from tonearm.audio import ClipConfig, decode, load_clip, window_starts
from tonearm.audio.decode import Layout
from tonearm.audio.windows import Tail, load_clips, tile_starts
from tonearm.core.errors import AudioError, ConfigError
from tonearm.core.types import FloatArray

MONO: Layout = (RATE, 1)
TAILS: list[Tail] = ["drop", "pad", "wrap"]

# --- tiles


@given(st.integers(1, 4000), st.integers(1, 900), st.integers(1, 900), st.sampled_from(TAILS))
def test_tiles_cover_what_they_should(length: int, window: int, hop: int, tail: Tail) -> None:
    starts = tile_starts(length, window, hop, tail)
    assert starts == [i * hop for i in range(len(starts))] and 0 <= starts[-1] < length
    if tail == "drop":
        assert starts == [0] if length < window else starts[-1] + window <= length < starts[-1] + hop + window
        return
    covered = np.zeros(length, dtype=bool)
    for start in starts:
        covered[start : start + window] = True
    assert covered.all() if hop <= window else covered[np.arange(length) % hop < window].all()
    assert all(start + window < length for start in starts[:-1])  # and not one more than that takes


@pytest.mark.parametrize(("length", "window", "hop"), [(0, 1, 1), (1, 0, 1), (1, 1, 0), (-5, 1, 1), (5, 5, -1)])
def test_tiles_of_nothing_are_refused(length: int, window: int, hop: int) -> None:
    with pytest.raises(ConfigError, match="must be at least 1"):
        tile_starts(length, window, hop, "pad")


# --- one clip of a track


def test_middle_of_a_long_track_is_taken_and_a_short_one_whole() -> None:
    ramp = np.linspace(-0.5, 0.5, 10 * RATE, dtype=np.float32)
    data = encode(ramp, subtype="FLOAT")
    clip = load_clip(data, ClipConfig(seconds=2.0))
    assert np.array_equal(clip.samples[0], ramp[4 * RATE : 6 * RATE])
    assert np.array_equal(load_clip(data, ClipConfig(seconds=2.0, position="start")).samples[0], ramp[: 2 * RATE])
    assert np.array_equal(load_clip(data, ClipConfig(seconds=2.0, position="all")).samples[0], ramp[: 2 * RATE])
    assert load_clip(data, ClipConfig(seconds=30.0)).duration == 10.0


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("position", ["start", "middle", "all"])
def test_short_recordings_are_refused_however_they_would_be_filled_up(position: str, tail: str) -> None:
    clip = ClipConfig(position=position, tail=tail)  # type: ignore[arg-type]
    with pytest.raises(AudioError, match=r"0.50 s of audio, at least 0.80 s") as caught:
        load_clip(encode(tone(440, 0.5)), clip, min_seconds=0.8)
    assert caught.value.reason == "too_short"


@pytest.mark.parametrize(
    "values",
    [{"seconds": 0.0}, {"seconds": np.inf}, {"seconds": np.nan}, {"hop": 1.0}, {"hop": 1.0, "position": "start"}]
    + [{"position": "all", "hop": h} for h in (0.0, -1.0, np.inf, np.nan)],
)
def test_clips_that_make_no_sense_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"clip\.(seconds|hop) is"):
        ClipConfig(**values)  # type: ignore[arg-type]


# --- all clips of a track


def noise(seconds: float, channels: int = 1, rate: int = RATE) -> FloatArray:
    shape = (round(seconds * rate), channels)
    return np.random.default_rng(3).uniform(-0.5, 0.5, shape).astype(np.float32)


def clips(data: bytes, layout: Layout = MONO, min_seconds: float = 0.01, **config: object) -> Iterator[FloatArray]:
    clip = ClipConfig(**{"position": "all", "seconds": 1.0, **config})  # type: ignore[arg-type]
    return (c.waveforms[layout].samples for c in load_clips(data, clip, [layout], min_seconds))


def reason(found: Iterator[FloatArray]) -> str:
    with pytest.raises(AudioError) as caught:
        next(found)
    return caught.value.reason


@pytest.mark.parametrize("hop", [None, 0.4, 0.75, 1.7])
def test_clips_are_slices_of_the_whole(hop: float | None) -> None:
    data = encode(noise(4.3, 2), subtype="FLOAT")
    whole = decode(data).samples
    starts = np.arange(0, 3.3, hop or 1.0)
    for tail in TAILS:
        got = list(clips(data, hop=hop, tail=tail))
        assert len(got) == len(tile_starts(4300, 1000, round(1000 * (hop or 1.0)), tail)) >= len(starts)
        for samples, start in zip(got, starts, strict=False):
            first = round(start * RATE)
            assert np.array_equal(samples, whole[:, first : first + RATE])


def test_clips_of_another_rate_are_the_whole_but_for_their_edges() -> None:
    data = encode(noise(3.2, 2, 44_100), 44_100, "FLAC")
    whole, edge = decode(data, channels="mid_side").samples, 300
    got = list(clips(data, (RATE, "mid_side"), hop=0.5, tail="pad"))
    assert len(got) == 6
    for i, samples in enumerate(got):
        assert samples.shape == (2, RATE) and samples.flags.c_contiguous
        wanted = whole[:, i * RATE // 2 : i * RATE // 2 + RATE]
        count = wanted.shape[1]
        np.testing.assert_allclose(samples[:, edge : count - edge], wanted[:, edge : count - edge], atol=1e-4)


@pytest.mark.parametrize("seconds", [0.7, 1.0, 1 / 3, 2.0])
@pytest.mark.parametrize("rate", [RATE, 8000, 44_100])
@pytest.mark.parametrize("channels", [1, 2, "mid_side"])
def test_padded_clips_have_one_length_and_end_in_zeros(seconds: float, rate: int, channels: object) -> None:
    data, wanted = encode(noise(2.35, 2, rate), rate, subtype="FLOAT"), round(seconds * RATE)
    layout: Layout = (RATE, channels)  # type: ignore[assignment]
    got = list(clips(data, layout, seconds=seconds, tail="pad"))
    assert len(got) == -(-2350 // round(1000 * seconds))
    assert {c.shape for c in got} == {(1 if channels == 1 else 2, wanted)}
    there = round(2.35 * RATE) - round((len(got) - 1) * round(seconds, 3) * RATE)
    assert not got[-1][:, there + 2 :].any() and got[-1][:, there - 50 : there - 2].all()
    assert all(c[:, -20:].any() for c in got[:-1])


@pytest.mark.parametrize("length", [0.013, 0.4, 0.995, 1.0, 1.3, 3.2])
@pytest.mark.parametrize("channels", [1, 2, "mid_side"])
def test_wrapped_clips_go_on_with_the_beginning(length: float, channels: object) -> None:
    data = encode(noise(length, 2), subtype="FLOAT")
    layout: Layout = (RATE, channels)  # type: ignore[assignment]
    whole = decode(data, *layout).samples
    got = list(clips(data, layout, tail="wrap"))
    assert len(got) == int(np.ceil(length))
    for i, samples in enumerate(got):
        assert np.array_equal(samples, whole[:, (i * RATE + np.arange(RATE)) % whole.shape[1]])


@pytest.mark.parametrize("rate", [8000, 44_100])
@pytest.mark.parametrize("length", [0.3, 1.4])
def test_wrapped_clips_of_another_rate_have_one_length_and_no_gap(length: float, rate: int) -> None:
    data = encode(0.3 + 0 * noise(length, 1, rate) + 0.1 * tone(100, length, rate)[:, None], rate, subtype="FLOAT")
    got = list(clips(data, tail="wrap"))
    assert {c.shape for c in got} == {(1, RATE)} and len(got) == int(np.ceil(length))
    for samples in got:
        level = np.convolve(samples[0], np.full(8, 1 / 8), "valid")  # the resampler rounds a track's ends off a little
        assert level.min() > 0.18 and level.max() < 0.42


def test_short_track_is_kept_as_it_is() -> None:
    samples = noise(0.6)
    for position in ("start", "middle", "all"):
        (got,) = clips(encode(samples, subtype="FLOAT"), position=position)
        assert np.array_equal(got, samples.T)


def test_clips_that_cannot_be_used_are_left_out_unless_all_of_them_are() -> None:
    samples, silence, square = noise(1.0), np.zeros((RATE, 1), np.float32), np.sign(noise(1.0))
    parts = [silence, samples, silence, square, samples[::-1], silence, samples[: RATE // 10]]
    for tail, count in (("drop", 2), ("pad", 3), ("wrap", 3)):  # the least audio is that of a track, not of its tail
        got = list(clips(encode(np.concatenate(parts), subtype="FLOAT"), tail=tail, min_seconds=0.2))
        assert len(got) == count
        assert np.array_equal(got[0], samples.T) and np.array_equal(got[1], samples[::-1].T)
        assert all(np.array_equal(c[0, : RATE // 10], samples[: RATE // 10, 0]) for c in got[2:])
    for tail in TAILS:
        assert reason(clips(encode(np.concatenate([silence] * 3)[:-99]), tail=tail)) == "silent"
        assert reason(clips(encode(np.concatenate([square, square, silence])), tail=tail)) == "clipped"
    assert reason(clips(encode(np.concatenate([silence, samples])), position="start")) == "silent"


@pytest.mark.parametrize(("value", "wanted"), [(np.nan, "not_finite"), (np.inf, "not_finite"), (1e30, "too_loud")])
def test_damage_in_a_later_clip_refuses_the_track(value: float, wanted: str) -> None:
    samples = noise(4.0)
    samples[round(2.5 * RATE)] = value
    found = clips(encode(samples, subtype="FLOAT"))
    assert np.array_equal(next(found), samples[:RATE].T)  # one clip at a time: what comes later is not read yet
    assert np.array_equal(next(found), samples[RATE : 2 * RATE].T)
    assert reason(found) == wanted


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "FLOAT"), ("OGG", "VORBIS"), ("MP3", None)])
def test_track_that_is_cut_short_has_the_clips_that_are_there(container: str, subtype: str | None) -> None:
    data = encode(music(8.0), RATE, container, subtype)
    data = data[: len(data) // 2]
    there = decode(data).duration
    got = list(clips(data, min_seconds=0.5))
    assert 3.5 < there < 4.5 and len(got) in (int(there), int(there + 0.5))


def test_several_layouts_are_each_what_they_are_alone() -> None:
    data = encode(noise(2.5, 2, 44_100), 44_100, "OGG", "VORBIS")
    layouts: list[Layout] = [(44_100, 2), MONO, (RATE, "mid_side"), (8000, 1)]
    for tail in TAILS:
        clip = ClipConfig(seconds=1.0, position="all", hop=0.8, tail=tail)
        together = list(load_clips(data, clip, layouts, 0.01))
        for layout in layouts:
            alone = list(clips(data, layout, hop=0.8, tail=tail))
            assert len(alone) == len(together) >= 2
            assert all(np.array_equal(a, t.waveforms[layout].samples) for a, t in zip(alone, together, strict=True))


# --- windows of a clip


@given(frames=st.integers(1, 3000), share=st.floats(0, 1), count=st.integers(1, 12))
def test_windows_lie_in_the_clip_and_reach_both_ends(frames: int, share: float, count: int) -> None:
    window = max(1, round(frames * share))
    starts = window_starts(frames, window, count)
    assert len(starts) == count and starts == sorted(starts)
    assert all(0 <= s <= frames - window for s in starts)
    if count > 1:
        assert (starts[0], starts[-1]) == (0, frames - window)
        assert np.ptp(np.diff(starts)) <= 2
    else:
        assert starts == [(frames - window) // 2]


@pytest.mark.parametrize(("frames", "window", "count"), [(10, 11, 1), (10, 5, 0), (0, 1, 1)])
def test_windows_that_do_not_fit_are_refused(frames: int, window: int, count: int) -> None:
    with pytest.raises(ConfigError, match="shorten the window"):
        window_starts(frames, window, count)


# --- memory

MEGABYTES = 64  # a block of all channels, one clip in its layouts, and the libraries' own buffers take a third of it

# The peak is the process's own: ru_maxrss would begin with that of the tests, from which it was forked.
MEASURE = """
import importlib, sys
import soundfile, soxr
from tonearm.audio.windows import ClipConfig, load_clips
from tonearm.core.errors import AudioError
decoder = importlib.import_module("tonearm.audio.recording")
decode = importlib.import_module("tonearm.audio.decode").decode
path, seconds = sys.argv[1], []
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) // 1024
before = peak()
try:
    {code}
except AudioError as error:
    seconds = [error.reason]
print(peak() - before, *seconds)
"""
CLIPS = "seconds += [c.waveforms[22050, 1].duration for c in load_clips(path, ClipConfig(position={!r}), [(22050, 1)])]"


def measured(path: Path, code: str) -> tuple[int, list[str]]:
    """Megabytes that the peak of a new process grew by, and the seconds of each clip or the reason of the error."""
    run = [sys.executable, "-c", MEASURE.format(code=code), str(path)]
    grown, *seconds = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    return int(grown), seconds


def write_repeated(path: Path, block: FloatArray, times: int, rate: int, subtype: str) -> Path:
    with soundfile.SoundFile(path, "w", rate, block.shape[1], subtype) as file:
        for _ in range(times):
            file.write(block)
    return path


@pytest.mark.integration
def test_decoding_holds_blocks_and_not_the_file(tmp_path: Path) -> None:
    path = write_repeated(tmp_path / "surround.flac", noise(1.0, 8, 192_000), 30, 192_000, "PCM_16")
    code = "seconds.append(decode(path, 22050, 1).duration)"
    grown, seconds = measured(path, code)
    assert grown < MEGABYTES and seconds == ["30.0"]
    in_one, _ = measured(path, f"decoder.BLOCK_SAMPLES = 2**24; {code}")
    assert in_one > 150  # that the measure sees it


@pytest.mark.integration
def test_hours_are_read_clip_by_clip(tmp_path: Path) -> None:
    path = write_repeated(tmp_path / "hours.wav", noise(60.0, 1, 8000), 180, 8000, "PCM_U8")
    for position, count in (("middle", 1), ("all", 360)):
        grown, seconds = measured(path, CLIPS.format(position))
        assert grown < MEGABYTES and seconds == ["30.0"] * count


@pytest.mark.integration
def test_hours_of_silence_in_a_small_file_are_silent(tmp_path: Path) -> None:
    nothing = np.zeros((600_000, 8), np.float32)
    path = write_repeated(tmp_path / "bomb.flac", nothing, 18, 1000, "PCM_16")  # three hours
    assert path.stat().st_size < 100_000
    for position in ("middle", "all"):
        grown, seconds = measured(path, CLIPS.format(position))
        assert grown < MEGABYTES and seconds == ["silent"]
