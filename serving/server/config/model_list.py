"""Lists of models in TensorFlow Serving's form (ModelServerConfig): from a file or a request.

A request names folders, and a model is a program: only folders below the allowed roots are
accepted, after symbolic links have been followed.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import grpc

from serving.model.model_files import follow_links
from serving.protocol.protos import model_server_config_pb2
from serving.server.config.options import OptionError
from serving.server.config.settings import MODEL_NAME_PATTERN, ModelConfig, VersionPolicy
from serving.server.errors import ServingError, invalid

PLATFORM = "tensorflow"
MAX_FILE_BYTES = 1 << 20
MAX_QUOTE_CHARACTERS = 128
# Far more than two cores can serve.
MAX_MODELS = 256
_VERSION_NUMBERS = range(2**63)


@dataclasses.dataclass(frozen=True)
class ReloadPolicy:
    """Rule for requests that replace the list of models.

    Attributes:
      allowed: whether such requests are accepted.
      roots: the folders below which the new models must lie.
    """

    allowed: bool
    roots: tuple[pathlib.Path, ...]


def read_config_file(path: str) -> list[ModelConfig]:
    """Read the models of a --model-config-file.

    Raises:
      OptionError: the file cannot be read, is not a ModelServerConfig as text, or lists no model
        that can be served.
    """
    from google.protobuf import text_format

    option = f"--model-config-file {path}"
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(MAX_FILE_BYTES + 1)
        if len(text) > MAX_FILE_BYTES:
            raise OptionError(f"{option}: more than {MAX_FILE_BYTES} characters, the maximum")
        config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except OSError as error:
        raise OptionError(f"{option}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"{option}: not UTF-8 text") from error
    except text_format.ParseError as error:
        raise OptionError(f"{option}: not a ModelServerConfig in text format ({error})") from error
    try:
        models = to_models(config)
    except ServingError as error:
        raise OptionError(f"{option}: {error.message}") from error
    if not models:
        raise OptionError(
            f"{option}: lists no model; add a config {{ ... }} to its model_config_list"
        )
    return models


def to_models(config: Any) -> list[ModelConfig]:
    """Return the models of a ModelServerConfig. Their folders are not checked.

    Raises:
      ServingError: INVALID_ARGUMENT, in TensorFlow Serving's words where it has any.
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
    """Return the models with symbolic links in their folders resolved.

    Raises:
      ServingError: PERMISSION_DENIED if a folder lies outside the roots.
    """
    allowed = [root.resolve() for root in roots]
    resolved = []
    for model in models:
        try:
            path = follow_links(model.base_path)
        except (OSError, ValueError) as error:  # links in a circle, a NUL
            raise invalid(f"model {model.name}: its base_path is not a valid path") from error
        if not any(path.is_relative_to(root) for root in allowed):
            raise ServingError(
                grpc.StatusCode.PERMISSION_DENIED,
                f"model {model.name}: its base_path is outside the folders from which this server "
                "may load models; start it with --model-root to allow another",
            )
        resolved.append(ModelConfig(model.name, path, model.policy, model.labels))
    return resolved


def validate(models: Sequence[ModelConfig]) -> None:
    """Check the number, names and labels of models.

    Raises:
      ServingError: INVALID_ARGUMENT, naming the model.
    """
    if len(models) > MAX_MODELS:
        raise invalid(f"{len(models)} models in the list; at most {MAX_MODELS} are allowed")
    seen: set[str] = set()
    for model in models:
        if not MODEL_NAME_PATTERN.fullmatch(model.name):
            raise invalid(
                f"{model.name[:130]!r} is not a model name: a name consists of letters, digits, "
                "'_', '-' and '.', and starts with a letter or a digit"
            )
        if model.name in seen:
            raise invalid(f"Illegal to list model {model.name} multiple times in config list")
        seen.add(model.name)
        for label, version in model.labels.items():
            if not label or version not in _VERSION_NUMBERS:
                raise invalid(
                    f"model {model.name}: the label {label!r} cannot stand for version {version}"
                )


def _to_model(entry: Any) -> ModelConfig:
    name = entry.name[:MAX_QUOTE_CHARACTERS]
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
            f"{entry.base_path[:MAX_QUOTE_CHARACTERS]}"
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
