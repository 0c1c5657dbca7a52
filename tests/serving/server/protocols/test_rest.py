"""Tests of the REST API over real sockets, with the client requests."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import pathlib
import socket
import threading
import time
import wave
from collections.abc import Callable
from concurrent import futures
from typing import Any

import numpy as np
import pytest
import requests

from serving.protocol import tensors
from serving.protocol.protos import predict_pb2, prediction_service_pb2_grpc
from serving.server.protocols import http_protocol, request_body, rest
from tests.support.serving_server import DEADLINE_S, RunningServer
from tests.support.serving_toys import CLIP, GENRES, PARAMS, clips

MODEL = "/v1/models/genreflow"
METRICS = "/monitoring/prometheus/metrics"


def get(server: RunningServer, path: str) -> tuple[int, Any]:
    answer = requests.get(server.url + path, timeout=DEADLINE_S)
    return answer.status_code, answer.json()


def post(server: RunningServer, path: str, body: Any) -> tuple[int, Any]:
    content = body if isinstance(body, (bytes, str)) else json.dumps(body)
    answer = requests.post(server.url + path, data=content, timeout=DEADLINE_S)
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, answer.json()


def over_grpc(server: RunningServer, rows: int, version: int) -> Any:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "genreflow"
    request.model_spec.version.value = version
    request.inputs["waveform"].CopyFrom(tensors.to_proto(clips(rows)))
    with server.channel() as channel:
        answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request)
    return tensors.to_array(answer.outputs["probabilities"])


@pytest.mark.parametrize(("where", "version"), [("", 2), ("/versions/1", 1), ("/versions/2", 2)])
def test_rows_and_columns_are_what_grpc_answers(
    server: RunningServer, where: str, version: int
) -> None:
    sounds = clips(2).tolist()
    expected = over_grpc(server, 2, version)
    path = f"{MODEL}{where}:predict"
    by_name = [{"waveform": sound} for sound in sounds]
    for instances in (sounds, by_name):
        status, answer = post(server, path, {"instances": instances})
        assert status == 200
        assert [row["genres"] for row in answer["predictions"]] == [list(GENRES)] * 2
        got = [row["probabilities"] for row in answer["predictions"]]
        np.testing.assert_array_equal(np.array(got, np.float32), expected)
    for inputs in (sounds, {"waveform": sounds}):
        status, answer = post(server, path, {"inputs": inputs})
        assert status == 200
        got = answer["outputs"]["probabilities"]
        np.testing.assert_array_equal(np.array(got, np.float32), expected)


def test_a_wav_file_is_sent_as_base64(server: RunningServer) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, PARAMS.sample_rate_hz, 0, "NONE", ""))
        writer.writeframes((clips(1)[0] * 32767).astype("<i2").tobytes())
    coded = {"b64": base64.b64encode(file.getvalue()).decode()}
    body = {"signature_name": "serving_wav", "instances": [coded, {"audio": coded}["audio"]]}
    status, answer = post(server, f"{MODEL}:predict", body)
    assert status == 200
    got = np.array([row["probabilities"] for row in answer["predictions"]])
    np.testing.assert_allclose(got, np.repeat(over_grpc(server, 1, 2), 2, axis=0), atol=1e-3)


def test_the_model_says_what_it_is_in_rows_and_columns(server: RunningServer) -> None:
    path, asked = f"{MODEL}:predict", {"signature_name": "describe"}
    status, by_column = post(server, path, {**asked, "inputs": ["", "what?"]})
    assert status == 200
    outputs = by_column["outputs"]
    cards = [json.loads(card) for card in outputs.pop("model_card")]
    assert [card["architecture"] for card in cards] == ["toy", "toy"]
    assert outputs == {
        "genres": [list(GENRES)] * 2,
        "sample_rate_hz": [PARAMS.sample_rate_hz] * 2,
        "clip_samples": [CLIP] * 2,
        "audio_params": [PARAMS.digest()] * 2,
        "evaluation": ["", ""],  # it was not pushed
    }
    for instances in ([""], [{"query": ""}]):
        status, by_row = post(server, path, {**asked, "instances": instances})
        assert status == 200
        (row,) = by_row["predictions"]
        assert json.loads(row.pop("model_card")) == cards[0]
        assert row == {name: values[0] for name, values in outputs.items()}


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        (f"{MODEL}:predict", "", 400, "JSON Parse error: The document is empty"),
        (f"{MODEL}:predict", "{", 400, "JSON Parse error"),
        (f"{MODEL}:predict", {}, 400, "Missing 'inputs' or 'instances' key"),
        (
            f"{MODEL}:predict",
            {"instances": [[0.0] * CLIP, [0.0] * (CLIP + 1)]},
            400,
            f"Expecting shape [{CLIP}] but got: [{CLIP + 1}]",
        ),
        (f"{MODEL}:predict", '{"inputs": [[NaN]]}', 400, "waveform"),
        (f"{MODEL}:predict", {"inputs": [[0.0] * 10]}, 400, "shorter than one clip"),
        (
            f"{MODEL}:predict",
            {"signature_name": "nope", "inputs": [1]},
            400,
            'Serving signature name: "nope" not found in signature def',
        ),
        (
            f"{MODEL}:predict",
            {"signature_name": "describe", "inputs": {}},
            400,
            "Missing named input: query in 'inputs' object.",
        ),
        ("/v1/models/blues:predict", {"inputs": [1]}, 404, "Servable not found"),
        (f"{MODEL}/versions/9:predict", {"inputs": [1]}, 404, "Specific(genreflow, 9)"),
        (f"{MODEL}/labels/x:predict", {"inputs": [1]}, 400, "Unrecognized servable version label"),
        (f"{MODEL}:classify", {"examples": [{"x": 1}]}, 400, "tensorflow/serving/classify. Was:"),
        (f"{MODEL}:regress", {"examples": [{"x": 1}]}, 400, "tensorflow/serving/regress. Was:"),
        (f"{MODEL}:classify", {}, 400, "'examples'"),
        (f"{MODEL}:explain", {}, 400, f"Malformed request: POST {MODEL}:explain"),
        (f"{MODEL}/versions/x:predict", {}, 400, "Malformed request"),
        (f"{MODEL}/versions/{2**63}:predict", {}, 400, "Failed to convert version"),
        (f"{MODEL}/metadata", {}, 400, "Malformed request: POST"),
        ("/v1/models", {}, 400, "Malformed request: POST /v1/models"),
        ("/v1/models/a:b:predict", {}, 400, "Malformed request"),
        ("/other", {}, 404, "Malformed request: POST /other"),
    ],
)
def test_what_is_wrong_with_a_request_has_tensorflow_servings_status(
    server: RunningServer, path: str, body: Any, status: int, words: str
) -> None:
    got, answer = post(server, path, body)
    assert got == status
    assert set(answer) == {"error"}
    assert words in answer["error"]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1/models", 400, "Missing model name in request."),
        ("/v1/models/blues", 404, "Could not find any versions of model blues"),
        (f"{MODEL}/versions/9", 404, "Could not find version 9 of model genreflow"),
        ("/v1/models/blues/metadata", 404, "Servable not found"),
        (f"{MODEL}:predict", 400, f"Malformed request: GET {MODEL}:predict"),
        (f"{MODEL}/weights", 400, "Malformed request"),
        ("/v1/foo", 400, "Malformed request: GET /v1/foo"),
        ("/", 404, "Malformed request: GET /"),
        ("/v1/models/%00%ff", 404, "Could not find"),
    ],
)
def test_what_is_wrong_with_a_question_has_tensorflow_servings_status(
    server: RunningServer, path: str, status: int, words: str
) -> None:
    got, answer = get(server, path)
    assert got == status
    assert words in answer["error"]


def test_other_methods_are_malformed(server: RunningServer) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = requests.request(method, server.url + MODEL, timeout=DEADLINE_S)
        assert answer.status_code == 400
        assert answer.json() == {"error": f"Malformed request: {method} {MODEL}"}


def test_status_and_metadata_are_told_as_json(server: RunningServer) -> None:
    ok = {"error_code": "OK", "error_message": ""}
    status, answer = get(server, MODEL)
    assert status == 200
    assert answer == {
        "model_version_status": [
            {"version": "2", "state": "AVAILABLE", "status": ok},
            {"version": "1", "state": "AVAILABLE", "status": ok},
        ]
    }
    status, answer = get(server, f"{MODEL}/versions/1/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "genreflow", "version": "1", "signature_name": ""}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    waveform = signatures["serving_default"]["inputs"]["waveform"]
    assert waveform["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in waveform["tensor_shape"]["dim"]] == ["-1", "-1"]


def test_the_interface_describes_itself(server: RunningServer) -> None:
    status, answer = get(server, "/openapi.json")
    assert status == 200
    assert "/v1/models/{name}:predict" in answer["paths"]
    assert "/v1/models/{name}/versions/{version}/metadata" in answer["paths"]


# Limits


@pytest.fixture
def small(servers: Callable[..., RunningServer], toy_models: pathlib.Path) -> RunningServer:
    return servers(toy_models, max_message_mb=1)


def test_a_body_beyond_the_limit_is_refused_with_and_without_its_length(
    small: RunningServer,
) -> None:
    body = b"[" + b" " * (1 << 20)
    status, answer = post(small, f"{MODEL}:predict", body)
    assert status == 413
    assert "larger than 1048576 bytes" in answer["error"]

    def pieces() -> Any:
        for _ in range(33):
            yield b" " * (1 << 15)

    streamed = requests.post(small.url + f"{MODEL}:predict", data=pieces(), timeout=DEADLINE_S)
    assert streamed.status_code == 413
    assert get(small, MODEL)[0] == 200


def test_a_body_that_lies_about_its_length_is_no_crash(
    small: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_body, "BODY_TIMEOUT_S", 0.2)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", small.rest_port)) as slow:
        slow.putrequest("POST", f"{MODEL}:predict")
        slow.putheader("content-length", "1000")
        slow.endheaders(b'{"inputs": ')
        answer = slow.getresponse()
        assert answer.status == 408
        assert "did not arrive" in json.loads(answer.read())["error"]
    # A client that disconnects in the middle of its body.
    with socket.create_connection(("127.0.0.1", small.rest_port)) as gone:
        gone.sendall(f"POST {MODEL}:predict HTTP/1.1\r\nhost: x\r\n".encode())
        gone.sendall(b"content-length: 100\r\n\r\n{")
    with socket.create_connection(("127.0.0.1", small.rest_port)) as nonsense:
        nonsense.sendall(b"\x16\x03\x01\x00\xff no HTTP\r\n\r\n")
        assert nonsense.recv(100).startswith(b"HTTP/1.1 400")
    assert get(small, MODEL)[0] == 200


@pytest.mark.parametrize("sent", ["", "GET /v1", f"GET {MODEL} HTTP/1.1\r\nhost: x\r\nx-half"])
def test_a_head_that_does_not_arrive_ends_the_connection(
    small: RunningServer, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_S", 0.2)
    whole = f"GET {MODEL} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
    # As the first request, or after another one.
    for before in (b"", whole) if sent else (b"",):
        with socket.create_connection(("127.0.0.1", small.rest_port), timeout=DEADLINE_S) as half:
            half.sendall(before)
            if before:
                assert half.recv(1 << 16).startswith(b"HTTP/1.1 200")
            half.sendall(sent.encode())
            while half.recv(1 << 16):  # the rest of a response, then the end
                pass


def test_a_slow_request_that_arrives_in_time_is_answered(
    small: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exceed the time limit of the head with a response, and with a pause between requests."""
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_S", 0.5)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", small.rest_port)) as kept:
        for _ in range(3):
            kept.request("GET", MODEL)
            answer = kept.getresponse()
            assert answer.status == 200
            answer.read()
            time.sleep(0.7)


def test_requests_beyond_the_limit_are_503_and_the_others_answered(
    servers: Callable[..., RunningServer],
    toy_models: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from serving.server.models.servable import Servable

    running = servers(toy_models, max_concurrent=2)
    entered, opened = threading.Semaphore(0), threading.Event()
    real = Servable.predict

    def held(this: Any, *args: Any, **kwargs: Any) -> Any:
        entered.release()
        assert opened.wait(DEADLINE_S)
        return real(this, *args, **kwargs)

    monkeypatch.setattr(Servable, "predict", held)
    body = {"instances": clips(1).tolist()}
    with futures.ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(post, running, f"{MODEL}:predict", body) for _ in range(2)]
        for _ in range(2):
            assert entered.acquire(timeout=DEADLINE_S)
        for _ in range(3):
            status, answer = post(running, f"{MODEL}:predict", body)
            assert status == 503
            assert "2 requests are in progress" in answer["error"]
        assert get(running, MODEL)[0] == 200
        opened.set()
        assert [waiter.result(DEADLINE_S)[0] for waiter in waiting] == [200, 200]


def test_a_request_that_takes_too_long_is_504(
    servers: Callable[..., RunningServer],
    toy_models: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = servers(toy_models)
    monkeypatch.setattr(rest, "TIMEOUT_S", 0.0)
    status, answer = post(running, f"{MODEL}:predict", {"instances": clips(1).tolist()})
    assert status == 504
    assert answer["error"]


def test_a_failure_of_the_server_shows_no_details(
    servers: Callable[..., RunningServer],
    toy_models: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from serving.server.models.servable import Servable

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise KeyError("/secret/place")

    running = servers(toy_models)
    monkeypatch.setattr(Servable, "predict", broken)
    status, answer = post(running, f"{MODEL}:predict", {"instances": clips(1).tolist()})
    assert status == 500
    assert answer == {"error": "internal error; see the server's log"}


# Metrics


def series(running: RunningServer) -> dict[str, float]:
    """Parse Prometheus' text: a name with labels, then a value, per line."""
    page = requests.get(running.url + METRICS, timeout=DEADLINE_S)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/plain")
    lines = [line for line in page.text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_metrics_count_requests_by_model_method_and_status(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path
) -> None:
    running = servers(toy_models, policy="all")
    for rows in (1, 3):
        post(running, f"{MODEL}:predict", {"instances": clips(rows).tolist()})
    post(running, f"{MODEL}:predict", {"inputs": [[1]]})
    over_grpc(running, 2, 1)
    found = series(running)
    labels = 'API="Predict",entrypoint="{}",model_name="genreflow",signature="serving_default"'
    count = ':tensorflow:serving:request_count_total{{{},status="{}"}}'
    assert found[count.format(labels.format("REST"), "OK")] == 2
    assert found[count.format(labels.format("REST"), "INVALID_ARGUMENT")] == 1
    assert found[count.format(labels.format("GRPC"), "OK")] == 1
    rows = ':genreflow:serving:request_rows_sum{model_name="genreflow"}'
    assert found[rows] == 1 + 3 + 1 + 2
    latency = ':tensorflow:serving:request_latency_count{{API="Predict",entrypoint="{}",'
    latency += 'model_name="genreflow"}}'
    assert (found[latency.format("REST")], found[latency.format("GRPC")]) == (3, 1)
    version = ':genreflow:serving:available_version{{model_name="genreflow",version="{}"}}'
    assert (found[version.format(1)], found[version.format(2)]) == (1, 1)
    assert found[":genreflow:serving:requests_in_work"] == 0


def test_metrics_show_what_ran_together_and_what_waits(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path
) -> None:
    running = servers(toy_models, batching=True)
    assert post(running, f"{MODEL}:predict", {"instances": clips(3).tolist()})[0] == 200
    assert post(running, f"{MODEL}:predict", {"instances": clips(2).tolist()})[0] == 200
    found = series(running)
    batch = ":tensorflow:serving:batching_session:processed_batch_size_{}"
    assert found[batch.format('sum{model_name="genreflow"}')] == 5
    assert found[batch.format('count{model_name="genreflow"}')] == 2
    assert found[":tensorflow:serving:batching_session:queued_requests"] == 0


def test_no_request_can_make_series_of_its_own(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path
) -> None:
    running = servers(toy_models)

    def ask(number: int) -> None:
        body = {"signature_name": f"s{number}", "inputs": [1]}
        assert post(running, f"/v1/models/m{number}:predict", body)[0] == 404
        assert post(running, f"{MODEL}:predict", body)[0] == 400
        assert get(running, f"/v1/models/m{number}")[0] == 404

    ask(0)
    before = set(series(running))
    for number in range(1, 20):
        ask(number)
    assert set(series(running)) == before
    assert not [name for name in before if "m0" in name or "s0" in name]


def test_a_stop_answers_what_is_in_work(
    servers: Callable[..., RunningServer],
    toy_models: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from serving.server.models.servable import Servable

    running = servers(toy_models)
    entered, opened = threading.Event(), threading.Event()
    real = Servable.predict

    def held(this: Any, *args: Any, **kwargs: Any) -> Any:
        entered.set()
        assert opened.wait(DEADLINE_S)
        return real(this, *args, **kwargs)

    monkeypatch.setattr(Servable, "predict", held)
    with futures.ThreadPoolExecutor(1) as pool:
        body = {"instances": clips(1).tolist()}
        waiting = pool.submit(post, running, f"{MODEL}:predict", body)
        assert entered.wait(DEADLINE_S)
        stopping = threading.Thread(target=running.stop, args=(DEADLINE_S,))
        stopping.start()
        end = time.monotonic() + DEADLINE_S
        refused = False
        while not refused and time.monotonic() < end:
            try:
                requests.get(running.url + MODEL, timeout=1)
            except requests.RequestException:
                refused = True
        assert refused
        assert not waiting.done()
        opened.set()
        assert waiting.result(DEADLINE_S)[0] == 200
        stopping.join(DEADLINE_S)
        assert not stopping.is_alive()
