"""DataCheck's executor: fails with a list of problems if the examples are not valid."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.artifacts.base_executor import (
    Artifacts,
    ComponentExecutor,
    Parameters,
    check_audio_hash,
)
from components.artifacts.names import DATA_CHECK_JSON
from components.audio.params import AudioParams
from components.common.errors import DataError
from components.data_check import check
from components.datasets.track import SPLITS

_ANOMALIES_FILE = "SchemaDiff.pb"


class Executor(ComponentExecutor):
    """Executor that checks ExampleValidator's anomalies and every example."""

    def execute(self, inputs: Artifacts, outputs: Artifacts, parameters: Parameters) -> None:
        examples = inputs.single("examples")
        params = parameters.parse("audio", AudioParams)
        check_audio_hash(examples, params.digest())
        lines = check.anomaly_lines(_read_anomalies(inputs.uri("anomalies")))
        findings = check.scan_examples(
            {split: _records(examples.uri, split) for split in SPLITS},
            parameters.json("genres"),
            params,
            leaky=bool(parameters["leaky"]),
            artists_apart=bool(parameters["artists_apart"]),
        )
        problems = [*findings.problems, *lines]
        if problems:
            raise DataError(
                "the examples are not valid, so nothing was trained:\n  "
                + "\n  ".join(problems[: check.MAX_FINDINGS])
                + f"\nThe examples are in {examples.uri}"
            )
        with tf.io.gfile.GFile(os.path.join(outputs.uri("result"), DATA_CHECK_JSON), "w") as out:
            json.dump({"clips": findings.clips, "tracks": findings.tracks}, out, indent=2)


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
