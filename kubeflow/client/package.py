"""Compiled pipelines: read a file that the compiler wrote, and check a run's parameters."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from components.common.errors import UsageError
from kubeflow.client.versions import MIN_VERSION, SECURITY_CONTEXT_VERSION
from kubeflow.compile.node_steps import PREPARE
from pipeline.places import PIPELINE_NAME

# The largest graph that can be configured gives a file of some 200 kB.
_MAX_BYTES = 16 << 20
_HOW = "write one with genreflow kubeflow compile"


@dataclasses.dataclass(frozen=True)
class Package:
    """Compiled pipeline, ready to be sent.

    Attributes:
      path: the file.
      spec: the pipeline as kfp's client would send it.
      parameters: names of a run's parameters; true for those that must be given.
      defaults: default values of the parameters.
      config: the configuration that the first step gets, as JSON; "" if there is none.
      min_version: least version of Kubeflow Pipelines that can run it.
    """

    path: str
    spec: Mapping[str, Any]
    parameters: Mapping[str, bool]
    defaults: Mapping[str, str] = dataclasses.field(default_factory=dict)
    config: str = ""
    min_version: str = MIN_VERSION


def read(path: str) -> Package:
    """Read a file that `genreflow kubeflow compile` wrote.

    Imports kfp's messages, but only if the file looks like a compiled pipeline.

    Raises:
      UsageError: the file cannot be read, or is not a compiled pipeline.
    """
    documents = _documents(path)
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    try:
        pipeline = json_format.ParseDict(documents[0], pipeline_spec_pb2.PipelineSpec())
        platform = json_format.ParseDict(
            documents[1] if len(documents) > 1 else {}, pipeline_spec_pb2.PlatformSpec()
        )
    except (json_format.ParseError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{path}: not a compiled pipeline: {_first_line(error)}; {_HOW}"
        ) from error
    name = pipeline.pipeline_info.name
    if name != PIPELINE_NAME or not pipeline.root.dag.tasks:
        raise UsageError(f"{path}: its pipeline is {name!r}, not {PIPELINE_NAME!r}; {_HOW}")
    spec = json_format.MessageToDict(pipeline)
    if platform.platforms:
        spec = {"pipeline_spec": spec, "platform_spec": json_format.MessageToDict(platform)}
    inputs = pipeline.root.input_definitions.parameters
    return Package(
        path,
        spec,
        {
            key: not (inputs[key].is_optional or inputs[key].HasField("default_value"))
            for key in sorted(inputs)
        },
        {key: inputs[key].default_value.string_value for key in sorted(inputs)},
        _config(pipeline),
        _min_version(spec.get("platform_spec", {})),
    )


def _min_version(platform: Mapping[str, Any]) -> str:
    """Return the least version that knows all of the pods' settings."""
    kubernetes = platform.get("platforms", {}).get("kubernetes", {})
    executors = kubernetes.get("deploymentSpec", {}).get("executors", {})
    if any("securityContext" in executor for executor in executors.values()):
        return SECURITY_CONTEXT_VERSION
    return MIN_VERSION


def _documents(path: str) -> list[dict[str, Any]]:
    """Return the one or two YAML documents of a file."""
    import yaml

    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; {_HOW}") from error
    if len(content) > _MAX_BYTES:
        raise UsageError(f"{path}: too large for a compiled pipeline; {_HOW}")
    try:
        # libyaml's loader, if installed, is ten times as fast.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        documents = list(yaml.load_all(content, loader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: 2026-13-01
        raise UsageError(
            f"{path}: not a compiled pipeline: not YAML ({_first_line(error)}); {_HOW}"
        ) from error
    if not 1 <= len(documents) <= 2 or not all(isinstance(one, dict) for one in documents):
        raise UsageError(f"{path}: not a compiled pipeline; {_HOW}")
    if "pipelineSpec" in documents[0]:
        raise UsageError(
            f"{path}: compiled for Vertex AI, which has its own client; compile it with "
            "--target kubeflow for Kubeflow Pipelines"
        )
    return documents


def _config(pipeline: Any) -> str:
    """Return the constant that the first step gets as its parameter `config`; "" for none."""
    for dag in (pipeline.root.dag, *(one.dag for one in pipeline.components.values())):
        if PREPARE in dag.tasks:
            given = dag.tasks[PREPARE].inputs.parameters
            if "config" in given:
                return str(given["config"].runtime_value.constant.string_value)
    return ""


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def parameters(package: Package, given: Sequence[str]) -> dict[str, str]:
    """Return the values of parameters typed as KEY=VALUE, checked against the pipeline's.

    Raises:
      UsageError: a parameter is unknown, missing or given twice, or overrides are not a JSON
        object.
    """
    values: dict[str, str] = {}
    known = ", ".join(package.parameters) or "none"
    for text in given:
        key, sign, value = text.partition("=")
        if not sign:
            raise UsageError(f"-p {text}: not KEY=VALUE, such as data_dir=s3://bucket/fma")
        if key not in package.parameters:
            raise UsageError(f"-p {key}: {package.path} has no such parameter; it has {known}")
        if key in values:
            raise UsageError(f"-p {key}: given twice")
        values[key] = value
    missing = [key for key, needed in package.parameters.items() if needed and key not in values]
    if missing:
        raise UsageError(f"{package.path} needs " + ", ".join(f"-p {k}=..." for k in missing))
    if "overrides" in values:
        _check_overrides(values["overrides"])
    return values


def _check_overrides(text: str) -> None:
    try:
        overrides = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"-p overrides: not JSON ({_first_line(error)}); an object is needed, such as "
            """'{"training.epochs": 3}'"""
        ) from error
    if not isinstance(overrides, dict):
        raise UsageError(
            "-p overrides: a JSON object is needed, such as "
            """'{"training.epochs": 3}'"""
        )
