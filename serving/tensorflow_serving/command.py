"""Command line and configuration files of `tensorflow_model_server`, and the versions it loads.

Flags and their meaning are from its sources (tensorflow_serving/model_servers/main.cc and
server.cc), fields of the files from model_server_config.proto, session_bundle_config.proto,
monitoring_config.proto and ssl_config.proto.
"""

from __future__ import annotations

import math
import os
import pathlib
from collections.abc import Sequence

from components.common.version_files import VERSION_NAME
from serving.model import model_files
from serving.model.model_files import ModelFolderError
from serving.protocol.names import METRICS_PATH
from serving.server.config.security import ServerTls
from serving.server.config.settings import Batching, Limits, ModelConfig


def folders_to_load(model: ModelConfig) -> list[pathlib.Path]:
    """Return the version folders that TensorFlow Serving will load, in ascending order.

    It treats every folder that is named by a number as a version, complete or not.

    Raises:
      ModelFolderError: the model's folder does not exist, or has no version to serve.
    """
    if not model.base_path.is_dir():
        raise ModelFolderError(
            f"{model.base_path}: no such folder; give the folder of a model's versions"
        )
    named = {
        int(entry.name): entry
        for entry in sorted(model.base_path.iterdir())
        if VERSION_NAME.fullmatch(entry.name) and entry.is_dir()
    }
    wanted = sorted(named)
    if model.policy.kind == "latest":
        wanted = wanted[-model.policy.count :]
    elif model.policy.kind == "specific":
        wanted = [version for version in wanted if version in model.policy.versions]
    if not wanted:
        raise ModelFolderError(
            f"{model.base_path}: contains no version folder to serve, such as 1/"
        )
    return [named[version] for version in wanted]


def check_models(models: Sequence[ModelConfig]) -> None:
    """Check that every version that TensorFlow Serving will load is complete and safe.

    Raises:
      ModelFolderError: a version is incomplete, is a link that leads out of the model's folder,
        or has a graph that could do more than compute.
    """
    for model in models:
        root = model.base_path.resolve()
        for folder in folders_to_load(model):
            if not folder.resolve().is_relative_to(root):
                raise ModelFolderError(
                    f"{folder}: is a link that leads out of the folder; "
                    "replace it with the files themselves"
                )
            model_files.check_graph(model_files.resolve_version(folder))


def command(
    binary: str,
    folder: pathlib.Path,
    *,
    port: int,
    rest_port: int,
    poll_seconds: float,
    batching: bool = False,
    tls: bool = False,
) -> list[str]:
    """Return the command line.

    Args:
      binary: path of `tensorflow_model_server`.
      folder: folder of the files that `config_files` returns.
      port: the gRPC port.
      rest_port: the REST port; 0 for no REST.
      poll_seconds: seconds between checks for new versions, rounded up to whole seconds.
      batching: whether to batch requests.
      tls: whether to encrypt connections.
    """
    arguments = [
        binary,
        f"--port={port}",
        f"--rest_api_port={rest_port}",
        f"--model_config_file={folder / 'models.config'}",
        f"--monitoring_config_file={folder / 'monitoring.config'}",
        f"--file_system_poll_wait_seconds={max(1, math.ceil(poll_seconds))}",
        # A label may name a version that is still loading.
        "--allow_version_labels_for_unavailable_models=true",
        # A version that is still being copied fails to load; these retries, over five minutes,
        # load it once it is complete.
        "--max_num_load_retries=30",
        "--load_retry_interval_micros=10000000",
    ]
    if batching:
        arguments += [
            "--enable_batching=true",
            f"--batching_parameters_file={folder / 'batching.config'}",
        ]
    if tls:
        arguments.append(f"--ssl_config_file={folder / 'ssl.config'}")
    return arguments


def config_files(
    models: Sequence[ModelConfig], batching: Batching | None, tls: ServerTls | None
) -> dict[str, str]:
    """Return the content of each file that the command line names: protos in text format."""
    files = {
        "models.config": _models_text(models),
        "monitoring.config": (f'prometheus_config {{ enable: true path: "{METRICS_PATH}" }}\n'),
    }
    if batching is not None:
        files["batching.config"] = (
            # TensorFlow Serving rejects requests with more rows than max_batch_size, and splits
            # those with more than max_execution_batch_size. These values let the windows of a
            # song, and the warm-up, always pass.
            f"max_batch_size {{ value: {Limits().rows} }}\n"
            f"max_execution_batch_size {{ value: {batching.max_batch_size} }}\n"
            "enable_large_batch_splitting { value: true }\n"
            f"batch_timeout_micros {{ value: {round(batching.batch_timeout_s * 1e6)} }}\n"
            f"max_enqueued_batches {{ value: {batching.max_enqueued_batches} }}\n"
            f"num_batch_threads {{ value: {os.cpu_count() or 1} }}\n"
        )
    if tls is not None:
        fields = {"server_key": tls.key, "server_cert": tls.cert}
        if tls.client_ca is not None:
            fields["custom_ca"] = tls.client_ca
        text = "".join(f"{name}: {_quoted(content)}\n" for name, content in fields.items())
        files["ssl.config"] = text + f"client_verify: {str(tls.client_ca is not None).lower()}\n"
    return files


def _models_text(models: Sequence[ModelConfig]) -> str:
    from google.protobuf import text_format

    from serving.protocol.protos import model_server_config_pb2

    config = model_server_config_pb2.ModelServerConfig()
    for model in models:
        entry = config.model_config_list.config.add(
            name=model.name,
            base_path=str(model.base_path.absolute()),
            model_platform="tensorflow",
        )
        for label, version in sorted(model.labels.items()):
            entry.version_labels[label] = version
        policy = entry.model_version_policy
        if model.policy.kind == "latest":
            policy.latest.num_versions = model.policy.count
        elif model.policy.kind == "all":
            policy.all.SetInParent()
        else:
            policy.specific.versions.extend(model.policy.versions)
    return str(text_format.MessageToString(config))


def _quoted(content: bytes) -> str:
    """Return a string literal of protobuf's text format."""
    from google.protobuf import text_encoding

    return f'"{text_encoding.CEscape(content, as_utf8=False)}"'
