"""Tests with grpcurl, which gets the protos from serving/protocol/protoset.py or by reflection."""

from __future__ import annotations

import base64
import json
import pathlib
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.conformance.conftest import Direct
from tests.conformance.served import DEADLINE_S, MODEL, OURS, Served
from tests.support.serving_toys import CLIP, GENRES, PARAMS, clips

PACKAGE = "github.com/fullstorydev/grpcurl"
PREDICT = "tensorflow.serving.PredictionService/Predict"
METADATA = "tensorflow.serving.PredictionService/GetModelMetadata"
STATUS = "tensorflow.serving.ModelService/GetModelStatus"
RELOAD = "tensorflow.serving.ModelService/HandleReloadConfigRequest"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def grpcurl(served: Served, requires_program: Callable[[str, str], str]) -> Run:
    program = requires_program("grpcurl", PACKAGE)

    def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [program, "-plaintext", "-max-time", str(DEADLINE_S), *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture(scope="session")
def ask(served: Served, grpcurl: Run, protoset_file: pathlib.Path) -> Callable[..., Any]:
    """Return `ask(method, request)`, which returns the response as JSON, or {"code", "message"}."""

    def send(method: str, request: dict[str, Any]) -> Any:
        arguments = ["-protoset", str(protoset_file), "-format-error", "-d", "@"]
        done = grpcurl(*arguments, f"127.0.0.1:{served.port}", method, text=json.dumps(request))
        return json.loads(done.stdout if done.returncode == 0 else done.stderr)

    return send


def sound_request(sound: Any) -> dict[str, Any]:
    tensor = {
        "dtype": "DT_FLOAT",
        "tensorShape": {"dim": [{"size": size} for size in sound.shape]},
        "tensorContent": base64.b64encode(sound.astype("<f4").tobytes()).decode(),
    }
    return {"modelSpec": {"name": MODEL}, "inputs": {"waveform": tensor}}


def test_a_prediction(ask: Callable[..., Any], direct: Direct) -> None:
    sound = clips(2, seed=9)
    answer = ask(PREDICT, sound_request(sound))
    assert answer["modelSpec"] == {
        "name": MODEL,
        "version": "2",
        "signatureName": "serving_default",
    }
    outputs = answer["outputs"]
    assert [base64.b64decode(name).decode() for name in outputs["genres"]["stringVal"]] == [
        *GENRES,
        *GENRES,
    ]
    expected = direct(2, "", waveform=sound)["probabilities"]
    answered = np.array(outputs["probabilities"]["floatVal"]).reshape(expected.shape)
    np.testing.assert_allclose(answered, expected, rtol=1e-4, atol=1e-6)


def test_what_the_model_says_of_itself(ask: Callable[..., Any]) -> None:
    query = {"dtype": "DT_STRING", "tensorShape": {"dim": [{"size": 1}]}, "stringVal": [""]}
    spec = {"name": MODEL, "signatureName": "describe"}
    answer = ask(PREDICT, {"modelSpec": spec, "inputs": {"query": query}})
    outputs = answer["outputs"]
    assert outputs["sample_rate_hz"]["int64Val"] == [str(PARAMS.sample_rate_hz)]
    assert outputs["clip_samples"]["int64Val"] == [str(CLIP)]


def test_metadata_is_unpacked(ask: Callable[..., Any]) -> None:
    answer = ask(METADATA, {"modelSpec": {"name": MODEL}, "metadataField": ["signature_def"]})
    packed = answer["metadata"]["signature_def"]
    assert packed["@type"] == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    waveform = packed["signatureDef"]["serving_default"]["inputs"]["waveform"]
    assert waveform["dtype"] == "DT_FLOAT"
    assert waveform["tensorShape"] == {"dim": [{"size": "-1"}, {"size": "-1"}]}


def test_the_states(ask: Callable[..., Any]) -> None:
    answer = ask(STATUS, {"modelSpec": {"name": MODEL, "version": "1"}})
    (status,) = answer["modelVersionStatus"]
    assert (status["version"], status["state"]) == ("1", "AVAILABLE")


@pytest.mark.parametrize(
    ("method", "change", "code", "words"),
    [
        (PREDICT, {"modelSpec": {"name": "nobody"}}, 5, "Latest(nobody)"),
        (PREDICT, {"modelSpec": {"name": MODEL, "versionLabel": "nobody"}}, 3, "label: nobody"),
        (PREDICT, {"modelSpec": {"name": MODEL, "signatureName": "nobody"}}, 9, '"nobody"'),
        (PREDICT, {"inputs": {}}, 3, "Missing but required: {waveform}"),
        (PREDICT, {"outputFilter": ["nobody"]}, 3, "alias not found in signature: nobody"),
        (STATUS, {"modelSpec": {"name": "nobody"}, "inputs": None}, 5, "any versions of model"),
        (RELOAD, None, 3, "Only ModelConfigList is currently supported"),
    ],
)
def test_refusals_have_their_code_and_words(
    ask: Callable[..., Any], method: str, change: dict[str, Any] | None, code: int, words: str
) -> None:
    request = {**sound_request(clips(1)), **change} if change is not None else {}
    answer = ask(method, {key: value for key, value in request.items() if value is not None})
    assert answer["code"] == code
    assert words in answer["message"]


def test_our_server_describes_itself(served: Served, grpcurl: Run) -> None:
    """Use reflection, which TensorFlow Serving lacks."""
    if served.engine != OURS:
        pytest.skip("TensorFlow Serving has no reflection")
    address = f"127.0.0.1:{served.port}"
    listed = grpcurl(address, "list").stdout.split()
    assert {
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
        "grpc.health.v1.Health",
    } <= set(listed)
    done = grpcurl("-d", '{"model_spec": {"name": "genreflow"}}', address, STATUS)
    assert done.returncode == 0, done.stderr
    assert '"AVAILABLE"' in done.stdout
    health = grpcurl(address, "grpc.health.v1.Health/Check")
    assert json.loads(health.stdout) == {"status": "SERVING"}
