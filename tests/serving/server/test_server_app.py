"""Tests of a whole server: access, start and shutdown, in this process and in others."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
import requests
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from serving.protocol.protos import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from serving.server import __main__ as module
from serving.server.config.options import NO_REST, OptionError
from tests.support import ROOT
from tests.support.serving_server import DEADLINE_S, RunningServer
from tests.support.tls_files import TlsFiles

pytestmark = pytest.mark.memory

KEY = "a-key-for-the-tests-0123456789"
STATUS = "/v1/models/genreflow"
# TensorFlow's import on a busy machine.
START_S = 240.0


def status_of(channel: grpc.Channel, **call: Any) -> Any:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "genreflow"
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    return stub.GetModelStatus(request, timeout=DEADLINE_S, **call)


def failure(call: Callable[..., Any], *args: Any, **kwargs: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, **kwargs)
    return caught.value.code()


# Access


def test_without_the_key_nothing_but_health_is_answered(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path
) -> None:
    running = servers(toy_models, api_key=KEY)
    with running.channel() as channel:
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        reflect = reflection_pb2_grpc.ServerReflectionStub(channel)
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        unauthenticated = grpc.StatusCode.UNAUTHENTICATED
        for metadata in ((), (("x-api-key", ""),), (("x-api-key", KEY[:-1]),)):
            assert failure(status_of, channel, metadata=metadata) is unauthenticated
            request = predict_pb2.PredictRequest()
            assert failure(prediction.Predict, request, metadata=metadata) is unauthenticated
            with pytest.raises(grpc.RpcError) as caught:
                next(reflect.ServerReflectionInfo(iter([question]), metadata=metadata))
            assert caught.value.code() is unauthenticated
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_S).status == 1
        assert status_of(channel, metadata=(("x-api-key", KEY),)).model_version_status


def test_who_has_no_key_cannot_hold_a_thread_with_a_call_that_never_sends_its_message(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path
) -> None:
    running = servers(toy_models, api_key=KEY)
    done = threading.Event()

    def nothing() -> Iterator[bytes]:
        done.wait(DEADLINE_S)
        yield from ()

    with running.channel() as channel:
        call = channel.stream_unary("/tensorflow.serving.PredictionService/Predict")
        code = failure(call, nothing(), timeout=DEADLINE_S)
        done.set()
    assert code is grpc.StatusCode.UNAUTHENTICATED


def test_rest_takes_the_key_as_a_header_for_every_path(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path
) -> None:
    running = servers(toy_models, api_key=KEY)
    metrics = "/monitoring/prometheus/metrics"
    for path in (STATUS, f"{STATUS}/metadata", metrics, "/openapi.json", "/x"):
        for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": KEY}):
            answer = requests.get(running.url + path, headers=headers, timeout=DEADLINE_S)
            assert answer.status_code == 401
            assert "API key" in answer.json()["error"]
    for path, status in ((STATUS, 200), (metrics, 200), ("/x", 404)):
        headers = {"X-Api-Key": KEY}
        answer = requests.get(running.url + path, headers=headers, timeout=DEADLINE_S)
        assert answer.status_code == status


def test_tls_encrypts_both_protocols_and_takes_nothing_in_the_clear(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path, tls_files: TlsFiles
) -> None:
    running = servers(
        toy_models, tls_cert=str(tls_files.server_cert), tls_key=str(tls_files.server_key)
    )
    credentials = grpc.ssl_channel_credentials(tls_files.ca.read_bytes())
    target = f"127.0.0.1:{running.port}"
    with grpc.secure_channel(target, credentials) as channel:
        assert status_of(channel).model_version_status
    with running.channel() as clear:
        assert failure(status_of, clear) is grpc.StatusCode.UNAVAILABLE
    url = f"https://127.0.0.1:{running.rest_port}{STATUS}"
    assert requests.get(url, verify=str(tls_files.ca), timeout=DEADLINE_S).status_code == 200
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(url, timeout=DEADLINE_S)
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(url.replace("https", "http"), timeout=DEADLINE_S)


def test_mutual_tls_takes_only_clients_whose_certificate_is_known(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path, tls_files: TlsFiles
) -> None:
    running = servers(
        toy_models,
        tls_cert=str(tls_files.server_cert),
        tls_key=str(tls_files.server_key),
        tls_client_ca=str(tls_files.ca),
    )
    authority = tls_files.ca.read_bytes()
    target = f"127.0.0.1:{running.port}"
    known = grpc.ssl_channel_credentials(
        authority, tls_files.client_key.read_bytes(), tls_files.client_cert.read_bytes()
    )
    with grpc.secure_channel(target, known) as channel:
        assert status_of(channel).model_version_status
    with grpc.secure_channel(target, grpc.ssl_channel_credentials(authority)) as stranger:
        assert failure(status_of, stranger) is grpc.StatusCode.UNAVAILABLE
    url = f"https://127.0.0.1:{running.rest_port}{STATUS}"
    pair = (str(tls_files.client_cert), str(tls_files.client_key))
    options: dict[str, Any] = {"verify": str(tls_files.ca), "timeout": DEADLINE_S}
    assert requests.get(url, cert=pair, **options).status_code == 200
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(url, **options)


# Addresses


def test_without_rest_only_grpc_listens(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path
) -> None:
    running = servers(toy_models, rest_port=NO_REST)
    assert running.rest_port == NO_REST
    with running.channel() as channel:
        assert status_of(channel).model_version_status


def test_a_second_server_on_a_taken_port_is_refused_with_its_name(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path
) -> None:
    """Refuse a port that gRPC by itself would share between two servers."""
    running = servers(toy_models)
    for option, taken in (("port", running.port), ("rest_port", running.rest_port)):
        words = f"--{option.replace('_', '-')} {taken}: cannot listen on 127.0.0.1:{taken}"
        with pytest.raises(OptionError, match=words):
            servers(toy_models, **{option: taken})


# Processes


def arguments(model_dir: pathlib.Path, *more: object) -> list[str]:
    words = ["--model-dir", model_dir, "--port", 0, "--rest-port", 0, *more]
    return [sys.executable, "-m", "serving.server", *map(str, words)]


def begin(command: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(file: pathlib.Path, process: subprocess.Popen[str]) -> Any:
    end = time.monotonic() + START_S
    while not file.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    return json.loads(file.read_text(encoding="utf-8"))


def test_a_process_says_when_it_is_ready_and_ends_in_order(
    toy_models: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    ready_file = tmp_path / "ready.json"
    ready_file.write_text("of an earlier server", encoding="utf-8")
    process = begin(arguments(toy_models, "--ready-file", ready_file), GENREFLOW_API_KEY=KEY)
    assert process.stdout
    try:
        first = process.stdout.readline()
        assert first == f"loading genreflow version 2 from {toy_models}\n"
        assert not ready_file.exists()
        ready = wait_for(ready_file, process)
        assert set(ready) == {"engine", "host", "port", "rest_port", "pid"}
        assert (ready["engine"], ready["host"]) == ("genreflow", "127.0.0.1")
        assert ready["pid"] == process.pid
        url = f"http://127.0.0.1:{ready['rest_port']}{STATUS}"
        answer = requests.get(url, headers={"x-api-key": KEY}, timeout=DEADLINE_S)
        assert answer.status_code == 200
        with grpc.insecure_channel(f"127.0.0.1:{ready['port']}") as channel:
            assert status_of(channel, metadata=(("x-api-key", KEY),)).model_version_status
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    assert process.returncode == 0
    assert out.endswith("stopped; 2 requests answered\n")
    assert f"predict song.mp3 --server 127.0.0.1:{ready['port']} --api-key-file FILE\n" in out
    assert f"curl -H 'x-api-key: ...' {url}" in out
    assert err == ""
    assert KEY not in out
    assert not ready_file.exists()


def test_a_signal_while_loading_ends_the_process_at_once(toy_models: pathlib.Path) -> None:
    process = begin(arguments(toy_models))
    assert process.stdout
    try:
        assert process.stdout.readline().startswith("loading genreflow")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    assert process.returncode == 0
    assert out == "stopped before anything was served\n"


def test_what_cannot_be_served_ends_with_2_and_the_reason_before_anything_is_loaded(
    toy_models: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for command, words in (
            (arguments(tmp_path / "none"), "no such folder"),
            (arguments(tmp_path), "contains no model"),
            (arguments(toy_models, "--port", port), f"--port {port}: cannot listen"),
            (arguments(toy_models, "--host", "192.0.2.1"), "--host 192.0.2.1: cannot listen"),
            (arguments(toy_models, "--host", "a.invalid"), "--host a.invalid: cannot listen"),
            (arguments(toy_models, "--ready-file", tmp_path / "no" / "f"), f"folder {tmp_path}/no"),
            (arguments(toy_models, "--policy", "some"), "--policy some"),
            (arguments(toy_models, "--colour", "red"), "--colour"),
        ):
            process = begin(command)
            out, err = process.communicate(timeout=DEADLINE_S)
            assert process.returncode == 2
            assert words in err
            assert "Traceback" not in err
            assert "loading" not in out


def test_a_model_that_is_damaged_ends_the_start_with_2_and_the_reason(
    toy_models: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(toy_models / "1", tmp_path / "m" / "1")
    graph = tmp_path / "m" / "1" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:1000])
    words = ["--model-dir", str(tmp_path / "m"), "--port", "0", "--rest-port", "0"]
    assert module.main(words) == module.EXIT_USAGE
    err = capsys.readouterr().err
    assert "saved_model.pb" in err
    assert "copy it again" in err


def test_other_addresses_are_warned_of_unless_they_are_guarded(
    toy_models: pathlib.Path, tls_files: TlsFiles
) -> None:
    from serving.server.config.options import ServeOptions
    from serving.server.server_settings import ServerSettings
    from serving.server.startup_text import warnings

    def said(key: str | None = None, **options: str) -> str:
        chosen = ServeOptions(model_dir=str(toy_models), **options)
        return "\n".join(warnings(ServerSettings.load(chosen, key)))

    pair = {"tls_cert": str(tls_files.server_cert), "tls_key": str(tls_files.server_key)}
    everywhere = {"host": "0.0.0.0"}
    assert said() == ""
    assert "--tls-cert" in said(**everywhere)
    assert "--api-key-file" in said(**everywhere)
    assert "--tls-cert" in said(KEY, **everywhere)
    assert "--api-key-file" not in said(KEY, **everywhere)
    assert "--api-key-file" in said(**everywhere, **pair)
    assert said(KEY, **everywhere, **pair) == ""
    assert said(**everywhere, **pair, tls_client_ca=str(tls_files.ca)) == ""
