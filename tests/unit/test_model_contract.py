"""What every registered model must do; a new one is tested by existing (and by its line in model_examples)."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tests.unit.model_examples import EXAMPLES, Example, take
from tonearm.core.errors import ConfigError, TrainingError
from tonearm.core.types import InputSpec
from tonearm.models import ModelConfig, count_parameters

SHORT_LENGTHS = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128, 129)
NAMES = sorted(ModelConfig.registry)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def example(name: str) -> Example:
    if name not in EXAMPLES:
        pytest.fail(
            f"the model {name!r} has no example: add a line to EXAMPLES in tests/unit/model_examples.py, such as\n"
            f'    "{name}": Example(InputSpec(1, 20, 24), {{"field": "a value that makes it small"}}),'
        )
    return EXAMPLES[name]


def test_logits_and_embedding_have_the_promised_shapes(name: str, example: Example) -> None:
    model = example.build(name)
    assert model(example.batch(3)).shape == (3, example.outputs)
    assert model.embed(example.batch(3)).shape == (3, model.embedding_dim)


def test_logits_and_embedding_in_one_pass_are_those_of_two(name: str, example: Example) -> None:
    model, x = example.build(name).eval(), example.batch(3)
    with torch.inference_mode():
        logits, embedding = model.logits_and_embedding(x)
        assert torch.equal(logits, model(x)) and torch.equal(embedding, model.embed(x))
        seen: list[int] = []
        model.register_forward_hook(lambda *_: seen.append(1))
        assert torch.equal(model.logits_and_embedding(x)[0], logits) and seen, "a hook was passed by"


def test_gradient_reaches_every_parameter_that_learns(name: str, example: Example) -> None:
    model = example.build(name).train()
    if example.solved:
        assert not any(p.requires_grad for p in model.parameters())
        return
    nn.functional.cross_entropy(model(example.batch(4)), torch.tensor([0, 1, 2, 3])).backward()
    assert set(example.unused) <= dict(model.named_parameters()).keys()
    learning = {n: p for n, p in model.named_parameters() if p.requires_grad and n not in example.unused}
    assert learning
    for parameter_name, p in learning.items():
        assert p.grad is not None, parameter_name
        assert p.grad.isfinite().all() and p.grad.abs().max() > 0, parameter_name


def test_what_is_frozen_stays_in_training(name: str, example: Example) -> None:
    model = example.build(name).train()
    if example.solved:
        return
    before = {n: v.clone() for n, v in model.state_dict().items()}
    learning = {n for n, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    nn.functional.cross_entropy(model(example.batch(4)), torch.tensor([0, 1, 2, 3])).backward()
    optimizer.step()
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    for n, value in model.state_dict().items():
        if n in frozen or any(n.rsplit(".", 1)[0] == f.rsplit(".", 1)[0] for f in frozen):  # its running figures too
            assert torch.equal(value, before[n]), n
    assert learning


def test_evaluation_is_deterministic_and_ignores_the_rest_of_the_batch(name: str, example: Example) -> None:
    model = example.build(name).eval()
    x = example.batch(3)
    with torch.inference_mode():
        assert torch.equal(model(x), model(x))
        torch.testing.assert_close(model(x)[1:2], model(take(x, slice(1, 2))), rtol=1e-4, atol=1e-5)


def test_weights_carry_over_by_state_dict(name: str, example: Example) -> None:
    one, other = example.build(name), example.build(name)
    one.train()(example.batch(4))  # moves the running statistics too
    other.load_state_dict(one.state_dict())
    x = example.batch(2, seed=1)
    assert torch.equal(one.eval()(x), other.eval()(x))


def test_same_seed_same_weights(name: str, example: Example) -> None:
    for a, b in zip(example.build(name).parameters(), example.build(name).parameters(), strict=True):
        assert torch.equal(a, b)


def test_config_round_trips(name: str, example: Example) -> None:
    config = ModelConfig.registry[name].from_dict({"kind": name, **example.fields})
    assert ModelConfig.from_dict(config.to_dict()) == config


def test_parameters_are_counted(name: str, example: Example) -> None:
    assert count_parameters(example.build(name)) > 0


def test_zero_outputs_and_empty_inputs_are_refused_together(name: str, example: Example) -> None:
    config = ModelConfig.registry[name].from_dict({"kind": name, **example.fields})
    empty = InputSpec(1, 0, 110)
    specs = empty if isinstance(example.specs, InputSpec) else dict.fromkeys(example.specs, empty)
    with pytest.raises(ConfigError) as error:
        config.build(specs, 0)
    assert "0 outputs" in str(error.value) and "freq_bins is 0" in str(error.value)


def test_the_wrong_number_of_inputs_is_refused(name: str, example: Example) -> None:
    config = ModelConfig.registry[name].from_dict({"kind": name, **example.fields})
    single = isinstance(example.specs, InputSpec)
    if example.any_inputs:
        for specs in (InputSpec(1, 163, 139), {"left": InputSpec(1, 163, 139)}):
            assert config.build(specs, 5).specs == specs
        return
    with pytest.raises(ConfigError, match="it takes one input" if single else "it takes several inputs"):
        config.build({"left": InputSpec(1, 163, 139)} if single else InputSpec(1, 163, 139), 5)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("more", [1, -1])
def test_other_shapes_work_or_are_refused_with_both_shapes(name: str, example: Example, axis: int, more: int) -> None:
    model = example.build(name).eval()

    def other(spec: InputSpec) -> torch.Tensor:
        shape = [2, *spec.shape]
        shape[1 + axis] += more
        return torch.randn(shape)

    specs = example.specs
    x = other(specs) if isinstance(specs, InputSpec) else {n: other(s) for n, s in specs.items()}
    try:
        assert model(x).shape == (2, example.outputs)
    except TrainingError as error:
        given = (x if isinstance(x, torch.Tensor) else next(iter(x.values()))).shape
        assert any(str(n) in str(error) for n in given)  # and no torch error


@pytest.mark.parametrize("axis", range(1, 3))
def test_what_the_config_accepts_the_network_can_read(name: str, example: Example, axis: int) -> None:
    if not isinstance(example.specs, InputSpec) or example.tokens:
        return  # of several inputs each has its own model, and any number of tokens can be read
    config = ModelConfig.registry[name].from_dict({"kind": name, **example.fields})
    for length in SHORT_LENGTHS:
        shape = list(example.specs.shape)
        if length >= shape[axis]:
            break
        shape[axis] = length
        spec = InputSpec(*shape)
        if not config.problems_with(spec, 5):
            try:
                assert config.build(spec, 5).eval()(torch.randn(2, *shape)).shape == (2, 5)
            except Exception as error:
                pytest.fail(
                    f"{type(config).__name__} accepts inputs of the shape {spec.shape}, its network fails on them "
                    f"({type(error).__name__}: {error}): let {type(config).__name__}.shape_problems say why it cannot"
                )


def test_examples_without_their_axes_are_refused(name: str, example: Example) -> None:
    model, x = example.build(name).eval(), example.batch(2)
    if not isinstance(x, torch.Tensor):
        with pytest.raises(TrainingError, match=r"\(.*\)"):
            model({n: v.flatten() for n, v in x.items()})
        return
    vector = isinstance(example.specs, InputSpec) and example.specs.frames == 1  # of which (1, n, 1) is a batch of one
    for one in (x[0].flatten(), *([] if vector else [x[0]])):
        with pytest.raises(TrainingError, match=r"\(.*\)"):
            model(one)


def test_a_network_knows_its_shapes_in_copies_too_and_not_in_its_weights(name: str, example: Example) -> None:
    model = example.build(name)
    assert model.specs == copy.deepcopy(model).specs == example.specs
    assert not [key for key in model.state_dict() if "specs" in key]


def test_errors_that_are_not_of_the_shape_stay_and_hooks_run(name: str, example: Example) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the hook broke")

    model = example.build(name)
    model.register_forward_pre_hook(broken)
    if example.tokens:  # which may have other shapes than the one that it was built for
        model.specs = None
    with pytest.raises(RuntimeError, match="the hook broke"):
        model(example.batch(2))


def test_what_is_no_shape_or_no_number_is_said(name: str, example: Example) -> None:
    config = ModelConfig.registry[name].from_dict({"kind": name, **example.fields})
    specs = example.specs if isinstance(example.specs, InputSpec) else next(iter(example.specs.values()))
    for wrong, said in (
        (specs.shape, "give an InputSpec"),
        (None, "give an InputSpec"),
        ({"mel": specs.shape}, r"inputs\['mel'\] is .* give an InputSpec"),
        (InputSpec(1, 2.5, 3), "three numbers are whole"),  # type: ignore[arg-type]
        (InputSpec(1, "8", 3), "three numbers are whole"),  # type: ignore[arg-type]
        (InputSpec(True, 8, 3), "three numbers are whole"),
        ({3: specs}, "names are text"),
    ):
        with pytest.raises(ConfigError, match=said):
            config.build(wrong, 5)  # type: ignore[arg-type]
    for outputs in (2.0, "3", None, True):
        with pytest.raises(ConfigError, match=f"outputs is {outputs!r}: give a whole number"):
            config.build(example.specs, outputs)  # type: ignore[arg-type]
