"""TensorFlow Serving's ModelServerConfig as our model list: from a file, or from a request.

A request names folders, and a model is a program: only folders below the allowed roots are
taken, after links have been followed.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import grpc

from serving.protocol.protos import model_server_config_pb2
from serving.server.config.errors import ServingError, invalid
from serving.server.config.options import OptionError
from serving.server.config.settings import ModelConfig, VersionPolicy
from serving.server.models.model_config import validate

PLATFORM = "tensorflow"
MAX_FILE_BYTES = 1 << 20
MAX_QUOTE = 128


def read_config_file(path: str) -> list[ModelConfig]:
    """The models of a --model-config-file, in text form.

    Raises:
      OptionError: it cannot be read, is not a ModelServerConfig, or lists no usable models.
    """
    from google.protobuf import text_format

    option = f"--model-config-file {path}"
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(MAX_FILE_BYTES + 1)
        if len(text) > MAX_FILE_BYTES:
            raise OptionError(f"{option}: more than {MAX_FILE_BYTES} characters")
        config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except OSError as error:
        raise OptionError(f"{option}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"{option}: not UTF-8 text") from error
    except text_format.ParseError as error:
        raise OptionError(f"{option}: not a ModelServerConfig as text ({error})") from error
    try:
        models = to_models(config)
    except ServingError as error:
        raise OptionError(f"{option}: {error.message}") from error
    if not models:
        raise OptionError(f"{option}: lists no model")
    return models


def to_models(config: Any) -> list[ModelConfig]:
    """The models of a ModelServerConfig; their folders are not looked at.

    Raises:
      ServingError: INVALID_ARGUMENT, as TensorFlow Serving answers what it does not take.
    """
    if config.WhichOneof("config") != "model_config_list":
        raise invalid(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )
    models = [_to_model(entry) for entry in config.model_config_list.config]
    validate(models)
    return models


def within_roots(models: Sequence[ModelConfig], roots: Sequence[pathlib.Path]) -> list[ModelConfig]:
    """The same models, their folders with links followed.

    Raises:
      ServingError: PERMISSION_DENIED, a folder lies outside the roots.
    """
    allowed = [root.resolve() for root in roots]
    resolved = []
    for model in models:
        try:
            path = model.base_path.resolve()
        except (OSError, RuntimeError, ValueError) as error:  # too long, a loop, a NUL
            raise invalid(f"model {model.name}: its base_path is no path") from error
        if not any(path.is_relative_to(root) for root in allowed):
            raise ServingError(
                grpc.StatusCode.PERMISSION_DENIED,
                f"model {model.name}: its base_path is outside the folders that this server may "
                "take models from; start it with --model-root to allow others",
            )
        resolved.append(ModelConfig(model.name, path, model.policy, model.labels))
    return resolved


def _to_model(entry: Any) -> ModelConfig:
    name = entry.name[:MAX_QUOTE]
    if entry.model_type not in (
        model_server_config_pb2.MODEL_TYPE_UNSPECIFIED,
        model_server_config_pb2.TENSORFLOW,
    ):
        raise invalid(f"ModelServerConfig::model_type choice {entry.model_type} not supported.")
    if not entry.model_type and not entry.model_platform:
        raise invalid(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) "
            "nor ModelServerConfig::model_platform."
        )
    if entry.model_platform not in ("", PLATFORM):
        raise invalid(f"model {name}: its platform must be {PLATFORM!r}")
    if "\0" in entry.base_path:
        raise invalid(f"model {name}: its base_path holds a NUL character")
    if not entry.base_path.startswith("/"):
        raise invalid(
            f"Expected model {name} to have an absolute path or URI; got base_path()="
            f"{entry.base_path[:MAX_QUOTE]}"
        )
    return ModelConfig(
        name=entry.name,
        base_path=pathlib.Path(entry.base_path),
        policy=_to_policy(name, entry.model_version_policy),
        labels=dict(entry.version_labels),
    )


def _to_policy(name: str, policy: Any) -> VersionPolicy:
    choice = policy.WhichOneof("policy_choice")
    try:
        if choice == "all":
            return VersionPolicy("all")
        if choice == "specific":
            return VersionPolicy("specific", versions=tuple(sorted(set(policy.specific.versions))))
        if choice == "latest":
            # A count that is not set reads as 0; TensorFlow Serving then takes 1.
            return VersionPolicy("latest", count=policy.latest.num_versions or 1)
    except ValueError as error:
        raise invalid(f"model {name}: {error}") from error
    return VersionPolicy()
