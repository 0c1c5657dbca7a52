"""Kubeflow's driver and launcher, as far as a step sees them: its outputs and placeholders.

Written from the sources of Kubeflow Pipelines 2.14.0 and 2.17.0, which agree on all of this except
where `output_metadata.json` lies: backend/src/v2/driver/driver.go (provisionOutputs),
backend/src/v2/component/launcher_v2.go (getPlaceholders, compileCmdAndArgs, getExecutorOutputFile,
uploadOutputArtifacts, collectOutputParameters), backend/src/v2/objectstore/config.go (KeyFromURI)
and backend/src/v2/metadata/converter.go (StructValueToMLMDValue, TextToPbValue).
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

Value = str | bool | dict[str, Any]

# Kubeflow's own store; the launcher's local path of an artifact begins with the scheme.
STORE = "minio://mlpipeline/v2/artifacts"
_SCHEMES = ("gs://", "minio://", "s3://", "oci://")
_LEFT = re.compile(r"\{\{\$")
_INPUT = re.compile(r"\$.inputs.parameters\['(.+?)'\]")
_QUANTITY = re.compile(r"[0-9.]+(e[0-9]+)?[A-Za-z]*")
_FIELDS = {"BOOLEAN": "bool_value", "STRING": "string_value", "STRUCT": "struct_value"}


@dataclasses.dataclass
class Recorded:
    """Artifact as Kubeflow's ML Metadata gets it.

    Attributes:
      schema: its type, such as system.Metrics.
      uri: its URI.
      metadata: its custom properties as JSON values.
      content: the uploaded file; None if the step wrote none.
    """

    schema: str
    uri: str
    metadata: dict[str, Any]
    content: str | None


class Launcher:
    """Launcher of one attempt of a step."""

    def __init__(
        self, component: Any, inputs: Mapping[str, Value], run_id: str, task: str, disk: str
    ) -> None:
        """Provide the places of the outputs, as the driver does.

        Args:
          component: the step's ComponentSpec.
          inputs: values of its input parameters.
          run_id: the run's id.
          task: the step's task.
          disk: folder in place of the container's root folder.
        """
        from kfp.pipeline_spec import pipeline_spec_pb2

        self._component, self._disk = component, disk
        self._root = f"{STORE}/genreflow/{run_id}"
        self.input = pipeline_spec_pb2.ExecutorInput()
        for name, value in inputs.items():
            if isinstance(value, bool):
                self.input.inputs.parameter_values[name].bool_value = value
            else:
                assert isinstance(value, str), f"{name}: no step of ours takes a {type(value)}"
                self.input.inputs.parameter_values[name].string_value = value
        outputs = component.output_definitions
        for name, artifact in outputs.artifacts.items():
            one = self.input.outputs.artifacts[name].artifacts.add()
            one.uri = f"{self._root}/{task}/salt/{name}"
            one.type.CopyFrom(artifact.artifact_type)
        for name in outputs.parameters:
            path = f"{disk}/tmp/kfp/outputs/{name}"
            self.input.outputs.parameters[name].output_file = path
        self.input.outputs.output_file = f"{disk}/tmp/kfp_outputs/output_metadata.json"
        for path in self._written():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)

    def _written(self) -> list[pathlib.Path]:
        outputs = self.input.outputs
        paths = [self._local(one.artifacts[0].uri) for one in outputs.artifacts.values()]
        paths += [pathlib.Path(one.output_file) for one in outputs.parameters.values()]
        return [*paths, pathlib.Path(outputs.output_file)]

    def _local(self, uri: str) -> pathlib.Path:
        return pathlib.Path(self._disk, uri.replace("://", "/"))

    def resolve(self, text: str) -> str:
        """Return a word of the command line with its placeholders replaced."""
        from google.protobuf import json_format

        values = {"{{$}}": json_format.MessageToJson(self.input, indent=None)}
        for name, value in self.input.inputs.parameter_values.items():
            shown = value.string_value
            if value.WhichOneof("kind") == "bool_value":
                shown = str(value.bool_value).lower()
            values[f"{{{{$.inputs.parameters['{name}']}}}}"] = shown
        for name, one in self.input.outputs.artifacts.items():
            uri = one.artifacts[0].uri
            values[f"{{{{$.outputs.artifacts['{name}'].uri}}}}"] = uri
            values[f"{{{{$.outputs.artifacts['{name}'].path}}}}"] = str(self._local(uri))
        for name, parameter in self.input.outputs.parameters.items():
            values[f"{{{{$.outputs.parameters['{name}'].output_file}}}}"] = parameter.output_file
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        assert not _LEFT.search(text), f"the launcher would pass {text} as it is"
        return text

    def resources(self, container: Mapping[str, Any]) -> dict[str, str]:
        """Return the limits of the step's container, by resource.

        As the driver finds them: fields that take placeholders come before the older ones, and a
        placeholder stands for an input parameter of type STRING (getPodResource, initPodSpecPatch
        and resolvePodSpecInputRuntimeParameter in backend/src/v2/driver, 2.14.0 to 2.17.0).
        """
        given = container.get("resources", {})
        accelerator = given.get("accelerator", {})
        kind = accelerator.get("resourceType") or accelerator.get("type", "")
        found = {
            "cpu": (given.get("resourceCpuLimit"), given.get("cpuLimit"), ""),
            "memory": (given.get("resourceMemoryLimit"), given.get("memoryLimit"), "G"),
            kind: (accelerator.get("resourceCount"), accelerator.get("count"), ""),
        }
        limits = {
            name: self._input(new) if new else f"{old}{unit}"
            for name, (new, old, unit) in found.items()
            if name and (new or old)
        }
        assert all(_QUANTITY.fullmatch(limit) for limit in limits.values()), limits
        return limits

    def _input(self, text: str) -> str:
        if found := _INPUT.search(text):
            return str(self.input.inputs.parameter_values[found[1]].string_value)
        return text

    def collect(self) -> tuple[dict[str, Recorded], dict[str, Value]]:
        """Return the artifacts and the parameters of a step that succeeded.

        Raises:
          AssertionError: the launcher would end the step with an error.
        """
        from google.protobuf import json_format
        from kfp.pipeline_spec import pipeline_spec_pb2

        output = pipeline_spec_pb2.ExecutorOutput()
        file = pathlib.Path(self.input.outputs.output_file)
        if file.exists():
            json_format.Parse(file.read_text(encoding="utf-8"), output)
        declared = self._component.output_definitions
        unknown = output.artifacts.keys() - declared.artifacts.keys()
        unknown |= output.parameter_values.keys() - declared.parameters.keys()
        assert not unknown, f"outputs that the component does not declare: {unknown}"
        artifacts = {
            name: self._record(one.artifacts[0], output.artifacts.get(name))
            for name, one in self.input.outputs.artifacts.items()
        }
        parameters: dict[str, Value] = {}
        for name, spec in declared.parameters.items():
            kind = pipeline_spec_pb2.ParameterType.ParameterTypeEnum.Name(spec.parameter_type)
            if name in output.parameter_values:
                value = output.parameter_values[name]
                assert value.WhichOneof("kind") == _FIELDS[kind], f"{name}: {value} is no {kind}"
                parameters[name] = json.loads(json_format.MessageToJson(value))
            else:
                text = pathlib.Path(self.input.outputs.parameters[name].output_file).read_text()
                parameters[name] = (
                    {"true": True, "false": False}[text] if kind == "BOOLEAN" else text
                )
        return artifacts, parameters

    def _record(self, artifact: Any, given: Any) -> Recorded:
        """Merge, upload and record an artifact."""
        from google.protobuf import json_format

        path = self._local(artifact.uri)
        uri = artifact.uri
        metadata: dict[str, Any] = {}
        if given and given.artifacts:
            uri = given.artifacts[0].uri or uri
            for key, value in given.artifacts[0].metadata.fields.items():
                assert value.WhichOneof("kind") != "null_value", f"{key}: null is not supported"
                metadata[key] = json.loads(json_format.MessageToJson(value))
        if uri.startswith(_SCHEMES):
            assert uri.startswith(f"{self._root}/"), f"{uri}: not below the launcher's {self._root}"
        content = path.read_text(encoding="utf-8") if path.exists() else None
        return Recorded(artifact.type.schema_title, uri, metadata, content)
