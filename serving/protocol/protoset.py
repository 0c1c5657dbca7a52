"""TensorFlow Serving's protos as a file for clients in other languages.

The package tensorflow-serving-api contains only Python modules, no .proto files, and TensorFlow
Serving has no gRPC reflection. But the descriptors inside the modules are all that a client
needs. As a FileDescriptorSet they can be read by `grpcurl -protoset` and grpc-js
(`loadFileDescriptorSet` of @grpc/proto-loader), and `protoc --descriptor_set_in` generates code
from them.

    python -m serving.protocol.protoset genreflow.protoset
    grpcurl -plaintext -protoset genreflow.protoset -d '{"model_spec": {"name": "genreflow"}}' \\
      127.0.0.1:8500 tensorflow.serving.ModelService/GetModelStatus
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2

from serving.protocol import protos

# The files that declare the two services. They also import the types of examples and of
# GetModelMetadata's `Any`.
SERVICES = (protos.PREDICTION_SERVICE_FILE, protos.MODEL_SERVICE_FILE)
USAGE = "usage: python -m serving.protocol.protoset FILE"


def file_descriptor_set() -> Any:
    """Return a FileDescriptorSet of both services and all their imports, imports first."""
    found: dict[str, Any] = {}

    def add(file: Any) -> None:
        if file.name in found:
            return
        for imported in file.dependencies:
            add(imported)
        found[file.name] = file

    for file in SERVICES:
        add(file)
    whole = descriptor_pb2.FileDescriptorSet()
    for file in found.values():
        written = whole.file.add()
        file.CopyToProto(written)
        for message in written.message_type:
            _name_in_json(message)
    return whole


def _name_in_json(message: Any) -> None:
    """Add the fields' names in JSON (modelSpec), which protoc adds and Python's modules lack."""
    for field in message.field:
        first, *more = field.name.split("_")
        field.json_name = first + "".join(part[:1].upper() + part[1:] for part in more)
    for nested in message.nested_type:
        _name_in_json(nested)


def write(path: pathlib.Path) -> None:
    """Write the set under a temporary name, then rename it.

    Raises:
      OSError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(file_descriptor_set().SerializeToString(deterministic=True))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def main(arguments: Sequence[str]) -> int:
    """Run the command, and return its exit status."""
    path = pathlib.Path(arguments[0] if len(arguments) == 1 else "")
    if not path.name or path.name.startswith("-"):
        print(USAGE, file=sys.stderr)
        return 2
    try:
        write(path)
    except OSError as error:
        print(f"{path}: cannot be written: {error.strerror}; give another FILE", file=sys.stderr)
        return 2
    print(f"wrote {path}: PredictionService, ModelService and their imports")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
