"""Output of `genreflow kubeflow compile`.

It is read by kfp's own loader and by the specification's proto, and compared with the
configuration.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from components.common.errors import UsageError
from genreflow.cli.app import app
from kubeflow.client import package, run_checks
from kubeflow.compile import node_steps
from pipeline.config.load import load, shipped_config
from pipeline.graph.nodes import node_ids
from tests import support

GENREFLOW = pathlib.Path(sys.executable).with_name("genreflow")
IMAGE = "registry.example.org/genreflow@sha256:" + "0" * 64
ROOT = "s3://bucket/genreflow"
# Of the compiled file.
SHA_256 = "d8992571817001013339d2e7f16c78ae87a323638afe58e95e4ded899602767e"
METADATA = "mysql://genreflow@genreflow-mysql:3306/genreflow"
TABLE = f"""
[kubeflow]
image = "registry.example.org/another:1"
image_pull_secret = "registry"
pipeline_root = "{ROOT}"
metadata = "{METADATA}"
metadata_secret = "genreflow-metadata"
storage_secret = "genreflow-storage"
volume_claim = "genreflow"
volume_path = "/volume"
environment = {{ AWS_ENDPOINT_URL_S3 = "https://s3.example.org" }}
retries = 3
retry_seconds = 30
timeout_hours = 5.0
[kubeflow.security_context]
run_as_non_root = true
run_as_group = 2000
[kubeflow.resources.default]
cpu = "2"
memory = "4Gi"
[kubeflow.resources.Trainer]
cpu = "4"
memory = "16Gi"
gpus = 1
node_selector = {{ "cloud.google.com/gke-accelerator" = "nvidia-l4" }}
timeout_hours = 12.0
[kubeflow.resources."Trainer.ffnn"]
cpu = "500m"
memory = "2Gi"
"""


@dataclasses.dataclass(frozen=True)
class Compiled:
    """Compiled file.

    Attributes:
      steps: the specification's tasks by name, without those that only group others.
    """

    path: pathlib.Path
    spec: Any
    platform: dict[str, Any]
    steps: dict[str, Any]
    executors: dict[str, Any]

    def component(self, step: str) -> Any:
        return self.spec.components[self.steps[step].component_ref.name]

    def container(self, step: str) -> dict[str, Any]:
        label = self.component(step).executor_label
        container: dict[str, Any] = self.executors[label]["container"]
        return container

    def kubernetes(self, step: str) -> dict[str, Any]:
        label = self.component(step).executor_label
        config: dict[str, Any] = self.platform["deploymentSpec"]["executors"][label]
        return config

    def before(self, step: str) -> set[str]:
        """Return all steps that must be over before a step starts."""
        found: set[str] = set()
        todo = list(self.steps[step].dependent_tasks)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += self.steps[name].dependent_tasks
        return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[pathlib.Path]:
    """Compile the same twice, by a command and here, in other folders and with other hash seeds."""
    folder = tmp_path_factory.mktemp("compiled")
    config = folder / "config.toml"
    write_config(config)
    words = [
        "kubeflow", "compile", "-c", str(config), "--image", IMAGE, "--data-dir", "s3://bucket/fma",
        "-o", "made/pipeline.yaml",
    ]  # fmt: skip
    places = [folder / "command", folder / "here"]
    for place in places:
        place.mkdir()
    # Where it is not on the PATH, the line to type next has its path.
    path = os.pathsep.join([os.path.dirname(GENREFLOW), os.environ.get("PATH", os.defpath)])
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    done = subprocess.run(
        [GENREFLOW, *words],
        cwd=places[0],
        env={**os.environ, "PYTHONHASHSEED": seed, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "data       s3://bucket/fma\n" in done.stdout
    assert done.stdout.endswith(
        "next       genreflow kubeflow submit made/pipeline.yaml --host URL "
        "--service-account NAME\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(places[1])
        compile_here(*words)
    return [place / "made" / "pipeline.yaml" for place in places]


def write_config(path: pathlib.Path) -> None:
    text = shipped_config("demo").read_text().replace('kind = "synthetic"', 'kind = "fma"', 1)
    path.write_text(text + TABLE)


def compile_here(*words: str) -> str:
    """Run a command in this process, where TFX may be imported already, and return its output."""
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def compiled(files: list[pathlib.Path]) -> Compiled:
    return _read(files[0])


def _read(path: pathlib.Path) -> Compiled:
    import yaml
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    first, second = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    spec = json_format.ParseDict(first, pipeline_spec_pb2.PipelineSpec())
    tasks = dict(spec.root.dag.tasks)
    for component in spec.components.values():
        tasks |= dict(component.dag.tasks)
    steps = {
        name: task
        for name, task in tasks.items()
        if spec.components[task.component_ref.name].WhichOneof("implementation") != "dag"
    }
    executors = json_format.MessageToDict(spec.deployment_spec)["executors"]
    return Compiled(path, spec, second["platforms"]["kubernetes"], steps, executors)


def test_the_same_configuration_gives_the_same_bytes(files: list[pathlib.Path]) -> None:
    assert files[0].read_bytes() == files[1].read_bytes()
    assert [path.name for path in files[0].parent.iterdir()] == ["pipeline.yaml"]


def test_both_generations_give_the_same_bytes(files: list[pathlib.Path]) -> None:
    """The tests of each generation compare with one digest. If you meant the change, write it."""
    found = hashlib.sha256(files[0].read_bytes()).hexdigest()
    assert found == SHA_256, f"write SHA_256 = {found!r}, and see it in the other generation, too"


def test_only_the_steps_have_outputs(compiled: Compiled) -> None:
    assert not compiled.spec.root.HasField("output_definitions")
    groups = [compiled.spec.root.dag, *(one.dag for one in compiled.spec.components.values())]
    assert not any(group.HasField("outputs") for group in groups)
    assert compiled.component("evaluator").output_definitions.artifacts


def test_kfps_own_loader_reads_it(compiled: Compiled) -> None:
    from kfp import components

    loaded = components.load_component_from_file(str(compiled.path))
    assert loaded.name == "genreflow"
    inputs = loaded.component_spec.inputs
    assert inputs.keys() == {"data_dir", "overrides", "push_destination", "pipeline_root"}
    assert inputs["data_dir"].default == "s3://bucket/fma"
    assert inputs["pipeline_root"].default == ROOT
    assert inputs["overrides"].default == "{}"


def test_each_node_is_a_step_with_the_graphs_dependencies(compiled: Compiled) -> None:
    trainers = {"trainer-ffnn", "trainer-cnn-small", "trainer-vgg16"}
    nodes = {
        "spectrogramgen", "importschemagen", "statisticsgen", "examplevalidator", "datacheck",
        "baselinetrainer", *trainers, "ensembler", "evaluator", "servingmodel", "genregate",
        "servingcheck", "pusher", "report",
    }  # fmt: skip
    assert compiled.steps.keys() == {"prepare", "finish", *nodes}
    known = node_ids(load(shipped_config("demo")))
    assert set(node_steps.step_names(known).values()) == nodes, "what is known without TFX"
    for node in nodes:
        assert "prepare" in compiled.before(node)
    assert compiled.before("datacheck") >= {"examplevalidator", "spectrogramgen", "servingmodel"}
    for trainer in trainers:
        assert "datacheck" in compiled.before(trainer)
    assert compiled.before("ensembler") >= {*trainers, "baselinetrainer"}
    assert compiled.before("pusher") >= {"evaluator", "genregate", "servingcheck", "servingmodel"}


def test_small_nodes_can_share_a_step(tmp_path: pathlib.Path) -> None:
    """Steps of the demonstration's graph: 18 become 13, and with them 10 of 36 pods go."""
    from kubeflow.client import run_state

    config, path = tmp_path / "config.toml", tmp_path / "merged.yaml"
    write_config(config)
    said = compile_here(
        "kubeflow", "compile", "-c", str(config), "-o", str(path),
        "--set", "kubeflow.merge_small_steps=true", "--set", "kubeflow.inference_service=genres",
        "--set", "kubeflow.gpu_cache_lookup=true",
    )  # fmt: skip
    assert "16 nodes in 11 steps, and the steps that prepare and finish" in said
    assert "cache      looked up before 2 steps with GPUs\n" in said
    merged = _read(path)
    steps = run_state.tasks_of(package.read(str(path)).spec)
    assert steps.keys() == merged.steps.keys()
    assert len(steps.keys() - {"deploy", "lookup-trainer-cnn-small"}) == 13
    assert steps["lookup-trainer-cnn-small"] == "Lookup of Trainer.cnn_small and 1 more"
    for trainer in ("trainer-cnn-small", "trainer-vgg16"):
        assert "lookup-trainer-cnn-small" in merged.before(trainer)
    assert "lookup-trainer-cnn-small" not in merged.before("trainer-ffnn")
    assert "genregate-to-pusher" in merged.before("deploy")
    assert steps["importschemagen-to-datacheck"] == "ImportSchemaGen to DataCheck"
    assert steps["genregate-to-pusher"] == "GenreGate to Pusher"
    before = merged.before("importschemagen-to-datacheck")
    assert before == {"prepare", "spectrogramgen", "servingmodel"}
    assert "importschemagen-to-datacheck" in merged.before("trainer-ffnn")
    assert merged.before("genregate-to-pusher") >= {"servingmodel", "evaluator"}
    assert "genregate-to-pusher" in merged.before("report")
    args = merged.container("genregate-to-pusher")["args"]
    ran = [args[at + 1] for at, word in enumerate(args) if word == "--node-id"]
    assert ran == ["GenreGate", "ServingCheck", "Pusher"]
    files = {args[at + 1] for at, word in enumerate(args) if word == "--file"}
    assert files == {"page_genregate", "page_servingcheck", "model"}


def test_trainers_may_run_at_once(compiled: Compiled) -> None:
    names = ("trainer-ffnn", "trainer-cnn-small", "trainer-vgg16", "baselinetrainer")
    for one, other in itertools.permutations(names, 2):
        assert one not in compiled.before(other)


def test_the_last_step_runs_whatever_came_before(compiled: Compiled) -> None:
    finish = compiled.spec.root.dag.tasks["finish"]
    assert finish.trigger_policy.strategy == finish.trigger_policy.ALL_UPSTREAM_TASKS_COMPLETED
    (group,) = finish.dependent_tasks
    inner = compiled.spec.root.dag.tasks[group]
    assert inner.task_info.name == "run"
    tasks = compiled.spec.components[inner.component_ref.name].dag.tasks
    assert set(tasks) == compiled.steps.keys() - {"finish"}


def test_every_step_runs_the_image_by_a_module_of_ours(compiled: Compiled) -> None:
    modules = {"prepare": "kubeflow.steps.prepare", "finish": "kubeflow.steps.finish"}
    for step in compiled.steps:
        container = compiled.container(step)
        assert container["image"] == IMAGE
        module = modules.get(step, "kubeflow.steps.run_node")
        assert container["command"] == ["python", "-m", module]
        assert METADATA in container["args"]
    args = compiled.container("prepare")["args"]
    assert args[args.index("--volume") + 1] == "/volume"
    args = compiled.container("trainer-cnn-small")["args"]
    assert args[args.index("--node-id") + 1] == "Trainer.cnn_small"


def test_kubeflows_own_cache_is_off_and_failures_are_tried_again(compiled: Compiled) -> None:
    for step in compiled.steps:
        task = compiled.steps[step]
        assert not task.caching_options.enable_cache
        # What the first step finds wrong, another try does not mend.
        assert task.retry_policy.max_retry_count == (0 if step == "prepare" else 3)
        assert task.retry_policy.backoff_duration.seconds == (0 if step == "prepare" else 30)


def test_resources_are_the_nodes_own_or_its_kinds_or_the_default(compiled: Compiled) -> None:
    def asked(step: str) -> tuple[float, float, Any]:
        resources = compiled.container(step)["resources"]
        accelerator = resources.get("accelerator")
        return resources["cpuLimit"], resources["memoryLimit"], accelerator

    def as_text(step: str) -> tuple[str, str]:
        resources = compiled.container(step)["resources"]
        return resources["resourceCpuLimit"], resources["resourceMemoryLimit"]

    # Each under two names: Kubeflow Pipelines has preferred text since 2.4.
    gpu = {"count": "1", "type": "nvidia.com/gpu"}
    gpu |= {"resourceCount": "1", "resourceType": "nvidia.com/gpu"}
    assert asked("trainer-vgg16") == (4.0, pytest.approx(16 * 1024**3 / 1e9), gpu)
    assert asked("trainer-ffnn") == (0.5, pytest.approx(2 * 1024**3 / 1e9), None)
    assert asked("pusher") == (2.0, pytest.approx(4 * 1024**3 / 1e9), None)
    assert as_text("trainer-vgg16") == ("4", "16Gi")
    assert as_text("trainer-ffnn") == ("500m", "2Gi")
    assert as_text("pusher") == ("2", "4Gi")
    labels = {"cloud.google.com/gke-accelerator": "nvidia-l4"}
    vgg16, pusher = compiled.kubernetes("trainer-vgg16"), compiled.kubernetes("pusher")
    assert vgg16["nodeSelector"] == {"labels": labels}
    assert vgg16["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert not {"nodeSelector", "tolerations"} & pusher.keys()
    hours = (vgg16["activeDeadlineSeconds"], pusher["activeDeadlineSeconds"])
    assert hours == (str(12 * 3600), str(5 * 3600))


def test_every_step_gets_volume_secrets_and_variables(compiled: Compiled) -> None:
    for step in compiled.steps:
        given = compiled.kubernetes(step)
        assert given["pvcMount"] == [{"constant": "genreflow", "mountPath": "/volume"}]
        assert given["imagePullSecret"] == [{"secretName": "registry"}]
        assert given["securityContext"] == {"runAsNonRoot": True, "runAsGroup": "2000"}
        taken = {
            (secret["secretName"], key["secretKey"], key["envVar"])
            for secret in given["secretAsEnv"]
            for key in secret["keyToEnv"]
        }
        assert taken == {
            ("genreflow-metadata", "password", "GENREFLOW_METADATA_PASSWORD"),
            ("genreflow-storage", "AWS_ACCESS_KEY_ID", "GENREFLOW_STEP_AWS_ACCESS_KEY_ID"),
            (
                "genreflow-storage",
                "AWS_SECRET_ACCESS_KEY",
                "GENREFLOW_STEP_AWS_SECRET_ACCESS_KEY",
            ),
        }
        variables = {v["name"]: v["value"] for v in compiled.container(step)["env"]}
        assert variables == {
            "GENREFLOW_STEP_AWS_ENDPOINT_URL_S3": "https://s3.example.org",
            "GENREFLOW_CHECKPOINTS": "/volume/checkpoints",
            "GENREFLOW_CURVES": "/volume/curves",
        }


def test_the_configuration_travels_with_the_first_step(compiled: Compiled) -> None:
    task = compiled.steps["prepare"]
    config = json.loads(task.inputs.parameters["config"].runtime_value.constant.string_value)
    assert config["training"]["epochs"] == 15
    assert config["beam"]["workers"] == 2  # the cores of the step, not of this machine
    assert config["models"].keys() == {"ffnn", "cnn_small", "vgg16"}
    # A run's parameters are checked against this before they are sent.
    read = package.read(str(compiled.path))
    assert json.loads(read.config) == config
    run_checks.check(read, {})
    with pytest.raises(UsageError, match="no data folder is compiled in"):
        run_checks.check(dataclasses.replace(read, config=json.dumps(without_data(config))),
                         {"data_dir": ""})  # fmt: skip


def without_data(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "dataset": {**config["dataset"], "data_dir": ""}}


def test_steps_have_outputs_of_kubeflows_own_types(compiled: Compiled) -> None:
    from kfp.pipeline_spec.pipeline_spec_pb2 import ParameterType

    found: dict[str, dict[str, str]] = {}
    for step in compiled.steps:
        outputs = compiled.component(step).output_definitions
        kinds = outputs.parameters.values()
        names = {name: kind.artifact_type.schema_title for name, kind in outputs.artifacts.items()}
        for name, kind in zip(outputs.parameters, kinds, strict=True):
            names[name] = ParameterType.ParameterTypeEnum.Name(kind.parameter_type)
        if names:
            found[step] = names
            args = compiled.container(step)["args"]
            assert step == "finish" or args[args.index("--executor-input") + 1] == "{{$}}"
            if step != "finish":
                files = {args[at + 1] for at, word in enumerate(args) if word == "--file"}
                assert files == names.keys() & {"page", "model"}
    page, metrics = {"page": "system.HTML"}, {"metrics": "system.Metrics"}
    matrix = {"confusion": "system.ClassificationMetrics"}
    assert found == {
        **dict.fromkeys(("trainer-ffnn", "trainer-cnn-small", "trainer-vgg16"), metrics),
        "baselinetrainer": metrics,
        "ensembler": page | metrics | matrix,
        "evaluator": metrics | matrix,
        "genregate": page | metrics | {"blessed": "BOOLEAN"},
        "servingcheck": page,
        "pusher": {
            "model": "system.Model", "pushed_version": "STRING", "model_uri": "STRING",
        },
        "report": page,
        "finish": page,
    }  # fmt: skip


def test_names_are_such_as_kubernetes_takes(compiled: Compiled) -> None:
    import re

    for step in compiled.steps:
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", step)
    assert compiled.path.stat().st_size < 200_000


def test_the_readmes_picture_is_this_graph(compiled: Compiled) -> None:
    text = (support.ROOT / "docs" / "guides" / "kubeflow.md").read_text(encoding="utf-8")
    picture = text.split("```mermaid\n")[1].split("```")[0]
    before: dict[str, set[str]] = {}
    for line in picture.splitlines()[1:]:
        groups = [part.split("&") for part in line.split("-->")]
        for sources, targets in itertools.pairwise(groups):
            for target in targets:
                found = before.setdefault(target.strip(), set())
                found |= {source.strip() for source in sources}

    def all_before(step: str) -> set[str]:
        direct = before.get(step, set())
        return direct | {far for near in direct for far in all_before(near)}

    for step in compiled.steps.keys() - {"finish"}:
        assert all_before(step) == compiled.before(step), step
    assert all_before("finish") == compiled.steps.keys() - {"finish"}
