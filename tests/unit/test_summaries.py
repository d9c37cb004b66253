"""Summaries of a clip: equal to plain references, and right where the answer is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.builders import RATE, music, tone
from tests.unit.plain_summaries import FRAME_RATE, REFERENCES
from tonearm.audio.windows import ClipConfig
from tonearm.core.errors import ConfigError
from tonearm.core.types import FloatArray, Waveform
from tonearm.features import Chroma, Mel, Mfcc, RawWaveform, Representation, extract
from tonearm.features.attributes import NAMES, Attributes
from tonearm.features.batched import extract_batch
from tonearm.features.computed import ComputedClip
from tonearm.features.descriptors import describe_music
from tonearm.features.engine import compute
from tonearm.features.frozen import EncoderOutput, Frozen
from tonearm.features.patterns import (
    DeltaSpectralPattern,
    FluctuationPattern,
    Periodicity,
    SpectralPattern,
)
from tonearm.features.presets import BLOCKS, PRESETS, as_representation, display_name
from tonearm.features.shards import ShardWriter
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.features.summaries import (
    Floats,
    Level,
    Modulation,
    Moments,
    Summarised,
    Summary,
)
from tonearm.features.tonal import Tonal

FINE = Mel(n_fft=1024, hop=512, n_mels=128)


def waveform(samples: FloatArray) -> Waveform:
    return Waveform(np.array(samples, dtype=np.float32, ndmin=2), RATE)


def levels(rows: int = 128, frames: int = 1300, seed: int = 0) -> Floats:
    """Decibels that wander, with attacks."""
    rng = np.random.default_rng(seed)
    wandering = rng.normal(0, 1, (rows, frames)).cumsum(axis=1)
    return -40 + wandering * 0.5 + 20 * (rng.random((rows, frames)) < 0.02)


@pytest.mark.parametrize("name", list(REFERENCES))
def test_summary_is_its_plain_reference(name: str) -> None:
    summary, reference = REFERENCES[name]
    x = levels()
    before = x.copy()
    found = summary.compute(x, FRAME_RATE)
    np.testing.assert_allclose(found, reference(x), rtol=1e-9, atol=1e-9)
    assert found.shape == (summary.length(128, FRAME_RATE),) and np.array_equal(x, before)


def test_every_kind_of_summary_is_tested() -> None:
    tested = {type(summary) for summary, _ in REFERENCES.values()} | {Attributes, Modulation, Tonal}
    assert tested == {Summary.registry[kind] for kind in Summary.registry}, "a new summary gets a plain reference here"


# --- known answers


def test_clicks_are_periodic_at_their_period_and_its_multiples() -> None:
    clicks = np.zeros(20 * RATE, np.float32)
    clicks[:: RATE // 2] = 0.8  # two a second
    summary = Periodicity(bands=1, lags=200, shortest=0.2, longest=1.2)
    of = Summarised(of=Mel(n_fft=512, hop=128, n_mels=64), summary=summary)
    values = extract(waveform(clicks), of)[of][:, 0][-len(summary.frames_of_lags(RATE / 128)) :]
    lags = np.array(summary.frames_of_lags(RATE / 128)) * 128 / RATE
    strongest = lags[values > 0.7]
    assert len(strongest) and np.all(np.minimum(np.abs(strongest - 0.5), np.abs(strongest - 1.0)) < 0.02)
    assert values[np.argmin(np.abs(lags - 0.5))] > 0.8 > 0.3 > np.abs(values[np.argmin(np.abs(lags - 0.75))])


def test_fluctuation_is_where_it_was_made() -> None:
    frames = np.arange(1300)
    x = np.full((128, 1300), -30.0)
    x[:64] += 6 * np.sin(2 * np.pi * 4.0 * frames / FRAME_RATE)  # 4 Hz, 6 dB, in the lower half
    found = FluctuationPattern().compute(x, FRAME_RATE).reshape(32, 24)
    edges = np.geomspace(0.2, 20, 25)
    four = int(np.searchsorted(edges, 4.0)) - 1
    assert set(found[:16].argmax(axis=1)) == {four} and (found[:16].max(axis=1) > 0.2).all()
    np.testing.assert_allclose(found[16:], -3, atol=1e-6)  # nothing else moves
    modulation = Modulation(merged=2, pooled=4, lowest=0.5, highest=16).compute(x, FRAME_RATE).reshape(16, 10)
    edges = np.geomspace(0.5, 16, 11)
    assert set(modulation[:8].argmax(axis=1)) == {int(np.searchsorted(edges, 4.0)) - 1}
    np.testing.assert_allclose(modulation[8:], -3, atol=1e-6)


def test_transposed_pitch_classes_have_the_same_tonal_values() -> None:
    x = np.random.default_rng(0).random((12, 400)) ** 3
    x[4] += 0.5  # so that one is clearly the strongest
    summary = Tonal()
    found = summary.compute(x, RATE / 1024)
    for steps in range(1, 12):
        np.testing.assert_allclose(summary.compute(np.roll(x, steps, axis=0), RATE / 1024), found, atol=1e-12)
    mean = x.mean(axis=1)
    np.testing.assert_allclose(found[:12], [mean[(4 + i) % 12] for i in range(12)])
    together = [np.mean([sum(x[i, t] * x[(i + s) % 12, t] for i in range(12)) for t in range(400)]) for s in range(12)]
    np.testing.assert_allclose(found[24:36], together)


def test_descriptors_are_numbers_of_their_ranges() -> None:
    clip = waveform(music(8.0, low=220.0))
    own = dict(zip(NAMES, extract(clip, "descriptors")["descriptors"][:, 0], strict=True))
    described = describe_music(clip)
    assert own["brightness"] == pytest.approx((described.brightness - 2600) / 2400, abs=1e-5)
    assert own["loudness"] == pytest.approx((described.loudness + 22.5) / 17.5, abs=1e-5)
    assert own["mode"] == {"major": 1, "minor": -1, None: 0}[described.mode]
    assert (own["tempo_known"], own["key_known"]) == (described.tempo is not None, described.key is not None)
    silent = dict(zip(NAMES, extract(waveform(np.zeros(RATE)), "descriptors")["descriptors"][:, 0], strict=True))
    unknown = ("tempo", "key_strength", "brightness", "mode", "tempo_known", "key_known")
    assert {silent[name] for name in unknown} == {0.0} and all(np.isfinite(list(silent.values())))


def test_louder_recordings_differ_in_level_alone() -> None:
    """The blocks of decibels are about the clip's mean; what a louder copy changes is its level."""
    quiet = music(12.0, seed=1) * 0.1
    found = {gain: extract(waveform(quiet * gain), list(BLOCKS.values())) for gain in (1.0, 4.0)}
    assert found[4.0]["level"][0, 0] - found[1.0]["level"][0, 0] == pytest.approx(20 * np.log10(4), abs=0.05)
    for name in (
        "spectral_pattern",
        "periodicity",
        "correlation_pattern",
        "fluctuation_pattern",
        "tonal",
        "cqt_profile",
    ):
        np.testing.assert_allclose(found[4.0][name], found[1.0][name], atol=2e-2, err_msg=name)


# --- as representations


@pytest.mark.parametrize("seconds", [0.05, 1.0, 3.0, 31.0])
def test_any_length_has_the_same_shape_and_finite_values(seconds: float) -> None:
    configs = list(BLOCKS.values())
    for clip in (waveform(music(seconds)), waveform(np.zeros(round(seconds * RATE), np.float32))):
        for config, values in zip(configs, compute(clip, configs), strict=True):
            assert values.values.shape == (config.freq_bins, 1) == config.input_spec(seconds).shape[1:], config.brief()
            assert values.values.dtype == np.float32 and np.isfinite(values.values).all()
            assert np.abs(values.values).max() < 60_000, "float16 could not hold it"


def test_a_short_clip_is_heard_again() -> None:
    x = levels(frames=100)
    summed = Summarised(of=FINE, summary=SpectralPattern(block=150, step=50))
    twice = np.concatenate([x, x], axis=1)[:, :150]
    np.testing.assert_array_equal(summed.derive(x.astype(np.float32)), summed.derive(twice.astype(np.float32)))


def test_in_one_pass_with_its_spectrogram_and_alone_it_is_the_same() -> None:
    clip = waveform(music(5.0))
    together = compute(clip, [FINE, *BLOCKS.values(), Mfcc(n_mfcc=21)])
    np.testing.assert_array_equal(together[0].values, compute(clip, [FINE])[0].values)
    for config, found in zip(BLOCKS.values(), together[1:-1], strict=True):
        np.testing.assert_array_equal(found.values, compute(clip, [config])[0].values)


def test_batched_is_the_engine() -> None:
    clips = [waveform(music(4.0, seed=1)), waveform(music(2.5, seed=2))]
    configs = [*BLOCKS.values(), FINE, PRESETS["descriptors"]]
    for clip, found in zip(clips, extract_batch([{c.layout: clip for c in configs} for clip in clips], configs, "cpu"), strict=True):  # fmt: skip # noqa: E501
        for config, one, expected in zip(configs, found, compute(clip, configs), strict=True):
            np.testing.assert_allclose(one.values, expected.values, atol=0.05, rtol=0.02, err_msg=config.brief())


def test_two_planes_are_summed_up_each() -> None:
    left, right = tone(440.0, 3.0), music(3.0)
    of = Summarised(of=Mel(n_mels=32, n_fft=1024, hop=512, channels=2), summary=Moments())
    found = compute(Waveform(np.stack([left, right]), RATE), [of])[0].values
    assert found.shape == (2, 64, 1) == of.input_spec(3.0).shape and of.planes == 2 and of.layout == (RATE, 2)


def test_what_is_stored_is_what_serving_computes(tmp_path: Path) -> None:
    config, clip = BLOCKS["fluctuation_pattern"], waveform(music(8.0))
    computed = compute(clip, [config])[0]
    uri = prepare_store(str(tmp_path), config)
    writer = ShardWriter(uri)
    writer.add(track_key("c", ClipConfig()), computed)
    writer.close()
    store = FeatureStore(uri)
    stored = store.read(track_key("c", ClipConfig()))
    np.testing.assert_array_equal(stored.values, computed.values.astype(np.float16))
    assert store.representation == config and stored.frames == 1


def test_names_and_stores() -> None:
    assert as_representation("tonal") == BLOCKS["tonal"] and display_name(BLOCKS["tonal"]) == "tonal"
    names = {config.store_name() for config in BLOCKS.values()}
    assert len(names) == len(BLOCKS)
    for config in BLOCKS.values():
        assert Representation.from_dict(config.to_dict()) == config
    finer = BLOCKS["tonal"].replace({"of.hop": 512})
    assert finer.store_name() != BLOCKS["tonal"].store_name() and finer.of.hop == 512
    written = "summary(of=mel(n_mels=64), summary=moments(changes=True))"
    own = as_representation(written)
    assert own == Summarised(of=Mel(n_mels=64), summary=Moments(changes=True)) and display_name(own) == written
    assert as_representation(display_name(finer)) == finer


def test_normalisation_of_what_it_is_computed_of_changes_no_store() -> None:
    """It is not applied: the same values would be extracted twice."""
    twice = Summarised(of=Summarised(of=Mel(), summary=Moments()), summary=Level())
    for config, place in ((BLOCKS["level"], "of"), (twice, "of.of")):
        for how in ("track", "training", "none"):
            assert config.replace({f"{place}.normalisation": how}).store_name() == config.store_name()
        assert config.replace({f"{place}.n_mels": 64}).store_name() != config.store_name()


def test_a_store_is_named_by_the_versions_of_all_that_its_values_hang_on(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = (EncoderOutput(name="a", dim=3),)
    encoder = Frozen(of=Mel(), outputs=outputs, patch=10, order="frames_rows")
    hang_on = {
        Summarised(of=Mel(), summary=Moments()): {Mel, Summarised, Moments},
        Summarised(of=Mel(), summary=Level()): {Mel, Summarised, Level},
        Summarised(of=encoder, summary=Moments()): {Mel, Frozen, Summarised, Moments},
        encoder: {Mel, Frozen},
    }
    names = {feature: {feature.store_name()} for feature in hang_on}
    for kind in (Mel, Frozen, Summarised, Moments, Level):
        for version in (2, 3):
            monkeypatch.setattr(kind, "definition_version", version)
            for feature, needed in hang_on.items():
                name = feature.store_name()
                assert (name not in names[feature]) == (kind in needed), (feature, kind, version)
                names[feature].add(name)
        monkeypatch.setattr(kind, "definition_version", 1)
    assert [len(found) for found in names.values()] == [1 + 2 * len(needed) for needed in hang_on.values()]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: BLOCKS["tonal"].replace({"hop": 512}), "set of.hop"),
        (lambda: Summarised(of=Mel(frames=100, n_mels=16), summary=Moments(), frames=3), "set of.frames"),
        (lambda: Summarised(of=FINE, summary=Tonal()), "12 pitch classes: the representation has 128 rows"),
        (lambda: Summarised(of=Chroma(), summary=SpectralPattern()), "within 1 and the 12 rows"),
        (lambda: Summarised(of=FINE, summary=FluctuationPattern(highest=30.0)), "none above 21.53"),
        (lambda: Summarised(of=FINE, summary=Attributes()), r"set of to RawWaveform\(\)"),
        (lambda: Summarised(of=RawWaveform(sample_rate=4000), summary=Attributes()), "at least 8000 Hz"),
        (lambda: SpectralPattern(percentile=101.0), "within 0 and 100"),
        (lambda: Periodicity(shortest=2.0, longest=1.0), "shortest < longest"),
        (lambda: DeltaSpectralPattern(kept=26), "within 1 and block"),
        (lambda: as_representation("summary(of=mel, summary=median())"), "median"),
        (lambda: as_representation("summary(of=mel)"), "summary"),
        (lambda: as_representation("summary(of=5, summary=moments)"), "of"),
    ],
)
def test_what_cannot_be_summed_up_is_said(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()


def test_windows_and_derived_values_share_no_memory() -> None:
    found = extract(waveform(music(2.0)), [FINE, "level"])
    assert not np.may_share_memory(found[FINE], found["level"])
    assert isinstance(compute(waveform(music(1.0)), [BLOCKS["level"]])[0], ComputedClip)
