"""Small nodes merged into one step: which steps there are, and what runs before what."""

from __future__ import annotations

import graphlib
import itertools

import pytest

from components.common.errors import UsageError
from kubeflow.compile import checks
from kubeflow.compile.node_steps import NodeStep, merge_small, step_names
from kubeflow.steps import outputs
from pipeline.config.kubeflow import KubeflowSettings, StepResources

# The demonstration's graph: each node and those before it.
GRAPH = {
    "SpectrogramGen": (),
    "ImportSchemaGen": (),
    "ServingModel": (),
    "StatisticsGen": ("ImportSchemaGen", "SpectrogramGen"),
    "ExampleValidator": ("ImportSchemaGen", "StatisticsGen"),
    "DataCheck": ("ExampleValidator", "ServingModel", "SpectrogramGen", "StatisticsGen"),
    "BaselineTrainer": ("DataCheck", "SpectrogramGen"),
    "Trainer.ffnn": ("DataCheck", "SpectrogramGen"),
    "Ensembler": ("BaselineTrainer", "SpectrogramGen", "Trainer.ffnn"),
    "Evaluator": ("Ensembler", "SpectrogramGen"),
    "GenreGate": ("Ensembler", "Evaluator", "ServingModel"),
    "Report": ("DataCheck", "Ensembler", "GenreGate"),
    "ServingCheck": ("Ensembler", "GenreGate"),
    "Pusher": ("DataCheck", "Ensembler", "GenreGate", "ServingCheck"),
}
DATA = ("ImportSchemaGen", "StatisticsGen", "ExampleValidator", "DataCheck")
RELEASE = ("GenreGate", "ServingCheck", "Pusher")


def steps(*left_out: str) -> list[NodeStep]:
    """Return one step for each node of the graph without some."""
    names = step_names(GRAPH)
    return [
        NodeStep((node,), names[node], tuple(one for one in before if one not in left_out))
        for node, before in GRAPH.items()
        if node not in left_out
    ]


def test_two_groups_become_two_steps() -> None:
    merged = {step.name: step for step in merge_small(steps())}
    assert len(merged) == len(GRAPH) - 5
    data, release = merged["importschemagen-to-datacheck"], merged["genregate-to-pusher"]
    assert (data.node_ids, release.node_ids) == (DATA, RELEASE)
    assert data.display_name == "ImportSchemaGen to DataCheck"
    assert data.upstream == ("ServingModel", "SpectrogramGen")
    assert release.upstream == ("DataCheck", "Ensembler", "Evaluator", "ServingModel")
    assert merged["report"].upstream == ("DataCheck", "Ensembler", "GenreGate")
    assert merged["trainer-ffnn"] == NodeStep(
        ("Trainer.ffnn",), "trainer-ffnn", ("DataCheck", "SpectrogramGen")
    )


@pytest.mark.parametrize(
    "left_out",
    [(), ("ServingCheck",), ("ServingModel",), ("BaselineTrainer", "Report"), ("Trainer.ffnn",)],
)
def test_every_node_runs_once_and_after_those_before_it(left_out: tuple[str, ...]) -> None:
    merged = merge_small(steps(*left_out))
    order = list(itertools.chain.from_iterable(step.node_ids for step in merged))
    assert sorted(order) == sorted(GRAPH.keys() - set(left_out))
    for node in order:
        before = set(GRAPH[node]) - set(left_out)
        assert before <= set(order[: order.index(node)])
    # Kubeflow sees steps, and these must have no circle.
    step_of = {node: step.name for step in merged for node in step.node_ids}
    tasks = {step.name: {step_of[node] for node in step.upstream} for step in merged}
    assert all(name not in before for name, before in tasks.items())
    graphlib.TopologicalSorter(tasks).prepare()


def test_the_result_does_not_depend_on_the_order_in_which_nodes_come() -> None:
    turned = [*steps()[2:3], *steps()[:2], *steps()[3:]]  # ServingModel first
    found = {step.name: step for step in merge_small(turned)}
    assert found == {step.name: step for step in merge_small(steps())}


def test_a_step_gets_what_the_largest_of_its_nodes_needs() -> None:
    settings = KubeflowSettings(
        timeout_hours=5.0,
        resources={
            "default": StepResources(cpu="500m", memory="2Gi"),
            "StatisticsGen": StepResources(cpu="2", memory="1500Mi", timeout_hours=2.0),
            "DataCheck": StepResources(memory="1G"),
        },
    )
    assert settings.resources_of(*DATA) == StepResources(cpu="", memory="2Gi", timeout_hours=5.0)
    assert settings.resources_of(*DATA[:3]).cpu == "2"
    assert settings.resources_of("GenreGate") == StepResources(cpu="500m", memory="2Gi")


def test_nodes_of_a_step_must_want_the_same_machine() -> None:
    labels = {"pool": "small"}
    for one in (StepResources(node_selector=labels), StepResources(gpus=1)):
        settings = KubeflowSettings(resources={"Pusher": one})
        checks.check_resources(settings, steps())
        with pytest.raises(UsageError, match="GenreGate, ServingCheck, Pusher are one step"):
            checks.check_resources(settings, merge_small(steps()))
    same = KubeflowSettings(resources={"default": StepResources(node_selector=labels)})
    checks.check_resources(same, merge_small(steps()))


def test_outputs_of_the_same_name_are_named_after_their_nodes() -> None:
    assert outputs.of_step(RELEASE) == {
        "page_genregate": ("GenreGate", "page"),
        "metrics": ("GenreGate", "metrics"),
        "blessed": ("GenreGate", "blessed"),
        "page_servingcheck": ("ServingCheck", "page"),
        "model": ("Pusher", "model"),
        "pushed_version": ("Pusher", "pushed_version"),
        "model_uri": ("Pusher", "model_uri"),
    }
    assert outputs.of_step(("GenreGate", "Pusher"))["page"] == ("GenreGate", "page")
    assert outputs.of_step(DATA) == {}
