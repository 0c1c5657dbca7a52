"""Models to serve, servers, requests and statistics for the serving benchmarks.

The weights are random, as the cost of a request does not depend on them.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.audio.params import AudioParams
from components.models import architectures
from serving.protocol.protos import predict_pb2
from serving.protocol.tensors import to_proto

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

MODEL_NAME = "genreflow"
PARAMS = AudioParams()  # of networks that take any front end
GENRES = ("Blues", "Classical", "Country", "Disco", "Hiphop", "Jazz", "Metal", "Pop", "Rock")
PREDICT = "/tensorflow.serving.PredictionService/Predict"
MESSAGE_BYTES = 64 << 20
START_SECONDS = 300


def params_of(architecture: str) -> AudioParams:
    """Return a network's audio parameters."""
    front_end = architectures.of_name(architecture).front_end
    return AudioParams.of_front_end(front_end) if front_end else PARAMS


def export(architecture: str, version: pathlib.Path, seed: int = 1) -> None:
    """Export a network as the pipeline does, in this process (imports TensorFlow)."""
    from components.models import registry
    from components.models.settings import ModelSettings
    from components.trainer.export import export_saved_model

    params = params_of(architecture)
    network = registry.build(
        architecture,
        ModelSettings(weights="none"),
        n_mels=params.n_mels,
        frames=params.frames,
        genres=len(GENRES),
        seed=seed,
    )
    export_saved_model(
        network.model,
        str(version),
        params=params,
        genres=GENRES,
        model_card={"architecture": architecture},
    )


@contextlib.contextmanager
def server(models: pathlib.Path, *options: str) -> Iterator[dict[str, Any]]:
    """Run a server in a separate process, and yield the content of its ready file."""
    ready = models.parent / f"ready-{os.getpid()}.json"
    ready.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "serving.server", "--model-dir", str(models), "--port", "0",
        "--rest-port", "0", "--ready-file", str(ready), *options,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the server did not start; see its messages above: {' '.join(command)}")
            time.sleep(0.05)
        yield json.loads(ready.read_text(encoding="utf-8"))
    finally:
        process.terminate()
        process.wait(60)


def predict_request(signature: str, **inputs: npt.ArrayLike) -> Any:
    """Return a PredictRequest whose arrays are raw bytes."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL_NAME
    request.model_spec.signature_name = signature
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(to_proto(values))
    return request


def song(
    seconds: float = 30, seed: int = 0, params: AudioParams = PARAMS
) -> npt.NDArray[np.float32]:
    """Return chords with noise, float32 `[windows, clip_samples]`, cut as the client cuts files."""
    rng = np.random.default_rng(seed)
    samples = int(seconds * params.sample_rate_hz) // params.clip_samples * params.clip_samples
    times = np.arange(samples) / params.sample_rate_hz
    chord = sum(np.sin(2 * np.pi * hertz * times) for hertz in rng.uniform(80, 2000, 4))
    sound = 0.15 * chord + rng.normal(0, 0.05, samples)
    return sound.astype(np.float32).reshape(-1, params.clip_samples)


def percentile_ms(values: Sequence[float], percent: float) -> float:
    """Return a percentile of seconds, in milliseconds."""
    return float(np.percentile(values, percent)) * 1000
