"""Compiler from the graph to a pipeline of Kubeflow Pipelines: a container step for each node.

Kubeflow knows the steps, their order, resources and pages. TFX manages artifacts, caching and
lineage with ML Metadata (kubeflow.steps.run_node), so Kubeflow's own cache is off. The first step,
kubeflow.steps.prepare, reads the data; the exit handler, kubeflow.steps.finish, collects the
results. The same configuration always gives the same file, with every kfp that is supported.
"""

# No `from __future__ import annotations`: kfp needs the components' annotations as objects.
import json
import pathlib
from typing import Any

from components.common.errors import UsageError
from kubeflow.compile import checks, kfp_compilers, lookups, pods, step_components
from kubeflow.compile.lookups import Lookup
from kubeflow.compile.node_steps import (
    DEPLOY,
    FINISH,
    LOOKUP,
    PREPARE,
    NodeStep,
    merge_small,
    step_names,
)
from kubeflow.steps import outputs
from pipeline.config.kubeflow import KubeflowSettings, StepResources
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
    from pipeline.process.libraries import tfx_imports

    with tfx_imports():
        from pipeline.graph import build as graph
        from pipeline.graph import inputs

    ir = graph.compile_ir(
        graph.create_pipeline(
            config,
            inputs.DataFacts(_PLACEHOLDER_GENRES, manifest_digest="", tracks=1, leaky=False),
            inputs.GraphPlaces("/root", "/models", "", "", "/schema.pbtxt"),
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
    looking = {
        step: lookup for lookup in lookups.lookups_of(steps, settings) for step in lookup.steps
    }
    made = {
        step: step_components.node_component(
            step, settings, lookups.input_names(step, settings) if step in looking else ()
        )
        for step in steps
    }
    look_up = {
        lookup: step_components.lookup_component(lookup, settings) for lookup in looking.values()
    }
    prepare, finish = (
        step_components.prepare_component(settings),
        step_components.finish_component(settings),
    )
    deploy = step_components.deploy_component(settings)
    resources_by_name: dict[str, StepResources] = {}

    def configure(task: Any, key: str, display_name: str, resources: StepResources) -> None:
        resources_by_name[task.name] = resources
        _configure(task, key, display_name, resources, settings)

    def genreflow(
        data_dir: str = config.dataset.data_dir,
        overrides: str = "{}",
        push_destination: str = config.storage.push_destination,
        pipeline_root: str = settings.pipeline_root,
    ) -> None:
        last = finish(run_id=run_id, pipeline_root=pipeline_root)
        configure(last, FINISH, "Finish", settings.resources_of(FINISH))
        with dsl.ExitHandler(last, name="run"):
            first = prepare(
                config=config_json,
                run_id=run_id,
                pipeline_root=pipeline_root,
                data_dir=data_dir,
                overrides=overrides,
                push_destination=push_destination,
            )
            configure(first, PREPARE, "Prepare", settings.resources_of(PREPARE))
            tasks: dict[str, Any] = {}
            lookup_tasks: dict[Lookup, Any] = {}
            for step in steps:
                before = [
                    first,
                    *{tasks[node].name: tasks[node] for node in step.upstream}.values(),
                ]
                lookup = looking.get(step)
                if lookup and lookup not in lookup_tasks:
                    task = look_up[lookup](run_id=run_id, pipeline_root=pipeline_root)
                    lookup_tasks[lookup] = task.after(*before)
                    resources = lookups.without_gpus(settings.resources_of(LOOKUP), settings)
                    configure(task, LOOKUP, lookup.display_name, resources)
                decided = (
                    lookups.task_inputs(step, lookup_tasks[lookup], settings) if lookup else {}
                )
                task = made[step](run_id=run_id, pipeline_root=pipeline_root, **decided)
                task.after(*before)
                resources = settings.resources_of(*step.node_ids)
                configure(task, step.node_ids[0], step.display_name, resources)
                if lookup and (
                    selector := lookups.node_selector(step, lookup_tasks[lookup], settings)
                ):
                    task.platform_config["kubernetes"]["nodeSelector"] = selector
                tasks |= dict.fromkeys(step.node_ids, task)
            if settings.deploys:
                pushed = tasks[nodes.PUSHER].outputs
                last_but_one = deploy(
                    run_id=run_id,
                    pipeline_root=pipeline_root,
                    version=pushed[outputs.PUSHED_VERSION],
                    model_uri=pushed[outputs.MODEL_URI],
                )
                configure(last_but_one, DEPLOY, "Deploy", settings.resources_of(DEPLOY))

    description = "From audio to an evaluated and pushed model of music genres."
    made_pipeline = dsl.pipeline(genreflow, name=PIPELINE_NAME, description=description)
    kfp_compilers.even_out(made_pipeline.pipeline_spec, resources_by_name)
    for step in looking:
        lookups.read_resources_at_run_time(made_pipeline.pipeline_spec, step, settings)
    return made_pipeline


def _configure(
    task: Any, key: str, display_name: str, resources: StepResources, settings: KubeflowSettings
) -> None:
    """Set a step's resources, retries, environment variables and pod settings.

    Args:
      task: the step, changed in place.
      key: node id or step name.
      display_name: the step's name in Kubeflow's interface.
      resources: the step's resources.
      settings: the [kubeflow] table.
    """
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
