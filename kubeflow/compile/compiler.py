"""The graph as a pipeline of Kubeflow Pipelines: one container step for each node.

Kubeflow sees steps, their order, what they may take, and their pages. Artifacts, caching and
lineage stay TFX's, by ML Metadata (kubeflow.steps.run_node), so Kubeflow's own cache is off. The
first step, kubeflow.steps.prepare, reads the data; the exit handler, steps.finish, collects
results. The same configuration gives the same file.
"""

# kfp reads the annotations of the components below as objects, so they are no strings here.
import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

from components.common.errors import UsageError
from kubeflow.compile import checks as compile_checks
from kubeflow.compile import pods
from kubeflow.compile.names import FINISH, PREPARE, step_names
from kubeflow.steps import pages
from pipeline.config.kubeflow import KubeflowSettings
from pipeline.config.schema import Config
from pipeline.places import PIPELINE_NAME

# Genres stand in for those that only the data can tell; no step depends on them.
_UNKNOWN_GENRES = ("a", "b")


@dataclasses.dataclass(frozen=True)
class Step:
    """A node: its id, its step's name, the ids of the nodes before it."""

    node_id: str
    name: str
    upstream: tuple[str, ...]


def steps_of(config: Config) -> list[Step]:
    """The graph's nodes in an order in which they can run. Imports TFX.

    Raises:
      UsageError: names that Kubernetes refuses.
    """
    from pipeline.process.imports import quick_imports

    with quick_imports():
        from pipeline.graph import build as graph
        from pipeline.graph import inputs

    ir = graph.compile_ir(
        graph.create_pipeline(
            config,
            inputs.DataFacts(_UNKNOWN_GENRES, manifest_digest="", tracks=1, leaky=False),
            inputs.Places("/root", "/models", "", "/schema.pbtxt"),
        )
    )
    nodes = [node.pipeline_node for node in ir.nodes]
    names = step_names([PREPARE, FINISH, *(node.node_info.id for node in nodes)])
    return [
        Step(node.node_info.id, names[node.node_info.id], tuple(sorted(node.upstream_nodes)))
        for node in nodes
    ]


def check_resources(settings: KubeflowSettings, steps: list[Step]) -> None:
    """Refuses resources for what is no node of the graph.

    Raises:
      UsageError: one line for every unknown key.
    """
    problems = compile_checks.resource_problems(settings, [step.node_id for step in steps])
    if problems:
        raise UsageError("\n".join(problems))


def compile_pipeline(config: Config, settings: KubeflowSettings, output: str) -> list[Step]:
    """Writes the pipeline as KFP v2 IR, whole or not at all.

    Args:
      config: the configuration that the run gets; its run-time parameters may change it.
      settings: where it runs.
      output: path of the YAML file.

    Returns:
      The steps of nodes, in order.

    Raises:
      UsageError: what can be known to be wrong.
    """
    compile_checks.check(config, settings, output)
    steps = steps_of(config)
    check_resources(settings, steps)
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


def _pipeline(config: Config, settings: KubeflowSettings, steps: list[Step]) -> Any:
    from kfp import dsl

    config_json = json.dumps(pods.with_workers(config, settings).to_json(), sort_keys=True)
    run_id = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    components = {step.node_id: _node_component(step, settings) for step in steps}
    prepare, finish = _prepare_component(settings), _finish_component(settings)

    def genreflow(
        data_dir: str = config.dataset.data_dir,
        overrides: str = "{}",
        push_destination: str = config.storage.push_destination,
        pipeline_root: str = settings.pipeline_root,
    ) -> None:
        last = finish(run_id=run_id, pipeline_root=pipeline_root)
        _confine(last, FINISH, "Finish", settings)
        with dsl.ExitHandler(last, name="run"):
            first = prepare(
                config=config_json,
                run_id=run_id,
                pipeline_root=pipeline_root,
                data_dir=data_dir,
                overrides=overrides,
                push_destination=push_destination,
            )
            _confine(first, PREPARE, "Prepare", settings)
            tasks: dict[str, Any] = {}
            for step in steps:
                task = components[step.node_id](run_id=run_id, pipeline_root=pipeline_root)
                task.after(first, *(tasks[node] for node in step.upstream))
                _confine(task, step.node_id, step.node_id, settings)
                tasks[step.node_id] = task

    description = "Audio to a judged and pushed model of music genres."
    return dsl.pipeline(genreflow, name=PIPELINE_NAME, description=description)


def _component(name: str, function: Callable[..., Any]) -> Any:
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


def _node_component(step: Step, settings: KubeflowSettings) -> Any:
    from kfp import dsl

    def arguments(run_id: str, pipeline_root: str) -> list[str]:
        return [
            "--node-id", step.node_id,
            "--pipeline-ir", f"{pipeline_root}/runs/{run_id}/pipeline.json",
            "--pipeline-root", pipeline_root, "--metadata", settings.metadata,
        ]  # fmt: skip

    command = ["python", "-m", "kubeflow.steps.run_node"]

    def plain(run_id: str, pipeline_root: str) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=settings.image, command=command, args=arguments(run_id, pipeline_root)
        )

    def with_page(run_id: str, pipeline_root: str, page: dsl.Output[dsl.HTML]) -> dsl.ContainerSpec:
        args = [*arguments(run_id, pipeline_root), "--page", page.path]
        return dsl.ContainerSpec(image=settings.image, command=command, args=args)

    return _component(step.name, with_page if pages.has_page(step.node_id) else plain)


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


def _confine(task: Any, key: str, shown: str, settings: KubeflowSettings) -> None:
    """What a step may take, how often it is tried, and what it finds in its container."""
    resources = settings.resources_of(key)
    task.set_display_name(shown)
    task.set_caching_options(False)
    if settings.retries:
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
    task.platform_config["kubernetes"] = pods.kubernetes_config(settings, resources)
