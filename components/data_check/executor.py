"""DataCheck's work: stop the run, in words, when the examples are not in order."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils

from components.artifacts.base_executor import empty_outputs
from components.artifacts.names import DATA_CHECK_JSON
from components.audio.params import AudioParams
from components.common.errors import DataError
from components.data_check import check
from components.datasets.track import SPLITS

_ANOMALIES_FILE = "SchemaDiff.pb"


class Executor(BaseExecutor):  # type: ignore[misc]
    """Reads ExampleValidator's anomalies and every example; raises DataError."""

    def Do(  # noqa: N802  TFX's name
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        self._log_startup(input_dict, output_dict, exec_properties)
        empty_outputs(output_dict)
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        anomalies = artifact_utils.get_single_instance(input_dict["anomalies"])
        params = AudioParams.from_json(json.loads(exec_properties["audio"]))
        genres = json.loads(exec_properties["genres"])

        found = examples.get_string_custom_property("audio_hash")
        if found != params.digest():
            raise DataError(
                f"the examples were made with audio parameters {found}, "
                f"this run's are {params.digest()}: they must not be mixed"
            )
        lines = check.anomaly_lines(_read_anomalies(anomalies.uri))
        findings = check.scan_examples(
            {split: _records(examples.uri, split) for split in SPLITS},
            genres,
            params,
            leaky=bool(exec_properties["leaky"]),
            artists_apart=bool(exec_properties["artists_apart"]),
        )
        problems = [*findings.problems, *lines]
        if problems:
            raise DataError(
                "the examples are not in order, nothing was trained:\n  "
                + "\n  ".join(problems[: check.MAX_FINDINGS])
                + f"\nThey lie in {examples.uri}"
            )
        result = artifact_utils.get_single_instance(output_dict["result"])
        with tf.io.gfile.GFile(os.path.join(result.uri, DATA_CHECK_JSON), "w") as out:
            json.dump({"clips": findings.clips, "tracks": findings.tracks}, out, indent=2)


def _records(uri: str, split: str) -> Iterator[bytes]:
    for path in sorted(tf.io.gfile.glob(os.path.join(glob.escape(uri), f"Split-{split}", "*"))):
        try:
            yield from tf.compat.v1.io.tf_record_iterator(path)
        except tf.errors.DataLossError as error:
            raise DataError(f"{path}: not a whole TFRecord file ({error.message})") from error


def _read_anomalies(uri: str) -> dict[str, Any]:
    anomalies: dict[str, Any] = {}
    for split in SPLITS:
        path = os.path.join(uri, f"Split-{split}", _ANOMALIES_FILE)
        with tf.io.gfile.GFile(path, "rb") as file:
            anomalies[split] = anomalies_pb2.Anomalies.FromString(file.read())
    return anomalies
