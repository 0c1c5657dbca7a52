"""Executor of DataCheck: refuse invalid examples, and compare the songs with earlier ones."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from components.artifacts import files as artifact_files
from components.artifacts.base_executor import (
    Artifacts,
    ComponentExecutor,
    Parameters,
    check_audio_hash,
)
from components.artifacts.names import DATA_CHECK_JSON, TRAINING_STATISTICS_PB
from components.audio.params import AudioParams
from components.audio.spectrogram.stored import STORED_DTYPE
from components.common.errors import DataError
from components.common.model_contract import TRAINING_STATISTICS
from components.data_check import check, drift, statistics
from components.data_check.outcome import OFF, CheckedData, DriftResult
from components.data_check.settings import DataCheckSettings
from components.datasets.track import SPLITS
from components.export.assets import read_identity

_ANOMALIES_FILE = "SchemaDiff.pb"


class Executor(ComponentExecutor):
    """Executor that checks ExampleValidator's anomalies and every example, and looks for drift.

    It writes check.json, and the training songs' statistics, which the Pusher stores with a
    version.
    """

    def execute(self, inputs: Artifacts, outputs: Artifacts, parameters: Parameters) -> None:
        examples = inputs.single("examples")
        params = parameters.parse("audio", AudioParams)
        check_audio_hash(examples, params.digest())
        settings = parameters.parse("settings", DataCheckSettings)
        songs = statistics.Songs()

        def add(track_id: str, genre: str, mel: bytes) -> None:
            stored = np.frombuffer(mel, STORED_DTYPE).reshape(params.n_mels, params.frames)
            songs.add(track_id, genre, stored)

        lines = check.anomaly_lines(_read_anomalies(inputs.uri("anomalies")))
        findings = check.scan_examples(
            {split: _records(examples.uri, split) for split in SPLITS},
            parameters.json("genres"),
            params,
            leaky=bool(parameters["leaky"]),
            artists_apart=bool(parameters["artists_apart"]),
            on_training_clip=add,
        )
        problems = [*findings.problems, *lines]
        if problems:
            raise DataError(
                "the examples are not valid, so nothing was trained:\n  "
                + "\n  ".join(problems[: check.MAX_FINDINGS])
                + f"\nThe examples are in {examples.uri}"
            )
        present = songs.statistics()
        found = _drift(
            present,
            inputs.optional("serving_model"),
            settings,
            params,
            known=bool(parameters["resolves_serving"]),
        )
        if found.outcome == "drifted" and settings.drift == "stop":
            raise DataError(
                f"the training songs drifted, so nothing was trained: {found.text}. If the new "
                'songs are right, set data_check.drift = "warn" for this run'
            )
        result = CheckedData(findings.clips, findings.tracks, found)
        folder = outputs.uri("result")
        text = json.dumps(result.to_json(), indent=2)
        artifact_files.write_text(os.path.join(folder, DATA_CHECK_JSON), text)
        artifact_files.write_bytes(
            os.path.join(folder, TRAINING_STATISTICS_PB),
            present.SerializeToString(deterministic=True),
        )


def _drift(
    present: Any, serving: Any, settings: DataCheckSettings, params: AudioParams, *, known: bool
) -> DriftResult:
    """Compare the training songs with those of the serving model, if there is one."""
    if settings.drift == "off":
        return OFF
    if not known:
        return DriftResult("unknown", "this pipeline cannot look up the serving model")
    if serving is None:
        return DriftResult("unknown", "no model serves yet, so there is nothing to compare with")
    version = str(serving.get_string_custom_property("pushed_version"))
    try:
        content = artifact_files.read_bytes(os.path.join(serving.uri, TRAINING_STATISTICS))
        before = statistics_pb2.DatasetFeatureStatisticsList.FromString(content)
        same_audio = read_identity(serving.uri).audio_hash == params.digest()
    except (FileNotFoundError, DecodeError, DataError):
        return DriftResult(
            "unknown", f"version {version} holds no readable statistics of its songs", version
        )
    return drift.compare(present, before, settings, version=version, same_audio=same_audio)


def _records(uri: str, split: str) -> Iterator[bytes]:
    for path in sorted(tf.io.gfile.glob(os.path.join(glob.escape(uri), f"Split-{split}", "*"))):
        try:
            yield from tf.compat.v1.io.tf_record_iterator(path)
        except tf.errors.DataLossError as error:
            raise DataError(
                f"{path}: not a complete TFRecord file ({error.message}); write the examples again"
            ) from error


def _read_anomalies(uri: str) -> dict[str, Any]:
    anomalies: dict[str, Any] = {}
    for split in SPLITS:
        path = os.path.join(uri, f"Split-{split}", _ANOMALIES_FILE)
        with tf.io.gfile.GFile(path, "rb") as file:
            anomalies[split] = anomalies_pb2.Anomalies.FromString(file.read())
    return anomalies
