"""Differences between the compilers of kfp 2.5 and 2.16, evened out: both give the same file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.config.kubeflow import StepResources

GPUS, CPU, MEMORY = "gpus", "cpu", "memory"
# Fields of the message ResourceSpec in api/v2alpha1/pipeline_spec.proto, by what they limit.
RESOURCE_FIELDS = {
    GPUS: ("accelerator", "resourceCount"),
    CPU: ("resourceCpuLimit",),
    MEMORY: ("resourceMemoryLimit",),
}
# Compiler that the file names. Kubeflow Pipelines shows it and does nothing else with it.
_SDK_VERSION = "kfp-2.5.0"


def even_out(pipeline_spec: Any, resources: Mapping[str, StepResources]) -> None:
    """Make a compiled pipeline the same whichever kfp compiled it.

    kfp 2.5 makes the metrics of steps outputs of the pipeline, too, which only Vertex AI used
    (kubeflow/pipelines#11362 ended it). kfp 2.16 also writes resources as text, which Kubeflow
    Pipelines has preferred to numbers since 2.4 (kubeflow/pipelines#11839).

    Args:
      pipeline_spec: the PipelineSpec, which is changed.
      resources: the resources of each step, by its name.
    """
    pipeline_spec.sdk_version = _SDK_VERSION
    for component in (pipeline_spec.root, *pipeline_spec.components.values()):
        if component.HasField("dag"):
            component.dag.ClearField("outputs")
            component.ClearField("output_definitions")
    for name, asked in resources.items():
        if asked.cpu:
            set_resource(pipeline_spec, name, CPU, asked.cpu)
        if asked.memory:
            set_resource(pipeline_spec, name, MEMORY, asked.memory)
        if asked.gpus:
            set_resource(pipeline_spec, name, GPUS, str(asked.gpus))
            _resources(pipeline_spec, name)["accelerator"]["resourceType"] = asked.gpu_resource


def set_resource(pipeline_spec: Any, step_name: str, limited: str, text: str) -> None:
    """Set a resource of a step that has one: a quantity, or a placeholder for a parameter."""
    *outer, field = RESOURCE_FIELDS[limited]
    message = _resources(pipeline_spec, step_name)
    for name in outer:
        message = message[name]
    message[field] = text


def _resources(pipeline_spec: Any, step_name: str) -> Any:
    label = pipeline_spec.components[f"comp-{step_name}"].executor_label
    return pipeline_spec.deployment_spec["executors"][label]["container"]["resources"]
