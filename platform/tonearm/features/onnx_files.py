"""ONNX files: whether all that they compute with is in the file itself."""

from __future__ import annotations

from tonearm.core.errors import ConfigError
from tonearm.core.protobuf import fields

#: Messages of an ONNX model on the way to its tensors: by field number what lies there.
MESSAGES = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
TENSOR_NAME, EXTERNAL_DATA, DATA_LOCATION = 8, 13, 14  # fields of a tensor


def require_own_tensors(what: str, model: bytes) -> None:
    """Check that a model names no further file: its own SHA-256 would not say what it computes.

    Raises
    ------
    ConfigError
        If it does, or is no protocol buffer.
    """
    try:
        outside = _outside(model, "model")
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{what} cannot be read as TorchScript or ONNX: {error}") from error
    if outside:
        raise ConfigError(
            f"{what} keeps {', '.join(outside[:3])} in a further file: its SHA-256 would not say what it computes. Put "
            "all into one: onnx.save(onnx.load(FILE), ONE_FILE)"
        )


def _outside(message: bytes | memoryview, kind: str) -> list[str]:
    """Names of the tensors whose numbers lie elsewhere."""
    found = fields(message)
    if kind == "tensor":
        own = EXTERNAL_DATA not in found and not any(found.get(DATA_LOCATION, []))
        name = found.get(TENSOR_NAME, [b""])[-1]
        return [] if own else ["a tensor" if isinstance(name, int) else bytes(name).decode("utf-8", "replace")]
    inner = [(part, below) for number, below in MESSAGES[kind].items() for part in found.get(number, [])]
    return [name for part, below in inner if not isinstance(part, int) for name in _outside(part, below)]
