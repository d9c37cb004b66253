"""Fingerprints of the same recording agree, those of different ones do not, and the search finds exactly the former."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

from tests.builders import RATE, encode, music, tone
from tonearm.audio import decode
from tonearm.audio.anchor_kernels import EACH_WITH_EACH, LEAST_OVERLAP
from tonearm.audio.duplicates import MOST_ERRORS, Match, duplicate_groups, find_duplicates
from tonearm.audio.fingerprint import FRAMES_PER_SECOND, HOP, LAG, WINDOW, fingerprint
from tonearm.audio.fingerprint import RATE as FINGERPRINT_RATE
from tonearm.core.errors import AudioError, ConfigError
from tonearm.core.types import FloatArray, Waveform

SECONDS = 12.0
HALF_HOP = round(HOP / 2 * RATE / FINGERPRINT_RATE)  # samples at RATE: the worst misalignment


def of(samples: npt.ArrayLike, rate: int = RATE) -> npt.NDArray[np.uint32]:
    return fingerprint(Waveform(np.atleast_2d(np.asarray(samples, dtype=np.float32)), rate))


def of_file(data: bytes, rate: int = RATE) -> npt.NDArray[np.uint32]:
    return fingerprint(decode(data, sample_rate=rate))


def low_bitrate_mp3(samples: FloatArray) -> bytes:
    """About 24 kbit/s."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="MP3", compression_level=0.9, bitrate_mode="CONSTANT")
    return buffer.getvalue()


def random_values(count: int, seed: int) -> npt.NDArray[np.uint32]:
    return np.random.default_rng(seed).integers(1, 2**32, count, dtype=np.uint32)


def flipped(values: npt.NDArray[np.uint32], share: float, seed: int = 0) -> npt.NDArray[np.uint32]:
    """The values with a share of the bits flipped in all but every tenth value."""
    noise = np.random.default_rng(seed).random((len(values), 32)) < share
    noise[::10] = False
    return values ^ np.packbits(noise, axis=1).view(">u4")[:, 0].astype(np.uint32)


@pytest.fixture(scope="module")
def recording() -> FloatArray:
    return music(SECONDS, seed=1)


@pytest.fixture(scope="module")
def others() -> dict[str, npt.NDArray[np.uint32]]:
    """Music of the same kind: the same instrument, tempo and scale, other notes."""
    return {f"other{seed}": of(music(SECONDS, seed=seed)) for seed in range(2, 12)}


def test_sub_fingerprints_have_one_value_a_hop(recording: FloatArray) -> None:
    values = of(recording)
    frames = (round(SECONDS * FINGERPRINT_RATE) - WINDOW) // HOP + 1
    assert values.dtype == np.uint32
    assert values.shape == (frames - LAG,)
    assert np.unique(values).size > frames // 2


def test_bits_are_the_signs_of_the_paper(recording: FloatArray) -> None:
    """Equation 1 of Haitsma & Kalker, written out for some frames and all bits in double precision."""
    samples = soxr.resample(recording, RATE, FINGERPRINT_RATE, quality="LQ").astype(np.float64)
    edges = np.round(300 * (2000 / 300) ** (np.arange(34) / 33) * WINDOW / FINGERPRINT_RATE).astype(int)

    def energy(frame: int, band: int) -> float:
        spectrum = np.fft.rfft(samples[frame * HOP : frame * HOP + WINDOW] * np.hanning(WINDOW))
        return float((np.abs(spectrum[edges[band] : edges[band + 1]]) ** 2).sum())

    values = of(recording)
    for frame in (LAG, LAG + 33, LAG + 150):
        expected = 0
        for band in range(32):
            now = energy(frame, band) - energy(frame, band + 1)
            before = energy(frame - LAG, band) - energy(frame - LAG, band + 1)
            expected = 2 * expected + (now > before)
        assert values[frame - LAG] == expected


@pytest.mark.parametrize(
    ("change", "most_errors"),
    [
        ("ogg", 0.15), ("mp3", 0.15), ("low_bitrate_mp3", 0.2), ("gain", 0.001), ("stereo_44100", 0.02),
        ("half_hop", 0.2), ("half_hop_and_ogg", 0.2),
    ],
)  # fmt: skip
def test_a_changed_copy_matches(
    recording: FloatArray, others: dict[str, npt.NDArray[np.uint32]], change: str, most_errors: float
) -> None:
    stereo = np.stack([1.3 * recording, 0.7 * recording], axis=1)  # the mean is the recording
    copy = {
        "ogg": lambda: of_file(encode(recording, container="OGG", subtype="VORBIS")),
        "mp3": lambda: of_file(encode(recording, container="MP3", subtype="MPEG_LAYER_III")),
        "low_bitrate_mp3": lambda: of_file(low_bitrate_mp3(recording)),
        "gain": lambda: of(0.3 * recording),
        "stereo_44100": lambda: of(soxr.resample(stereo, RATE, 44100).T, 44100),
        "half_hop": lambda: of(recording[HALF_HOP:]),
        "half_hop_and_ogg": lambda: of_file(encode(0.3 * recording[HALF_HOP:], container="OGG", subtype="VORBIS")),
    }[change]()
    (match,) = find_duplicates({"copy": copy, "original": of(recording), **others})
    assert (match.first, match.second) == ("copy", "original")
    assert match.error_rate <= most_errors
    assert abs(match.offset_seconds) < 0.1


@pytest.mark.parametrize("cut", [0.011, 0.5, 2.5, 7.3])
def test_a_cut_beginning_matches_and_the_offset_is_the_cut(recording: FloatArray, cut: float) -> None:
    values = {"a": of(recording), "b": of_file(encode(recording[round(cut * RATE) :], container="OGG"))}
    (match,) = find_duplicates(values)
    assert match.offset_seconds == pytest.approx(cut, abs=1 / FRAMES_PER_SECOND)
    (swapped,) = find_duplicates({"a": values["b"], "b": values["a"]})
    assert swapped == Match("a", "b", match.error_rate, -match.offset_seconds)


def test_clips_that_overlap_in_part_match(recording: FloatArray) -> None:
    clips = {"early": of(recording[: 8 * RATE]), "late": of(recording[3 * RATE :])}
    (match,) = find_duplicates(clips)
    assert match.offset_seconds == pytest.approx(3, abs=1 / FRAMES_PER_SECOND)


def test_less_than_three_seconds_in_common_is_no_match(recording: FloatArray) -> None:
    assert find_duplicates({"early": of(recording[: 6 * RATE]), "late": of(recording[4 * RATE :])}) == []


def test_different_music_of_the_same_kind_does_not_match(others: dict[str, npt.NDArray[np.uint32]]) -> None:
    assert find_duplicates(others) == []


def test_another_mix_of_the_same_notes_does_not_match() -> None:
    """Half of the notes are those of the first, half of another piece."""
    shared = music(SECONDS, seed=1)
    assert find_duplicates({f"mix{s}": of(shared + 2 * music(SECONDS, seed=s)) for s in (2, 3)}) == []


def test_digital_silence_is_zero_and_no_evidence() -> None:
    silence = np.zeros(round(SECONDS * RATE), dtype=np.float32)
    assert (of(silence) == 0).all()
    first, second = (np.concatenate([music(5.0, seed=seed), silence]) for seed in (1, 2))
    values = of(first)
    assert (values[round(5 * FRAMES_PER_SECOND) + 1 :] == 0).all()
    assert (values[: round(4 * FRAMES_PER_SECOND)] != 0).all()
    assert find_duplicates({"a": values, "b": of(second), "c": of(silence), "d": of(silence)}) == []


def test_the_same_recording_with_silence_around_it_matches(recording: FloatArray) -> None:
    silence = np.zeros(2 * RATE, dtype=np.float32)
    (match,) = find_duplicates({"a": of(recording), "b": of(np.concatenate([silence, recording, silence]))})
    assert match.offset_seconds == pytest.approx(-2, abs=1 / FRAMES_PER_SECOND)


def test_noise_below_a_step_of_16_bits_is_silence_and_above_it_is_not() -> None:
    noise = np.random.default_rng(0).normal(0, 1, 4 * RATE)
    assert (of(noise * 2**-17) == 0).all()
    assert (of(noise * 2**-12) != 0).all()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_count_as_silence(value: float) -> None:
    assert (of(np.full(2 * RATE, value)) == 0).all()


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.5])
def test_too_short_audio_has_no_fingerprint(seconds: float) -> None:
    values = of(tone(440, seconds))
    assert values.dtype == np.uint32
    assert values.shape == (0,)
    assert find_duplicates({"a": values, "b": values}) == []


@pytest.mark.parametrize(
    ("waveform", "reason"),
    [
        (Waveform(np.zeros((1, 9000), dtype=np.float32), 7999), "low_rate"),
        (Waveform(np.zeros(9000, dtype=np.float32), RATE), "wrong_type"),
        (Waveform(np.zeros((0, 9000), dtype=np.float32), RATE), "wrong_type"),
    ],
)
def test_waveforms_without_a_fingerprint_are_refused(waveform: Waveform, reason: str) -> None:
    with pytest.raises(AudioError) as caught:
        fingerprint(waveform)
    assert caught.value.reason == reason


@pytest.mark.parametrize("values", [np.ones(9), np.ones((9, 2), dtype=np.uint32)])
def test_other_arrays_are_refused_by_name(values: npt.NDArray[np.uint32]) -> None:
    with pytest.raises(ConfigError, match="'bad'"):
        find_duplicates({"bad": values})


def test_the_error_rate_decides() -> None:
    values = random_values(400, seed=1)
    (match,) = find_duplicates({"a": values, "b": flipped(values, 0.24)})
    assert match.error_rate == pytest.approx(0.9 * 0.24, abs=0.01)
    assert find_duplicates({"a": values, "b": flipped(values, 0.9 * MOST_ERRORS + 0.1)}) == []


def test_the_overlap_needs_its_least_length() -> None:
    values = random_values(LEAST_OVERLAP, seed=1)
    assert len(find_duplicates({"a": values, "b": values})) == 1
    assert find_duplicates({"a": values[1:], "b": values[1:]}) == []


@pytest.mark.parametrize(("sounding", "equal"), [(LEAST_OVERLAP - 1, LEAST_OVERLAP - 1), (200, 10)])
def test_silence_in_common_neither_lengthens_the_overlap_nor_lowers_the_error_rate(sounding: int, equal: int) -> None:
    silence = np.zeros(1000, dtype=np.uint32)
    first, second = random_values(sounding, seed=1), random_values(sounding, seed=2)
    second[:equal] = first[:equal]
    assert find_duplicates({"a": np.append(first, silence), "b": np.append(second, silence)}) == []


def test_a_loop_matches_at_the_longest_overlap() -> None:
    loop = np.tile(random_values(100, seed=1), 4)
    assert find_duplicates({"a": loop, "b": loop}) == [Match("a", "b", 0.0, 0.0)]


def test_matches_are_sorted_and_independent_of_the_order_of_the_mapping() -> None:
    base = random_values(300, seed=1)
    values = {f"t{i}": flipped(base, 0.1, seed=i) if i % 2 else random_values(300, seed=i) for i in range(10)}
    matches = find_duplicates(values)
    assert [(m.first, m.second) for m in matches] == [
        (f"t{i}", f"t{j}") for i in range(1, 10, 2) for j in range(i + 2, 10, 2)
    ]
    assert find_duplicates(dict(reversed(values.items()))) == matches


def test_more_copies_than_links_are_still_one_group() -> None:
    values = random_values(100, seed=1)
    names = [f"copy{i:03d}" for i in range(3 * EACH_WITH_EACH)]
    matches = find_duplicates({**dict.fromkeys(names, values), "other": random_values(100, seed=2)})
    assert duplicate_groups(matches) == [tuple(names)]


def test_groups_are_connected_components() -> None:
    pairs = [("d", "e"), ("a", "c"), ("b", "c"), ("x", "y"), ("e", "z")]
    assert duplicate_groups([Match(a, b, 0.0, 0.0) for a, b in pairs]) == [
        ("a", "b", "c"), ("d", "e", "z"), ("x", "y"),
    ]  # fmt: skip
    assert duplicate_groups([]) == []
    assert find_duplicates({}) == []


def test_a_shared_phrase_is_not_a_shared_recording() -> None:
    phrase = music(5.0, seed=900)
    songs = {name: fingerprint(Waveform(np.concatenate([music(15.0, seed=seed), phrase])[None], RATE))
             for name, seed in (("a", 901), ("b", 902))}  # fmt: skip
    assert find_duplicates(songs) == []
    assert [(m.first, m.second) for m in find_duplicates({**songs, "c": songs["a"][130:]})] == [("a", "c")]
