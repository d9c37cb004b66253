"""Running the files of frozen encoders: TorchScript by torch, ONNX by the extra ``onnx``. Nothing is unpickled.

:mod:`.torchscript` looks at what a TorchScript file may do before it does anything; ONNX is a graph of operators, whose
numbers :mod:`.onnx_files` finds to be its own. ``.pt2`` files are refused: ``torch.export.load`` of torch 2.11
unpickles their example inputs, and weights and constants where the file says so, with any Python that stands there; and
evaluates their symbolic shapes as Python expressions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tonearm.core.errors import AudioError, ConfigError
from tonearm.core.precision import float32_products, is_gpu
from tonearm.core.types import FloatArray
from tonearm.features.normalisation import LARGEST_HALF
from tonearm.features.onnx_files import require_own_tensors
from tonearm.features.torchscript import TO_TORCHSCRIPT, read_torchscript

PATCHES_AT_ONCE = 32
#: How torch and onnxruntime say that there is too little memory, of which neither has an error of its own on a CPU.
NO_MEMORY = ("can't allocate memory", "not enough memory", "Failed to allocate memory", "bad allocation", "bad_alloc")

#: Outputs by name of a batch of patches, float32.
Run = Callable[[FloatArray], Mapping[str, FloatArray]]


def encode(label: str, run: Run, outputs: Mapping[str, int], patches: FloatArray) -> FloatArray:
    """The vectors (patches, dims) of patches, which have the encoder's axes: its outputs one behind the other.

    Parameters
    ----------
    label
        What to call it in messages.
    run
        From :func:`load_encoder`.
    outputs
        Names with their dims.

    Raises
    ------
    ConfigError
        If it cannot take such patches, or gives other outputs.
    AudioError
        ``not_finite`` if a number is not finite, ``too_large`` if one is beyond what float16 holds.
    """
    found = []
    for start in range(0, len(patches), PATCHES_AT_ONCE):
        part = np.ascontiguousarray(patches[start : start + PATCHES_AT_ONCE], dtype=np.float32)
        given = run_named(label, run, part)
        found.append(np.concatenate([_vectors(label, *o, given, len(part)) for o in outputs.items()], axis=1))
    vectors: FloatArray = np.concatenate(found)
    if not np.isfinite(vectors).all():
        raise AudioError("not_finite", f"{label} gives numbers that are not finite")
    if (largest := float(np.abs(vectors).max())) > LARGEST_HALF:
        raise AudioError("too_large", f"{label} gives {largest:.3g}, beyond the {LARGEST_HALF:g} of float16")
    return vectors


def run_named(label: str, run: Run, patches: FloatArray) -> Mapping[str, FloatArray]:
    """What an encoder gives of a batch.

    Raises
    ------
    ConfigError
        If it cannot take it.
    MemoryError
        If there is not enough memory for it.
    """
    try:
        return run(patches)
    except RuntimeError as error:  # torch's; GPU memory is its worker's to care for
        if type(error).__name__ == "OutOfMemoryError":
            raise
        raise _cannot_run(label, patches, error) from error


def _cannot_run(label: str, patches: FloatArray, error: Exception) -> ConfigError | MemoryError:
    said = str(error).strip()
    if any(words in said for words in NO_MEMORY):
        return MemoryError(f"{label} finds too little memory for a batch of shape {patches.shape}")
    why = ([line for line in said.splitlines() if line.strip()] or [type(error).__name__])[-1].strip(" .")
    return ConfigError(
        f"{label} cannot take a batch of shape {patches.shape}: {why}. Check its sample rate, patch and order"
    )


def _vectors(label: str, name: str, dim: int, given: Mapping[str, FloatArray], count: int) -> FloatArray:
    """One output of a batch, (count, dim)."""
    if name not in given:
        raise ConfigError(f"{label} has no output {name!r}: it has {describe_outputs(given)}")
    values = pooled(given[name])
    if values.shape != (count, dim):
        raise ConfigError(
            f"output {name!r} of {label} has shape {given[name].shape} for {count} patches, expected "
            f"({count}, {dim}): its outputs are {describe_outputs(given)}"
        )
    return values.astype(np.float32, copy=False)


def pooled(values: FloatArray) -> FloatArray:
    """An output as (patches, dim), where it can be: of several steps, (patches, steps, dim), the mean."""
    if values.ndim > 2 and values.shape[2:] == (1,) * (values.ndim - 2):
        return values.reshape(values.shape[:2])
    mean: FloatArray = values.mean(axis=1) if values.ndim == 3 else values
    return mean


def describe_outputs(given: Mapping[str, FloatArray]) -> str:
    """Names and sizes, for messages."""
    return ", ".join(f"{name} {tuple(values.shape[1:])}" for name, values in given.items()) or "none"


@lru_cache(maxsize=8)
def load_encoder(path: str, sha256: str, device: str) -> Run:
    """What runs an encoder's file; a process reads it once, and what it runs is what has this SHA-256.

    Raises
    ------
    ConfigError
        If it is another file, no TorchScript or ONNX, or cannot be read here.
    """
    data = Path(path).read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise ConfigError(f"{path} has sha256 {found}, not {sha256}: it was changed meanwhile, run again")
    if data[:2] == b"PK":
        return _torchscript(path, data, device)
    if data[:1] == b"\x80":
        raise ConfigError(f"{path} is a pickle, which could run any code: save the model with {TO_TORCHSCRIPT}")
    return _onnx(path, data, device)


def _torchscript(path: str, data: bytes, device: str) -> Run:
    import torch

    module = read_torchscript(path, data, device)

    def run(patches: FloatArray) -> dict[str, FloatArray]:
        with torch.inference_mode(), float32_products():
            found = module(torch.from_numpy(patches).to(device))
        named = {name: value for name, value in _by_name(found).items() if isinstance(value, torch.Tensor)}
        return {name: value.float().cpu().numpy() for name, value in named.items()}

    return run


def _by_name(found: Any) -> dict[str, Any]:
    """Outputs by name: of a dictionary its keys, of a tuple the places, of a tensor "0"."""
    if isinstance(found, Mapping):
        return {str(name): value for name, value in found.items()}
    if hasattr(found, "_asdict"):
        return dict(found._asdict())
    return {str(i): value for i, value in enumerate(found if isinstance(found, Sequence) else [found])}


def _onnx(path: str, data: bytes, device: str) -> Run:
    require_own_tensors(path, data)
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError(
            f"{path} is no TorchScript; ONNX files are run by onnxruntime, which is not installed: pip install "
            "'tonearm[onnx]'"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # workers are many; each has one core
    options.log_severity_level = 3
    wanted = ["CUDAExecutionProvider"] if is_gpu(device) else []
    providers = [p for p in [*wanted, "CPUExecutionProvider"] if p in onnxruntime.get_available_providers()]
    options.add_session_config_entry("session.load_model_format", "ONNX")  # not its own, at which nobody looked
    try:
        session = onnxruntime.InferenceSession(data, options, providers=providers)
    except Exception as error:  # onnxruntime's own have no common base
        why = str(error).strip().splitlines()[0]
        raise ConfigError(f"{path} cannot be read as TorchScript or ONNX: {why}") from error
    if len(session.get_inputs()) != 1:
        inputs = ", ".join(i.name for i in session.get_inputs())
        raise ConfigError(f"{path} takes {inputs}: an encoder has one input")
    own, names = session.get_inputs()[0], [o.name for o in session.get_outputs()]
    fixed = own.shape[0] if own.shape and isinstance(own.shape[0], int) else 0

    def run(patches: FloatArray) -> dict[str, FloatArray]:
        try:
            parts = [session.run(names, {own.name: part}) for part in _batches(patches, fixed)]
        except Exception as error:
            raise _cannot_run(Path(path).name, patches, error) from error
        joined = [np.concatenate(values)[: len(patches)] for values in zip(*parts, strict=True)]
        return {name: values.astype(np.float32) for name, values in zip(names, joined, strict=True)}

    return run


def _batches(patches: FloatArray, fixed: int) -> list[FloatArray]:
    """The batch, or batches of a fixed size, the last filled up with its last patch."""
    if not fixed:
        return [patches]
    lacking = -len(patches) % fixed
    filled = np.concatenate([patches, np.repeat(patches[-1:], lacking, axis=0)])
    return [filled[i : i + fixed] for i in range(0, len(filled), fixed)]
