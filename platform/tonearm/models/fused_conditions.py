"""When the fused execution of Time and Freq may take the place of their layers. It is a matter of speed, but for two
things that only the plain layers can do: a second backward pass through one forward pass (``retain_graph``), and second
derivatives. There it raises an error that names the switch.

It reads the layers' weights and never calls them. So it runs only where nobody could see the difference: layers of the
types and shapes that the network built, without hooks, patches or parametrisations, outside of tracing and of
functional transforms. Everywhere else the plain layers run.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext

from tonearm.core.errors import ConfigError
from tonearm.models.blocks import Separable, same_length
from tonearm.models.kernels import LINE, SPAN

_allowed: ContextVar[bool | None] = ContextVar("fused_execution", default=None)


@contextmanager
def fused_execution(allowed: bool) -> Iterator[None]:
    """Allow or forbid the fused execution of Time and Freq within a ``with`` block, for the thread that enters it.

    Outside of such a block ``TONEARM_FUSED`` decides: ``0`` forbids it for the whole process, ``1`` or unset allows it.
    Values and gradients are the same either way, within rounding. A second backward pass through one forward pass, and
    second derivatives, need the plain layers: with the fused execution they raise a TrainingError. ::

        with tonearm.models.fused_execution(False):
            model(x)
    """
    token = _allowed.set(allowed)
    try:
        yield
    finally:
        _allowed.reset(token)


def is_allowed() -> bool:
    """Whether the fused execution is switched on.

    Raises
    ------
    ConfigError
        If ``TONEARM_FUSED`` is neither 0 nor 1.
    """
    allowed = _allowed.get()
    if allowed is not None:
        return allowed
    value = os.environ.get("TONEARM_FUSED", "1")
    if value not in ("", "0", "1"):
        raise ConfigError(f"TONEARM_FUSED is {value!r}: set it to 0 or 1")
    return value != "0"


def is_supported(x: Tensor, stride: int, separable: int) -> bool:
    """Whether the fused execution applies to an input: float32 on a CPU, no gradient of it, an axis that fits.

    Elsewhere (a GPU, a machine without numba, autocast, tracing, compiling, functional transforms, modes that look at
    each operation) the plain layers run.
    """
    return (
        type(x) is Tensor
        and x.device.type == "cpu"
        and x.dtype == torch.float32 == torch.get_default_dtype()
        and not x.requires_grad
        and x.shape[0] > 0
        and same_length(x.shape[-1], stride) + 4 * (separable + LINE)
        < SPAN  # a segment, the gap, and taps read beyond it
        and not torch.is_autocast_enabled("cpu")
        and not _is_observed()
        and torch.get_default_device().type == "cpu"
        and _has_numba()
    )


def _is_observed() -> bool:
    """Whether torch records, compiles or transforms what is computed; for the last ones it has no public question."""
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
        or torch._C._len_torch_dispatch_stack() > 0
        or not all(isinstance(mode, DeviceContext) for mode in _function_modes())
        or bool(torch_module._has_any_global_hook())  # type: ignore[no-untyped-call]
    )


def _function_modes() -> list[Any]:
    return _get_current_function_mode_stack()  # type: ignore[no-any-return, no-untyped-call]


@cache
def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


def geometry(layers: Sequence[nn.Module]) -> list[tuple[Any, ...]]:
    """What the kernels assume of layers beside the values of their weights: exact types, shapes, strides, paddings.

    A parametrisation changes a layer's type.
    """
    return [(type(layer), *_GEOMETRY.get(type(layer), _no_geometry)(layer), _shapes(layer)) for layer in layers]


def _conv_geometry(layer: Any) -> tuple[Any, ...]:
    return layer.stride, layer.padding, layer.dilation, layer.groups, layer.padding_mode


def _norm_geometry(layer: Any) -> tuple[Any, ...]:
    return layer.track_running_stats, layer._buffers["running_mean"] is None


def _separable_geometry(layer: Any) -> tuple[Any, ...]:
    return layer.kernel, layer.padding


def _no_geometry(layer: Any) -> tuple[Any, ...]:
    return ()


_GEOMETRY: dict[type[nn.Module], Callable[[Any], tuple[Any, ...]]] = {
    nn.Conv2d: _conv_geometry,
    nn.BatchNorm2d: _norm_geometry,
    Separable: _separable_geometry,
}


def _shapes(layer: nn.Module) -> dict[str, torch.Size | None]:
    return {name: None if v is None else v.shape for name, v in layer._parameters.items()}


#: The forward of each class as it was when this module was imported: some people patch classes.
_FORWARDS: dict[type[nn.Module], Any] = {kind: kind.forward for kind in _GEOMETRY}


def are_untouched(layers: Sequence[nn.Module], training: bool) -> bool:
    """Whether nobody would notice that layers are not called: no hooks, no patched ``forward``, plain weights.

    Pruning and the older weight normalisation are hooks. Batch normalisations must be in the network's own mode:
    some people freeze them.
    """
    return not any(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
        or "forward" in layer.__dict__
        or type(layer).forward is not _FORWARDS.get(type(layer), type(layer).forward)
        or (layer.training != training and type(layer) is nn.BatchNorm2d)
        or not all(_is_plain(v) for v in layer._parameters.values())
        for layer in layers
    )


def _is_plain(weight: Tensor | None) -> bool:
    return weight is None or (
        (type(weight) is nn.Parameter or type(weight) is Tensor) and weight.is_cpu and weight.dtype == torch.float32
    )
