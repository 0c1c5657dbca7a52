"""Components of a compiled pipeline: the command line of each kind of step.

kfp reads a component's inputs and outputs from its function's signature.
"""

# No `from __future__ import annotations`: kfp needs the components' annotations as objects.
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kubeflow.compile import lookups
from kubeflow.compile.lookups import Lookup
from kubeflow.compile.node_steps import DEPLOY, FINISH, PREPARE, NodeStep
from kubeflow.steps import lookup as lookup_step
from kubeflow.steps import outputs
from kubeflow.steps.executor_output import EXECUTOR_INPUT
from pipeline.config.kubeflow import KubeflowSettings

_PARAMETERS = {"bool": bool, "str": str, "dict": dict}


def _component(name: str, function: Callable[..., Any]) -> Any:
    """Return a function that makes a ContainerSpec as a component of a name."""
    from kfp import dsl

    function.__name__ = name
    function.__doc__ = None
    return dsl.container_component(function)


def prepare_component(settings: KubeflowSettings) -> Any:
    """Return the component of the first step, which reads the data."""
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


def node_component(step: NodeStep, settings: KubeflowSettings, inputs: Sequence[str] = ()) -> Any:
    """Return the component of a step of the graph's nodes.

    Args:
      step: the step.
      settings: the [kubeflow] table.
      inputs: further parameters, which only Kubeflow reads.
    """
    from kfp import dsl

    declared = outputs.of_step(step.node_ids)

    def container(run_id: str, pipeline_root: str, *values: Any) -> dsl.ContainerSpec:
        given = dict(zip([*inputs, *declared], values, strict=True))
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

    kinds = dict.fromkeys(("run_id", "pipeline_root", *inputs), str) | {
        name: _output_kind(outputs.KINDS[kind]) for name, (_, kind) in declared.items()
    }
    container.__signature__ = _signature(kinds)  # type: ignore[attr-defined]
    return _component(step.name, container)


def lookup_component(lookup: Lookup, settings: KubeflowSettings) -> Any:
    """Return the component of a step that looks into the cache before steps with GPUs."""
    from kfp import dsl

    steps = [lookups.looked_up(step, settings) for step in lookup.steps]

    def container(run_id: str, pipeline_root: str, *_: Any) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=settings.image,
            command=["python", "-m", "kubeflow.steps.lookup"],
            args=[
                "--pipeline-ir", f"{pipeline_root}/runs/{run_id}/pipeline.json",
                "--pipeline-root", pipeline_root, "--metadata", settings.metadata,
                "--executor-input", EXECUTOR_INPUT, "--steps", lookup_step.to_json(steps),
            ],
        )  # fmt: skip

    kinds = dict.fromkeys(("run_id", "pipeline_root"), str) | {
        name: _output_kind("str" if isinstance(value, str) else "dict")
        for step in steps
        for name, value in step.usual.items()
    }
    container.__signature__ = _signature(kinds)  # type: ignore[attr-defined]
    return _component(lookup.name, container)


def _signature(kinds: Mapping[str, Any]) -> inspect.Signature:
    """Return the signature of a component's function: its parameters and their annotations."""
    return inspect.Signature(
        [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind)
            for name, kind in kinds.items()
        ]
    )


def _output_kind(kind: str) -> Any:
    """Return the annotation by which kfp knows an output.

    Args:
      kind: a value of kubeflow.steps.outputs.KINDS, or "dict".
    """
    from kfp import dsl

    if kind in _PARAMETERS:
        return dsl.OutputPath(_PARAMETERS[kind])
    return dsl.Output[getattr(dsl, kind)]


def _volume_arguments(settings: KubeflowSettings) -> list[str]:
    if not settings.volume_claim:
        return []
    return ["--volume-claim", settings.volume_claim, "--volume", settings.volume_path]


def deploy_component(settings: KubeflowSettings) -> Any:
    """Return the component of the step that announces a pushed version."""
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


def finish_component(settings: KubeflowSettings) -> Any:
    """Return the component of the exit handler."""
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
