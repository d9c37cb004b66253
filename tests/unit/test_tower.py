"""The recommendation network: counts by hand, a plain transcription, and branches that are missing."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.unit.model_examples import EXAMPLES
from tonearm.core.errors import ConfigError
from tonearm.core.types import InputSpec
from tonearm.models import Network, RecommendationConfig, count_parameters, create
from tonearm.models.base import Inputs

AUDIO = ("mel_time", "mel_freq", "cqt_time", "cqt_freq", "chroma", "mfcc")
PLACE = ("latitude", "longitude")
FACTS = (*PLACE, "year")
ALL = (*AUDIO, "lyrics", "albums", *FACTS)


def specs(names: tuple[str, ...], n: int = 800) -> dict[str, InputSpec]:
    return {name: InputSpec(1, 1 if name in FACTS else n, 1) for name in names}


def network() -> Network:
    return EXAMPLES["recommendation"].build("recommendation").eval()


def batch(size: int) -> dict[str, Tensor]:
    x = EXAMPLES["recommendation"].batch(size)
    assert not isinstance(x, Tensor)
    return dict(x)


def branch_output(model: Network, name: str, x: Inputs) -> Tensor:
    out = model.branches[name](x)
    assert isinstance(out, Tensor)
    return out


# --- counts of the thesis: weights + offsets of each dense layer

VECTOR = (800 * 1024 + 1024) + (1024 * 512 + 512)
PAIR = 2 * (800 * 1024 + 1024) + (2048 * 2048 + 2048) + (2048 * 1024 + 1024) + (1024 * 512 + 512)
LOCATION = 2 * (1 * 128 + 128) + (256 * 512 + 512)
YEAR = 1 * 512 + 512
BEHIND = 4096 + (4096 * 2048 + 2048) + (2048 * 1024 + 1024) + (1024 * 800 + 800)  # 4096: the first layer's offsets
EACH_BRANCH = 512 * 4096  # its share of the first layer on all branches
AUDIO_ONLY = 2 * VECTOR + 2 * PAIR + BEHIND + 4 * EACH_BRANCH


def test_the_sizes_worked_by_hand() -> None:
    assert (VECTOR, PAIR, LOCATION, YEAR) == (1_345_024, 8_459_776, 132_096, 1_024)
    assert AUDIO_ONLY == 2 * 1_345_024 + 2 * 8_459_776 + 11_312_928 + 8_388_608 == 39_311_136


@pytest.mark.parametrize(
    "names, wanted",
    [
        (AUDIO, AUDIO_ONLY),
        ((*AUDIO, "lyrics"), AUDIO_ONLY + VECTOR + EACH_BRANCH),
        ((*AUDIO, *PLACE), AUDIO_ONLY + LOCATION + EACH_BRANCH),
        ((*AUDIO, "year"), AUDIO_ONLY + YEAR + EACH_BRANCH),
        ((*AUDIO, "albums"), AUDIO_ONLY + VECTOR + EACH_BRANCH),
        (ALL, AUDIO_ONLY + 2 * VECTOR + LOCATION + YEAR + 4 * EACH_BRANCH),
    ],
    ids=["audio only", "lyrics", "location", "year", "album art", "all"],
)
def test_parameters_of_the_six_variants(names: tuple[str, ...], wanted: int) -> None:
    with torch.device("meta"):  # 50 million numbers need not be drawn to be counted
        model = create("recommendation", specs(names), 800)
    assert count_parameters(model) == wanted
    assert model.embedding_dim == 1024


def test_vectors_may_differ_in_length() -> None:
    inputs = {**specs(AUDIO, 100), "chroma": InputSpec(1, 161, 1)}
    fields = EXAMPLES["recommendation"].fields
    model = create("recommendation", inputs, 161, **fields).eval()
    assert model({n: torch.randn(2, *s.shape) for n, s in inputs.items()}).shape == (2, 161)


# --- what it computes


def plain(w: dict[str, Tensor], x: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """A transcription of the thesis: (embedding, outputs)."""

    def dense(name: str, values: Tensor) -> Tensor:
        return F.relu(values @ w[f"{name}.weight"].T + w[f"{name}.bias"])

    def own(branch: str, name: str) -> Tensor:
        return dense(f"branches.{branch}.inputs.{name}.layers.0", x[name].flatten(1))

    def pair(branch: str, one: str, other: str, layers: int) -> Tensor:
        values = torch.cat([own(branch, one), own(branch, other)], dim=1)
        for i in range(layers):
            values = dense(f"branches.{branch}.joined.layers.{i}", values)
        return values

    def single(branch: str) -> Tensor:
        return dense(f"branches.{branch}.joined.layers.0", own(branch, branch))

    branches = [
        single("chroma"), single("mfcc"), pair("mel", "mel_time", "mel_freq", 3),
        pair("cqt", "cqt_time", "cqt_freq", 3), single("lyrics"), single("albums"),
        pair("location", "latitude", "longitude", 1), own("year", "year"),
    ]  # fmt: skip
    values = torch.cat(branches, dim=1)
    for i in range(3):
        values = dense(f"hidden.layers.{i}", values)
    return values, values @ w["classifier.weight"].T + w["classifier.bias"]


def test_it_equals_a_plain_transcription() -> None:
    model, x = network(), batch(4)
    with torch.no_grad():
        embedding, outputs = plain(model.state_dict(), x)
        torch.testing.assert_close(model.embed(x), embedding)
        torch.testing.assert_close(model(x), outputs)
    assert (outputs < 0).any() and (outputs > 0).any()  # no activation at the end


def test_vectors_are_taken_with_and_without_the_axes_of_length_one() -> None:
    model, x = network(), batch(3)
    with torch.no_grad():
        assert torch.equal(model(x), model({name: values.flatten(1) for name, values in x.items()}))
        assert torch.equal(model(x), model({**x, "year": x["year"].flatten()}))


def test_inputs_that_nobody_asked_for_are_left_alone() -> None:
    model = create("recommendation", specs(AUDIO, 11), 5, **EXAMPLES["recommendation"].fields).eval()
    assert list(model.branches) == ["chroma", "mfcc", "mel", "cqt"]
    x = batch(2)
    with torch.no_grad():
        assert torch.equal(model(x), model({name: x[name] for name in AUDIO}))


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(3)
    model = create("recommendation", specs(ALL, 11), 5, dropout=0.5, **EXAMPLES["recommendation"].fields)
    x = batch(4)
    with torch.no_grad():
        assert not torch.equal(model.train()(x), model(x))
        assert torch.equal(model.eval()(x), model(x))


# --- what is missing


@pytest.mark.parametrize(
    "branch, name",
    [("chroma", "chroma"), ("mel", "mel_freq"), ("lyrics", "lyrics"), ("location", "latitude"), ("year", "year")],
)
@pytest.mark.parametrize("whole", [True, False])
def test_nan_equals_a_network_whose_branch_gives_zeros(branch: str, name: str, whole: bool) -> None:
    model, x = network(), batch(3)
    for layer in model.modules():  # offsets, which would fill a branch that was given zeros
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.uniform_(layer.bias, 3.0, 4.0)
    with torch.no_grad():
        complete = model(x)
        lacking = {**x, name: x[name].clone()}
        lacking[name][1, :, slice(None) if whole else slice(0, 1)] = math.nan
        given = model(lacking)
        assert branch_output(model, branch, lacking)[1].abs().max() == 0
        handle = model.branches[branch].register_forward_hook(lambda *call: torch.zeros_like(call[2]))
        zeroed = model(x)
        handle.remove()
    torch.testing.assert_close(given[1], zeroed[1])
    torch.testing.assert_close(given[[0, 2]], complete[[0, 2]])
    assert not torch.allclose(given[1], complete[1])


def test_what_is_missing_has_no_part_in_gradients() -> None:
    model, x = network().train(), batch(4)
    x["lyrics"][:] = math.nan
    x["mel_time"][1, :, 3] = math.nan
    model(x).square().sum().backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all(), name
        if name.startswith("branches.lyrics."):
            assert p.grad.abs().max() == 0, name
    alone, rest = network().train(), {name: values[[0, 2, 3]] for name, values in x.items()}
    alone(rest).square().sum().backward()
    for ours, without in zip(model.branches["mel"].parameters(), alone.branches["mel"].parameters(), strict=True):
        torch.testing.assert_close(ours.grad, without.grad)


def test_an_example_without_anything_has_a_finite_answer_that_depends_on_weights_alone() -> None:
    model, x = network(), batch(2)
    nothing = {name: torch.full_like(values, math.nan) for name, values in x.items()}
    width = 7 + 7 + 5 + 5 + 7 + 7 + 6 + 5
    with torch.no_grad():
        wanted = model.classifier(model.hidden(torch.zeros(1, width)))
        torch.testing.assert_close(model(nothing), wanted.expand(2, -1))


# --- branch dropout


def outputs_of_branches(model: Network, x: Inputs) -> Tensor:
    """What enters the joined layers, by branch whether any number of it is not zero: bool (batch, branches)."""
    joined = model.vector(x)  # type: ignore[operator]
    widths = [b.joined.outputs for b in model.branches.values()]  # type: ignore[operator]
    return torch.stack([part.abs().sum(dim=1) > 0 for part in joined.split(widths, dim=1)], dim=1)


def dropping(share: float) -> Network:
    """Of all branches, each of which gives something for any input: its offsets are above zero."""
    torch.manual_seed(5)
    model = create("recommendation", specs(ALL, 11), 5, branch_dropout=share, **EXAMPLES["recommendation"].fields)
    for branch in model.branches.children():  # type: ignore[union-attr]
        for layer in branch.modules():
            if isinstance(layer, torch.nn.Linear):
                torch.nn.init.uniform_(layer.bias, 3.0, 4.0)
    return model


def test_branches_are_dropped_at_random_in_training_and_never_all_of_an_example() -> None:
    model, x = dropping(0.7).train(), batch(4000)
    with torch.no_grad():
        there = outputs_of_branches(model, x)
    kept = there.float().mean(dim=0)
    # Each of 8 branches stays with 0.3, or as the last one: 0.3 + 0.7^8 / 8.
    assert kept.tolist() == pytest.approx([0.3 + 0.7**8 / 8] * 8, abs=0.03)
    assert bool(there.any(dim=1).all())
    assert not torch.equal(there[:1000], there[1000:2000])  # each example by itself


def test_what_is_absent_stays_absent_and_the_last_branch_is_kept() -> None:
    model, x = dropping(0.99).train(), batch(300)
    for name in ALL:
        if name != "year":
            x[name] = torch.full_like(x[name], math.nan)
    with torch.no_grad():
        there = outputs_of_branches(model, x)
    assert there.sum(dim=1).tolist() == [1] * 300 and bool(there[:, list(model.branches).index("year")].all())  # type: ignore[arg-type]
    nothing = {name: torch.full_like(values, math.nan) for name, values in x.items()}
    with torch.no_grad():
        assert not outputs_of_branches(model, nothing).any() and model(nothing).isfinite().all()


def test_a_dropped_branch_is_one_that_is_absent() -> None:
    model, x = dropping(0.5).train(), batch(64)
    with torch.no_grad():
        torch.manual_seed(9)
        there = outputs_of_branches(model, x)
        torch.manual_seed(9)
        dropped = model(x)
        absent = {name: values.clone() for name, values in x.items()}
        for i, branch in enumerate(model.branches.children()):  # type: ignore[union-attr]
            for name in branch.inputs:
                absent[name][~there[:, i]] = math.nan
        torch.testing.assert_close(model.eval()(absent), dropped)


def test_branch_dropout_acts_in_training_only_and_leaves_other_configs_as_they_were() -> None:
    model, x = dropping(0.5), batch(8)
    with torch.no_grad():
        assert not torch.equal(model.train()(x), model(x))
        assert torch.equal(model.eval()(x), model(x))
    assert "branch_dropout" not in RecommendationConfig().to_dict()
    with pytest.raises(ConfigError, match=r"branch_dropout is 1\.0: it must be at least 0 and below 1"):
        RecommendationConfig(branch_dropout=1.0)
