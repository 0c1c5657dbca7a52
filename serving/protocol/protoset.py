"""TensorFlow Serving's protos as a file for clients in other languages.

tensorflow-serving-api ships Python modules alone, no .proto files, and TensorFlow Serving does
not describe itself (it has no gRPC reflection). The descriptors inside the modules are all
that a client needs, though: as a FileDescriptorSet, `grpcurl -protoset` and grpc-js
(`loadFileDescriptorSet` of @grpc/proto-loader) read them, and `protoc --descriptor_set_in`
generates code from them.

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

# The files that declare the two services. What GetModelMetadata's `Any` holds and what an
# example is are imported by them, too.
SERVICES = (protos.prediction_service_pb2, protos.model_service_pb2)
USAGE = "usage: python -m serving.protocol.protoset FILE"


def file_descriptor_set() -> Any:
    """Both services and whatever they import: a FileDescriptorSet, imports first."""
    found: dict[str, Any] = {}

    def add(file: Any) -> None:
        if file.name in found:
            return
        for imported in file.dependencies:
            add(imported)
        found[file.name] = file

    for module in SERVICES:
        add(module.DESCRIPTOR)
    whole = descriptor_pb2.FileDescriptorSet()
    for file in found.values():
        written = whole.file.add()
        file.CopyToProto(written)
        for message in written.message_type:
            _name_in_json(message)
    return whole


def _name_in_json(message: Any) -> None:
    """Adds the fields' names in JSON (modelSpec), as protoc does and Python's modules do not."""
    for field in message.field:
        first, *more = field.name.split("_")
        field.json_name = first + "".join(part[:1].upper() + part[1:] for part in more)
    for nested in message.nested_type:
        _name_in_json(nested)


def write(path: pathlib.Path) -> None:
    """Writes the set, so that the file is there whole or not at all.

    Raises:
      OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(file_descriptor_set().SerializeToString(deterministic=True))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit status."""
    path = pathlib.Path(arguments[0] if len(arguments) == 1 else "")
    if not path.name or path.name.startswith("-"):
        print(USAGE, file=sys.stderr)
        return 2
    try:
        write(path)
    except OSError as error:
        print(f"{path}: cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    print(f"wrote {path}: PredictionService, ModelService and what they import")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
