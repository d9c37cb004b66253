"""Protocol buffers without their descriptions, and ONNX models that name further files, wherever they do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.encoder_files import number, varint, whole
from tonearm.core import protobuf
from tonearm.core.errors import ConfigError
from tonearm.features.onnx_files import require_own_tensors

NUMBERS = st.tuples(st.integers(1, 2**29 - 1), st.integers(0, 2**64 - 1) | st.binary(max_size=40))


@given(st.lists(NUMBERS, max_size=8))
def test_fields_are_those_that_were_written(written: list[tuple[int, int | bytes]]) -> None:
    message = b"".join(whole(n, v) if isinstance(v, bytes) else number(n, v) for n, v in written)
    found = protobuf.fields(message)
    assert {n: [v if isinstance(v, int) else bytes(v) for v in values] for n, values in found.items()} == {
        n: [v for other, v in written if other == n] for n, _ in written
    }


@given(st.binary(max_size=60))
def test_of_any_bytes_there_are_fields_or_a_value_error(message: bytes) -> None:
    try:
        assert all(found for found in protobuf.fields(message).values())
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    "message", [b"\x80" * 40, whole(7, b"abc")[:-1], b"\x0b", varint((7 << 3 | 2) + 2**32) + b"\0"]
)
def test_what_ends_too_early_or_begins_no_field_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"does not end|a field ends|no field begins"):
        protobuf.fields(message)


TENSOR = whole(8, b"weight") + number(14, 1)


@pytest.mark.parametrize(
    "model",
    [
        whole(7, whole(5, TENSOR)),  # of the graph; of a node; of a graph in a node; sparse; of a function; of training
        whole(7, whole(1, whole(5, whole(5, TENSOR)))),
        whole(7, whole(1, whole(5, whole(6, whole(5, TENSOR))))),
        whole(7, whole(1, whole(5, whole(11, whole(5, TENSOR))))),
        whole(7, whole(1, whole(5, whole(10, TENSOR)))),
        whole(7, whole(15, whole(2, TENSOR))),
        whole(25, whole(7, whole(5, whole(5, TENSOR)))),
        whole(20, whole(1, whole(5, TENSOR))),
        whole(7, b"") + whole(7, whole(5, TENSOR)),  # a second part of the graph
    ],
)
def test_a_further_file_is_found_wherever_a_model_may_name_one(model: bytes) -> None:
    with pytest.raises(ConfigError, match=r"m\.onnx keeps weight in a further file"):
        require_own_tensors("m.onnx", model)
    require_own_tensors("m.onnx", model.replace(TENSOR, whole(8, b"weight") + number(14, 0)))
