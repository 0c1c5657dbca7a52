"""Tests with thousands of gRPC requests that are random, or valid except for random changes.

They are sent as bytes, below the stubs, as any client can. Each must get an error in time that
says what was wrong. Afterwards the server must work, and must not have grown.
"""

from __future__ import annotations

import collections
import concurrent.futures
import pathlib
import random
import re
import struct
from typing import Any

import grpc
import numpy as np
import psutil
import pytest

from serving.protocol import protos
from tests.conformance.conftest import Direct
from tests.conformance.hostile import CODES, assert_clear, mutated
from tests.conformance.served import (
    DEADLINE_S,
    LABELS,
    MODEL,
    SWAPPED,
    Served,
    configuration,
    predict_request,
)
from tests.support.serving_toys import CLIP, PARAMS, clips

FEW, MANY = 400, 10_000
AT_ONCE = 8
# Growth of the process allowed over MANY requests, once its pools are full.
GROWTH_BYTES = 200 << 20

PREDICTION = "/tensorflow.serving.PredictionService/"
MODELS = "/tensorflow.serving.ModelService/"
Call = tuple[str, bytes]


def assert_healthy(served: Served, direct: Direct) -> None:
    """Check that the server responds correctly, and serves the same versions."""
    sound = clips(3, seed=11)
    for version in (1, 2):
        answer = served.predict(predict_request({"waveform": sound}, version=version))
        expected = direct(version, "", waveform=sound)["probabilities"]
        np.testing.assert_allclose(answer["probabilities"], expected, rtol=1e-4, atol=1e-6)
    assert served.states(MODEL) == {1: "AVAILABLE", 2: "AVAILABLE"}


def valid_calls(inputs: dict[str, dict[str, Any]]) -> list[Call]:
    """Return (method, request) of all methods but reloads, which another test covers."""
    calls = []
    for signature, values in inputs.items():
        request = predict_request(
            {name: value[:1] for name, value in values.items()},
            signature=signature,
            output_filter=["genres"],
            label="stable",
        )
        calls.append((f"{PREDICTION}Predict", request.SerializeToString()))
    listed = predict_request({}, version=1)
    listed.inputs["waveform"].dtype = protos.types_pb2.DT_FLOAT
    for size in (1, CLIP):
        listed.inputs["waveform"].tensor_shape.dim.add().size = size
    listed.inputs["waveform"].float_val.extend([0.5, -0.5, 0.25])
    calls.append((f"{PREDICTION}Predict", listed.SerializeToString()))
    for method, make in [
        ("Classify", protos.classification_pb2.ClassificationRequest),
        ("Regress", protos.regression_pb2.RegressionRequest),
    ]:
        request = make()
        request.model_spec.name = MODEL
        example = request.input.example_list.examples.add()
        example.features.feature["mel_db"].bytes_list.value.append(b"12")
        calls.append((PREDICTION + method, request.SerializeToString()))
    inference = protos.inference_pb2.MultiInferenceRequest()
    task = inference.tasks.add(method_name="tensorflow/serving/classify")
    task.model_spec.name = MODEL
    calls.append((f"{PREDICTION}MultiInference", inference.SerializeToString()))
    metadata = protos.get_model_metadata_pb2.GetModelMetadataRequest(
        metadata_field=["signature_def"]
    )
    metadata.model_spec.name = MODEL
    calls.append((f"{PREDICTION}GetModelMetadata", metadata.SerializeToString()))
    status = protos.get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name, status.model_spec.version.value = MODEL, 1
    calls.append((f"{MODELS}GetModelStatus", status.SerializeToString()))
    return calls


SIZES = (0, 1, 2, 3, CLIP - 1, CLIP, CLIP + 1, -1, -(1 << 63), 1 << 31, 1 << 40, (1 << 63) - 1)
NAMES = (MODEL, SWAPPED, "", "nobody", "\0", "a/b", "../..", "\u202e", "x" * 3000, "é" * 40)
SIGNATURES = ("", "serving_default", "serving_wav", "serving_examples", "describe",
              "__saved_model_init_op", "nobody")  # fmt: skip
INPUTS = ("waveform", "audio", "examples", "", "nobody")
FLOATS = (0.0, -0.0, 1.0, 1e-45, 3e38, float("inf"), float("nan"))


def lying_request(chance: random.Random) -> bytes:
    """Make a well-formed PredictRequest, each of whose parts is right or wrong."""
    request = protos.predict_pb2.PredictRequest()
    spec = request.model_spec
    spec.name = chance.choice(NAMES) if chance.random() < 0.3 else MODEL
    spec.signature_name = chance.choice(SIGNATURES)
    which = chance.randrange(4)
    if which == 1:
        spec.version.value = chance.choice((0, 1, 2, 3, -1, (1 << 63) - 1, -(1 << 63)))
    elif which == 2:
        spec.version_label = chance.choice((*LABELS, "", "nobody", "\n"))
    for _ in range(chance.choice((0, 1, 1, 1, 1, 2, 5))):
        tensor = request.inputs[chance.choice(INPUTS)]
        tensor.dtype = chance.choice((1, 1, 1, 7, 7, 0, 2, 3, 9, 10, 14, 19, 20, 21, 101, 9999))
        for _ in range(chance.choice((0, 1, 2, 2, 2, 3, 33, 255))):
            tensor.tensor_shape.dim.add().size = chance.choice(SIZES)
        tensor.tensor_shape.unknown_rank = chance.random() < 0.05
        content = chance.randrange(6)
        if content == 0:
            tensor.tensor_content = chance.randbytes(chance.choice((0, 1, 4, 4 * CLIP, 9000)))
        elif content == 1:
            samples = [chance.choice(FLOATS) for _ in range(CLIP)]
            tensor.tensor_content = struct.pack(f"<{CLIP}f", *samples)
        elif content == 2:
            tensor.float_val.extend(chance.choice(FLOATS) for _ in range(chance.randrange(5)))
        elif content == 3:
            tensor.string_val.extend(
                chance.randbytes(chance.choice((0, 1, 44, 200))) for _ in range(chance.randrange(4))
            )
        elif content == 4:
            tensor.int_val.extend([chance.randrange(-(1 << 31), 1 << 31)] * chance.randrange(3))
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        request.output_filter.append(chance.choice(("genres", "probabilities", "nobody", "")))
    return bytes(request.SerializeToString())


def broken_wav(chance: random.Random) -> bytes:
    """Make a request to the WAV signature with a file that is mostly right."""
    samples = chance.randbytes(2 * CLIP)
    form = struct.pack("<HHIIHH", 1, 1, PARAMS.sample_rate_hz, PARAMS.sample_rate_hz * 2, 2, 16)
    file = b"RIFF" + struct.pack("<I", 36 + len(samples)) + b"WAVEfmt " + struct.pack("<I", 16)
    file += form + b"data" + struct.pack("<I", len(samples)) + samples
    files = np.array([mutated(file, chance, [file])], object)
    return bytes(predict_request({"audio": files}, signature="serving_wav").SerializeToString())


def broken_example(chance: random.Random) -> bytes:
    """Make a request to the examples signature with an example that is mostly right."""
    example = protos.example_pb2.Example()
    mel_db = example.features.feature["mel_db"].bytes_list.value
    mel_db.append(chance.randbytes(PARAMS.mel_bytes))
    example.features.feature["label"].int64_list.value.append(2)
    whole = example.SerializeToString()
    values = np.array([mutated(whole, chance, [whole])], object)
    request = predict_request({"examples": values}, signature="serving_examples")
    return bytes(request.SerializeToString())


def hostile_calls(inputs: dict[str, dict[str, Any]], count: int, seed: int) -> list[Call]:
    chance = random.Random(seed)
    valid = valid_calls(inputs)
    requests = [request for _, request in valid]
    predict = f"{PREDICTION}Predict"
    calls = []
    for _ in range(count):
        kind = chance.random()
        if kind < 0.5:
            method, request = chance.choice(valid)
            calls.append((method, mutated(request, chance, requests)))
        elif kind < 0.8:
            calls.append((predict, lying_request(chance)))
        elif kind < 0.87:
            calls.append((predict, broken_wav(chance)))
        elif kind < 0.94:
            calls.append((predict, broken_example(chance)))
        else:  # valid, but sent to another method
            calls.append((chance.choice(valid)[0], chance.choice(requests)))
    return calls


def ask(served: Served, call: Call) -> tuple[grpc.StatusCode, str]:
    method, request = call
    raw = served.channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
    try:
        raw(request, timeout=DEADLINE_S)
    except grpc.RpcError as error:
        return error.code(), str(error.details())
    return grpc.StatusCode.OK, ""


def assert_all_are_answered(served: Served, calls: list[Call]) -> collections.Counter[str]:
    """Check that all requests are answered, and return how often each status came."""
    given: collections.Counter[str] = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
        answers = threads.map(lambda call: ask(served, call), calls)
        for (method, request), (code, message) in zip(calls, answers, strict=True):
            assert code in CODES, (code, message, method, request[:500].hex())
            if code != grpc.StatusCode.OK:
                assert_clear(message, str(served.root))
            given[code.name] += 1
    return given


def test_each_of_some_hostile_requests_is_answered(
    ours: Served, direct: Direct, inputs: dict[str, dict[str, Any]]
) -> None:
    given = assert_all_are_answered(ours, hostile_calls(inputs, FEW, seed=1))
    # Some are refused, for different reasons, and some succeed.
    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND"} <= set(given)
    assert given["INVALID_ARGUMENT"] > FEW / 4
    assert_healthy(ours, direct)


@pytest.mark.slow
def test_each_of_ten_thousand_hostile_requests_is_answered(
    ours: Served, direct: Direct, inputs: dict[str, dict[str, Any]]
) -> None:
    process = psutil.Process(ours.process.pid)
    calls = hostile_calls(inputs, MANY, seed=2)
    assert_all_are_answered(ours, calls[: MANY // 5])
    before = process.memory_info().rss
    given = assert_all_are_answered(ours, calls[MANY // 5 :])
    assert sum(given.values()) == MANY - MANY // 5
    assert process.memory_info().rss - before < GROWTH_BYTES
    assert_healthy(ours, direct)


def largest_bytes(process: pathlib.Path) -> int:
    """Return the peak memory of a process, given its folder in /proc."""
    found = re.search(r"VmHWM:\s*(\d+) kB", (process / "status").read_text())
    assert found
    return int(found[1]) << 10


def test_lies_about_sizes_take_no_memory(ours: Served, direct: Direct) -> None:
    """Claim in a few bytes nearly as much memory as a message may hold, many times at once."""
    request = predict_request({"waveform": np.zeros((1, 1), np.float32)})
    tensor = request.inputs["waveform"]
    tensor.ClearField("tensor_content")
    tensor.float_val.append(0.5)
    for index in range(40):  # more inputs than the signature has
        request.inputs[f"other-{index}"].CopyFrom(tensor)
        request.inputs[f"other-{index}"].tensor_shape.dim[0].size = 1 << 20
    folder = pathlib.Path(f"/proc/{ours.process.pid}")
    if not (folder / "clear_refs").exists():
        pytest.skip("needs Linux, which tells how large a process was at most")
    (folder / "clear_refs").write_text("5")  # resets the peak
    before = largest_bytes(folder)
    assert_all_are_answered(ours, [(f"{PREDICTION}Predict", request.SerializeToString())] * 50)
    assert largest_bytes(folder) - before < GROWTH_BYTES
    assert_healthy(ours, direct)


@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_each_hostile_reload_is_answered(ours: Served, direct: Direct, count: int) -> None:
    chance = random.Random(3)
    config = configuration(ours.root, LABELS, [("added", ours.root / MODEL)])
    request = protos.model_management_pb2.ReloadConfigRequest(config=config)
    whole = request.SerializeToString()
    calls = [
        (f"{MODELS}HandleReloadConfigRequest", mutated(whole, chance, [whole]))
        for _ in range(count)
    ]
    # UNKNOWN is TensorFlow Serving's code for a model that could not be loaded.
    codes = CODES | {grpc.StatusCode.UNKNOWN}
    given: collections.Counter[str] = collections.Counter()
    try:
        for call in calls:
            code, message = ask(ours, call)
            assert code in codes, (code, message, call[1].hex())
            assert code == grpc.StatusCode.OK or message.isprintable()
            given[code.name] += 1
    finally:
        ours.reload(configuration(ours.root))
        ours.reload(configuration(ours.root, LABELS))
    assert given["INVALID_ARGUMENT"] > count / 4
    assert_healthy(ours, direct)


def _metadata_of(chance: random.Random) -> list[tuple[str, Any]]:
    key = "".join(chance.choice("abcdefghij-_.0123456789") for _ in range(chance.randint(1, 40)))
    if chance.random() < 0.5:
        return [(f"{key}-bin", chance.randbytes(chance.randint(0, 200)))]
    return [(key, "".join(chr(chance.randint(32, 126)) for _ in range(chance.randint(0, 200))))]


def test_foreign_metadata_changes_no_answer(ours: Served) -> None:
    chance = random.Random(4)
    request = predict_request({"waveform": clips(1)})
    expected = ours.predict(request)["probabilities"].tolist()
    fixed: list[list[tuple[str, Any]]] = [
        [("x-api-key", "nobody asked for one")],
        [("grpc-accept-encoding", "nonsense")],
        [(f"key-{index}", "v") for index in range(50)],
    ]
    for metadata in fixed + [_metadata_of(chance) for _ in range(40)]:
        response = ours.prediction.Predict(request, timeout=DEADLINE_S, metadata=metadata)
        answered = response.outputs["probabilities"].float_val
        assert [list(answered)] == expected, metadata


@pytest.mark.parametrize("how", ["deadline", "cancelled"])
def test_callers_who_do_not_wait_cost_nothing(ours: Served, direct: Direct, how: str) -> None:
    sound = np.tile(clips(1), (1, 200))
    futures = [
        ours.prediction.Predict.future(
            predict_request({"waveform": sound}),
            timeout=0.001 if how == "deadline" else DEADLINE_S,
        )
        for _ in range(40)
    ]
    for future in futures:
        if how == "cancelled":
            future.cancel()
        else:
            assert future.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.OK)
    assert_healthy(ours, direct)
