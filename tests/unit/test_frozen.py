"""Frozen encoders: what they make of a clip, which files are run, and which are refused."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.encoder_files import PATCH, RATE, Statistics, onnx, statistics_encoder, torchscript
from tonearm.core import home
from tonearm.core.errors import AudioError, ConfigError
from tonearm.core.types import Waveform
from tonearm.features import Mel, RawWaveform, Representation
from tonearm.features.batched import extract_batch
from tonearm.features.encoders import load_encoder
from tonearm.features.engine import compute, extract
from tonearm.features.frozen import EncoderOutput, Frozen, encoders_in, patches_of
from tonearm.features.presets import as_representation
from tonearm.features.summaries import Moments, Summarised
from tonearm.features.weight_files import sha256_of, stored_place
from tonearm.features.weights import register, registered, require_weights


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(home.HOME, str(tmp_path / "home"))
    return tmp_path / "home"


def ramp(samples: int) -> Waveform:
    return Waveform(np.linspace(-0.5, 0.5, samples, dtype=np.float32)[None], RATE)


# --- values


def test_patches_are_evenly_spread_from_the_beginning_to_the_end() -> None:
    values = np.arange(100, dtype=np.float32)[None]
    assert patches_of(values, 10, 4)[:, 0, 0].tolist() == [0, 30, 60, 90]
    assert patches_of(values, 10, 1)[0, 0].tolist() == list(range(45, 55))
    assert patches_of(values, 60, 3)[:, 0, 0].tolist() == [0, 20, 40]
    assert patches_of(values[:, :4], 10, 2)[1, 0].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]  # repeated


def test_rows_are_numbers_and_frames_are_patches(tmp_path: Path) -> None:
    outputs = (EncoderOutput(name="sizes", dim=10), EncoderOutput(name="moments", dim=2))
    encoder = statistics_encoder(tmp_path / "s.pt", outputs=outputs)
    waveform = ramp(5000)
    made = extract(waveform, [encoder])[encoder]
    patches = patches_of(waveform.samples, PATCH, 3)[:, 0]
    expected = [
        np.abs(patches).reshape(3, 10, 100).mean(axis=2).T,
        patches.mean(axis=1)[None],
        patches.max(axis=1)[None],
    ]
    assert made.shape == encoder.input_spec(5000 / RATE).shape[1:] == (12, 3) and made.dtype == np.float32
    np.testing.assert_allclose(made, np.concatenate(expected), atol=1e-6)
    assert encoder.layout == (RATE, 1) and encoder.example_spec(1).shape == (1, 12, 3)


def test_steps_of_an_output_are_averaged(tmp_path: Path) -> None:
    class Steps(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.reshape(x.shape[0], -1, 4)

    encoder = statistics_encoder(torchscript(tmp_path / "s.pt", Steps()), outputs=(EncoderOutput(name="0", dim=4),))
    waveform = ramp(PATCH)
    expected = waveform.samples.reshape(-1, 4).mean(axis=0)
    np.testing.assert_allclose(extract(waveform, encoder)[encoder][:, 0], expected, atol=1e-6)


@pytest.mark.parametrize("order", ["frames_rows", "rows_frames", "planes_rows_frames"])
def test_an_encoder_takes_a_representation_with_its_axes(tmp_path: Path, order: str) -> None:
    class Shape(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            sizes = torch.tensor([float(n) for n in x.shape[1:]])
            return sizes[None].repeat(x.shape[0], 1), x.flatten(1).sum(dim=1, keepdim=True)

    mel = Mel(sample_rate=RATE, n_fft=512, hop=256, n_mels=16, normalisation="none")
    shape = {"frames_rows": [20, 16], "rows_frames": [16, 20], "planes_rows_frames": [1, 16, 20]}[order]
    outputs = (EncoderOutput(name="0", dim=len(shape)), EncoderOutput(name="1", dim=1))
    file = torchscript(tmp_path / "s.pt", Shape())
    encoder = statistics_encoder(file, mel, patch=20, patches=2, outputs=outputs, order=order)
    waveform = ramp(8000)
    made, inner = (c.values for c in compute(waveform, [encoder, mel]))
    assert made[:-1].T.tolist() == [shape, shape]
    np.testing.assert_allclose(made[-1], [inner[:, :20].sum(), inner[:, -20:].sum()], rtol=1e-4)


def test_a_batch_gives_what_each_clip_gives(tmp_path: Path) -> None:
    encoder = statistics_encoder(tmp_path / "s.pt", patches=20)
    pooled = Summarised(of=encoder, summary=Moments())
    clips = [ramp(n) for n in (5000, 300, 7777)]
    batch = extract_batch([{encoder.layout: c} for c in clips], [encoder, pooled], "cpu")
    for waveform, found in zip(clips, batch, strict=True):
        for one, alone in zip(found, compute(waveform, [encoder, pooled]), strict=True):
            np.testing.assert_allclose(one.values, alone.values, atol=1e-6)
    assert batch[0][1].values.shape == (4, 1)


def test_onnx_gives_what_its_graph_says(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(PATCH, 5)).astype(np.float32)
    waveform = ramp(9000)
    for batch in (None, 1, 4):  # of a fixed size, too: the last is filled up
        file = onnx(tmp_path / f"{batch}.onnx", weight, batch)
        outputs = (EncoderOutput(name="embedding", dim=5),)
        encoder = statistics_encoder(file, patches=6, outputs=outputs)
        expected = patches_of(waveform.samples, PATCH, 6)[:, 0] @ weight
        np.testing.assert_allclose(extract(waveform, encoder)[encoder].T, expected, rtol=1e-4, atol=1e-4)


def test_numbers_that_are_not_finite_reject_the_track(tmp_path: Path) -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x / 0)[:, :2]

    encoder = statistics_encoder(torchscript(tmp_path / "s.pt", Broken()), outputs=(EncoderOutput(name="0", dim=2),))
    with pytest.raises(AudioError, match="not_finite: statistics gives numbers that are not finite"):
        extract(ramp(3000), encoder)


# --- identity


def test_its_file_is_its_identity_and_where_it_lies_is_not(tmp_path: Path) -> None:
    encoder = statistics_encoder(tmp_path / "s.pt")
    elsewhere = encoder.replace({"file": "s3://bucket/s.pt", "licence": "MIT", "name": "other"})
    assert elsewhere.store_name() == encoder.store_name() and elsewhere.signature() == encoder.signature()
    other = encoder.replace({"sha256": "0" * 64})
    assert len({e.store_name() for e in (encoder, other, encoder.replace({"patches": 4}))}) == 3
    kept = Representation.from_dict(encoder.to_dict())
    assert kept == encoder and isinstance(kept, Frozen) and kept.licence == "Apache-2.0"
    assert encoders_in(Summarised(of=encoder, summary=Moments())) == [encoder]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sha256": "abc"}, "sha256 is 'abc': it has 64 characters"),
        ({"patch": 0}, "patch is 0: it must be at least 1"),
        ({"patches": -1}, "patches is -1: it must be at least 1"),
        ({"outputs": ()}, "outputs are none: name at least one"),
        ({"outputs": (EncoderOutput(name="a", dim=2),) * 2}, "outputs are a, a: name at least one, each once"),
        ({"outputs": (EncoderOutput(name="a", dim=0),)}, "output 'a' has dim 0: it must be at least 1"),
        ({"of": Mel()}, "order is 'samples', but mel has 256 rows: choose 'frames_rows'"),
        ({"of": RawWaveform(channels="mid_side")}, "an encoder hears one channel, waveform has 2"),
        ({"sample_rate": 16000}, "sample_rate is 16000: a frozen takes that of what it is computed of"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        statistics_encoder(tmp_path / "s.pt").replace(fields)


def test_a_waveform_of_another_rate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="wrong_rate: 22050 Hz, waveform takes 8000 Hz"):
        extract(Waveform(ramp(9000).samples, 22050), statistics_encoder(tmp_path / "s.pt"))


# --- where the file is


def test_the_file_is_found_by_its_path_or_in_the_home_by_its_sha256(tmp_path: Path) -> None:
    file = tmp_path / "s.pt"
    encoder = statistics_encoder(file)
    assert encoder.path() == file
    register(encoder.replace({"file": ""}), file, "the licence")
    file.unlink()
    assert encoder.path() == Path(stored_place(encoder.sha256)) and sha256_of(encoder.path()) == encoder.sha256
    assert registered("statistics") == (encoder.replace({"file": ""}), "the licence")


def test_another_file_is_not_kept(tmp_path: Path) -> None:
    encoder = statistics_encoder(tmp_path / "s.pt")
    other = torchscript(tmp_path / "o.pt", nn.Sequential(nn.Identity()))
    with pytest.raises(ConfigError, match=rf"o.pt has sha256 {sha256_of(other)}, not {encoder.sha256}"):
        register(encoder, other)
    assert not [p for p in (tmp_path / "home").rglob("*") if p.is_file()]


def test_a_missing_or_another_file_is_refused_with_the_place(tmp_path: Path) -> None:
    encoder = statistics_encoder(tmp_path / "s.pt")
    torchscript(tmp_path / "s.pt", nn.Sequential(nn.Identity()))
    found = sha256_of(tmp_path / "s.pt")
    with pytest.raises(ConfigError) as refused:
        require_weights([Summarised(of=encoder, summary=Moments()), Mel()])
    for told in (encoder.sha256, found, stored_place(encoder.sha256), "licence: Apache-2.0", str(tmp_path / "s.pt")):
        assert told in str(refused.value)
    (tmp_path / "s.pt").unlink()
    with pytest.raises(ConfigError, match=r"are not here: its file must have sha256 .* and lie at "):
        extract(ramp(3000), encoder)
    with pytest.raises(
        ConfigError, match="the weights of musicnn are not here: fetch them with tonearm weights musicnn"
    ):
        require_weights([as_representation("musicnn")])


def test_a_file_elsewhere_is_copied_to_this_machine_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    monkeypatch.setenv(home.CACHE, str(tmp_path / "cache"))
    encoder = statistics_encoder(tmp_path / "s.pt", file="memory://weights/s.pt")
    fsspec.filesystem("memory").pipe_file("/weights/s.pt", (tmp_path / "s.pt").read_bytes())
    found = encoder.path()
    assert found.is_relative_to(tmp_path / "cache")
    fsspec.filesystem("memory").rm("/weights/s.pt")  # nobody asks for it again
    assert encoder.path() == found
    assert extract(ramp(3000), encoder)[encoder].shape == (2, 3)


# --- which files are run


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.mark,)  # type: ignore[return-value]


def refusal(file: Path, **fields: object) -> str:
    with pytest.raises(ConfigError) as refused:
        extract(ramp(3000), statistics_encoder(file, **fields))  # type: ignore[arg-type]
    return str(refused.value)


def test_pickles_are_refused_and_not_opened(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    torch.save(Evil(mark), tmp_path / "zip.pt")
    torch.save(Evil(mark), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Evil(mark)))
    assert "is a pickle of weights, no TorchScript: save the model with torch.jit.save" in refusal(tmp_path / "zip.pt")
    assert "is a pickle, which could run any code" in refusal(tmp_path / "old.pt")
    assert "is a pickle, which could run any code" in refusal(tmp_path / "plain.pkl")
    assert not mark.exists()


def test_pt2_is_refused_because_torch_unpickles_it(tmp_path: Path) -> None:
    mark, file = tmp_path / "executed", tmp_path / "program.pt2"
    torch.export.save(torch.export.export(nn.Linear(4, 3), (torch.zeros(2, 4),)), file)
    evil = tmp_path / "evil.pt2"
    torch.save(Evil(mark), tmp_path / "inputs.pt")
    with zipfile.ZipFile(file) as good, zipfile.ZipFile(evil, "w") as bad:
        for name in good.namelist():
            inputs = "sample_inputs" in name
            bad.writestr(name, (tmp_path / "inputs.pt").read_bytes() if inputs else good.read(name))
    assert "is a .pt2 file, which torch unpickles: it could run any code" in refusal(file)
    assert "is a .pt2 file" in refusal(evil) and not mark.exists()


@pytest.mark.parametrize("external", ["outside.bin", "../outside.bin"])
def test_onnx_with_numbers_in_a_further_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, external: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")  # where onnxruntime would look for it
    weight = np.ones((PATCH, 2), dtype=np.float32)
    for place in (Path("outside.bin"), tmp_path / "outside.bin"):
        weight.tofile(place)
    message = refusal(onnx(tmp_path / "o.onnx", weight, external=external))
    assert "o.onnx keeps weight in a further file: its SHA-256 would not say what it computes" in message


def test_what_is_run_is_what_has_the_sha256(tmp_path: Path) -> None:
    file = torchscript(tmp_path / "s.pt")
    sha256 = sha256_of(file)
    torchscript(file, nn.Sequential(nn.Identity()))  # since it was found
    with pytest.raises(
        ConfigError, match=rf"s.pt has sha256 {sha256_of(file)}, not {sha256}: it was changed meanwhile"
    ):
        load_encoder(str(file), sha256, "cpu")


def test_what_does_not_fit_the_file_is_told(tmp_path: Path) -> None:
    torchscript(tmp_path / "s.pt")
    wrong = (EncoderOutput(name="embedding", dim=2),)
    assert "has no output 'embedding': it has moments (2,), sizes (10, 1)" in refusal(tmp_path / "s.pt", outputs=wrong)
    wrong = (EncoderOutput(name="moments", dim=3),)
    assert "expected (3, 3): its outputs are moments (2,), sizes" in refusal(tmp_path / "s.pt", outputs=wrong)
    assert "cannot take a batch of shape (3, 50)" in refusal(tmp_path / "s.pt", patch=50)
    (tmp_path / "noise").write_bytes(b"noise" * 100)
    assert "cannot be read as TorchScript or ONNX" in refusal(tmp_path / "noise")
    whole = (tmp_path / "s.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    assert "is damaged" in refusal(tmp_path / "half.pt")
    assert "cannot take a batch of shape" in refusal(onnx(tmp_path / "o.onnx", np.ones((50, 2), dtype=np.float32)))


def test_a_module_is_read_once_a_process(tmp_path: Path) -> None:
    encoder = statistics_encoder(torchscript(tmp_path / "s.pt", nn.Sequential(Statistics())))
    before = load_encoder.cache_info().misses
    for _ in range(3):
        extract(ramp(3000), encoder)
    assert load_encoder.cache_info().misses == before + 1
