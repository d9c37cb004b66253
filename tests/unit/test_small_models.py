"""Albums, PlaylistCNN and TemporalPoolingCNN: counts worked by hand, shapes, and plain transcriptions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models import mobilenet_v2

from tonearm.core.types import InputSpec
from tonearm.models import count_parameters, create
from tonearm.models.temporal_pooling import pooled

# --- albums


def test_albums_are_torchvisions_mobilenet() -> None:
    torch.manual_seed(0)
    plain = mobilenet_v2(weights=None, num_classes=16).eval()
    ours = create("albums", InputSpec(3, 640, 640), 16).eval()
    assert count_parameters(ours) == count_parameters(plain)
    assert ours.embedding_dim == 1280
    ours.layers.load_state_dict(plain.features.state_dict())
    ours.classifier.load_state_dict(plain.classifier[1].state_dict())
    x = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), plain(x), rtol=1e-4, atol=1e-6)


def test_album_channels_scale_and_the_embedding_does_not_shrink() -> None:
    with torch.device("meta"):
        dims = [create("albums", InputSpec(3, 64, 64), 2, width_mult=w).embedding_dim for w in (0.5, 1.0, 1.4)]
        small, whole = (count_parameters(create("albums", InputSpec(3, 64, 64), 2, width_mult=w)) for w in (0.5, 1.0))
    assert dims == [1280, 1280, 1792]
    assert small < whole / 2


# --- playlists


def test_playlist_count_worked_by_hand() -> None:
    # Padding 2 lengthens an axis by 2, the pool halves it: 64 33 17 9 5 and 10336 5169 2585 1293 647.
    with torch.device("meta"):
        network = create("playlist_cnn", InputSpec(1, 64, 10336), 82)
    assert network.embedding_dim == 16 * 5 * 647 == 51_760
    assert count_parameters(network) == (9 * 16 + 16) + 3 * (16 * 9 * 16 + 16) + 51_760 * 82 + 82 == 4_251_522


def test_playlist_blocks_equal_the_plain_layers_gradients_too() -> None:
    torch.manual_seed(1)
    network = create("playlist_cnn", InputSpec(2, 10, 23), 3, channels=4, blocks=2)
    x = torch.randn(3, 2, 10, 23)

    def plain(maps: Tensor) -> Tensor:
        for layer in network.convolutions:
            maps = F.max_pool2d(F.relu(F.conv2d(maps, layer.weight, layer.bias, padding=2)), 2)
        return network.classifier(maps.flatten(1))

    torch.testing.assert_close(network(x), plain(x))
    weights = list(network.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(network(x).square().sum(), weights),
        torch.autograd.grad(plain(x).square().sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_playlist_convolutions_can_be_normalised() -> None:
    spec = InputSpec(1, 12, 15)
    bare, normed = (create("playlist_cnn", spec, 3, channels=4, batch_norm=b) for b in (False, True))
    assert count_parameters(normed) - count_parameters(bare) == 4 * 4 * 4  # four blocks, four channels, four numbers
    maps = []
    normed.norms[0].register_forward_hook(lambda _m, _x, out: maps.append(out))
    normed.train()(5 + 3 * torch.randn(8, *spec.shape))
    torch.testing.assert_close(maps[0].mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel, padding, lengths", [(3, 0, (10, 4)), (5, 4, (5, 6)), (1, 0, (4, 9)), (2, 1, (3, 7))])
def test_playlist_embedding_has_the_length_that_is_run(kernel: int, padding: int, lengths: tuple[int, int]) -> None:
    network = create("playlist_cnn", InputSpec(1, *lengths), 3, kernel=kernel, padding=padding, blocks=1, channels=2)
    assert network.embed(torch.randn(2, 1, *lengths)).shape == (2, network.embedding_dim)


# --- temporal pooling


def test_temporal_pooling_count_worked_by_hand() -> None:
    with torch.device("meta"):
        network = create("temporal_pooling", InputSpec(1, 128, 599), 40)
    convolutions = 4 * 128 * 256 + 256 + 2 * (4 * 256 * 256 + 256) + 4 * 256 * 512 + 512
    dense = 1536 * 2048 + 2048 + 2048 * 2048 + 2048 + 2048 * 40 + 40
    assert count_parameters(network) == convolutions + dense == 8_607_016
    assert network.embedding_dim == 2048


def small_pooling(**fields: object) -> torch.nn.Module:
    torch.manual_seed(2)
    return create("temporal_pooling", InputSpec(2, 3, 40), 4, widths="5,6", pools="3,1", hidden="7,8", **fields)


def test_temporal_pooling_equals_the_plain_layers() -> None:
    network = small_pooling().eval()
    x = torch.randn(2, 2, 3, 40)
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.3)
    maps = torch.cat([x[:, 0], x[:, 1]], dim=1)  # frequency bins are channels
    first, second = network.convolutions
    maps = F.max_pool1d(F.relu(F.conv1d(maps, first.weight, first.bias)), 3)
    assert maps.shape == (2, 5, 12)  # (40 - 3) // 3
    maps = F.relu(F.conv1d(maps, second.weight, second.bias))
    values = torch.cat([maps.sum(2) / 9, maps.max(2).values, maps.square().sum(2).sqrt()], dim=1)
    for layer in network.hidden.layers:
        values = F.relu(layer(values))
    torch.testing.assert_close(network.embed(x), values)
    torch.testing.assert_close(network(x), network.classifier(values))


def test_clips_of_other_lengths_are_pooled_too() -> None:
    network = small_pooling().eval()
    for frames in (15, 41, 300):
        assert network(torch.randn(2, 2, 3, frames)).shape == (2, 4)


def test_pooling_worked_by_hand() -> None:
    maps = torch.tensor([[[0.0, 3.0, 4.0, 0.0], [2.0, 2.0, 2.0, 2.0]]])
    assert pooled(maps, "l2").tolist() == [[1.75, 2.0, 4.0, 2.0, 5.0, 4.0]]
    assert pooled(maps, "rms").tolist() == [[1.75, 2.0, 4.0, 2.0, 2.5, 2.0]]


@pytest.mark.parametrize("norm", ["l2", "rms"])
def test_a_filter_that_stays_silent_has_a_finite_gradient(norm: str) -> None:
    maps = torch.tensor([[[0.0, 0.0], [1.0, 2.0]]], requires_grad=True)
    pooled(maps, norm).sum().backward()  # type: ignore[arg-type]
    assert maps.grad is not None and maps.grad.isfinite().all()


def test_silence_trains_without_a_diverged_gradient() -> None:
    network = small_pooling().train()
    network(torch.zeros(2, 2, 3, 40)).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("dropout, same", [(0.0, True), (0.5, False)])
def test_hidden_layers_drop_out_in_training(dropout: float, same: bool) -> None:
    network = small_pooling(dropout=dropout).train()
    x = torch.randn(2, 2, 3, 40)
    assert torch.equal(network.embed(x), network.embed(x)) is same
