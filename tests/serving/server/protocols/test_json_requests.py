"""Tests of Predict requests and responses as JSON."""

from __future__ import annotations

import base64
import contextlib
import json
import math
from typing import Any

import grpc
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis.extra import numpy as numpy_st

from serving.protocol.protos import types_pb2
from serving.server.errors import ServingError
from serving.server.protocols import json_requests
from serving.server.protocols.json_responses import to_json

WAVEFORM = {"waveform": types_pb2.DT_FLOAT}
AUDIO = {"audio": types_pb2.DT_STRING}
TWO = {"a": types_pb2.DT_FLOAT, "b": types_pb2.DT_INT64}


def inputs_of(body: Any, dtypes: dict[str, int] | None = None) -> dict[str, Any]:
    text = body if isinstance(body, (bytes, str)) else json.dumps(body)
    raw = text.encode() if isinstance(text, str) else text
    return json_requests.to_inputs(json_requests.parse(raw), dtypes or WAVEFORM)[1]


def refusal(body: Any, dtypes: dict[str, int] | None = None) -> str:
    with pytest.raises(ServingError) as caught:
        inputs_of(body, dtypes)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert len(caught.value.message) < 1000
    return caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [[1, 2.5], [3, 4]]},
        {"instances": [{"waveform": [1, 2.5]}, {"waveform": [3, 4]}]},
        {"inputs": [[1, 2.5], [3, 4]]},
        {"inputs": {"waveform": [[1, 2.5], [3, 4]]}},
    ],
)
def test_each_form_of_one_input_is_the_same_array(body: Any) -> None:
    array = inputs_of(body)["waveform"]
    assert array.dtype == np.float32
    assert array.tolist() == [[1, 2.5], [3, 4]]


def test_several_inputs_are_objects_in_rows_and_lists_in_columns() -> None:
    rows = inputs_of({"instances": [{"a": 0.5, "b": 1}, {"b": 2, "a": 1.5}]}, TWO)
    columns = inputs_of({"inputs": {"a": [0.5, 1.5], "b": [1, 2], "more": 3}}, TWO)
    for got in (rows, columns):
        assert got["a"].tolist() == [0.5, 1.5]
        assert got["a"].dtype == np.float32
        assert got["b"].tolist() == [1, 2]
        assert got["b"].dtype == np.int64


def test_bytes_are_base64_objects_and_text_is_utf8() -> None:
    raw = bytes(range(256))
    coded = {"b64": base64.b64encode(raw).decode()}
    for body in ({"instances": [coded, "Ä"]}, {"inputs": [coded, "Ä"]}):
        assert inputs_of(body, AUDIO)["audio"].tolist() == [raw, "Ä".encode()]
    assert inputs_of({"inputs": coded}, AUDIO)["audio"].tolist() == raw
    named = {"instances": [{"audio": coded}]}
    assert inputs_of(named, AUDIO)["audio"].tolist() == [raw]


def test_numbers_that_are_none_are_taken_as_tokens() -> None:
    array = inputs_of('{"inputs": [NaN, Infinity, -Infinity]}')["waveform"]
    assert math.isnan(array[0])
    assert array[1:].tolist() == [math.inf, -math.inf]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "JSON Parse error: The document is empty"),
        ("  \n", "JSON Parse error: The document is empty"),
        ("instances = [1]", "JSON Parse error: Invalid value"),
        ("[1]", "Is not object"),
        (b'{"inputs": "\xff"}', "not UTF-8"),
        ('{"inputs": [' + "9" * 5000 + "]}", "Number too big"),
        ('{"inputs": ' + "[" * 50_000, "nested too deeply"),
        ('{"inputs": ' + "[" * 200_000, "lists and objects"),
        ('{"inputs": ' + "[" * 60 + "1" + "]" * 60 + "}", "nested more than 32"),
        ({"signature_name": 100, "inputs": [1]}, "'signature_name' key must be a string value."),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"inputs": [1], "instances": [1]}, "only one of 'inputs' or 'instances'"),
        ({"instances": 5}, "Excepting 'instances' to be an list/array"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": [[1, 2], [3]]}, "Expecting shape [2] but got: [1]"),
        ({"inputs": [[1, 2], [3]]}, "Encountered list at unexpected size: 1 at level: 1"),
        ({"inputs": [1, [2]]}, "Encountered list at unexpected level: 1 expected < 1"),
        ({"inputs": [[1], 2]}, "found at incorrect level: 2 in the JSON DOM"),
        ({"instances": [[1], {"waveform": [1]}]}, "got object at item 1 of input list"),
        ({"instances": [{"waveform": [1]}, [1]]}, "got list at item 1 of input list"),
        ({"instances": [{"sound": [1]}]}, "does not have named input: sound"),
        ({"instances": [{"waveform": [1]}, {}]}, "keys must be equal to: waveform"),
        ({"inputs": {"sound": [1]}}, "Missing named input: waveform in 'inputs' object."),
        ({"inputs": ["x"]}, 'JSON Value: "x" Type: String is not of expected type: float'),
        ({"inputs": [True]}, "Type: True is not of expected type: float"),
        ({"inputs": [None, 1]}, "Type: Null is not of expected type: float"),
        ({"inputs": [1e39]}, "Cannot convert JSON value: 1e+39 to float"),
        ({"inputs": [10**400]}, "without loss of precision"),
        ({"inputs": [{"b64": "AAAA"}]}, "Type: Object is not of expected type: float"),
    ],
)
def test_what_is_wrong_is_said(body: Any, words: str) -> None:
    assert words in refusal(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"inputs": [{"b64": "a"}]}, "Unable to base64 decode"),
        ({"inputs": [{"b64": "Äöü!"}]}, "Unable to base64 decode"),
        ({"inputs": [{"b64": 5}]}, "not formatted correctly for base64 data"),
        ({"inputs": [1.5]}, "is not of expected type: string"),
        ('{"inputs": ["\\ud800"]}', "is not Unicode text"),
    ],
)
def test_what_is_wrong_with_strings_is_said(body: Any, words: str) -> None:
    assert words in refusal(body, AUDIO)


# Results of absl::Base64Unescape (absl/strings/escaping.cc), which TensorFlow Serving calls.
@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("", b""),
        ("QUJD", b"ABC"),
        ("QU\nJD\n", b"ABC"),
        (" \t\n\v\f\rQ U\tJ\r\nD\n\n", b"ABC"),
        ("QQ==", b"A"),
        ("QQ", b"A"),
        ("Q\nQ\n=\n=\n", b"A"),
        ("QQ.=", b"A"),
        ("QUI=", b"AB"),
        ("QUI.", b"AB"),
        ("QUI", b"AB"),
        ("QR==", b"A"),  # the last bits are ignored
        ("+/+/", b"\xfb\xff\xbf"),
        (base64.encodebytes(bytes(range(256))).decode(), bytes(range(256))),
    ],
)
def test_base64_may_hold_white_space_and_lack_its_padding(text: str, decoded: bytes) -> None:
    assert json_requests.decode_base64(text) == decoded


@pytest.mark.parametrize(
    "text",
    [
        "Q", "QUJDQ", "Q===", "QQ=", "QUI==", "QUJD=", "=", "====", "QQ==QQ==", "QQ==Q", "=QQ=",
        "-_-_", "QU-D", "QU*D", "QU\0JD", "QUJD\0", "QU\u00a0JD", "QU\u2028JD", "QU\x1cJD",
        "QU\x85JD", "QÜJD", "QU,D", "%51UJD",
    ],
)  # fmt: skip
def test_text_that_is_no_base64_is_refused(text: str) -> None:
    assert "Unable to base64 decode" in refusal({"inputs": [{"b64": text}]}, AUDIO)


@pytest.mark.parametrize(
    ("values", "dtype", "words"),
    [
        ([1.0], types_pb2.DT_INT64, "is not of expected type: int64"),
        ([2**63], types_pb2.DT_INT64, "is not of expected type: int64"),
        ([128], types_pb2.DT_INT8, "is not of expected type: int8"),
        ([-1], types_pb2.DT_UINT8, "is not of expected type: uint8"),
        ([True], types_pb2.DT_INT32, "is not of expected type: int32"),
        ([1], types_pb2.DT_BOOL, "is not of expected type: bool"),
    ],
)
def test_a_value_that_its_type_cannot_hold_is_refused(
    values: list[Any], dtype: int, words: str
) -> None:
    assert words in refusal({"inputs": values}, {"x": dtype})


def test_one_plain_list_for_several_inputs_is_refused() -> None:
    assert "expecting list of objects" in refusal({"instances": [1]}, TWO)
    assert "expecting an object" in refusal({"inputs": [1]}, TWO)


def test_a_signature_without_inputs_cannot_be_asked() -> None:
    body = b'{"signature_name": "constants", "inputs": {}}'
    with pytest.raises(ServingError, match="Failed to get input map for signature: constants"):
        json_requests.to_inputs(json_requests.parse(body), {})


def test_answers_are_rows_or_columns() -> None:
    outputs = {
        "probabilities": np.array([[0.2, 0.8], [1, 0]], np.float32),
        "genres": np.array([[b"Folk", "Jazz é".encode()]] * 2, object),
    }
    assert json.loads(to_json(outputs, "row")) == {
        "predictions": [
            {"genres": ["Folk", "Jazz é"], "probabilities": [0.2, 0.8]},
            {"genres": ["Folk", "Jazz é"], "probabilities": [1.0, 0.0]},
        ]
    }
    assert json.loads(to_json(outputs, "column")) == {
        "outputs": {
            "genres": [["Folk", "Jazz é"]] * 2,
            "probabilities": [[0.2, 0.8], [1.0, 0.0]],
        }
    }
    one = {"probabilities": outputs["probabilities"]}
    assert json.loads(to_json(one, "row")) == {"predictions": [[0.2, 0.8], [1.0, 0.0]]}
    assert json.loads(to_json(one, "column")) == {"outputs": [[0.2, 0.8], [1.0, 0.0]]}


def test_bytes_that_are_no_text_are_base64() -> None:
    outputs = {"x": np.array([b"\xff\x00", b"ok"], object), "x_bytes": np.array([b"a", b"b"])}
    outputs["x_bytes"] = outputs["x_bytes"].astype(object)
    assert json.loads(to_json(outputs, "column"))["outputs"] == {
        "x": [{"b64": "/wA="}, "ok"],
        "x_bytes": [{"b64": "YQ=="}, {"b64": "Yg=="}],
    }


def test_outputs_without_equal_rows_cannot_be_rows() -> None:
    with pytest.raises(ServingError, match="no shape information"):
        to_json({"x": np.array(5)}, "row")
    with pytest.raises(ServingError, match="inconsistent batch size"):
        to_json({"x": np.zeros(2), "y": np.zeros(3)}, "row")


@hypothesis.given(
    numpy_st.arrays(
        np.float32,
        numpy_st.array_shapes(min_dims=1, max_dims=3, max_side=4),
        elements=st.floats(width=32),
    )
)
@hypothesis.example(np.array([np.finfo(np.float32).max], np.float32))
def test_float32_arrays_survive_the_way_there_and_back(array: np.ndarray[Any, Any]) -> None:
    """Send a response back as a request: the numbers are the same."""
    text = to_json({"x": array}, "column").replace(b'"outputs"', b'"inputs"')
    (got,) = json_requests.to_inputs(json_requests.parse(text), {"x": types_pb2.DT_FLOAT})[
        1
    ].values()
    np.testing.assert_array_equal(got, array)


@hypothesis.given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(body: bytes) -> None:
    with contextlib.suppress(ServingError):
        inputs_of(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@hypothesis.given(
    st.fixed_dictionaries({}, optional={"instances": JSON, "inputs": JSON, "signature_name": JSON}),
    st.sampled_from([WAVEFORM, AUDIO, TWO]),
)
def test_any_document_is_arrays_of_the_right_types_or_refused(
    document: Any, dtypes: dict[str, int]
) -> None:
    try:
        arrays = inputs_of(document, dtypes)
    except ServingError:
        return
    kinds = {types_pb2.DT_FLOAT: "f", types_pb2.DT_INT64: "i", types_pb2.DT_STRING: "O"}
    assert {name: array.dtype.kind for name, array in arrays.items()} == {
        name: kinds[dtype] for name, dtype in dtypes.items()
    }
