"""The graph as a pipeline of Vertex AI, by TFX's own KubeflowV2DagRunner.

TFX compiles the graph that every runner runs; what it does not say for Vertex AI (retries,
variables, what is never cached, the schema's text) is added to its result. Steps run
kubeflow.vertex.step. What this target cannot do is told by kubeflow.vertex.checks.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import tempfile
from typing import Any

from components.artifacts import files as artifact_files
from components.common.errors import UsageError
from components.common.model_contract import MODEL_NAME
from components.storage.uri import join
from kubeflow.compile import compiler, pods
from kubeflow.compile.compiler import Step
from kubeflow.compile.names import step_names
from kubeflow.vertex import (
    checks as vertex_checks,
)
from kubeflow.vertex import (
    storage as vertex_storage,
)
from kubeflow.vertex import (
    types as vertex_types,
)
from pipeline.config.kubeflow import KubeflowSettings, StepResources, amount
from pipeline.config.schema import Config
from pipeline.graph import nodes
from pipeline.graph.inputs import DataFacts
from pipeline.process.imports import quick_imports

COMMAND = ("python", "-m", "kubeflow.vertex.step")


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What was written. `tracks`: how many the data has now; `models`: where versions go."""

    steps: list[Step]
    tracks: int
    models: str


def compile_pipeline(config: Config, settings: KubeflowSettings, output: str) -> Compiled:
    """Writes the pipeline as a PipelineJob's JSON, whole or not at all. Reads the data.

    Args:
      config: with `dataset.data_dir` below the folder where buckets are mounted.
      settings: where it runs.
      output: path of the JSON file.

    Raises:
      UsageError: what can be known to be wrong.
      GenreflowError: the data cannot be used.
    """
    mount = vertex_storage.mount_root(os.environ)
    vertex_checks.check(config, settings, mount, output)
    facts = _read_data(config)
    with quick_imports():
        from pipeline.graph import build as graph
        from pipeline.graph import inputs

    root = vertex_storage.checked(settings.pipeline_root)
    pushed = config.storage.push_destination
    models = pushed or join(vertex_storage.path_of(root, mount), "serving_models")
    config = _for_vertex(config, settings)
    with tempfile.TemporaryDirectory(prefix="genreflow-compile-") as folder:
        schema_file = inputs.write_schema(config, facts.genres, folder)
        schema = artifact_files.read_text(schema_file)
    places = inputs.Places(
        pipeline_root=root,
        models=join(models, MODEL_NAME),
        clip_store="",  # on a bucket it would be slower than decoding
        schema_file=os.path.basename(schema_file),
    )
    pipeline = graph.create_pipeline(config, facts, places, resolves_serving=False)
    steps = _steps(pipeline)
    compiler.check_resources(settings, steps)
    _fit(pipeline, steps, settings)
    _fit_validator(pipeline, config)
    never_cached = [step.name for step in steps if step.node_id in nodes.NEVER_CACHED]
    job = _compiled(pipeline, settings.image)
    names = {step.node_id: step.name for step in steps}
    _complete(job["pipelineSpec"], settings, never_cached, names[nodes.IMPORT_SCHEMA_GEN], schema)
    try:
        pathlib.Path(output).parent.mkdir(parents=True, exist_ok=True)
        artifact_files.write_text(output, json.dumps(job, indent=2, sort_keys=True) + "\n")
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error.strerror or error}") from error
    return Compiled(steps, facts.tracks, places.models)


def _read_data(config: Config) -> DataFacts:
    """What the graph needs to know of the data, which is checked as far as its lists tell."""
    from pipeline.prepare import preflight
    from pipeline.prepare.corpus import checked_facts, load_checked_corpus

    preflight.check_weights(config)
    return checked_facts(config, load_checked_corpus(config))


def _for_vertex(config: Config, settings: KubeflowSettings) -> Config:
    """The configuration that the steps get: no rule that nothing can check."""
    return dataclasses.replace(
        pods.with_workers(config, settings),
        gate=dataclasses.replace(config.gate, holds_serving=False),
    )


def _steps(pipeline: Any) -> list[Step]:
    nodes = pipeline.components
    names = step_names(node.id for node in nodes)
    return [
        Step(node.id, names[node.id], tuple(sorted(before.id for before in node.upstream_nodes)))
        for node in nodes
    ]


def _fit(pipeline: Any, steps: list[Step], settings: KubeflowSettings) -> None:
    """Gives the nodes names and types that Vertex AI takes, and what each may use."""
    for node, step in zip(pipeline.components, steps, strict=True):
        node.with_id(step.name)
        resources = _resources(settings.resources_of(step.node_id))
        if resources.ListFields():
            node.with_platform_config(resources)
        for channel in node.outputs.values():
            channel.type = vertex_types.titled(channel.type)


def _fit_validator(pipeline: Any, config: Config) -> None:
    """A message as a parameter is a placeholder to TFX, which this runner of TFX refuses: it
    gets the message itself, which becomes text, and an executor that reads that."""
    from tfx.components import ExampleValidator
    from tfx.dsl.components.base import executor_spec
    from tfx.types.standard_component_specs import CUSTOM_VALIDATION_CONFIG_KEY

    from components.examples import schema
    from kubeflow.vertex import validator as vertex_validator

    for node in pipeline.components:
        if isinstance(node, ExampleValidator):
            message = schema.mel_size_validation(config.audio)
            node.exec_properties[CUSTOM_VALIDATION_CONFIG_KEY] = message
            node.executor_spec = executor_spec.ExecutorClassSpec(vertex_validator.Executor)


def _resources(resources: StepResources) -> Any:
    """PipelineContainerSpec.ResourceSpec: cores, and gigabytes of 10^9 bytes."""
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec = pipeline_spec_pb2.PipelineDeploymentConfig.PipelineContainerSpec.ResourceSpec()
    if resources.cpu:
        spec.cpu_limit = amount(resources.cpu)
    if resources.memory:
        spec.memory_limit = amount(resources.memory) / 1e9
    if resources.gpus:
        spec.accelerator.type = vertex_checks.accelerator(resources)
        spec.accelerator.count = resources.gpus
    return spec


def _compiled(pipeline: Any, image: str) -> dict[str, Any]:
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as runner

    job: dict[str, Any] = runner.KubeflowV2DagRunner(
        config=runner.KubeflowV2DagRunnerConfig(
            default_image=image, default_commands=list(COMMAND), use_pipeline_spec_2_1=True
        )
    ).run(pipeline, write_out=False)
    return job


def _complete(
    spec: dict[str, Any],
    settings: KubeflowSettings,
    never_cached: list[str],
    schema_step: str,
    schema: str,
) -> None:
    tasks = spec["root"]["dag"]["tasks"]
    if "{{$" in json.dumps([[task["inputs"] for task in tasks.values()], schema]):
        raise UsageError("a genre or a path holds '{{$', which Vertex AI would replace; rename it")
    for name, task in tasks.items():
        if settings.retries:
            task["retryPolicy"] = {
                "maxRetryCount": settings.retries,
                "backoffDuration": f"{settings.retry_seconds}s",
                "backoffFactor": 2.0,
            }
        if name in never_cached:
            task["cachingOptions"] = {}
        label = spec["components"][task["componentRef"]["name"]]["executorLabel"]
        container = spec["deploymentSpec"]["executors"][label]["container"]
        if name == schema_step:
            container["args"] += ["--schema", schema]
        if settings.environment:
            container["env"] = [
                {"name": key, "value": value} for key, value in sorted(settings.environment.items())
            ]
