"""Tests of PredictionService and ModelService with plain stubs.

Codes and messages are those of TensorFlow Serving's sources (predict_util.cc, classifier.cc,
server_core.cc, get_model_status_impl.cc, ...). Each test also runs against the real server if its
program is on the PATH. What only Genreflow's server promises is marked.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
from typing import Any

import grpc
import numpy as np
import pytest

from serving.protocol import protos
from serving.protocol.tensors import to_array
from tests.conformance.conftest import Direct
from tests.conformance.hostile import assert_clear
from tests.conformance.served import DEADLINE_S, LABELS, MODEL, Served, predict_request
from tests.support.serving_toys import CLIP, GENRES, clips

Inputs = dict[str, dict[str, Any]]

PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


def assert_same(answer: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(answer) == set(expected)
    for name, value in expected.items():
        if answer[name].dtype == object:
            assert answer[name].tolist() == np.asarray(value, object).tolist(), name
            continue
        assert answer[name].shape == np.shape(value), name
        assert answer[name].dtype == value.dtype, name
        np.testing.assert_allclose(answer[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "signature", ["", "serving_default", "serving_wav", "serving_examples", "describe"]
)
def test_each_signature_answers_as_the_model_does(
    served: Served, direct: Direct, inputs: Inputs, signature: str
) -> None:
    sent = inputs[signature or "serving_default"]
    answer = served.predict(predict_request(sent, signature=signature))
    assert_same(answer, direct(2, signature, **sent))


@pytest.mark.parametrize(
    ("choice", "version"),
    [({}, 2), ({"version": 1}, 1), ({"version": 2}, 2)]
    + [({"label": label}, version) for label, version in LABELS.items()],
)
def test_the_version_that_is_asked_for_answers_and_is_named(
    served: Served, direct: Direct, inputs: Inputs, choice: dict[str, Any], version: int
) -> None:
    sent = inputs["serving_default"]
    response = served.prediction.Predict(predict_request(sent, **choice), timeout=DEADLINE_S)
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == (
        MODEL,
        version,
        "serving_default",
    )
    expected = direct(version, "", **sent)["probabilities"]
    other = direct(3 - version, "", **sent)["probabilities"]
    answer = to_array(response.outputs["probabilities"])
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-6)
    assert not np.allclose(answer, other, rtol=1e-2)


def test_values_as_a_list_of_numbers_are_the_same_as_bytes(served: Served, inputs: Inputs) -> None:
    waveform = inputs["serving_default"]["waveform"]
    as_bytes, as_list = (
        predict_request({"waveform": waveform}),
        predict_request({"waveform": [0.0]}),
    )
    tensor = as_list.inputs["waveform"]
    tensor.Clear()
    tensor.dtype = protos.types_pb2.DT_FLOAT
    for size in waveform.shape:
        tensor.tensor_shape.dim.add().size = size
    tensor.float_val.extend(waveform.ravel().tolist())
    assert_same(served.predict(as_list), served.predict(as_bytes))


def test_one_listed_value_fills_the_tensor(served: Served, direct: Direct) -> None:
    request = predict_request({"waveform": np.zeros((1, 0), np.float32)})
    tensor = request.inputs["waveform"]
    tensor.float_val.append(0.25)
    tensor.tensor_shape.dim[1].size = CLIP
    expected = direct(2, "", waveform=np.full((1, CLIP), 0.25, np.float32))
    assert_same(served.predict(request), expected)


@pytest.mark.parametrize("wanted", [["probabilities"], ["genres"], ["genres", "probabilities"]])
def test_the_filter_chooses_outputs(served: Served, inputs: Inputs, wanted: list[str]) -> None:
    request = predict_request(inputs["serving_default"], output_filter=wanted)
    assert sorted(served.predict(request)) == sorted(wanted)


def test_waveforms_of_mixed_lengths_at_once_get_their_own_answers(
    served: Served, direct: Direct
) -> None:
    sounds = [
        np.tile(clips(rows, seed=index), (1, 3))[:, :samples]
        for index, (rows, samples) in enumerate(
            [(1, CLIP), (1, CLIP + 1), (2, 2 * CLIP), (3, CLIP), (1, 3 * CLIP), (5, 2 * CLIP + 7)]
            * 8
        )
    ]
    with concurrent.futures.ThreadPoolExecutor(len(sounds)) as threads:
        answers = list(
            threads.map(lambda sound: served.predict(predict_request({"waveform": sound})), sounds)
        )
    for sound, answer in zip(sounds, answers, strict=True):
        assert_same(answer, direct(2, "", waveform=sound))


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Request that is refused.

    Attributes:
      words: parts of the message of any server.
      ours: parts of the message of Genreflow's server, where TensorFlow's names its graph.
    """

    id: str
    request: Any
    code: grpc.StatusCode
    words: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()


SOUND = {"waveform": clips(1)}
NO_SPEC = predict_request(SOUND)
NO_SPEC.ClearField("model_spec")

PREDICTS = [
    Refusal("no spec", NO_SPEC, INVALID, ("Missing ModelSpec",)),
    Refusal("no name", predict_request(SOUND, name=""), INVALID, ("ModelSpec has no name",)),
    Refusal(
        "unknown model",
        predict_request(SOUND, name="nobody"),
        NOT_FOUND,
        ("Servable not found for request: Latest(nobody)",),
    ),
    Refusal(
        "unknown version",
        predict_request(SOUND, version=99),
        NOT_FOUND,
        ("Servable not found for request: Specific(genreflow, 99)",),
    ),
    Refusal(
        "unknown label",
        predict_request(SOUND, label="nobody"),
        INVALID,
        ("Unrecognized servable version label: nobody",),
    ),
    Refusal(
        "unknown signature",
        predict_request(SOUND, signature="nobody"),
        grpc.StatusCode.FAILED_PRECONDITION,
        ('Serving signature key "nobody" not found.',),
    ),
    Refusal(
        "wrong input name", predict_request({"nobody": clips(1)}), INVALID, ("waveform",),
        ("Sent extra: {nobody}", "Missing but required: {waveform}"),
    ),
    Refusal(
        "missing input",
        predict_request({}),
        INVALID,
        ("input size does not match signature: 0!=1", "Missing but required: {waveform}"),
    ),
    Refusal(
        "an input more",
        predict_request({**SOUND, "nobody": [1.0]}),
        INVALID,
        ("input size does not match signature: 2!=1", "Sent extra: {nobody}"),
    ),
    Refusal("sound for a question", predict_request(SOUND, signature="describe"), INVALID,
            ("query",), ("Sent extra: {waveform}", "Missing but required: {query}")),
    Refusal(
        "integers",
        predict_request({"waveform": np.zeros((1, CLIP), np.int32)}),
        INVALID,
        ("float", "int32"),
        ("waveform",),
    ),
    Refusal(
        "text for sound", predict_request({"waveform": [["a", "b"]]}), INVALID, ("string",),
        ("waveform", "float"),
    ),
    Refusal(
        "sound for a file",
        predict_request({"audio": clips(1)}, signature="serving_wav"),
        INVALID,
        ("float",),
        ("audio", "string"),
    ),
    Refusal(
        "one dimension", predict_request({"waveform": clips(1)[0]}), INVALID, (),
        ("waveform", str(CLIP)),
    ),
    Refusal("three dimensions", predict_request({"waveform": clips(1)[None]}), INVALID, (),
            ("waveform",)),
    Refusal(
        "a sample short",
        predict_request({"waveform": clips(1)[:, 1:]}),
        INVALID,
        ("shorter than one clip", str(CLIP), str(CLIP - 1)),
    ),
    Refusal(
        "unknown output",
        predict_request(SOUND, output_filter=["nobody"]),
        INVALID,
        ("output tensor alias not found in signature: nobody", "genres,probabilities"),
    ),
    Refusal(
        "an output twice",
        predict_request(SOUND, output_filter=["genres", "probabilities", "genres"]),
        INVALID,
        ("duplicate output tensor alias: genres",),
    ),
]  # fmt: skip


def refused(served: Served, method: Any, refusal: Refusal) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        method(refusal.request, timeout=DEADLINE_S)
    message = caught.value.details()
    assert caught.value.code() == refusal.code, message
    for words in refusal.words:
        assert words in message
    if served.is_ours:
        assert_clear(message, str(served.root))
        for words in refusal.ours:
            assert words in message


@pytest.mark.parametrize("refusal", PREDICTS, ids=lambda refusal: refusal.id)
def test_what_predict_refuses(served: Served, refusal: Refusal) -> None:
    refused(served, served.prediction.Predict, refusal)


def metadata_request(fields: list[str], name: str | None = MODEL, **spec: Any) -> Any:
    request = protos.get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    if name is not None:
        request.model_spec.name = name
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    if "label" in spec:
        request.model_spec.version_label = spec["label"]
    return request


@pytest.mark.parametrize(
    ("choice", "version"), [({}, 2), ({"version": 1}, 1), ({"label": "stable"}, 1)]
)
def test_metadata_says_what_each_signature_takes_and_gives(
    served: Served, choice: dict[str, Any], version: int
) -> None:
    request = metadata_request(["signature_def"], **choice)
    response = served.prediction.GetModelMetadata(request, timeout=DEADLINE_S)
    assert (response.model_spec.name, response.model_spec.version.value) == (MODEL, version)
    assert list(response.metadata) == ["signature_def"]
    found = protos.get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(found)
    taken = {
        "serving_default": ("waveform", protos.types_pb2.DT_FLOAT, [-1, -1]),
        "serving_wav": ("audio", protos.types_pb2.DT_STRING, [-1]),
        "serving_examples": ("examples", protos.types_pb2.DT_STRING, [-1]),
    }
    for signature, (name, dtype, shape) in taken.items():
        definition = found.signature_def[signature]
        assert definition.method_name == PREDICT
        assert list(definition.inputs) == [name]
        info = definition.inputs[name]
        assert (info.dtype, [dim.size for dim in info.tensor_shape.dim]) == (dtype, shape)
        counts = [] if signature == "serving_examples" else ["audible_windows"]
        assert sorted(definition.outputs) == [*counts, "genres", "probabilities"]
        assert [dim.size for dim in definition.outputs["probabilities"].tensor_shape.dim] in (
            [-1, len(GENRES)],
            [-1, -1],
        )
    (query,) = found.signature_def["describe"].inputs.items()
    assert (query[0], query[1].dtype) == ("query", protos.types_pb2.DT_STRING)
    assert sorted(found.signature_def["describe"].outputs) == [
        "audio_params",
        "clip_samples",
        "evaluation",
        "genres",
        "model_card",
        "sample_rate_hz",
    ]


METADATA = [
    Refusal("no spec", metadata_request(["signature_def"], None), INVALID, ("Missing ModelSpec",)),
    Refusal(
        "no field", metadata_request([]), INVALID, ("must specify at least one metadata_field",)
    ),
    Refusal("unknown field", metadata_request(["nobody"]), INVALID, ("Metadata field",),
            ("nobody",)),
    Refusal(
        "unknown model",
        metadata_request(["signature_def"], "nobody"),
        NOT_FOUND,
        ("Servable not found for request: Latest(nobody)",),
    ),
    Refusal(
        "unknown version",
        metadata_request(["signature_def"], version=7),
        NOT_FOUND,
        ("Servable not found for request: Specific(genreflow, 7)",),
    ),
]  # fmt: skip


@pytest.mark.parametrize("refusal", METADATA, ids=lambda refusal: refusal.id)
def test_what_metadata_refuses(served: Served, refusal: Refusal) -> None:
    refused(served, served.prediction.GetModelMetadata, refusal)


def status_request(name: str | None = MODEL, **spec: Any) -> Any:
    request = protos.get_model_status_pb2.GetModelStatusRequest()
    if name is not None:
        request.model_spec.name = name
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    if "label" in spec:
        request.model_spec.version_label = spec["label"]
    return request


@pytest.mark.parametrize(
    ("choice", "versions"),
    [({}, {1, 2}), ({"version": 1}, {1}), ({"label": "canary"}, {2})],
)
def test_status_says_which_versions_are_available(
    served: Served, choice: dict[str, Any], versions: set[int]
) -> None:
    if "label" in choice and not served.is_ours:
        pytest.skip("TensorFlow Serving takes no notice of a label here")
    response = served.models.GetModelStatus(status_request(**choice), timeout=DEADLINE_S)
    statuses = response.model_version_status
    assert {status.version for status in statuses} == versions
    assert len(statuses) == len(versions)
    available = protos.get_model_status_pb2.ModelVersionStatus.AVAILABLE
    for status in statuses:
        assert (status.state, status.status.error_code, status.status.error_message) == (
            available,
            0,
            "",
        )


STATUSES = [
    Refusal("no spec", status_request(None), INVALID, ("Missing ModelSpec",)),
    Refusal(
        "unknown model",
        status_request("nobody"),
        NOT_FOUND,
        ("Could not find any versions of model nobody",),
    ),
    Refusal(
        "unknown version",
        status_request(version=99),
        NOT_FOUND,
        ("Could not find version 99 of model genreflow",),
    ),
]


@pytest.mark.parametrize("refusal", STATUSES, ids=lambda refusal: refusal.id)
def test_what_status_refuses(served: Served, refusal: Refusal) -> None:
    refused(served, served.models.GetModelStatus, refusal)


def test_the_status_of_an_unknown_label_is_refused(ours: Served) -> None:
    """Refuse an unknown label, which TensorFlow Serving ignores."""
    words = ("Unrecognized servable version label: nobody",)
    label = Refusal("unknown label", status_request(label="nobody"), INVALID, words)
    refused(ours, ours.models.GetModelStatus, label)


def example_request(make: Any, name: str | None = MODEL, signature: str = "") -> Any:
    request = make()
    if name is not None:
        request.model_spec.name, request.model_spec.signature_name = name, signature
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(1)
    return request


def _example_refusals(make: Any, method: str, word: str) -> list[Refusal]:
    return [
        Refusal("no spec", example_request(make, None), INVALID, ("Missing ModelSpec",)),
        Refusal("unknown model", example_request(make, "nobody"), NOT_FOUND, ("Latest(nobody)",)),
        Refusal(
            "unknown signature",
            example_request(make, signature="nobody"),
            INVALID,
            ("No signature was found with the name: nobody",),
        ),
        Refusal(
            "a signature that predicts",
            example_request(make),
            INVALID,
            (f"Expected {word} signature method_name to be {method}. Was: {PREDICT}",),
        ),
    ]


CLASSIFIES = _example_refusals(
    protos.classification_pb2.ClassificationRequest, CLASSIFY, "classification"
)
REGRESSES = _example_refusals(protos.regression_pb2.RegressionRequest, REGRESS, "regression")


@pytest.mark.parametrize("refusal", CLASSIFIES, ids=lambda refusal: refusal.id)
def test_what_classify_answers_for_models_that_only_predict(
    served: Served, refusal: Refusal
) -> None:
    refused(served, served.prediction.Classify, refusal)


@pytest.mark.parametrize("refusal", REGRESSES, ids=lambda refusal: refusal.id)
def test_what_regress_answers_for_models_that_only_predict(
    served: Served, refusal: Refusal
) -> None:
    refused(served, served.prediction.Regress, refusal)


def inference_request(*tasks: tuple[str, str, str]) -> Any:
    """Make a request with tasks given as (model, signature, method)."""
    request = protos.inference_pb2.MultiInferenceRequest()
    for name, signature, method in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = name, signature
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(1)
    return request


INFERENCES = [
    Refusal("no task", inference_request(), INVALID),
    Refusal("unknown model", inference_request(("nobody", "", CLASSIFY)), NOT_FOUND,
            ("Latest(nobody)",)),
    Refusal(
        "two models",
        inference_request((MODEL, "", "nothing"), ("nobody", "", CLASSIFY)),
        grpc.StatusCode.UNIMPLEMENTED,
        ("Unsupported signature method_name: nothing",),
    ),
    Refusal("unknown signature", inference_request((MODEL, "nobody", CLASSIFY)), INVALID,
            ("Requested signature not found in model graph: nobody",)),
    Refusal("classify", inference_request((MODEL, "", CLASSIFY)), INVALID,
            (f"Expected classification signature method_name to be {CLASSIFY}. Was: {PREDICT}",)),
    Refusal("regress", inference_request((MODEL, "", REGRESS)), INVALID,
            (f"Expected regression signature method_name to be {REGRESS}. Was: {PREDICT}",)),
]  # fmt: skip


@pytest.mark.parametrize("refusal", INFERENCES, ids=lambda refusal: refusal.id)
def test_what_multi_inference_answers_for_models_that_only_predict(
    served: Served, refusal: Refusal
) -> None:
    refused(served, served.prediction.MultiInference, refusal)


def test_a_service_that_is_not_offered_is_unimplemented(served: Served) -> None:
    call = served.channel.unary_unary(
        "/tensorflow.serving.PredictionService/Nobody",
        request_serializer=bytes,
        response_deserializer=bytes,
    )
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", timeout=DEADLINE_S)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
