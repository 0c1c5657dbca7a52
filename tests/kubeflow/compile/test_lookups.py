"""Lookups before steps with GPUs: which there are, and what Kubeflow's driver makes of them."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from components.common.errors import UsageError
from kubeflow.compile import checks, compiler, lookups
from kubeflow.compile.node_steps import NodeStep, merge_small, step_names
from kubeflow.steps import lookup
from pipeline.config.kubeflow import KubeflowSettings, StepResources
from pipeline.config.load import load
from tests.support.kubeflow_backend import Attempt, Backend, Pod

GPU = "nvidia.com/gpu"
LARGE = StepResources("8", "64Gi", gpus=1, node_selector={"pool": "gpu"})
SMALL = StepResources("2", "4Gi")
GRAPH = {
    "SpectrogramGen": (),
    "DataCheck": ("SpectrogramGen",),
    "Tuner.crnn": ("DataCheck",),
    "Trainer.crnn": ("DataCheck", "Tuner.crnn"),
    "Trainer.vgg16": ("DataCheck",),
    "Trainer.ffnn": ("DataCheck",),
    "GenreGate": ("Trainer.crnn", "Trainer.ffnn", "Trainer.vgg16"),
    "Pusher": ("GenreGate",),
}
RESOURCES = {"default": SMALL, "Trainer": LARGE, "Tuner": LARGE, "Trainer.ffnn": SMALL}


def settings(**resources: StepResources) -> KubeflowSettings:
    return KubeflowSettings(gpu_cache_lookup=True, resources={**RESOURCES, **resources})


def steps() -> list[NodeStep]:
    names = step_names(GRAPH)
    return [NodeStep((node,), names[node], before) for node, before in GRAPH.items()]


def step(node: str) -> NodeStep:
    return next(one for one in steps() if node in one.node_ids)


def found(given: list[NodeStep], asked: KubeflowSettings) -> dict[str, list[str]]:
    return {
        lookup.name: [one.display_name for one in lookup.steps]
        for lookup in lookups.lookups_of(given, asked)
    }


def test_steps_with_gpus_that_wait_for_the_same_nodes_share_a_lookup() -> None:
    assert found(steps(), settings()) == {
        "lookup-tuner-crnn": ["Tuner.crnn", "Trainer.vgg16"],
        "lookup-trainer-crnn": ["Trainer.crnn"],
    }
    names = [lookup.display_name for lookup in lookups.lookups_of(steps(), settings())]
    assert names == ["Lookup of Tuner.crnn and 1 more", "Lookup of Trainer.crnn"]


def test_there_are_none_unless_the_setting_asks_for_them() -> None:
    assert found(steps(), KubeflowSettings(resources=RESOURCES)) == {}


def test_nodes_that_always_run_are_not_looked_up_alone_or_merged() -> None:
    everything = settings(default=LARGE)
    alone = found(steps(), everything)
    assert "GenreGate" in str(alone)
    assert "Pusher" not in str(alone)
    assert "Pusher" not in str(found(merge_small(steps()), everything))


def test_a_cached_step_needs_no_more_than_a_small_one_and_no_machine_with_gpus() -> None:
    assert lookups.without_gpus(LARGE, settings()) == SMALL
    tiny = StepResources("500m", "2Gi", gpus=2)
    assert lookups.without_gpus(tiny, settings()) == StepResources("500m", "2Gi")
    # Without a default there is nothing smaller to ask for.
    bare = KubeflowSettings(resources={"Trainer": LARGE})
    assert lookups.without_gpus(LARGE, bare) == StepResources("8", "64Gi")
    assert lookups.without_gpus(LARGE, settings(default=LARGE)) == StepResources("8", "64Gi")


def test_only_resources_that_change_are_decided_at_run_time() -> None:
    usual, cached = lookups.parameters(step("Trainer.crnn"), settings())
    assert usual == {"gpus": "1", "cpu": "8", "memory": "64Gi", "node_selector": {"pool": "gpu"}}
    assert cached == {"gpus": "0", "cpu": "2", "memory": "4Gi", "node_selector": {}}
    bare = KubeflowSettings(resources={"Trainer": StepResources("8", gpus=4)})
    assert lookups.parameters(step("Trainer.crnn"), bare) == ({"gpus": "4"}, {"gpus": "0"})


def test_resources_of_the_lookup_are_known_only_with_it() -> None:
    nodes = list(GRAPH)
    assert checks.resource_problems(settings(lookup=SMALL), nodes) == []
    without = KubeflowSettings(resources={"lookup": SMALL})
    assert "kubeflow.resources.lookup: no such node" in checks.resource_problems(without, nodes)[0]


def test_a_name_that_kubernetes_refuses_is_told() -> None:
    long = NodeStep(("Trainer.x",), "trainer-" + "x" * 30, ())
    with pytest.raises(UsageError, match="cannot name a step on Kubernetes"):
        lookups.lookups_of([long], settings())


CONFIG = """
[dataset]
kind = "fma"
[models.crnn]
[models.vgg16]
[models.ffnn]
[tuning]
networks = ["crnn"]
trials = 2
learning_rate = [0.0001, 0.01]
[kubeflow]
image = "registry.example.org/genreflow:1"
pipeline_root = "s3://bucket/genreflow"
metadata = "mysql://genreflow@genreflow-mysql:3306/genreflow"
metadata_secret = "m"
gpu_cache_lookup = true
[kubeflow.resources]
default = { cpu = "2", memory = "4Gi" }
Tuner = { cpu = "8", memory = "64Gi", gpus = 1, node_selector = { pool = "gpu" } }
Trainer = { cpu = "8", memory = "64Gi", gpus = 1, node_selector = { pool = "gpu" } }
"Trainer.ffnn" = { cpu = "2", memory = "4Gi" }
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Compile the small graph, without the seconds that TFX takes."""
    return compile_in(tmp_path_factory.mktemp("compiled"))


def compile_in(folder: pathlib.Path) -> pathlib.Path:
    (folder / "config.toml").write_text(CONFIG)
    config = load(folder / "config.toml", [])
    target = folder / "pipeline.yaml"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "steps_of", lambda _: steps())
        compiler.compile_pipeline(config, config.kubeflow, str(target))
    return target


def test_the_same_configuration_gives_the_same_bytes(
    compiled: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    assert compile_in(tmp_path).read_bytes() == compiled.read_bytes()


class Attempts:
    """Attempts of steps that do nothing but write output parameters, in place of processes."""

    def __init__(self, cached: str) -> None:
        self._cached = cached

    def __call__(self, name: str, number: int, command: list[str], _: Any) -> Attempt:
        if "--executor-input" in command:
            outputs = json.loads(command[command.index("--executor-input") + 1])["outputs"]
            values = {
                one: False if one == "blessed" else "" for one in outputs.get("parameters", {})
            }
            if "--steps" in command:
                for one in lookup.from_json(command[command.index("--steps") + 1]):
                    values |= one.cached if self._cached in one.node_ids else one.usual
            text = json.dumps({"parameterValues": values})
            pathlib.Path(outputs["outputFile"]).write_text(text)
        return Attempt(name, 0, "", number, number)


def test_kubeflows_driver_gives_each_step_the_resources_that_the_lookup_says(
    compiled: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """Run the compiled file with lookups that find one step in the cache."""
    backend = Backend(compiled, tmp_path)
    monkeypatch.setattr(backend, "_try", Attempts("Trainer.vgg16"))
    run = backend.run("run-1", data_dir="s3://bucket/fma")
    assert run.succeeded
    order = [one.task for one in run.attempts]
    assert order.index("datacheck") < order.index("lookup-tuner-crnn") < order.index("tuner-crnn")
    assert order.index("tuner-crnn") < order.index("lookup-trainer-crnn")
    large = Pod({"cpu": "8", "memory": "64Gi", GPU: "1"}, {"pool": "gpu"})
    assert run.pods["tuner-crnn"] == run.pods["trainer-crnn"] == large
    assert run.pods["trainer-vgg16"] == Pod({"cpu": "2", "memory": "4Gi", GPU: "0"}, {})
    for name in ("lookup-tuner-crnn", "lookup-trainer-crnn", "trainer-ffnn"):
        assert GPU not in run.pods[name].limits
        assert run.pods[name].node_selector == {}
