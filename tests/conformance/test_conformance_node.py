"""Tests with a JavaScript client (@grpc/grpc-js) and the protos of serving/protocol/protoset.py."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from serving.protocol import protos
from tests.conformance.conftest import Direct
from tests.conformance.served import DEADLINE_S, MODEL, Served
from tests.support.serving_toys import CLIP, GENRES, clips

SCRIPT = pathlib.Path(__file__).with_name("node") / "ask.js"
Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def ask(
    served: Served,
    protoset_file: pathlib.Path,
    requires_program: Callable[[str, str], str],
    requires_npm_packages: Callable[..., pathlib.Path],
) -> Ask:
    """Return `ask((service, method, request), ...)`, which returns the response of each call."""
    node = requires_program("node", "nodejs")
    modules = requires_npm_packages("@grpc/grpc-js", "@grpc/proto-loader")

    def send(*calls: tuple[str, str, dict[str, Any]]) -> list[dict[str, Any]]:
        named = [
            {
                "service": service,
                "method": method,
                "request": request,
                "deadlineSeconds": DEADLINE_S,
            }
            for service, method, request in calls
        ]
        done = subprocess.run(
            [node, str(SCRIPT), str(protoset_file), f"127.0.0.1:{served.port}"],
            input=json.dumps(named),
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "NODE_PATH": str(modules)},
        )
        assert done.returncode == 0, done.stderr
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return answers

    return send


def entries(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a map as a list of entries, as proto-loader needs it for protos from descriptors."""
    return [{"key": key, "value": value} for key, value in values.items()]


def from_entries(listed: list[dict[str, Any]]) -> dict[str, Any]:
    return {entry["key"]: entry["value"] for entry in listed}


def sound_request(sound: Any, **more: Any) -> dict[str, Any]:
    """Return a PredictRequest for grpc-js, with samples as a list of numbers."""
    shape = {"dim": [{"size": size} for size in sound.shape]}
    tensor = {"dtype": "DT_FLOAT", "tensor_shape": shape, "float_val": sound.ravel().tolist()}
    return {"model_spec": {"name": MODEL}, "inputs": entries({"waveform": tensor}), **more}


def probabilities(answer: dict[str, Any]) -> Any:
    assert answer["code"] == "OK", answer["details"]
    tensor = from_entries(answer["response"]["outputs"])["probabilities"]
    assert tensor["dtype"] == "DT_FLOAT"
    shape = [int(dim["size"]) for dim in tensor["tensor_shape"]["dim"]]
    return np.array(tensor["float_val"]).reshape(shape)


def test_predictions_are_those_of_the_model(ask: Ask, direct: Direct) -> None:
    sounds = [np.tile(clips(1, seed=index), (1, 1 + index % 3)) for index in range(12)]
    answers = ask(*(("PredictionService", "Predict", sound_request(sound)) for sound in sounds))
    for sound, answer in zip(sounds, answers, strict=True):
        expected = direct(2, "", waveform=sound)["probabilities"]
        np.testing.assert_allclose(probabilities(answer), expected, rtol=1e-4, atol=1e-6)
        spec = answer["response"]["model_spec"]
        assert (spec["name"], spec["version"]["value"], spec["signature_name"]) == (
            MODEL,
            "2",
            "serving_default",
        )
        names = from_entries(answer["response"]["outputs"])["genres"]["string_val"]
        assert [base64.b64decode(name).decode() for name in names] == list(GENRES)


def test_samples_as_bytes_and_a_label_and_a_filter_are_taken(ask: Ask, direct: Direct) -> None:
    sound = clips(2, seed=5)
    request = sound_request(sound, output_filter=["probabilities"])
    request["model_spec"]["version_label"] = "stable"
    (tensor,) = from_entries(request["inputs"]).values()
    del tensor["float_val"]
    tensor["tensor_content"] = base64.b64encode(sound.astype("<f4").tobytes()).decode()
    (answer,) = ask(("PredictionService", "Predict", request))
    expected = direct(1, "", waveform=sound)["probabilities"]
    np.testing.assert_allclose(probabilities(answer), expected, rtol=1e-4, atol=1e-6)
    assert list(from_entries(answer["response"]["outputs"])) == ["probabilities"]


def test_what_the_model_says_of_itself_arrives(ask: Ask) -> None:
    shape = {"dim": [{"size": 1}]}
    query = {"dtype": "DT_STRING", "tensor_shape": shape, "string_val": [""]}
    spec = {"name": MODEL, "signature_name": "describe"}
    request = {"model_spec": spec, "inputs": entries({"query": query})}
    (answer,) = ask(("PredictionService", "Predict", request))
    assert answer["code"] == "OK", answer["details"]
    outputs = from_entries(answer["response"]["outputs"])
    names = [base64.b64decode(name).decode() for name in outputs["genres"]["string_val"]]
    assert names == list(GENRES)
    assert outputs["clip_samples"]["int64_val"] == [str(CLIP)]


def test_status_and_metadata_arrive(ask: Ask) -> None:
    spec = {"model_spec": {"name": MODEL}}
    status, metadata = ask(
        ("ModelService", "GetModelStatus", spec),
        ("PredictionService", "GetModelMetadata", {**spec, "metadata_field": ["signature_def"]}),
    )
    states = {one["version"]: one["state"] for one in status["response"]["model_version_status"]}
    assert states == {"1": "AVAILABLE", "2": "AVAILABLE"}
    packed = from_entries(metadata["response"]["metadata"])["signature_def"]
    assert packed["type_url"] == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    found = protos.get_model_metadata_pb2.SignatureDefMap.FromString(
        base64.b64decode(packed["value"])
    )
    assert {"serving_default", "serving_wav", "serving_examples", "describe"} <= set(
        found.signature_def
    )


def test_refusals_arrive_with_their_code_and_words(ask: Ask) -> None:
    def spec(**fields: Any) -> dict[str, Any]:
        return {**sound_request(clips(1)), "model_spec": {"name": MODEL, **fields}}

    refusals = [
        (spec(name="nobody"), "NOT_FOUND", "Latest(nobody)"),
        (spec(version={"value": 99}), "NOT_FOUND", "Specific(genreflow, 99)"),
        (spec(version_label="nobody"), "INVALID_ARGUMENT", "label: nobody"),
        (spec(signature_name="nobody"), "FAILED_PRECONDITION", '"nobody" not found'),
        (sound_request(clips(1)[:, :9]), "INVALID_ARGUMENT", "shorter than one clip"),
        (sound_request(clips(1), output_filter=["nobody"]), "INVALID_ARGUMENT", "nobody"),
        ({"model_spec": {"name": MODEL}}, "INVALID_ARGUMENT", "{waveform}"),
    ]
    answers = ask(*(("PredictionService", "Predict", request) for request, _, _ in refusals))
    for (_, code, words), answer in zip(refusals, answers, strict=True):
        assert answer["code"] == code
        assert words in answer["details"]
