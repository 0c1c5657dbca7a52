"""Tests of Docker's compose files and TensorFlow Serving's configuration, without Docker.

The configuration is parsed with the real protos, or with their fields where Python has no module.
The compose files are checked by content, and the health check is run against a server.
"""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    text_format,
    wrappers_pb2,
)

from components.common.model_contract import MODEL_NAME
from serving.protocol.names import METRICS_PATH
from serving.protocol.protos import model_server_config_pb2
from serving.server.config.model_list import to_models
from serving.server.config.settings import Batching, Limits, ModelConfig
from serving.tensorflow_serving.command import command, config_files
from serving.tensorflow_serving.engine import TENSORFLOW_VERSION
from tests.support import ROOT
from tests.support.protobuf_messages import message_class

SERVING = ROOT / "serving"
FIELD = descriptor_pb2.FieldDescriptorProto


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((SERVING / name).read_text())
    return content


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    services = read("docker-compose.yml")["services"]
    started = [name for name, content in services.items() if "profiles" not in content]
    assert started == ["serving"]
    content: dict[str, Any] = services["serving"]
    return content


def messages() -> dict[str, Any]:
    """Make BatchingParameters and MonitoringConfig, which tensorflow-serving-api has no modules of.

    The fields are those of session_bundle_config.proto and monitoring_config.proto of TensorFlow
    Serving. Their numbers may differ, as the text format does not use them.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="configs.proto", package="tensorflow.serving", syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )  # fmt: skip
    batching = file.message_type.add(name="BatchingParameters")
    for name, number, wrapper in (
        ("max_batch_size", 1, "Int64Value"), ("batch_timeout_micros", 2, "Int64Value"),
        ("max_enqueued_batches", 3, "Int64Value"), ("num_batch_threads", 4, "Int64Value"),
        ("enable_large_batch_splitting", 8, "BoolValue"),
        ("max_execution_batch_size", 9, "Int64Value"),
    ):  # fmt: skip
        batching.field.add(
            name=name, number=number, type=FIELD.TYPE_MESSAGE, label=FIELD.LABEL_OPTIONAL,
            type_name=f".google.protobuf.{wrapper}",
        )  # fmt: skip
    for name, number, kind in (
        ("allowed_batch_sizes", 6, FIELD.LABEL_REPEATED),
        ("pad_variable_length_inputs", 7, FIELD.LABEL_OPTIONAL),
    ):
        scalar = FIELD.TYPE_INT64 if kind == FIELD.LABEL_REPEATED else FIELD.TYPE_BOOL
        batching.field.add(name=name, number=number, type=scalar, label=kind)
    prometheus = file.message_type.add(name="PrometheusConfig")
    for number, (name, scalar) in enumerate(
        (("enable", FIELD.TYPE_BOOL), ("path", FIELD.TYPE_STRING)), 1
    ):
        prometheus.field.add(name=name, number=number, type=scalar, label=FIELD.LABEL_OPTIONAL)
    file.message_type.add(name="MonitoringConfig").field.add(
        name="prometheus_config", number=1, type=FIELD.TYPE_MESSAGE, label=FIELD.LABEL_OPTIONAL,
        type_name=".tensorflow.serving.PrometheusConfig",
    )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    pool.Add(wrappers)
    pool.Add(file)
    return {
        name: message_class(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))
        for name in ("BatchingParameters", "MonitoringConfig")
    }


def parsed(text: str, name: str) -> Any:
    return text_format.Parse(text, messages()[name]())


# The configuration


def test_the_models_are_those_that_a_run_pushes() -> None:
    text = (SERVING / "config" / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path) == (MODEL_NAME, f"/models/{MODEL_NAME}")
    assert model.model_platform == "tensorflow"
    assert model.model_version_policy.latest.num_versions == 1
    # And our server reads the same file.
    assert to_models(config) == [ModelConfig(MODEL_NAME, pathlib.Path("/models/genreflow"))]


def test_the_example_with_labels_in_its_comments_is_one() -> None:
    text = (SERVING / "config" / "models.config").read_text()
    spoken = re.findall(r"^ +#   (.*\})$", text, re.MULTILINE)
    assert len(spoken) == 3
    without = re.sub(r"latest \{.*\}", spoken[0], text)
    shown = without.replace("    }\n  }\n}", f"    }}\n{spoken[1]} {spoken[2]}\n  }}\n}}")
    config = text_format.Parse(shown, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert sorted(model.version_labels.values()) == list(
        model.model_version_policy.specific.versions
    )


def test_batching_is_as_our_server_batches() -> None:
    text = (SERVING / "config" / "batching.config").read_text()
    batching, ours = parsed(text, "BatchingParameters"), Batching()
    assert batching.max_execution_batch_size.value == ours.max_batch_size
    assert batching.max_batch_size.value == Limits().rows
    assert batching.enable_large_batch_splitting.value
    assert batching.batch_timeout_micros.value == ours.batch_timeout_s * 1e6
    assert batching.max_enqueued_batches.value == ours.max_enqueued_batches
    assert batching.num_batch_threads.value >= 1
    assert not batching.pad_variable_length_inputs


def test_metrics_are_on() -> None:
    text = (SERVING / "config" / "monitoring.config").read_text()
    config = parsed(text, "MonitoringConfig").prometheus_config
    assert (config.enable, config.path) == (True, METRICS_PATH)


def test_what_the_engine_writes_is_of_the_same_protos() -> None:
    written = config_files([], Batching(max_batch_size=3, batch_timeout_s=0.5), None)
    batching = parsed(written["batching.config"], "BatchingParameters")
    assert batching.max_execution_batch_size.value == 3
    # One request of a client, or of the warm-up file, may have more rows than a run.
    assert batching.max_batch_size.value == Limits().rows
    assert batching.enable_large_batch_splitting.value
    assert batching.batch_timeout_micros.value == 500_000
    assert parsed(written["monitoring.config"], "MonitoringConfig").prometheus_config.enable


def test_an_unknown_field_would_be_seen() -> None:
    with pytest.raises(text_format.ParseError):
        parsed("max_batch_sizes { value: 3 }", "BatchingParameters")


# Compose


def test_it_serves_the_newest_line_of_tensorflow_that_models_are_exported_with(
    service: dict[str, Any],
) -> None:
    locks = [path.read_text() for path in (ROOT / "requirements").glob("*/runtime.lock")]
    lines = [re.search(r"^tensorflow==(\d+)\.(\d+)\.", lock, re.M) for lock in locks]
    newest = max((int(line[1]), int(line[2])) for line in lines if line)
    assert len(lines) > 1
    assert all(lines)
    assert f"{newest[0]}.{newest[1]}" == TENSORFLOW_VERSION
    assert re.fullmatch(
        rf"tensorflow/serving:{re.escape(TENSORFLOW_VERSION)}\.\d+", service["image"]
    )


def test_it_is_told_what_the_engine_tells_the_binary(service: dict[str, Any]) -> None:
    assert service["entrypoint"] == ["/usr/bin/tensorflow_model_server"]
    flags = [word.partition("=")[0] for word in service["command"]]
    assert len(set(flags)) == len(flags)
    known = command("", pathlib.Path("/config"), port=8500, rest_port=8501, poll_seconds=5)[1:]
    # A changed file is read again.
    more = "--model_config_file_poll_wait_seconds=60"
    assert set(service["command"]) == {*known, more}


def test_only_this_machine_reaches_it(service: dict[str, Any]) -> None:
    targets = set()
    for port in service["ports"]:
        address, published, target = re.fullmatch(r"([\d.]+):\$\{\w+:-(\d+)\}:(\d+)", port).groups()
        assert address == "127.0.0.1"
        assert published == target
        targets.add(f"={target}")
    told = [word for word in service["command"] if word.startswith(("--port", "--rest_api_port"))]
    assert {word[word.index("=") :] for word in told} == targets


def test_it_can_do_little(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "environment"} & service.keys()
    users = re.fullmatch(r"\$\{GENREFLOW_UID:-(\d+)\}:\$\{GENREFLOW_GID:-(\d+)\}", service["user"])
    assert users
    assert all(int(user) > 0 for user in users.groups())
    assert all(volume["read_only"] for volume in service["volumes"])
    assert {"cpus", "memory"} == service["deploy"]["resources"]["limits"].keys()
    assert service["pids_limit"] > 0
    assert service["init"] is True  # process 1 would ignore SIGTERM


def test_the_folders_are_where_the_configuration_says(service: dict[str, Any]) -> None:
    models, config = service["volumes"]
    assert models["target"] == "/models"
    assert config["target"] == "/config"
    assert (SERVING / config["source"]).resolve() == SERVING / "config"
    for word in service["command"]:
        _, _, value = word.partition("=")
        if value.startswith("/config/"):
            assert (SERVING / "config" / value.removeprefix("/config/")).is_file()
    # Without a folder of models it must not start.
    assert models["source"].startswith("${GENREFLOW_MODELS:?")
    assert not any(volume["bind"]["create_host_path"] for volume in service["volumes"])


def test_the_variants_change_one_thing_each(service: dict[str, Any]) -> None:
    batching = read("docker-compose.batching.yml")["services"]["serving"]
    assert batching == {
        "command": [
            *service["command"],
            "--enable_batching=true",
            "--batching_parameters_file=/config/batching.config",
        ]
    }
    gpu = read("docker-compose.gpu.yml")["services"]["serving"]
    assert gpu.keys() == {"image", "deploy"}
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


@pytest.mark.parametrize("variant", ["", "gpu", "batching"])
def test_compose_itself_takes_it(
    variant: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    requires_program: Callable[[str, str], str],
) -> None:
    """Load the files with docker's plugin if it is installed, else with Debian's docker-compose.

    The latter is older than two of the keys. Neither needs an engine to read files.
    """
    names = ["docker-compose.yml"] + ([f"docker-compose.{variant}.yml"] if variant else [])
    folder = tmp_path / "serving"
    shutil.copytree(SERVING / "config", folder / "config")
    compose = ["docker", "compose"]
    try:
        plugin = subprocess.run([*compose, "version"], capture_output=True, check=False)
        has_plugin = plugin.returncode == 0
    except FileNotFoundError:
        has_plugin = False
    if not has_plugin:
        compose = [requires_program("docker-compose", "docker-compose")]
    for name in names:
        text = (SERVING / name).read_text(encoding="utf-8")
        newer = re.compile(r"^name:.*\n|^ +bind:\n +create_host_path: false\n", re.MULTILINE)
        (folder / name).write_text(text if has_plugin else newer.sub("", text), encoding="utf-8")
    monkeypatch.setenv("GENREFLOW_MODELS", str(tmp_path))
    words = [word for name in names for word in ("-f", str(folder / name))]
    done = subprocess.run([*compose, *words, "config"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "tensorflow/serving" in done.stdout


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (404, False), (500, False)])
def test_the_health_check_hears_what_rest_says(
    service: dict[str, Any], status: int, healthy: bool
) -> None:
    import http.server
    import threading

    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert _check(service, server.server_address[1]) == healthy
        server.shutdown()
    assert asked == ["/v1/models/genreflow/metadata"]


def test_the_health_check_fails_where_nobody_listens(service: dict[str, Any]) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        assert not _check(service, taken.getsockname()[1])


def _check(service: dict[str, Any], port: int) -> bool:
    shell, *words = service["healthcheck"]["test"]
    assert shell == "CMD"
    assert words[:2] == ["bash", "-c"]
    # Compose turns two dollar signs into one. The port differs here.
    script = words[2].replace("$$", "$").replace("/127.0.0.1/8501", f"/127.0.0.1/{port}")
    done = subprocess.run([*words[:2], script], capture_output=True, timeout=60, check=False)
    return done.returncode == 0
