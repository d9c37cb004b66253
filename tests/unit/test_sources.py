"""What the literature's systems are is here as their sources say, or says that it is not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from search_spaces.recipes import RECIPES
from search_spaces.recipes.whitell import MULTI_LABEL
from tonearm.core.types import InputSpec
from tonearm.models import FreqConfig, SimpleConfig, TimeConfig, create, fused_execution
from tonearm.models.stacked import TimeFreqConfig

MODELS = ("simple", "time", "freq")
INPUTS = InputSpec(1, 192, 200)


def test_the_control_has_the_figures_of_its_own_networks() -> None:
    """Table 4 of the thesis; those of Time and Freq stood in each other's place."""
    published = {name: RECIPES[f"{name}_cifar"]().published for name in (*MODELS, "time_freq")}
    assert published == {"simple": "F1 0.571", "time": "F1 0.4540", "freq": "F1 0.4684", "time_freq": "F1 0.0100"}


@pytest.mark.parametrize("name", MULTI_LABEL)
def test_table_5_is_there_network_by_network(name: str) -> None:
    average = RECIPES[f"multi_label_time_freq_avg_{name}"]()
    assert average.ensemble and average.data.signature() == RECIPES["multi_label"]().data.signature()
    parts = {stage.name: stage for stage in (*average.stages, *RECIPES["multi_label"]().stages)}
    for model in MODELS:
        recipe = RECIPES[f"multi_label_{model}_{name}"]()
        (stage,) = recipe.stages
        assert recipe.data == average.data and stage.config.task.kind == "multi_label"
        if model != "simple":  # the same trial: what one recipe trained the other finds
            assert stage == parts[stage.name]


@pytest.mark.parametrize("name", ["mel", "cqt"])
def test_table_6_is_there_network_by_network(name: str) -> None:
    average = RECIPES[f"embedding_{name}"]()
    for model in MODELS:
        table, stage = RECIPES[f"embedding_{model}_{name}"]().stages
        assert table == average.stages[0] and stage.vectors == average.stages[1].vectors
        assert model == "simple" or stage in average.stages


@pytest.mark.parametrize("config", [SimpleConfig, TimeConfig, FreqConfig])
def test_batch_normalisation_is_torchs_or_that_of_keras(config: type[SimpleConfig | TimeConfig | FreqConfig]) -> None:
    for name, eps, share in (("torch", 1e-5, 0.1), ("keras", 1e-3, 0.01)):
        network = create(config.kind, INPUTS, 3, batch_norm=name)
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        assert norms and {(n.eps, n.momentum) for n in norms} == {(eps, share)}
    assert config().signature() == config(batch_norm="torch").signature() != config(batch_norm="keras").signature()
    assert "batch_norm" not in config().to_dict()


@pytest.mark.parametrize("kind", ["time", "freq"])
def test_both_executions_have_the_batch_normalisation_of_keras(kind: str) -> None:
    torch.manual_seed(0)
    network = create(kind, INPUTS, 3, batch_norm="keras")
    x = torch.randn(4, *INPUTS.shape)
    found = []
    for fused in (True, False):
        copied = create(kind, INPUTS, 3, batch_norm="keras")
        copied.load_state_dict(network.state_dict())
        with fused_execution(fused), torch.no_grad():
            copied.train()(x)
            found.append(copied.eval()(x))
    assert torch.allclose(*found, atol=1e-5)
    other = create(kind, INPUTS, 3)
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert not torch.allclose(other.train()(x), network.train()(x), atol=1e-5)


def test_members_of_time_freq_have_it_too() -> None:
    config = TimeFreqConfig().replace({"time.batch_norm": "keras", "freq.batch_norm": "keras"})
    network = config.build(INPUTS, 3)
    assert {m.eps for m in network.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}
