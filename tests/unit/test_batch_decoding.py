"""What one file does to a batch of an extraction: nothing."""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.builders import encode, music
from tests.encoder_files import statistics_encoder, torchscript
from tonearm.audio.windows import ClipConfig
from tonearm.core import storage
from tonearm.core.errors import AudioError
from tonearm.features import Mel, RawWaveform, Stft
from tonearm.features.frozen import EncoderOutput
from tonearm.features.row_store import DESCRIPTOR_TABLE, FINGERPRINT_TABLE, read_rows
from tonearm.features.store import FeatureStore, prepare_store, store_uri
from tonearm.pipelines import decoding, extractor
from tonearm.pipelines.decoding import MAX_ATTEMPTS, ExtractionJob
from tonearm.pipelines.extractor import Extractor
from tonearm.pipelines.on_gpu import GpuWorker

FEATURES = [Mel(n_mels=16, n_fft=512, hop=256), Stft(n_fft=256, hop=256, sample_rate=16_000, channels="mid_side")]
FACTS = [FINGERPRINT_TABLE, DESCRIPTOR_TABLE]


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, Any]:
    for feature in FEATURES:
        prepare_store(str(tmp_path / "out"), feature)
    return {"features": [f.to_dict() for f in FEATURES], "clip": ClipConfig(seconds=2.0).to_dict(),
            "root": str(tmp_path / "out"), "min_seconds": 1.0, "attempts": uuid.uuid4().hex}  # fmt: skip


@pytest.fixture
def batch(tmp_path: Path) -> dict[str, list[str]]:
    songs = {"good0": encode(music(3.0, seed=0)), "bad": b"no audio", "good1": encode(music(3.0, seed=1))}
    for name, data in songs.items():
        (tmp_path / name).write_bytes(data)
    lacking = " ".join([*(f.store_name() for f in FEATURES), *FACTS])
    sources = [str(tmp_path / n) for n in songs]
    return {"source": sources, "key": list(songs), "lacking": [lacking] * len(songs),
            "stamp": [storage.stamp(s) for s in sources]}  # fmt: skip


def stores(arguments: dict[str, Any]) -> list[FeatureStore]:
    return [FeatureStore(f"{arguments['root']}/{f.store_name()}") for f in FEATURES]


def test_a_bad_file_leaves_the_others(arguments: dict[str, Any], batch: dict[str, list[str]]) -> None:
    answer = Extractor(**arguments)(batch)
    assert answer["key"] == ["good0", "bad", "good1"] and answer["reason"] == ["", "undecodable", ""]
    assert answer["size"][1] == 8 and "bad" in answer["detail"][1]
    assert answer["audio"][0] == pytest.approx(2.0) and answer["decode"][0] > 0 and answer["compute"][0] > 0
    written = json.loads(answer["written"][0])
    assert set(written) == {*(f.store_name() for f in FEATURES), *FACTS} and answer["written"][1:] == ["{}", "{}"]
    for store in stores(arguments):
        assert store.missing(batch["key"]) == ["bad"]
    for table in FACTS:
        assert set(read_rows(arguments["root"], table)) == {"good0", "good1"}


def test_batches_on_a_device_are_what_a_worker_computes_alone(
    arguments: dict[str, Any], batch: dict[str, list[str]], tmp_path: Path
) -> None:
    Extractor(**arguments)(batch)
    other = {**arguments, "root": str(tmp_path / "other")}
    for feature in FEATURES:
        prepare_store(other["root"], feature)
    answer = Extractor(GpuWorker("cpu").compute, **other)(batch)
    assert answer["reason"] == ["", "undecodable", ""] and set(answer) == set(decoding.RESULT_COLUMNS)
    for one, two in zip(stores(arguments), stores(other), strict=True):
        for key in ("good0", "good1"):
            assert one.read(key).values.shape == two.read(key).values.shape
            np.testing.assert_allclose(one.read(key).values, two.read(key).values, atol=0.07)
            assert one.read(key).stats.mean == pytest.approx(two.read(key).stats.mean, abs=1e-3)
    prints = [read_rows(a["root"], FINGERPRINT_TABLE) for a in (arguments, other)]
    assert prints[0] == prints[1]


@pytest.fixture
def long_batch(arguments: dict[str, Any], tmp_path: Path) -> dict[str, list[str]]:
    """Two short songs around one of 20 clips, and one whose second half is lost."""
    arguments["clip"] = ClipConfig(seconds=2.0, position="all").to_dict()
    whole = encode(music(40.0, seed=2))
    songs = {"short0": encode(music(3.0)), "long": whole, "lost": whole, "short1": encode(music(3.0, seed=1))}
    for name, data in songs.items():
        (tmp_path / name).write_bytes(data)
    sources = [str(tmp_path / n) for n in songs]
    return {"source": sources, "key": list(songs), "stamp": [storage.stamp(s) for s in sources],
            "lacking": [" ".join(f.store_name() for f in FEATURES)] * len(songs)}  # fmt: skip


def test_a_long_track_goes_to_the_device_a_few_clips_at_a_time(
    arguments: dict[str, Any], long_batch: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extractor, "BYTES_AT_ONCE", 2_000_000)
    worker, load, sent = GpuWorker("cpu"), decoding.load_clips, []

    def compute(clips: Any, features: Any) -> Any:
        sent.append(sum(w.samples.nbytes for clip in clips for w in clip.values()))
        return worker.compute(clips, features)

    def broken(source: str, *rest: Any) -> Any:
        for clip in load(source, *rest):
            if source.endswith("lost") and clip.number == 15:
                raise AudioError("undecodable", "it ends here")
            yield clip

    monkeypatch.setattr(decoding, "load_clips", broken)
    answer = Extractor(compute, **arguments)(long_batch)
    assert answer["reason"] == ["", "", "undecodable", ""]
    # Of a clip both layouts are 0.43 MB: five are sent, and what is left at the end.
    assert len(sent) > 5 and max(sent) < 2_500_000
    for store in stores(arguments):
        assert store.missing(long_batch["key"]) == ["lost"]
        assert store.clip_numbers("long") == list(range(20)) and store.clips("short1") == 1


def test_a_clip_that_the_device_cannot_take_rejects_its_track(
    arguments: dict[str, Any], long_batch: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extractor, "BYTES_AT_ONCE", 2_000_000)
    worker, seen = GpuWorker("cpu"), []

    def compute(clips: Any, features: Any) -> Any:
        seen.extend(clips)
        computed, seconds = worker.compute(clips, features)
        full = AudioError("out_of_memory", "a clip does not fit into the memory of the GPU")
        return [full if len(seen) - len(clips) + i == 7 else c for i, c in enumerate(computed)], seconds

    answer = Extractor(compute, **arguments)(long_batch)
    assert answer["reason"] == ["", "out_of_memory", "", ""]
    assert all(store.missing(long_batch["key"]) == ["long"] for store in stores(arguments))


class LogOfPeak(torch.nn.Module):
    """Of a patch of silence not finite; of one of constant size far more memory than there is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        peak = x.abs().amax(dim=1, keepdim=True)
        if bool((x.abs() == 0.25).all(dim=1).any()):
            return torch.zeros(100_000_000_000_000)
        return torch.log(peak).repeat(1, 3)


@pytest.mark.parametrize("device", ["", "cpu"])
def test_a_clip_that_an_encoder_cannot_hear_rejects_its_track_alone(
    arguments: dict[str, Any], tmp_path: Path, device: str
) -> None:
    songs = {
        "good0": music(2.0),
        "silent": music(2.0, seed=1),
        "large": music(2.0, seed=2),
        "good1": music(2.0, seed=3),
    }
    songs["silent"][..., :4000] = 0
    songs["large"][..., :4000] = 0.25
    for name, samples in songs.items():
        (tmp_path / name).write_bytes(encode(samples))
    file = torchscript(tmp_path / "e.pt", LogOfPeak())
    encoder = statistics_encoder(file, RawWaveform(), outputs=(EncoderOutput(name="0", dim=3),))
    prepare_store(arguments["root"], encoder)
    sources = [str(tmp_path / name) for name in songs]
    batch = {"source": sources, "key": list(songs), "stamp": [storage.stamp(s) for s in sources],
             "lacking": [encoder.store_name()] * len(songs)}  # fmt: skip
    own = {**arguments, "features": [encoder.to_dict()]}
    answer = Extractor(GpuWorker(device).compute if device else None, **own)(batch)
    assert answer["reason"] == ["", "not_finite", "out_of_memory", ""]
    assert FeatureStore(store_uri(arguments["root"], encoder)).missing(batch["key"]) == ["silent", "large"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(MemoryError(), "out_of_memory"), (ValueError("odd"), "unexpected_error"), (AudioError("silent", "x"), "silent")],
)
def test_whatever_a_file_raises_becomes_its_reason(
    error: Exception, reason: str, arguments: dict[str, Any], batch: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    load = decoding.load_clips

    def sometimes(source: str, *rest: Any) -> Any:
        if source.endswith("good1"):
            raise error
        return load(source, *rest)

    monkeypatch.setattr(decoding, "load_clips", sometimes)
    answer = Extractor(**arguments)(batch)
    assert answer["reason"] == ["", "undecodable", reason] and answer["detail"][2]
    assert all(store.missing(batch["key"]) == ["bad", "good1"] for store in stores(arguments))


def test_a_full_disk_stops_the_job_and_leaves_nothing(
    arguments: dict[str, Any], batch: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tonearm.features.shards.ShardWriter.add", full)
    with pytest.raises(OSError, match="No space"):
        Extractor(**arguments)(batch)
    assert all(len(store) == 0 for store in stores(arguments))
    assert not list(Path(arguments["root"]).rglob("*.tmp"))


def test_a_file_that_kills_its_worker_is_given_up(arguments: dict[str, Any], batch: dict[str, list[str]]) -> None:
    job = ExtractionJob(**arguments)
    attempts = [job.attempt("good0") for _ in range(MAX_ATTEMPTS)]
    for attempt in attempts:
        attempt.__enter__()  # and never left: the process died
    answer = Extractor(**arguments)(batch)
    assert answer["reason"] == ["kills_worker", "undecodable", ""]
    assert all(store.missing(batch["key"]) == ["good0", "bad"] for store in stores(arguments))


def test_a_file_that_is_written_to_meanwhile_is_not_stored(
    arguments: dict[str, Any], batch: dict[str, list[str]]
) -> None:
    Path(batch["source"][0]).write_bytes(encode(music(4.0, seed=9)))
    assert Extractor(**arguments)(batch)["reason"] == ["changed", "undecodable", ""]
    assert all(store.missing(batch["key"]) == ["good0", "bad"] for store in stores(arguments))


def test_attempts_that_end_well_are_forgotten(arguments: dict[str, Any], batch: dict[str, list[str]]) -> None:
    for _ in range(2 * MAX_ATTEMPTS):
        assert Extractor(**arguments)(batch)["reason"] == ["", "undecodable", ""]


def test_workers_that_send_clips_to_a_gpu_load_no_torch(
    arguments: dict[str, Any], batch: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes 300 MB of each, of which there is one a core."""
    gpu, answers = GpuWorker("cpu"), []
    batch["lacking"] = [
        lacking.replace(DESCRIPTOR_TABLE, "") for lacking in batch["lacking"]
    ]  # which are made by torch

    def compute(clips: Any, features: Any) -> Any:
        answers.append(gpu.compute(clips, features))
        return answers[-1]

    Extractor(compute, **arguments)(batch)
    replay = iter(answers)
    for feature in FEATURES:
        prepare_store(str(tmp_path / "again"), feature)
    again = {**arguments, "root": str(tmp_path / "again")}
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "torch", None)
        answer = Extractor(lambda clips, features: next(replay), **again)(batch)
    assert answer["reason"] == ["", "undecodable", ""]
    for first, second in zip(stores(arguments), stores(again), strict=True):
        assert first.read("good1").values.tobytes() == second.read("good1").values.tobytes()
