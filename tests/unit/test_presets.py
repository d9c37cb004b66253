"""What representations are called, what the names stand for, and what no representation can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tonearm.core.errors import ConfigError, UnknownNameError
from tonearm.features import Cqt, Mel, Representation, Stft, as_representation
from tonearm.features.presets import BLOCKS, PRESETS, THESIS_PRESETS, display_name, parse_features, require_whole_clips

# (channels, rows, frames) of so many seconds, as the sources state them.
SHAPES = {
    "stft": (30, (1, 2049, 643)),
    "stft_halved": (30, (1, 1024, 643)),
    "mel": (30, (1, 256, 643)),
    "cqt": (30, (1, 168, 643)),
    "chroma": (30, (1, 12, 643)),
    "mfcc": (30, (1, 12, 643)),
    "contrast": (30, (1, 7, 646)),
    "waveform": (30, (1, 1, 661_500)),
    "waveform_mid_side": (30, (2, 1, 661_500)),
    "mel_mid_side": (30, (2, 24, 2584)),
    "mel_playlist": (120, (1, 64, 10_336)),
    "mel_temporal": (30, (1, 128, 599)),
    "descriptors": (30, (1, 10, 1)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_presets_have_the_shapes_of_the_systems(name: str) -> None:
    seconds, shape = SHAPES[name]
    assert PRESETS[name].input_spec(seconds).shape == shape
    assert PRESETS[name].sample_rate == (44_100 if name == "mel_playlist" else 22_050)


def test_no_preset_is_left_out() -> None:
    names = [name for name in PRESETS if name not in BLOCKS]  # whose tests are in test_summaries
    assert names == list(SHAPES), "a new preset goes into SHAPES of this test: seconds, and the shape of them"
    assert tuple(SHAPES)[:6] == THESIS_PRESETS
    assert all(PRESETS[name].normalisation == "frame" for name in THESIS_PRESETS)
    assert len({config.store_name() for config in PRESETS.values()}) == len(PRESETS)


# --- as_representation


@pytest.mark.parametrize("name", PRESETS)
def test_a_name_is_its_preset(name: str) -> None:
    assert (
        as_representation(name)
        == as_representation(f" {name} ")
        == as_representation(f"{name}()")
        == as_representation(PRESETS[name])
        == PRESETS[name]
    )
    assert display_name(PRESETS[name]) == name


def test_fields_are_changed_in_the_name() -> None:
    assert as_representation("mel(n_mels=128, hop=512)") == Mel(n_mels=128, hop=512)
    assert as_representation("stft (frames=None,win_length=1999,)") == Stft(frames=None, win_length=1999)
    assert as_representation("cqt(fmin=55,\n normalisation='none')") == Cqt(fmin=55.0, normalisation="none")
    assert as_representation("mel(channels='mid_side', fmax=8e3)") == Mel(channels="mid_side", fmax=8000.0)
    assert as_representation("mel_playlist(n_mels=32)") == PRESETS["mel_playlist"].replace({"n_mels": 32})
    assert display_name(Mel(n_mels=128, hop=512)) == "mel(hop=512, n_mels=128)"
    for config in (Mel(n_mels=128, hop=512), Mel(), Mel(frames=None, normalisation="none"), Cqt(fmin=55.0, frames=643),
                   Mel(channels="mid_side"), Stft(frames=643, normalisation="track"), PRESETS["waveform"]):  # fmt: skip
        assert as_representation(display_name(config)) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mell", r"unknown representation 'mell'. Did you mean 'mel'\? Known: stft, "),
        ("waveform_midside", r"Did you mean 'waveform_mid_side'\?"),
        ("theremin", r"unknown representation 'theremin'. Known: stft, "),
        ("", "unknown representation ''"),
        ("MEL", "unknown representation 'MEL'"),
        ("mel(n_mels=128", r"unknown representation 'mel\(n_mels=128'"),
        ("mel(n_mels=128)x", r"unknown representation 'mel\(n_mels=128\)x'"),
        ("mel,cqt", "unknown representation 'mel,cqt'"),
    ],
)
def test_unknown_names_come_with_the_known(text: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        as_representation(text)


@pytest.mark.parametrize(
    "fields",
    [
        "(128)", "(n_mels)", "(n_mels=)", "(n_mels=128 hop=512)", "(n_mels=two)", "(n_mels=64*2)", "(*[1])",
        "(**{'n_mels': 3})", "(n_mels=128)(hop=512)", "(n_mels=128).x(hop=512)", "(n_mels=128) + f()",
        "(n_mels=128, n_mels=64)", "(n_mels={[]: 1})", "(n_mels=\0)", "(n_mels=(1,)", "(n_mels=128#)",
        pytest.param("(n_mels=" + "(" * 500 + "1" + ")" * 500 + ")", id="nested"),
        pytest.param("(n_mels=" + "-" * 50_000 + "1)", id="long"),
        pytest.param("(n_mels=" + "9" * 5000 + ")", id="digits"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(fields: str) -> None:
    with pytest.raises(ConfigError):
        as_representation("mel" + fields)


@pytest.mark.parametrize("how", ["n_mels={}", "{}", "n_mels=[{} for _ in (1,)]", "n_mels=(lambda: {})()", "**{}"])
def test_code_is_refused_and_never_executed(how: str, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    with pytest.raises(ConfigError, match="cannot be read"):
        as_representation(f"mel({how.format(code)})")
    with pytest.raises(ConfigError):
        as_representation(code)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mel(hopp=3)", r"Mel has no field 'hopp'. Did you mean 'hop'\?"),
        ("cqt(n_fft=1024)", "Cqt has no field 'n_fft'"),
        ("mel(n_mels='64')", "Mel.n_mels: '64' is a str, expected int"),
        ("mel(n_mels=64.0)", "Mel.n_mels: 64.0 is a float, expected int"),
        ("mel(normalisation='all')", "'all' is none of 'frame', 'track', "),
        ("mel(channels=3)", "3 is none of 1, 2, 'mid_side'"),
    ],
)
def test_fields_that_do_not_fit_are_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        as_representation(text)


# --- lists


def test_lists_split_at_commas_outside_parentheses_only() -> None:
    assert parse_features("mel,cqt") == [PRESETS["mel"], PRESETS["cqt"]]
    assert parse_features(" mel(n_mels=128,hop=512) , cqt,mel(n_mels = 64)") == [
        Mel(n_mels=128, hop=512), PRESETS["cqt"], Mel(n_mels=64)
    ]  # fmt: skip
    assert parse_features("mel(n_mels=(128),hop=512),cqt") == [Mel(n_mels=128, hop=512), PRESETS["cqt"]]
    assert parse_features("mel(n_mels=128,hop=(512)),cqt") == [Mel(n_mels=128, hop=512), PRESETS["cqt"]]
    assert parse_features("mel(hop=512,channels='mid_side'),stft(frames=None)") == [
        Mel(hop=512, channels="mid_side"), Stft(frames=None)
    ]  # fmt: skip


def test_the_same_one_twice_counts_once() -> None:
    assert parse_features("mel,cqt,mel(),mel(frames=643),cqt,") == [PRESETS["mel"], PRESETS["cqt"]]


@pytest.mark.parametrize("text", ["", " ", " , ,"])
def test_an_empty_list_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"no representation in .*name at least one of stft, "):
        parse_features(text)


@pytest.mark.parametrize("text", ["mel,mell", "mel(n_mels=3", "mel)(", "mel(n_mels=128,hop=512", "mel;cqt"])
def test_a_list_with_an_unknown_name_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown representation|cannot be read"):
        parse_features(text)


# --- what cannot work

BAD: list[tuple[dict[str, Any], str]] = [
    ({"kind": "mel", "sample_rate": 0}, "sample_rate is 0: it must be positive"),
    ({"kind": "cqt", "hop": -512}, "hop is -512: it must be positive"),
    ({"kind": "chroma", "frames": 0}, "frames is 0: keep at least one frame, or None for all"),
    ({"kind": "stft", "n_fft": 1001}, "n_fft is 1001: it must be even"),
    ({"kind": "stft", "n_fft": 0}, "n_fft is 0"),
    ({"kind": "stft", "win_length": 4097}, "win_length is 4097: it must be within 2 and n_fft, 4096"),
    ({"kind": "stft", "win_length": 1}, "win_length is 1"),
    ({"kind": "stft", "win_length": 1000}, "hop 1024 is longer than the window 1000"),
    ({"kind": "stft_halved", "n_fft": 2, "hop": 1}, "n_fft is 2: halved, no row is left"),
    ({"kind": "mel", "n_mels": 0}, "n_mels 0 must be within 1 and the 2049 bins"),
    ({"kind": "mel", "n_mels": 2050}, "n_mels 2050"),
    ({"kind": "mel", "fmin": -1.0}, "fmin -1.0"),
    ({"kind": "mel", "fmin": 9000, "fmax": 8000.0}, "fmin 9000.0 and fmax 8000.0"),
    ({"kind": "mel", "fmax": 11_026.0}, "fmax 11026.0 .* 11025.0"),
    ({"kind": "mel", "fmax": float("nan")}, "fmax nan"),
    ({"kind": "mfcc", "n_mfcc": 1}, "n_mfcc 1 must be within 2 and n_mels, 256"),
    ({"kind": "mfcc", "n_mfcc": 257}, "n_mfcc 257"),
    ({"kind": "cqt", "fmin": 0.0}, "fmin 0.0 Hz"),
    ({"kind": "cqt", "fmin": float("nan")}, "fmin nan"),
    ({"kind": "cqt", "fmin": float("inf")}, "inf Hz"),
    ({"kind": "cqt", "n_bins": 0}, "n_bins 0"),
    (
        {"kind": "cqt", "n_bins": 216},
        "216 bins, 24 an octave, from 32.703 Hz reach .* above half the sample rate, 11025",
    ),
    ({"kind": "cqt", "n_bins": 30_000}, "30000 bins"),
    ({"kind": "chroma", "bins_per_octave": 0}, "bins_per_octave 0"),
    ({"kind": "chroma", "sample_rate": 8000}, "above half the sample rate, 4000 Hz"),
    ({"kind": "chroma", "n_chroma": 7}, "bins_per_octave 24 must be a multiple of n_chroma 7"),
    ({"kind": "chroma", "n_chroma": 0}, "n_chroma 0"),
    ({"kind": "contrast", "fmin": 5.0}, "fmin is 5 Hz: bins are 5.3833 Hz apart, so a band would have none"),
    ({"kind": "contrast", "fmin": float("nan")}, "fmin is nan"),
    ({"kind": "contrast", "n_bands": 0}, "n_bands is 0: there must be at least one octave"),
    ({"kind": "contrast", "n_bands": 7}, "7 octaves from 200 Hz begin above half the sample rate, 11025 Hz"),
    ({"kind": "contrast", "quantile": 0.0}, "quantile is 0.0: it must be within 0 and 1"),
    ({"kind": "contrast", "quantile": 1.0}, "quantile is 1.0"),
    ({"kind": "waveform", "hop": 2}, "hop is 2: a waveform has a frame a sample"),
    ({"kind": "waveform", "normalisation": "frame"}, "normalisation 'frame'"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=lambda value: str(value)[:50])
def test_what_cannot_work_is_named_with_its_value(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Representation.from_dict(fields)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Mel(sample_rate=-1, hop=0, frames=-5)
    assert len(caught.value.problems) >= 3


@pytest.mark.parametrize("name", PRESETS)
def test_a_representation_comes_back_from_its_values(name: str) -> None:
    assert Representation.from_dict(PRESETS[name].to_dict()) == PRESETS[name]


@pytest.mark.parametrize("channels", [True, 1.0])
def test_one_channel_has_one_identity(channels: Any) -> None:
    try:
        config = Mel(channels=channels)
    except ConfigError as error:
        assert repr(channels) in str(error)
    else:
        assert config.store_name() == Mel().store_name()


# --- nothing that was asked for is cut in silence


def test_only_the_names_of_the_thesis_mean_its_frames() -> None:
    assert [as_representation(name).frames for name in THESIS_PRESETS] == [643] * 6
    assert as_representation("mel(n_mels=128)").frames is None and Mel().frames is None
    assert as_representation("mel_playlist(hop=1024)").frames is None
    assert as_representation("mel(n_mels=128, frames=643)").frames == 643


@pytest.mark.parametrize("name", [*PRESETS, "mel(n_mels=128,hop=512)", "mel(frames=None)"])
def test_all_of_a_presets_own_clip_is_kept(name: str) -> None:
    require_whole_clips([as_representation(name)], 120.0 if name == "mel_playlist" else 30.0)
    require_whole_clips([as_representation(name)], 5.0)


@pytest.mark.parametrize(("name", "seconds", "kept", "there"), [
    ("mel", 60.0, 643, 1292), ("mel", 31.0, 643, 668), ("mel_temporal", 60.0, 599, 1292),
    ("mel(hop=512,frames=643)", 30.0, 643, 1292), ("mel_mid_side", 60.0, 2584, 5168),
])  # fmt: skip
def test_a_config_that_would_drop_more_is_refused_with_both_figures(
    name: str, seconds: float, kept: int, there: int
) -> None:
    with pytest.raises(ConfigError, match=rf"keeps {kept} frames, .* of the {there} of a clip of {seconds:g} s.*None"):
        require_whole_clips([as_representation("chroma(frames=None)"), as_representation(name)], seconds)
