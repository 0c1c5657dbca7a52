"""Tests of TensorProtos against TensorFlow's own conversions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving.protocol.protos import tensor_pb2, types_pb2
from serving.protocol.tensors import TensorError, dtype_name, to_array, to_proto

NUMBERS = (
    np.float32, np.float64, np.int64, np.int32, np.int16, np.int8, np.uint8, np.bool_,
)  # fmt: skip
ARRAYS = st.sampled_from(NUMBERS).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
)


@given(ARRAYS, st.booleans())
def test_tensorflow_reads_what_is_written(array: Any, typed: bool) -> None:
    proto = to_proto(array, typed=typed)
    assert bool(proto.tensor_content) <= (not typed)
    read = tf.make_ndarray(proto)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@given(ARRAYS)
def test_what_tensorflow_writes_is_read(array: Any) -> None:
    read = to_array(tf.make_tensor_proto(array))
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@given(st.lists(st.binary(max_size=5), max_size=4))
def test_strings_pass_both_ways(values: list[bytes]) -> None:
    array = np.array(values, object)
    assert tf.make_ndarray(to_proto(array)).tolist() == values
    assert to_array(tf.make_tensor_proto(array, tf.string)).tolist() == values


def test_text_is_sent_as_utf_8() -> None:
    assert list(to_proto(np.array(["Müsik", b"\xff"], object)).string_val) == [
        "Müsik".encode(),
        b"\xff",
    ]


def test_the_last_value_fills_the_shape() -> None:
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[1, 2])
    proto.tensor_shape.dim.add().size = 4
    assert to_array(proto).tolist() == [1, 2, 2, 2] == tf.make_ndarray(proto).tolist()


def proto(dtype: int, shape: list[int], **values: Any) -> Any:
    made = tensor_pb2.TensorProto(dtype=dtype, **values)
    for size in shape:
        made.tensor_shape.dim.add().size = size
    return made


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (proto(types_pb2.DT_FLOAT, [-1], float_val=[1]), "negative"),
        (proto(types_pb2.DT_FLOAT, [2], tensor_content=b"1234567"), "needs 8 bytes"),
        (proto(types_pb2.DT_FLOAT, [2]), "needs 2 values; it has 0"),
        (proto(types_pb2.DT_FLOAT, [1], float_val=[1, 2]), "needs 1 values; it has 2"),
        (proto(types_pb2.DT_FLOAT, [1 << 40], float_val=[0]), "at most"),
        (proto(types_pb2.DT_STRING, [1 << 40], string_val=[b""]), "at most"),
        (proto(types_pb2.DT_FLOAT, [1 << 62, 1 << 62], float_val=[0]), "at most"),
        (proto(types_pb2.DT_FLOAT, [0, 1 << 62]), "at most"),
        (proto(types_pb2.DT_STRING, [1 << 62, 4, 0]), "at most"),
        (proto(types_pb2.DT_FLOAT, [1] * 33, float_val=[1]), "33 dimensions; at most 32"),
        (proto(types_pb2.DT_STRING, [0] * 64), "64 dimensions"),
        (proto(types_pb2.DT_INT8, [1], int_val=[300]), "does not fit"),
        (proto(types_pb2.DT_COMPLEX64, [1], scomplex_val=[1, 2]), "DT_COMPLEX64"),
        (proto(0, []), "DT_INVALID"),
        (proto(4242, []), "4242"),
    ],
)
def test_what_is_no_tensor_is_refused(bad: Any, words: str) -> None:
    with pytest.raises(TensorError, match=words):
        to_array(bad)


@given(st.binary(max_size=64), st.lists(st.integers(-1, 2**63 - 1), max_size=40), st.data())
def test_a_tensor_that_lies_is_read_or_refused(content: bytes, sizes: list[int], data: Any) -> None:
    bad = proto(data.draw(st.integers(0, 130)), sizes, tensor_content=content)
    bad.float_val.extend(data.draw(st.lists(st.floats(width=32), max_size=3)))
    bad.int_val.extend(data.draw(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3)))
    bad.string_val.extend(data.draw(st.lists(st.binary(max_size=3), max_size=3)))
    try:
        read = to_array(bad, max_bytes=1 << 16)
    except TensorError:
        return
    assert list(read.shape) == sizes


def test_a_shape_of_unknown_rank_is_refused() -> None:
    bad = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[1])
    bad.tensor_shape.unknown_rank = True
    with pytest.raises(TensorError, match="rank"):
        to_array(bad)


def test_what_cannot_be_sent_is_refused() -> None:
    for bad in (np.array([1], np.complex64), np.array([{}], object)):
        with pytest.raises(TensorError, match="not supported"):
            to_proto(bad)


def test_types_are_named_as_tensorflow_names_them() -> None:
    assert [dtype_name(n) for n in (1, 7, 9, 4242)] == ["float", "string", "int64", "4242"]
