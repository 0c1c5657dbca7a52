"""Steps that look into the cache before steps with GPUs, which then ask for none if it answers.

Kubeflow's driver reads a step's resources when the step's turn comes, and they may be outputs of
an earlier step (initPodSpecPatch in backend/src/v2/driver/driver.go and extendPodSpecPatch in
k8s.go there, 2.14.0 to 2.17.0). Two variants of the step behind a condition would run as well, but
each of them needs three pods more. And until 2.16 the groups of a condition never end in Kubeflow's
ML Metadata, because a launcher updates only the state of its own group (UpdateDAGExecutionsState
in backend/src/v2/metadata/client.go): Kubeflow's page would show them as running for ever, and the
exit handler would be told so of the run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from kubeflow.compile.kfp_compilers import CPU, GPUS, MEMORY, RESOURCE_FIELDS, set_resource
from kubeflow.compile.node_steps import LOOKUP, NodeStep, step_names
from kubeflow.steps.lookup import LookedUp, Parameters
from pipeline.config.kubeflow import DEFAULT, KubeflowSettings, StepResources, smaller
from pipeline.graph import nodes

NODE_SELECTOR = "node_selector"


@dataclasses.dataclass(frozen=True)
class Lookup:
    """Step that looks into the cache for steps that wait for the same nodes.

    Attributes:
      name: the step's name, such as "lookup-trainer-vgg16".
      upstream: ids of the nodes that run before it.
      steps: the steps with GPUs.
    """

    name: str
    upstream: tuple[str, ...]
    steps: tuple[NodeStep, ...]

    @property
    def display_name(self) -> str:
        """Return the name that people see, such as "Lookup of Trainer.crnn and 2 more"."""
        first, *others = self.steps
        return f"Lookup of {first.display_name}" + (f" and {len(others)} more" if others else "")


def lookups_of(steps: Iterable[NodeStep], settings: KubeflowSettings) -> list[Lookup]:
    """Return the lookups before steps with GPUs; none unless a setting asks for them.

    A step with a node that always runs is left out.
    """
    if not settings.gpu_cache_lookup:
        return []
    found: dict[tuple[str, ...], list[NodeStep]] = {}
    for step in steps:
        if settings.resources_of(*step.node_ids).gpus and not set(step.node_ids) & set(
            nodes.NEVER_CACHED
        ):
            found.setdefault(step.upstream, []).append(step)
    return [Lookup(_name(group[0]), upstream, tuple(group)) for upstream, group in found.items()]


def _name(first: NodeStep) -> str:
    (name,) = step_names([f"{LOOKUP} {first.name}"]).values()
    return name


def without_gpus(resources: StepResources, settings: KubeflowSettings) -> StepResources:
    """Return what a step asks for if it only reads and writes metadata.

    It needs no more than a step without resources of its own, and no machine with GPUs.
    """
    default = settings.resources_of(DEFAULT)
    if default.gpus:
        default = StepResources()
    return dataclasses.replace(
        resources,
        gpus=0,
        cpu=smaller(resources.cpu, default.cpu),
        memory=smaller(resources.memory, default.memory),
        node_selector=default.node_selector,
    )


def parameters(step: NodeStep, settings: KubeflowSettings) -> tuple[Parameters, Parameters]:
    """Return the resources of a step that a lookup decides: the usual ones, and without GPUs.

    They are values of Kubeflow's parameters, by name. Resources that stay the same are left out.
    """
    usual = settings.resources_of(*step.node_ids)
    both: list[dict[str, str | dict[str, str]]] = [
        {
            GPUS: str(one.gpus),
            CPU: one.cpu,
            MEMORY: one.memory,
            NODE_SELECTOR: dict(sorted(one.node_selector.items())),
        }
        for one in (usual, without_gpus(usual, settings))
    ]
    changed = [name for name in both[0] if both[0][name] != both[1][name]]
    first, second = ({name: one[name] for name in changed} for one in both)
    return first, second


def output_name(step: NodeStep, parameter: str) -> str:
    """Return the name of a lookup's output for one of its steps."""
    return f"{parameter}_{step.name.replace('-', '_')}"


def looked_up(step: NodeStep, settings: KubeflowSettings) -> LookedUp:
    """Return a step as the lookup's argument describes it."""
    usual, cached = (
        {output_name(step, name): value for name, value in values.items()}
        for values in parameters(step, settings)
    )
    return LookedUp(step.node_ids, usual, cached)


def input_names(step: NodeStep, settings: KubeflowSettings) -> list[str]:
    """Return the input parameters by which a step gets the resources of its container."""
    return [name for name in parameters(step, settings)[0] if name in RESOURCE_FIELDS]


def task_inputs(step: NodeStep, lookup_task: Any, settings: KubeflowSettings) -> dict[str, Any]:
    """Return the outputs of a lookup's task that are inputs of a step."""
    names = input_names(step, settings)
    return {name: lookup_task.outputs[output_name(step, name)] for name in names}


def node_selector(step: NodeStep, lookup_task: Any, settings: KubeflowSettings) -> dict[str, Any]:
    """Return the node selector of a step as an output of a lookup's task; {} if it is fixed.

    It is the message NodeSelector in kubernetes_platform/proto/kubernetes_executor_config.proto.
    """
    if NODE_SELECTOR not in parameters(step, settings)[0]:
        return {}
    key = output_name(step, NODE_SELECTOR)
    output = {"producerTask": lookup_task.name, "outputParameterKey": key}
    return {"nodeSelectorJson": {"taskOutputParameter": output}}


def read_resources_at_run_time(
    pipeline_spec: Any, step: NodeStep, settings: KubeflowSettings
) -> None:
    """Make a step of a compiled pipeline read resources from its own input parameters.

    kfp 2.5 cannot write this; newer ones do (sdk/python/test_data/pipelines/
    pipeline_with_string_machine_fields_task_output.yaml, 2.14.0). The driver prefers these fields
    to the numbers beside them.

    Args:
      pipeline_spec: the PipelineSpec, which is changed.
      step: a step with GPUs, of which the pipeline has a component.
      settings: the [kubeflow] table.
    """
    for name in input_names(step, settings):
        set_resource(pipeline_spec, step.name, name, f"{{{{$.inputs.parameters['{name}']}}}}")
