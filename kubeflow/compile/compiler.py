"""Compiler from the graph to a pipeline of Kubeflow Pipelines: a container step for each node.

Kubeflow knows the steps, their order, resources and pages. TFX manages artifacts, caching and
lineage with ML Metadata (kubeflow.steps.run_node), so Kubeflow's own cache is off. The first step,
kubeflow.steps.prepare, reads the data; the exit handler, kubeflow.steps.finish, collects the
results. The same configuration always gives the same file.
"""

# No `from __future__ import annotations`: kfp needs the components' annotations as objects.
import inspect
import json
import pathlib
from collections.abc import Callable
from typing import Any

from components.common.errors import UsageError
from kubeflow.compile import checks, pods
from kubeflow.compile.node_steps import (
    DEPLOY,
    FINISH,
    PREPARE,
    NodeStep,
    merge_small,
    step_names,
)
from kubeflow.steps import outputs
from kubeflow.steps.executor_output import EXECUTOR_INPUT
from pipeline.config.kubeflow import KubeflowSettings
from pipeline.config.schema import Config
from pipeline.graph import nodes
from pipeline.places import PIPELINE_NAME

# Placeholders for the genres, which only the data can tell; no step depends on them.
_PLACEHOLDER_GENRES = ("a", "b")


def steps_of(config: Config) -> list[NodeStep]:
    """Return one step for each node of the graph, in an order in which they can run. Imports TFX.

    Raises:
      UsageError: Kubernetes would refuse a step's name.
    """
    from pipeline.process.libraries import quick_imports

    with quick_imports():
        from pipeline.graph import build as graph
        from pipeline.graph import inputs

    ir = graph.compile_ir(
        graph.create_pipeline(
            config,
            inputs.DataFacts(_PLACEHOLDER_GENRES, manifest_digest="", tracks=1, leaky=False),
            inputs.GraphPlaces("/root", "/models", "", "/schema.pbtxt"),
        )
    )
    found = [node.pipeline_node for node in ir.nodes]
    names = step_names([PREPARE, DEPLOY, FINISH, *(node.node_info.id for node in found)])
    return [
        NodeStep((node.node_info.id,), names[node.node_info.id], tuple(sorted(node.upstream_nodes)))
        for node in found
    ]


def compile_pipeline(config: Config, settings: KubeflowSettings, output: str) -> list[NodeStep]:
    """Write the pipeline as KFP v2 IR, completely or not at all.

    Args:
      config: the configuration of the run; the run's parameters may change it.
      settings: the [kubeflow] table.
      output: path of the YAML file.

    Returns:
      The steps of the nodes, in order.

    Raises:
      UsageError: a setting is invalid, or the file cannot be written.
    """
    checks.check(config, settings, output)
    steps = steps_of(config)
    if settings.merge_small_steps:
        steps = merge_small(steps)
    checks.check_resources(settings, steps)
    import kfp

    target = pathlib.Path(output)
    temporary = target.with_name(f".{target.stem}.tmp.yaml")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        kfp.compiler.Compiler().compile(_pipeline(config, settings, steps), str(temporary))
        temporary.replace(target)
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return steps


def _pipeline(config: Config, settings: KubeflowSettings, steps: list[NodeStep]) -> Any:
    from kfp import dsl

    config_json = json.dumps(pods.with_workers(config, settings).to_json(), sort_keys=True)
    run_id = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    components = {step.name: _node_component(step, settings) for step in steps}
    prepare, finish = _prepare_component(settings), _finish_component(settings)
    deploy = _deploy_component(settings)

    def genreflow(
        data_dir: str = config.dataset.data_dir,
        overrides: str = "{}",
        push_destination: str = config.storage.push_destination,
        pipeline_root: str = settings.pipeline_root,
    ) -> None:
        last = finish(run_id=run_id, pipeline_root=pipeline_root)
        _configure(last, FINISH, "Finish", settings)
        with dsl.ExitHandler(last, name="run"):
            first = prepare(
                config=config_json,
                run_id=run_id,
                pipeline_root=pipeline_root,
                data_dir=data_dir,
                overrides=overrides,
                push_destination=push_destination,
            )
            _configure(first, PREPARE, "Prepare", settings)
            tasks: dict[str, Any] = {}
            for step in steps:
                task = components[step.name](run_id=run_id, pipeline_root=pipeline_root)
                before = {tasks[node].name: tasks[node] for node in step.upstream}
                task.after(first, *before.values())
                _configure(task, step.node_ids[0], step.display_name, settings, step.node_ids[1:])
                tasks |= dict.fromkeys(step.node_ids, task)
            if settings.deploys:
                pushed = tasks[nodes.PUSHER].outputs
                last_but_one = deploy(
                    run_id=run_id,
                    pipeline_root=pipeline_root,
                    version=pushed[outputs.PUSHED_VERSION],
                    model_uri=pushed[outputs.MODEL_URI],
                )
                _configure(last_but_one, DEPLOY, "Deploy", settings)

    description = "From audio to an evaluated and pushed model of music genres."
    return dsl.pipeline(genreflow, name=PIPELINE_NAME, description=description)


def _component(name: str, function: Callable[..., Any]) -> Any:
    """Return a function that makes a ContainerSpec as a component of a name."""
    from kfp import dsl

    function.__name__ = name
    function.__doc__ = None
    return dsl.container_component(function)


def _prepare_component(settings: KubeflowSettings) -> Any:
    from kfp import dsl

    def prepare(
        config: str,
        run_id: str,
        pipeline_root: str,
        data_dir: str,
        overrides: str,
        push_destination: str,
    ) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=settings.image,
            command=["python", "-m", "kubeflow.steps.prepare"],
            args=[
                "--config", config, "--run-id", run_id, "--pipeline-root", pipeline_root,
                "--metadata", settings.metadata, "--data-dir", data_dir,
                "--overrides", overrides, "--push-destination", push_destination,
                *(["--volume", settings.volume_path] if settings.volume_claim else []),
            ],
        )  # fmt: skip

    return _component(PREPARE, prepare)


def _node_component(step: NodeStep, settings: KubeflowSettings) -> Any:
    from kfp import dsl

    declared = outputs.of_step(step.node_ids)

    def container(run_id: str, pipeline_root: str, *values: Any) -> dsl.ContainerSpec:
        given = dict(zip(declared, values, strict=True))
        return dsl.ContainerSpec(
            image=settings.image,
            command=["python", "-m", "kubeflow.steps.run_node"],
            args=[
                *(word for node in step.node_ids for word in ("--node-id", node)),
                "--pipeline-ir", f"{pipeline_root}/runs/{run_id}/pipeline.json",
                "--pipeline-root", pipeline_root, "--metadata", settings.metadata,
                *_volume_arguments(settings),
                *(["--executor-input", EXECUTOR_INPUT] if declared else []),
                *(word for name, (_, kind) in declared.items() if kind in outputs.FILES
                  for word in ("--file", name, given[name].path)),
            ],
        )  # fmt: skip

    kinds = {"run_id": str, "pipeline_root": str} | {
        name: _output_kind(kind) for name, (_, kind) in declared.items()
    }
    container.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind)
            for name, kind in kinds.items()
        ]
    )
    return _component(step.name, container)


def _output_kind(output: str) -> Any:
    """Return the annotation by which kfp knows an output of kubeflow.steps.outputs."""
    from kfp import dsl

    kind = outputs.KINDS[output]
    if kind in ("bool", "str"):
        return dsl.OutputPath({"bool": bool, "str": str}[kind])
    return dsl.Output[getattr(dsl, kind)]


def _volume_arguments(settings: KubeflowSettings) -> list[str]:
    if not settings.volume_claim:
        return []
    return ["--volume-claim", settings.volume_claim, "--volume", settings.volume_path]


def _deploy_component(settings: KubeflowSettings) -> Any:
    from kfp import dsl

    serving = ["--inference-service", settings.inference_service,
               "--ready-minutes", f"{settings.ready_minutes:g}"]  # fmt: skip
    registry = ["--model-registry", settings.model_registry]

    def deploy(run_id: str, pipeline_root: str, version: str, model_uri: str) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=settings.image,
            command=["python", "-m", "kubeflow.steps.deploy"],
            args=[
                "--run-id", run_id, "--pipeline-root", pipeline_root,
                "--metadata", settings.metadata, "--version", version, "--model-uri", model_uri,
                *(serving if settings.inference_service else []),
                *(registry if settings.model_registry else []),
                *_volume_arguments(settings),
            ],
        )  # fmt: skip

    return _component(DEPLOY, deploy)


def _finish_component(settings: KubeflowSettings) -> Any:
    from kfp import dsl

    def finish(
        run_id: str,
        pipeline_root: str,
        status: dsl.PipelineTaskFinalStatus,
        page: dsl.Output[dsl.HTML],
    ) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=settings.image,
            command=["python", "-m", "kubeflow.steps.finish"],
            args=[
                "--run-id", run_id, "--pipeline-root", pipeline_root,
                "--metadata", settings.metadata, "--status", status, "--page", page.path,
            ],
        )  # fmt: skip

    return _component(FINISH, finish)


def _configure(
    task: Any,
    key: str,
    display_name: str,
    settings: KubeflowSettings,
    others: tuple[str, ...] = (),
) -> None:
    """Set a step's resources, retries, environment variables and pod settings.

    Args:
      task: the step, changed in place.
      key: node id or step name, by which the settings give resources.
      display_name: the step's name in Kubeflow's interface.
      settings: the [kubeflow] table.
      others: further nodes that the step runs.
    """
    resources = settings.resources_of(key, *others)
    task.set_display_name(display_name)
    task.set_caching_options(False)
    # The first step mostly fails for a mistake in the configuration or the data.
    if settings.retries and key != PREPARE:
        task.set_retry(
            settings.retries, backoff_duration=f"{settings.retry_seconds}s", backoff_factor=2.0
        )
    if resources.cpu:
        task.set_cpu_limit(resources.cpu)
    if resources.memory:
        task.set_memory_limit(resources.memory)
    if resources.gpus:
        task.set_accelerator_type(resources.gpu_resource)
        task.set_accelerator_limit(resources.gpus)
    for name, value in sorted(pods.environment_of(settings).items()):
        task.set_env_variable(name, value)
    task.platform_config["kubernetes"] = pods.kubernetes_config(
        settings, resources, registry=key == DEPLOY
    )
