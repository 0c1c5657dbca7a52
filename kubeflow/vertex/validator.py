"""TFX's ExampleValidator on Vertex AI, whose parameters are numbers and texts (imports TFX)."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from tensorflow_data_validation.anomalies.proto import custom_validation_config_pb2
from tfx.components.example_validator import executor
from tfx.types.standard_component_specs import CUSTOM_VALIDATION_CONFIG_KEY


class Executor(executor.Executor):  # type: ignore[misc]
    """Makes a message of the text that the message became when the pipeline was compiled."""

    def Do(  # noqa: N802  TFX's name
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        text = exec_properties[CUSTOM_VALIDATION_CONFIG_KEY]
        config = json_format.Parse(text, custom_validation_config_pb2.CustomValidationConfig())
        super().Do(
            input_dict, output_dict, {**exec_properties, CUSTOM_VALIDATION_CONFIG_KEY: config}
        )
