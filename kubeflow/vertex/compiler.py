"""Compiler from the graph to a pipeline of Vertex AI, by TFX's own KubeflowV2DagRunner.

TFX compiles the graph that every runner runs. This module adds what TFX leaves out for Vertex AI:
retries, variables, uncached steps, and the schema's text. Steps run kubeflow.vertex.step. The
limits of this target are listed in kubeflow.vertex.checks.
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
from components.common.version_files import PUSH_FOLDER
from components.storage.uri import join
from kubeflow.compile import pods
from kubeflow.compile.checks import check_resources
from kubeflow.compile.node_steps import NodeStep, step_names
from kubeflow.vertex import artifact_types, checks, storage
from pipeline.config.kubeflow import KubeflowSettings, StepResources, amount
from pipeline.config.schema import Config
from pipeline.graph import nodes
from pipeline.graph.inputs import DataFacts
from pipeline.places import clip_store
from pipeline.process.libraries import tfx_imports

COMMAND = ("python", "-m", "kubeflow.vertex.step")


@dataclasses.dataclass(frozen=True)
class Compiled:
    """Result of compiling.

    Attributes:
      steps: the steps of the nodes, in order.
      tracks: number of tracks in the data.
      models: folder of the model's versions.
    """

    steps: list[NodeStep]
    tracks: int
    models: str


def compile_pipeline(config: Config, settings: KubeflowSettings, output: str) -> Compiled:
    """Write the pipeline as a PipelineJob's JSON, completely or not at all. Reads the data.

    Args:
      config: the configuration; `dataset.data_dir` is below the folder of mounted buckets.
      settings: the [kubeflow] table.
      output: path of the JSON file.

    Raises:
      UsageError: a setting is invalid, or the file cannot be written.
      GenreflowError: the data cannot be used.
    """
    mount = storage.mount_root(os.environ)
    checks.check(config, settings, mount, output)
    facts = _read_data(config)
    with tfx_imports():
        from pipeline.graph import build as graph
        from pipeline.graph import inputs

    root = storage.checked(settings.pipeline_root)
    pushed = config.storage.push_destination
    models = pushed or join(storage.path_of(root, mount), PUSH_FOLDER)
    config = _for_vertex(config, settings)
    with tempfile.TemporaryDirectory(prefix="genreflow-compile-") as folder:
        schema_file = inputs.write_schema(config, facts.genres, folder)
        schema = artifact_files.read_text(schema_file)
    places = inputs.GraphPlaces(
        pipeline_root=root,
        models=join(models, MODEL_NAME),
        # In a bucket they would be slower than decoding again.
        clip_store=clip_store(config, root, default=""),
        window_store="",
        schema_file=os.path.basename(schema_file),
    )
    pipeline = graph.create_pipeline(config, facts, places, resolves_serving=False)
    steps = _steps(pipeline)
    check_resources(settings, steps)
    _adapt_nodes(pipeline, steps, settings)
    never_cached = [step.name for step in steps if step.node_ids[0] in nodes.NEVER_CACHED]
    job = _run_compiler(pipeline, settings.image)
    names = {step.node_ids[0]: step.name for step in steps}
    _complete_spec(
        job["pipelineSpec"], settings, never_cached, names[nodes.IMPORT_SCHEMA_GEN], schema
    )
    try:
        pathlib.Path(output).parent.mkdir(parents=True, exist_ok=True)
        artifact_files.write_text(output, json.dumps(job, indent=2, sort_keys=True) + "\n")
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error.strerror or error}") from error
    return Compiled(steps, facts.tracks, places.models)


def _read_data(config: Config) -> DataFacts:
    """Read and check the data; return the facts that the graph is built from."""
    from pipeline.prepare import preflight
    from pipeline.prepare.preflight import checked_facts, load_checked_corpus

    preflight.check_weights(config)
    return checked_facts(config, load_checked_corpus(config))


def _for_vertex(config: Config, settings: KubeflowSettings) -> Config:
    """Return the steps' configuration, without the gate's rule that Vertex AI cannot check."""
    return dataclasses.replace(
        pods.with_workers(config, settings),
        gate=dataclasses.replace(config.gate, holds_serving=False),
    )


def _steps(pipeline: Any) -> list[NodeStep]:
    components = pipeline.components
    names = step_names(node.id for node in components)
    return [
        NodeStep(
            (node.id,), names[node.id], tuple(sorted(other.id for other in node.upstream_nodes))
        )
        for node in components
    ]


def _adapt_nodes(pipeline: Any, steps: list[NodeStep], settings: KubeflowSettings) -> None:
    """Set each node's name, resources and artifact types to those that Vertex AI accepts."""
    for node, step in zip(pipeline.components, steps, strict=True):
        node.with_id(step.name)
        resources = _resources(settings.resources_of(*step.node_ids))
        if resources.ListFields():
            node.with_platform_config(resources)
        for channel in node.outputs.values():
            channel.type = artifact_types.titled(channel.type)


def _resources(resources: StepResources) -> Any:
    """Return a PipelineContainerSpec.ResourceSpec; its memory is in gigabytes of 10^9 bytes."""
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec = pipeline_spec_pb2.PipelineDeploymentConfig.PipelineContainerSpec.ResourceSpec()
    if resources.cpu:
        spec.cpu_limit = amount(resources.cpu)
    if resources.memory:
        spec.memory_limit = amount(resources.memory) / 1e9
    if resources.gpus:
        spec.accelerator.type = checks.accelerator(resources)
        spec.accelerator.count = resources.gpus
    return spec


def _run_compiler(pipeline: Any, image: str) -> dict[str, Any]:
    """Return the PipelineJob that TFX's runner makes of a pipeline."""
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as runner

    job: dict[str, Any] = runner.KubeflowV2DagRunner(
        config=runner.KubeflowV2DagRunnerConfig(
            default_image=image, default_commands=list(COMMAND), use_pipeline_spec_2_1=True
        )
    ).run(pipeline, write_out=False)
    return job


def _complete_spec(
    spec: dict[str, Any],
    settings: KubeflowSettings,
    never_cached: list[str],
    schema_step: str,
    schema: str,
) -> None:
    """Add to a PipelineSpec what TFX leaves out, in place.

    Args:
      spec: the PipelineSpec as JSON.
      settings: the [kubeflow] table: retries and environment variables.
      never_cached: names of the steps that always run.
      schema_step: name of the step that imports the schema.
      schema: the schema's text.

    Raises:
      UsageError: a genre or path contains Vertex AI's placeholder syntax.
    """
    tasks = spec["root"]["dag"]["tasks"]
    if "{{$" in json.dumps([[task["inputs"] for task in tasks.values()], schema]):
        raise UsageError(
            "a genre or a path contains '{{$', which Vertex AI would replace; rename it"
        )
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
