"""musicnn of its package's checkpoint: the reader, and the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.encoder_files import tensor_bundle
from tonearm.core.errors import ConfigError
from tonearm.core.types import Waveform
from tonearm.features import extract
from tonearm.features.presets import as_representation, display_name
from tonearm.features.weights import KNOWN
from tonearm.workflows.musicnn import FRONT, MIDDLE, PENULTIMATE, POOLED, Musicnn, to_torchscript
from tonearm.workflows.tensor_bundle import read_tensors

# --- a checkpoint of TensorFlow

TENSORS = {
    "layer/kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "layer/bias": np.array([0.5, -1.0], dtype=np.float64),
    "layer_1/bias": np.zeros((0,), dtype=np.float32),
    "step": np.array(70_000, dtype=np.int64),
    "sizes": np.array([[1], [-2]], dtype=np.int32),
}


@pytest.mark.parametrize("restarts", [False, True])
def test_a_checkpoint_is_read(tmp_path: Path, restarts: bool) -> None:
    found = read_tensors(*tensor_bundle(tmp_path, TENSORS, restarts))
    assert sorted(found) == sorted(TENSORS)
    for name, values in TENSORS.items():
        assert found[name].dtype == values.dtype and found[name].shape == values.shape
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("what", ["end", "data", "half", "compressed", "type", "empty", "varint"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, what: str) -> None:
    index, data = tensor_bundle(tmp_path, TENSORS)
    whole = index.read_bytes()
    if what == "data":
        data.write_bytes(data.read_bytes()[:-20])
    elif what == "compressed":
        size = whole.index(b"\xff") - 3 - 5  # of the first block, before the second one's first entry
        index.write_bytes(whole[:size] + b"\1" + whole[size + 1 :])
    elif what == "type":
        index.write_bytes(whole.replace(b"\x08\x03", b"\x08\x07", 1))
    else:
        ends = {"end": whole[:-1] + b"\0", "half": whole[: len(whole) // 2], "empty": b"",
                "varint": b"\xff" * (len(whole) - 48) + whole[-48:]}  # fmt: skip
        index.write_bytes(ends[what])
    with pytest.raises(ConfigError, match=r"is no checkpoint of TensorFlow that can be read: "):
        read_tensors(index, data)


# --- musicnn


def random_tensors() -> dict[str, np.ndarray]:
    """Tensors of musicnn's names and shapes."""
    rng = np.random.default_rng(0)
    kernels = [(frames, bands, 1, filters) for filters, frames, bands in FRONT]
    front = sum(shape[3] for shape in kernels)
    kernels += [(7, width, 1, MIDDLE) for width in (front, MIDDLE, MIDDLE)]
    made: dict[str, np.ndarray] = {}
    for i, shape in enumerate(kernels):
        name = f"conv2d_{i}" if i else "conv2d"
        made[f"{name}/kernel"] = rng.normal(0, np.prod(shape[:2]) ** -0.5, shape)
        made[f"{name}/bias"] = rng.normal(0, 0.1, shape[3])
    made |= {"dense/kernel": rng.normal(0, 0.02, (2 * POOLED, PENULTIMATE)), "dense/bias": rng.normal(size=PENULTIMATE)}
    for i, size in enumerate([1, *(shape[3] for shape in kernels), 2 * POOLED, PENULTIMATE]):
        name = f"batch_normalization_{i}" if i else "batch_normalization"
        for part, mean in (("gamma", 1), ("beta", 0), ("moving_mean", 0), ("moving_variance", 2)):
            made[f"{name}/{part}"] = mean + rng.uniform(-0.2, 0.2, size)
    return {name: values.astype(np.float32) for name, values in made.items()}


def plain_musicnn(tensors: dict[str, np.ndarray], mel: np.ndarray) -> dict[str, Tensor]:
    """The network as its paper has it, of one mel spectrogram (frames, bands), by torch's own layers."""

    def scaled(x: Tensor, i: int) -> Tensor:
        own = [torch.from_numpy(tensors[f"batch_normalization{f'_{i}' if i else ''}/{part}"])
               for part in ("moving_mean", "moving_variance", "gamma", "beta")]  # fmt: skip
        return functional.batch_norm(x, *own, eps=1e-3)

    def layer(x: Tensor, i: int) -> Tensor:
        name = f"conv2d_{i}" if i else "conv2d"
        kernel = torch.from_numpy(np.ascontiguousarray(tensors[f"{name}/kernel"].transpose(3, 2, 0, 1)))
        frames = kernel.shape[2]
        padded = functional.pad(x, (0, 0, (frames - 1) // 2, frames - 1 - (frames - 1) // 2))
        bias = torch.from_numpy(tensors[f"{name}/bias"])
        found = scaled(functional.relu(functional.conv2d(padded, kernel, bias)), i + 1)
        return functional.max_pool2d(found, (1, found.shape[3]))[..., 0]

    image = scaled(torch.from_numpy(mel)[None, None], 0)
    front = torch.cat([layer(image, i) for i in range(5)], 1)
    first = layer(front.transpose(1, 2)[:, None], 5)
    second = layer(first.transpose(1, 2)[:, None], 6) + first
    third = layer(second.transpose(1, 2)[:, None], 7) + second
    features = torch.cat([front, first, second, third], 1)
    greatest, mean = features.max(dim=2).values, features.mean(dim=2)
    flat = scaled(torch.stack([greatest, mean], 2).reshape(1, -1), 9)
    weight, bias = (torch.from_numpy(np.array(tensors[f"dense/{part}"].T)) for part in ("kernel", "bias"))
    dense = functional.linear(flat, weight, bias)
    return {"mean": mean, "max": greatest, "penultimate": scaled(functional.relu(dense), 10)}


def test_musicnn_is_the_network_of_its_paper_on_librosa_s_mel_bands(tmp_path: Path) -> None:
    import librosa

    tensors = random_tensors()
    network = Musicnn(read_tensors(*tensor_bundle(tmp_path, tensors)))
    patch = KNOWN["musicnn"].patch
    rng = np.random.default_rng(1)
    waveform = (0.2 * np.sin(0.2 * np.arange(patch)) + 0.02 * rng.normal(size=patch)).astype(np.float32)
    mel = librosa.feature.melspectrogram(y=waveform, sr=16000, n_fft=512, hop_length=256, n_mels=96, center=False).T
    image = np.log10(10000 * mel.astype(np.float16).astype(np.float32) + 1)
    assert image.shape == (187, 96)
    with torch.inference_mode():
        np.testing.assert_allclose(network.spectrogram(torch.from_numpy(waveform[None]))[0], image, atol=2e-3)
        wanted = plain_musicnn(tensors, network.spectrogram(torch.from_numpy(waveform[None]))[0].numpy())
    file = tmp_path / "musicnn.pt"
    file.write_bytes(to_torchscript(network))
    assert file.read_bytes() == to_torchscript(Musicnn(tensors))  # its SHA-256 is its identity
    module = torch.jit.load(str(file))  # type: ignore[no-untyped-call]
    two = torch.from_numpy(np.stack([waveform, waveform[::-1]]))
    with torch.inference_mode():
        found = module(two)
    for output in KNOWN["musicnn"].outputs:
        assert found[output.name].shape == (2, output.dim)
        np.testing.assert_allclose(found[output.name][:1], wanted[output.name], rtol=1e-3, atol=1e-4)


def test_compressed_mel_bands_are_those_that_musicnn_hears() -> None:
    name = "compressed(of=mel(sample_rate=16000, n_fft=512, hop=256, n_mels=96))"
    feature = as_representation(name)
    rng = np.random.default_rng(1)
    samples = (0.2 * np.sin(0.2 * np.arange(48_000)) + 0.02 * rng.normal(size=48_000)).astype(np.float32)
    made = extract(Waveform(samples[None], 16_000), feature)[feature]
    assert (
        made.shape == feature.input_spec(3.0).shape[1:] == (96, 188)
        and as_representation(display_name(feature)) == feature
    )
    with torch.inference_mode():
        heard = Musicnn(random_tensors()).spectrogram(
            torch.from_numpy(samples[None, : KNOWN["musicnn"].patch - 256 * 2])
        )
    np.testing.assert_allclose(made.T[1:186], heard[0], atol=3e-3)  # its mel bands are float16
    for wrong, told in (("of=chroma", "chroma is not in dB"), ("of=mel, factor=0.0", "factor is 0.0")):
        with pytest.raises(ConfigError, match=told):
            as_representation(f"compressed({wrong})")


def test_another_network_s_checkpoint_is_refused() -> None:
    tensors = random_tensors()
    with pytest.raises(ConfigError, match="the checkpoint is of another network: its first layers are"):
        Musicnn(tensors | {"conv2d_4/kernel": tensors["conv2d_4/kernel"][:16]})
    del tensors["dense/bias"]
    with pytest.raises(ConfigError, match="the checkpoint is of another network: it has no dense/bias"):
        Musicnn(tensors)
