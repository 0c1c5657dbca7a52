"""TensorFlow Serving's protobuf modules and gRPC stubs, without importing TensorFlow.

`tensorflow_serving.apis` imports `tensorflow.core.framework.tensor_pb2` and similar modules.
They are plain generated files, but importing their package, TensorFlow, takes ten seconds and
most of a gigabyte, which a client does not need. So during the imports below, an empty package
with TensorFlow's path stands in for it. The stand-in is removed afterwards: a later import of
TensorFlow gets the real package, which finds these modules loaded.

Import the protobuf modules from here, not from `tensorflow_serving`, wherever TensorFlow may not
have been imported.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import types
from typing import Any

from google.protobuf import descriptor_pool


def _stand_in() -> types.ModuleType | None:
    """Return an empty `tensorflow` package, or None if the real one is already loaded."""
    if "tensorflow" in sys.modules:
        return None
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(
            "tensorflow is not installed, but its protobuf modules are needed; install it"
        )
    package = types.ModuleType("tensorflow")
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    return package


def _service_file(name: str) -> Any:
    """Return the descriptor of the file that declares a service, which gRPC's stubs do without.

    tensorflow-serving-api has the modules of these two files as protoc 3 generated them until
    2.19. They register the file, then assign to its descriptor, which protobuf 5 and newer
    refuse by an AttributeError.

    Raises:
      KeyError: the module did not register the file.
    """
    with contextlib.suppress(AttributeError):
        importlib.import_module(f"tensorflow_serving.apis.{name}_pb2")
    return descriptor_pool.Default().FindFileByName(f"tensorflow_serving/apis/{name}.proto")


_package = _stand_in()
if _package is not None:
    sys.modules["tensorflow"] = _package
try:
    from tensorflow.core.example import example_pb2
    from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        input_pb2,
        model_management_pb2,
        model_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
        regression_pb2,
        status_pb2,
    )
    from tensorflow_serving.config import (
        file_system_storage_path_source_pb2,
        model_server_config_pb2,
    )

    MODEL_SERVICE_FILE = _service_file("model_service")
    PREDICTION_SERVICE_FILE = _service_file("prediction_service")
finally:
    if _package is not None:
        del sys.modules["tensorflow"]

__all__ = [
    "MODEL_SERVICE_FILE",
    "PREDICTION_SERVICE_FILE",
    "classification_pb2",
    "example_pb2",
    "file_system_storage_path_source_pb2",
    "get_model_metadata_pb2",
    "get_model_status_pb2",
    "inference_pb2",
    "input_pb2",
    "meta_graph_pb2",
    "model_management_pb2",
    "model_pb2",
    "model_server_config_pb2",
    "model_service_pb2_grpc",
    "predict_pb2",
    "prediction_service_pb2_grpc",
    "regression_pb2",
    "saved_model_pb2",
    "status_pb2",
    "tensor_pb2",
    "tensor_shape_pb2",
    "types_pb2",
]
