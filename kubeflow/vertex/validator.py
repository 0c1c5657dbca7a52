"""Executor of TFX's ExampleValidator on Vertex AI. Imports TFX.

It has a module of its own because no other step may import TensorFlow Data Validation.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from tensorflow_data_validation.anomalies.proto import custom_validation_config_pb2
from tfx.components.example_validator import executor
from tfx.types.standard_component_specs import CUSTOM_VALIDATION_CONFIG_KEY


class Executor(executor.Executor):  # type: ignore[misc]
    """Executor that parses its validation message from text.

    Parameters on Vertex AI are numbers and texts, so the compiler writes the message as text.
    """

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
