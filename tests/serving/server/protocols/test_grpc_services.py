"""Tests of the gRPC services with the public stubs, over real sockets."""

from __future__ import annotations

import pathlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from serving.protocol import tensors
from serving.protocol.protos import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
    tensor_pb2,
    types_pb2,
)
from serving.server.protocols import grpc_services
from tests.support.serving_server import DEADLINE_S, RunningServer
from tests.support.serving_toys import CLIP, GENRES, clips

pytestmark = pytest.mark.memory


@pytest.fixture
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    with server.channel() as made:
        yield made


@pytest.fixture
def prediction(channel: grpc.Channel) -> Any:
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture
def models(channel: grpc.Channel) -> Any:
    return model_service_pb2_grpc.ModelServiceStub(channel)


def predict_request(rows: int = 1, **spec: Any) -> Any:
    """Make a request with a waveform for serving_default; `spec` sets fields of the ModelSpec."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = spec.pop("name", "genreflow")
    if "version" in spec:
        request.model_spec.version.value = spec.pop("version")
    for key, value in spec.items():
        setattr(request.model_spec, key, value)
    request.inputs["waveform"].CopyFrom(tensors.to_proto(clips(rows)))
    return request


def failure(call: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, timeout=kwargs.pop("timeout", DEADLINE_S), **kwargs)
    return caught.value.code(), caught.value.details()


# Predict


def test_predict_answers_with_typed_lists_and_the_version_and_signature_that_answered(
    prediction: Any,
) -> None:
    answer = prediction.Predict(predict_request(3))
    assert answer.model_spec.name == "genreflow"
    assert answer.model_spec.version.value == 2
    assert answer.model_spec.signature_name == "serving_default"
    probabilities, genres = answer.outputs["probabilities"], answer.outputs["genres"]
    assert [dim.size for dim in probabilities.tensor_shape.dim] == [3, len(GENRES)]
    assert len(probabilities.float_val) == 3 * len(GENRES)
    assert probabilities.tensor_content == b""
    rows = np.array(probabilities.float_val).reshape(3, -1)
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
    assert list(genres.string_val) == [genre.encode() for genre in GENRES] * 3


def test_predict_is_the_models_own_answer_for_each_version(
    prediction: Any, toy_models: pathlib.Path
) -> None:
    import tensorflow as tf

    for version in (1, 2):
        answer = prediction.Predict(predict_request(2, version=version))
        model = tf.saved_model.load(str(toy_models / str(version)))
        expected = model.signatures["serving_default"](waveform=tf.constant(clips(2)))
        got = tensors.to_array(answer.outputs["probabilities"])
        np.testing.assert_allclose(got, expected["probabilities"].numpy(), atol=1e-6)
        assert answer.model_spec.version.value == version


@pytest.mark.parametrize("sent", [b"\xff", b"\x0a\x7f", b"\x0a\x03\x0a\x01\xff"])
def test_bytes_that_are_no_message_are_the_caller_s_fault(
    channel: grpc.Channel, sent: bytes
) -> None:
    for method in ("Predict", "GetModelMetadata"):
        path = f"/{grpc_services.PREDICTION_SERVICE}/{method}"
        code, words = failure(channel.unary_unary(path), sent)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert f"not a message of the type that {path} expects" in words


def test_what_a_message_quotes_acts_on_no_terminal(prediction: Any) -> None:
    _, words = failure(prediction.Predict, predict_request(name="\x1b[2J\r\n\u202e"))
    assert words == "Servable not found for request: Latest(\\x1b[2J\\x0d\\x0a\\x202e)"
    _, words = failure(prediction.Predict, predict_request(name="n" * 5000))
    assert len(words) < 1100


def test_a_waveform_as_typed_values_is_the_same_as_its_bytes(prediction: Any) -> None:
    by_bytes = prediction.Predict(predict_request(2))
    request = predict_request(2)
    request.inputs["waveform"].CopyFrom(tensors.to_proto(clips(2), typed=True))
    assert prediction.Predict(request).outputs == by_bytes.outputs


def test_the_output_filter_returns_what_it_names(prediction: Any) -> None:
    request = predict_request()
    request.output_filter.append("genres")
    assert list(prediction.Predict(request).outputs) == ["genres"]


def test_a_bad_output_filter_is_refused(prediction: Any) -> None:
    request = predict_request()
    request.output_filter.append("mood")
    code, words = failure(prediction.Predict, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert words.startswith("output tensor alias not found in signature: mood")
    request.output_filter[:] = ["genres", "genres"]
    code, words = failure(prediction.Predict, request)
    assert (code, words) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "duplicate output tensor alias: genres",
    )


def test_the_model_says_what_it_is(prediction: Any) -> None:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "genreflow"
    request.model_spec.signature_name = "describe"
    request.inputs["query"].CopyFrom(tensors.to_proto(np.array([b""], object)))
    outputs = prediction.Predict(request).outputs
    assert list(outputs["genres"].string_val) == [genre.encode() for genre in GENRES]
    assert list(outputs["clip_samples"].int64_val) == [CLIP]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda r: r.ClearField("model_spec"), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (
            lambda r: setattr(r.model_spec, "name", ""),
            "INVALID_ARGUMENT",
            "ModelSpec has no name specified.",
        ),
        (
            lambda r: setattr(r.model_spec, "name", "blues"),
            "NOT_FOUND",
            "Servable not found for request: Latest(blues)",
        ),
        (
            lambda r: setattr(r.model_spec.version, "value", 7),
            "NOT_FOUND",
            "Servable not found for request: Specific(genreflow, 7)",
        ),
        (
            lambda r: setattr(r.model_spec, "version_label", "stable"),
            "INVALID_ARGUMENT",
            "Unrecognized servable version label: stable",
        ),
        (
            lambda r: setattr(r.model_spec, "signature_name", "serving_mp3"),
            "FAILED_PRECONDITION",
            'Serving signature key "serving_mp3" not found.',
        ),
        (
            lambda r: r.inputs["sound"].CopyFrom(r.inputs.pop("waveform")),
            "INVALID_ARGUMENT",
            "Sent extra: {sound}. Missing but required: {waveform}.",
        ),
        (
            lambda r: setattr(r.inputs["waveform"], "dtype", types_pb2.DT_DOUBLE),
            "INVALID_ARGUMENT",
            "waveform",
        ),
        (
            lambda r: setattr(r.inputs["waveform"].tensor_shape.dim[1], "size", CLIP - 1),
            "INVALID_ARGUMENT",
            "tensor parsing error: waveform: ",
        ),
        (
            lambda r: setattr(r.inputs["waveform"], "dtype", types_pb2.DT_RESOURCE),
            "INVALID_ARGUMENT",
            "tensor parsing error: waveform: its element type DT_RESOURCE is not supported",
        ),
    ],
)
def test_what_is_wrong_with_a_request_is_said_as_tensorflow_serving_does(
    prediction: Any, change: Callable[[Any], Any], code: str, words: str
) -> None:
    request = predict_request()
    change(request)
    got, details = failure(prediction.Predict, request)
    assert got.name == code
    assert words in details


def test_what_the_graph_refuses_is_said_without_its_clutter(prediction: Any) -> None:
    request = predict_request()
    silent = np.full((1, CLIP), np.nan, np.float32)
    request.inputs["waveform"].CopyFrom(tensors.to_proto(silent))
    code, words = failure(prediction.Predict, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "not finite" in words
    assert "Graph execution error" not in words
    assert "/" not in words.replace("and/or", "")


def test_a_small_message_cannot_ask_for_much_memory(prediction: Any) -> None:
    request = predict_request()
    bomb = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[0.5])
    for size in (1 << 15, 1 << 15):
        bomb.tensor_shape.dim.add().size = size
    request.inputs["waveform"].CopyFrom(bomb)
    code, words = failure(prediction.Predict, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "at most" in words
    # Many inputs that no signature has are not parsed either.
    bomb.tensor_shape.dim[1].size = 500
    for number in range(2000):
        request.inputs[f"x{number}"].CopyFrom(bomb)
    code, words = failure(prediction.Predict, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert len(words) <= grpc_services.MAX_MESSAGE_CHARACTERS + len("...TRUNCATED")


def test_a_message_beyond_the_limit_is_refused_and_the_next_one_answered(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path
) -> None:
    running = servers(toy_models, max_message_mb=1)
    with running.channel() as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        code, words = failure(stub.Predict, predict_request(rows=(1 << 20) // (4 * CLIP) + 1))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "larger than max" in words
        assert stub.Predict(predict_request()).model_spec.version.value == 2


def test_a_deadline_that_is_over_is_not_worked_on(prediction: Any) -> None:
    code, _ = failure(prediction.Predict, predict_request(), timeout=1e-6)
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert prediction.Predict(predict_request()).model_spec.version.value == 2


# Methods for other kinds of models


def test_classify_and_regress_answer_as_for_a_model_without_such_signatures(
    prediction: Any,
) -> None:
    for request, call, kind in (
        (classification_pb2.ClassificationRequest(), prediction.Classify, "classification"),
        (regression_pb2.RegressionRequest(), prediction.Regress, "regression"),
    ):
        assert failure(call, request)[1] == "Missing ModelSpec"
        request.model_spec.name = "genreflow"
        method = {"classification": "classify", "regression": "regress"}[kind]
        assert failure(call, request) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            f"Expected {kind} signature method_name to be tensorflow/serving/{method}. "
            "Was: tensorflow/serving/predict",
        )
        request.model_spec.signature_name = "nope"
        assert failure(call, request) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "No signature was found with the name: nope",
        )


def test_multi_inference_answers_as_for_a_model_without_such_signatures(prediction: Any) -> None:
    request = inference_pb2.MultiInferenceRequest()
    assert failure(prediction.MultiInference, request)[0] is grpc.StatusCode.INVALID_ARGUMENT
    task = request.tasks.add()
    task.model_spec.name = "genreflow"
    task.method_name = "tensorflow/serving/predict"
    assert failure(prediction.MultiInference, request) == (
        grpc.StatusCode.UNIMPLEMENTED,
        "Unsupported signature method_name: tensorflow/serving/predict",
    )
    task.method_name = "tensorflow/serving/classify"
    code, words = failure(prediction.MultiInference, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert words.startswith("Expected classification signature method_name")
    task.model_spec.name = "blues"
    assert failure(prediction.MultiInference, request)[0] is grpc.StatusCode.NOT_FOUND


def test_a_service_that_is_not_offered_is_unimplemented(channel: grpc.Channel) -> None:
    call = channel.unary_unary("/tensorflow.serving.SessionService/SessionRun")
    assert failure(call, b"")[0] is grpc.StatusCode.UNIMPLEMENTED


# Metadata, status, reload


def test_metadata_is_the_saved_models_own_signatures(
    prediction: Any, toy_models: pathlib.Path
) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = "genreflow"
    request.model_spec.version.value = 1
    request.metadata_field.append("signature_def")
    answer = prediction.GetModelMetadata(request)
    assert answer.model_spec.version.value == 1
    found = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(found)
    file = toy_models / "1" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    assert dict(found.signature_def) == dict(saved.meta_graphs[0].signature_def)
    assert {"serving_default", "serving_wav", "serving_examples", "describe"} <= set(
        found.signature_def
    )


def test_metadata_of_another_kind_is_refused(prediction: Any) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = "genreflow"
    assert failure(prediction.GetModelMetadata, request) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "GetModelMetadataRequest must specify at least one metadata_field",
    )
    request.metadata_field.append("weights")
    assert failure(prediction.GetModelMetadata, request) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "Metadata field weights is not supported",
    )


def test_status_is_told_of_all_versions_or_of_one(models: Any) -> None:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "genreflow"
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    states = models.GetModelStatus(request).model_version_status
    assert {(s.version, s.state, s.status.error_code) for s in states} == {
        (1, available, 0),
        (2, available, 0),
    }
    request.model_spec.version.value = 1
    assert [s.version for s in models.GetModelStatus(request).model_version_status] == [1]
    request.model_spec.version.value = 9
    assert failure(models.GetModelStatus, request) == (
        grpc.StatusCode.NOT_FOUND,
        "Could not find version 9 of model genreflow",
    )
    request.model_spec.name = "blues"
    request.model_spec.ClearField("version_choice")
    assert failure(models.GetModelStatus, request) == (
        grpc.StatusCode.NOT_FOUND,
        "Could not find any versions of model blues",
    )


def reload_request(*models: tuple[str, pathlib.Path]) -> Any:
    request = model_management_pb2.ReloadConfigRequest()
    for name, path in models:
        entry = request.config.model_config_list.config.add()
        entry.name, entry.base_path, entry.model_platform = name, str(path), "tensorflow"
    return request


def test_a_reload_adds_models_below_the_root_and_takes_others_away(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    for name in ("first", "second"):
        shutil.copytree(toy_models / "1", tmp_path / name / "1")
    running = servers(tmp_path / "first", model_name="first", model_root=str(tmp_path))
    with running.channel() as channel:
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        health = health_pb2_grpc.HealthStub(channel)
        second = health_pb2.HealthCheckRequest(service="second")
        assert failure(health.Check, second)[0] is grpc.StatusCode.NOT_FOUND
        answer = models.HandleReloadConfigRequest(
            reload_request(("second", tmp_path / "second")), timeout=DEADLINE_S
        )
        assert answer.status.error_code == 0
        assert prediction.Predict(predict_request(name="second")).model_spec.version.value == 1
        assert failure(prediction.Predict, predict_request(name="first"))[0] is (
            grpc.StatusCode.NOT_FOUND
        )
        assert health.Check(second).status == health_pb2.HealthCheckResponse.SERVING
    assert "second" in running.events[-1] or any("second" in e for e in running.events)


def test_a_reload_never_leaves_the_root(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    root = tmp_path / "root"
    for folder in (root / "genreflow", tmp_path / "outside"):
        shutil.copytree(toy_models / "1", folder / "1")
    (root / "link").symlink_to(tmp_path / "outside")
    running = servers(root / "genreflow", model_root=str(root))
    with running.channel() as channel:
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for path in (tmp_path / "outside", root / "link", root / ".." / "outside", "/"):
            code, words = failure(
                models.HandleReloadConfigRequest, reload_request(("genreflow", path))
            )
            assert code is grpc.StatusCode.PERMISSION_DENIED
            assert "--model-root" in words
        assert prediction.Predict(predict_request()).model_spec.version.value == 1


def test_without_a_root_a_reload_may_only_name_what_is_served(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    for name in ("first", "second"):
        shutil.copytree(toy_models / "1", tmp_path / name / "1")
    running = servers(tmp_path / "first", model_name="first")
    with running.channel() as channel:
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        request = reload_request(("second", tmp_path / "second"))
        code = failure(models.HandleReloadConfigRequest, request)[0]
        assert code is grpc.StatusCode.PERMISSION_DENIED
        # The same folder may be served under a label and another name.
        same = reload_request(("renamed", tmp_path / "first"))
        models.HandleReloadConfigRequest(same, timeout=DEADLINE_S)


def test_a_server_that_others_can_reach_takes_reloads_only_if_allowed(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path
) -> None:
    request = reload_request(("genreflow", toy_models))
    for allowed in (False, True):
        running = servers(toy_models, host="0.0.0.0", allow_reload=allowed)
        with running.channel() as channel:
            models = model_service_pb2_grpc.ModelServiceStub(channel)
            if allowed:
                models.HandleReloadConfigRequest(request, timeout=DEADLINE_S)
                continue
            code, words = failure(models.HandleReloadConfigRequest, request)
            assert code is grpc.StatusCode.PERMISSION_DENIED
            assert "--allow-reload" in words


def test_configurations_of_other_kinds_are_refused(models: Any) -> None:
    request = model_management_pb2.ReloadConfigRequest()
    request.config.custom_model_config.SetInParent()
    code, words = failure(models.HandleReloadConfigRequest, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "Only ModelConfigList is currently supported" in words


# Health and reflection


def test_health_is_told_of_the_server_and_of_each_model(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    serving = health_pb2.HealthCheckResponse.SERVING
    for service in ("", "genreflow"):
        assert health.Check(health_pb2.HealthCheckRequest(service=service)).status == serving
    unknown = health_pb2.HealthCheckRequest(service="blues")
    assert failure(health.Check, unknown)[0] is grpc.StatusCode.NOT_FOUND


def test_a_watcher_is_told_when_the_server_stops(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path
) -> None:
    running = servers(toy_models)
    with running.channel() as channel:
        watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        states = [next(watching).status]
        stopping = threading.Thread(target=running.stop, args=(2.0,))
        stopping.start()
        states.append(next(watching).status)
        watching.cancel()
        stopping.join(DEADLINE_S)
    response = health_pb2.HealthCheckResponse
    assert states == [response.SERVING, response.NOT_SERVING]


def test_reflection_lists_the_services_and_describes_their_messages(
    channel: grpc.Channel,
) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    ask = reflection_pb2.ServerReflectionRequest
    questions = [
        ask(list_services=""),
        ask(file_containing_symbol="tensorflow.serving.PredictionService"),
        ask(file_containing_symbol="tensorflow.TensorProto"),
    ]
    services, described, tensor = stub.ServerReflectionInfo(iter(questions), timeout=DEADLINE_S)
    assert {service.name for service in services.list_services_response.service} == {
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    for answer in (described, tensor):
        assert answer.file_descriptor_response.file_descriptor_proto


def test_open_reflection_calls_are_few_and_hold_up_nobody(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path
) -> None:
    running = servers(toy_models)
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    done = threading.Event()

    def questions() -> Iterator[Any]:
        yield ask
        done.wait(DEADLINE_S)

    with running.channel() as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        calls = [
            stub.ServerReflectionInfo(questions())
            for _ in range(grpc_services.MAX_REFLECTION_STREAMS)
        ]
        for call in calls:
            next(call)
        with pytest.raises(grpc.RpcError) as caught:
            next(stub.ServerReflectionInfo(questions(), timeout=DEADLINE_S))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        done.set()
        for call in calls:
            list(call)
        end = time.monotonic() + DEADLINE_S
        while True:  # a moment after the calls have ended, new ones are accepted
            try:
                next(stub.ServerReflectionInfo(iter([ask]), timeout=DEADLINE_S))
                break
            except grpc.RpcError:
                assert time.monotonic() < end
                time.sleep(0.01)


# Concurrency


class Gate:
    """Gate that blocks every run of a servable until it is opened."""

    def __init__(self, running: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
        from serving.server.models.servable import Servable

        self.entered = threading.Semaphore(0)
        self.open = threading.Event()
        real = Servable.predict

        def held(this: Any, *args: Any, **kwargs: Any) -> Any:
            self.entered.release()
            assert self.open.wait(DEADLINE_S)
            return real(this, *args, **kwargs)

        monkeypatch.setattr(Servable, "predict", held)

    def wait_for(self, requests: int) -> None:
        for _ in range(requests):
            assert self.entered.acquire(timeout=DEADLINE_S)


def test_requests_beyond_the_limit_are_unavailable_at_once_and_the_others_answered(
    servers: Callable[..., RunningServer],
    toy_models: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = servers(toy_models, max_concurrent=3)
    gate = Gate(running, monkeypatch)
    with running.channel() as channel, futures.ThreadPoolExecutor(3) as pool:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        held = [pool.submit(stub.Predict, predict_request()) for _ in range(3)]
        gate.wait_for(3)
        for _ in range(5):
            code, words = failure(stub.Predict, predict_request())
            assert code is grpc.StatusCode.UNAVAILABLE
            assert "3 requests are in progress" in words
        # Other requests are still answered.
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_S).status == 1
        gate.open.set()
        assert [f.result(DEADLINE_S).model_spec.version.value for f in held] == [2, 2, 2]
        assert stub.Predict(predict_request()).model_spec.version.value == 2


def test_a_stop_finishes_what_is_in_work_and_takes_nothing_new(
    servers: Callable[..., RunningServer],
    toy_models: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = servers(toy_models)
    gate = Gate(running, monkeypatch)
    with running.channel() as channel, running.channel() as late:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        held = stub.Predict.future(predict_request())
        gate.wait_for(1)
        stopping = threading.Thread(target=running.stop, args=(DEADLINE_S,))
        stopping.start()
        other = prediction_service_pb2_grpc.PredictionServiceStub(late)
        end = time.monotonic() + DEADLINE_S
        code = None
        while code is not grpc.StatusCode.UNAVAILABLE and time.monotonic() < end:
            attempt = other.Predict.future(predict_request(), timeout=1)
            code = attempt.code()
        assert code is grpc.StatusCode.UNAVAILABLE
        assert not held.done()
        gate.open.set()
        assert held.result(DEADLINE_S).model_spec.version.value == 2
        stopping.join(DEADLINE_S)
        assert not stopping.is_alive()


def test_a_failure_of_the_server_shows_no_details_to_the_caller(
    servers: Callable[..., RunningServer],
    toy_models: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from serving.server.models.servable import Servable

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise KeyError("/secret/place")

    running = servers(toy_models)
    monkeypatch.setattr(Servable, "predict", broken)
    with running.channel() as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        code, words = failure(stub.Predict, predict_request())
    assert code is grpc.StatusCode.INTERNAL
    assert "secret" not in words
    assert "/secret/place" in capfd.readouterr().err
