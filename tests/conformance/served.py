"""Server processes for the conformance tests, Genreflow's or TensorFlow Serving, with clients."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import grpc
import numpy as np
from google.protobuf import text_format

from serving.protocol import protos
from serving.protocol.tensors import to_array, to_proto
from tests.support import ROOT

OURS, REAL = "genreflow", "tensorflow-serving"
REAL_PROGRAM = "tensorflow_model_server"

# Served first: every version of one model, with labels, and the latest of another.
MODEL, SWAPPED = "genreflow", "swapped"
LABELS = {"stable": 1, "canary": 2}

MAX_MESSAGE_MB, MAX_WAVEFORM_SECONDS = 8, 60
# A response that takes longer counts as missing.
DEADLINE_S = 30.0
START_S = 300.0


@dataclasses.dataclass(frozen=True)
class Served:
    """Running server.

    Attributes:
      root: folder that contains the models' folders, and all folders that reloads may name.
      log: output of the process.
      channel, prediction, models: plain gRPC channel and stubs.
    """

    engine: str
    process: subprocess.Popen[bytes]
    port: int
    rest_port: int
    root: pathlib.Path
    log: pathlib.Path
    channel: grpc.Channel = dataclasses.field(init=False)
    prediction: Any = dataclasses.field(init=False)
    models: Any = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        # No limit on this side: the server must reject what is too large.
        channel = grpc.insecure_channel(
            f"127.0.0.1:{self.port}",
            options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)],
        )
        stubs = {
            "channel": channel,
            "prediction": protos.prediction_service_pb2_grpc.PredictionServiceStub(channel),
            "models": protos.model_service_pb2_grpc.ModelServiceStub(channel),
        }
        for name, value in stubs.items():
            object.__setattr__(self, name, value)

    @property
    def is_ours(self) -> bool:
        return self.engine == OURS

    def predict(self, request: Any) -> dict[str, Any]:
        """Return the outputs as arrays."""
        response = self.prediction.Predict(request, timeout=DEADLINE_S)
        return {name: to_array(tensor) for name, tensor in response.outputs.items()}

    def reload(self, config: Any) -> Any:
        request = protos.model_management_pb2.ReloadConfigRequest(config=config)
        return self.models.HandleReloadConfigRequest(request, timeout=DEADLINE_S)

    def states(self, model: str) -> dict[int, str]:
        """Return the name of each version's state."""
        request = protos.get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        response = self.models.GetModelStatus(request, timeout=DEADLINE_S)
        name = protos.get_model_status_pb2.ModelVersionStatus.State.Name
        return {status.version: name(status.state) for status in response.model_version_status}

    def stop(self) -> int:
        """Stop the server as an init system does, and return its exit status."""
        self.channel.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=60)
        finally:
            self.process.kill()
            self.process.wait()


def configuration(
    root: pathlib.Path,
    labels: Mapping[str, int] | None = None,
    more: Sequence[tuple[str, pathlib.Path]] = (),
) -> Any:
    """Return a ModelServerConfig of both models, and of `more` as (name, folder)."""
    config = protos.model_server_config_pb2.ModelServerConfig()
    for name, folder in [(MODEL, root / MODEL), (SWAPPED, root / SWAPPED), *more]:
        entry = config.model_config_list.config.add()
        entry.name, entry.base_path, entry.model_platform = name, str(folder), "tensorflow"
        if name == MODEL:
            entry.model_version_policy.all.SetInParent()
            entry.version_labels.update(labels or {})
    return config


def start(engine: str, root: pathlib.Path, folder: pathlib.Path) -> Served:
    """Start a server of `configuration(root)`, and wait until it is ready.

    Its files are in `folder`. A reload sets the labels, as only an available version may have
    one.
    """
    config, ready, log = folder / "models.config", folder / "ready.json", folder / "log"
    config.write_text(text_format.MessageToString(configuration(root)))
    command = [sys.executable, "-m", "serving.server", "--engine", engine]
    command += ["--model-config-file", str(config), "--model-root", str(root), "--allow-reload"]
    command += ["--port", "0", "--rest-port", "0", "--ready-file", str(ready)]
    command += ["--batching", "--poll-seconds", "0.2"]
    command += ["--max-message-mb", str(MAX_MESSAGE_MB)]
    command += ["--max-waveform-seconds", str(MAX_WAVEFORM_SECONDS)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    deadline = time.monotonic() + START_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(f"the server did not get ready:\n{log.read_text()[-3000:]}")
        time.sleep(0.05)
    said = json.loads(ready.read_text())
    served = Served(engine, process, said["port"], said["rest_port"], root, log)
    # The server is ready once each model has a version; a label needs its own version.
    while served.states(MODEL) != dict.fromkeys(LABELS.values(), "AVAILABLE"):
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.05)
    served.reload(configuration(root, LABELS))
    return served


def predict_request(
    inputs: Mapping[str, Any],
    *,
    name: str = MODEL,
    signature: str = "",
    version: int | None = None,
    label: str | None = None,
    output_filter: Sequence[str] = (),
) -> Any:
    request = protos.predict_pb2.PredictRequest(output_filter=output_filter)
    request.model_spec.name, request.model_spec.signature_name = name, signature
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    for alias, values in inputs.items():
        request.inputs[alias].CopyFrom(to_proto(np.asarray(values)))
    return request


class HttpAnswer(NamedTuple):
    """Response over HTTP; `document` is the body as JSON, or None if it is not JSON."""

    status: int
    content_type: str
    body: bytes
    document: Any

    @property
    def error(self) -> str:
        return str(self.document["error"])


def curl(
    program: str, served: Served, path: str, body: bytes | str | None = None, *options: str
) -> HttpAnswer:
    """Send a request by curl: POST if there is a body, else GET."""
    command = [program, "--silent", "--show-error", "--max-time", str(DEADLINE_S)]
    command += ["--path-as-is", "--write-out", "\n%{http_code} %{content_type}", *options]
    if body is not None:
        command += ["--header", "Content-Type: application/json", "--data-binary", "@-"]
    command.append(f"http://127.0.0.1:{served.rest_port}{path}")
    sent = body.encode() if isinstance(body, str) else body
    done = subprocess.run(command, input=sent, capture_output=True, check=True)
    answer, _, summary = done.stdout.rpartition(b"\n")
    status, _, content_type = summary.decode().partition(" ")
    try:
        document = json.loads(answer)
    except ValueError:
        document = None
    return HttpAnswer(int(status), content_type, answer, document)
