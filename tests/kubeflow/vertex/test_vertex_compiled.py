"""The file for Vertex AI, read by KFP's proto and by Vertex AI's own client."""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml
from google.protobuf import json_format

from components.artifacts import types as artifacts
from components.common.errors import UsageError
from components.synthesis import write_corpus
from kubeflow.compile import node_steps
from kubeflow.vertex import artifact_types
from kubeflow.vertex import compiler as vertex
from kubeflow.vertex import storage as vertex_storage
from pipeline.config.load import load, with_data_dir
from pipeline.graph.nodes import node_ids

CONFIG = """
[dataset]
kind = "fma"
[split]
policy = "official"
[training]
batch_size = 4
[models.ffnn]
[models.cnn_small]
[tuning]
networks = ["ffnn"]
max_train_clips = 8
batch_size = [2, 4]
[gate]
holds_serving = true
[kubeflow]
image = "registry.example.org/genreflow:1"
pipeline_root = "gs://bucket/root"
retries = 3
retry_seconds = 5
environment = {GENREFLOW_X = "1"}
[kubeflow.resources.Trainer]
cpu = "8"
memory = "30Gi"
gpus = 2
node_selector = {"cloud.google.com/gke-accelerator" = "nvidia-tesla-t4"}
[kubeflow.resources.SpectrogramGen]
cpu = "1500m"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Create a configuration, and mounted buckets with 16 tracks in one of them."""
    folder = tmp_path_factory.mktemp("vertex")
    (folder / "gcs" / "bucket").mkdir(parents=True)
    write_corpus(str(folder / "gcs/bucket/data"), tracks=16, track_seconds=3.0, workers=1)
    (folder / "config.toml").write_text(CONFIG, encoding="utf-8")
    return folder


def compiled(folder: pathlib.Path, name: str, *overrides: str) -> pathlib.Path:
    config = load(folder / "config.toml", overrides)
    config = with_data_dir(config, str(folder / "gcs/bucket/data"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(vertex_storage.MOUNT_VARIABLE, str(folder / "gcs"))
        vertex.compile_pipeline(config, config.kubeflow, str(folder / name))
    return folder / name


@pytest.fixture(scope="module")
def job(folder: pathlib.Path) -> Any:
    return json.loads(compiled(folder, "pipeline.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tasks(job: Any) -> Any:
    return job["pipelineSpec"]["root"]["dag"]["tasks"]


@pytest.fixture(scope="module")
def containers(job: Any) -> dict[str, Any]:
    """Return the containers by task name."""
    executors = job["pipelineSpec"]["deploymentSpec"]["executors"]
    return {key.removesuffix("_executor"): value["container"] for key, value in executors.items()}


def test_kfps_proto_reads_it(job: Any) -> None:
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec = json_format.ParseDict(job["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())
    assert spec.pipeline_info.name == "genreflow"
    assert job["runtimeConfig"] == {"gcsOutputDirectory": "gs://bucket/root"}


def test_its_nodes_are_those_that_are_known_without_tfx(folder: pathlib.Path, tasks: Any) -> None:
    known = node_ids(load(folder / "config.toml"), resolves_serving=False)
    assert set(node_steps.step_names(known).values()) == tasks.keys()


def test_vertex_ais_client_takes_it(folder: pathlib.Path, job: Any) -> None:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform

    made = aiplatform.PipelineJob(
        display_name="genreflow",
        template_path=str(folder / "pipeline.json"),
        project="project",
        location="europe-west4",
        credentials=AnonymousCredentials(),
    )
    assert made.job_id.startswith("genreflow-")
    assert made._gca_resource.runtime_config.gcs_output_directory == "gs://bucket/root"


def test_there_is_a_step_for_every_node_but_the_resolver(tasks: Any) -> None:
    assert tasks.keys() == {
        "spectrogramgen", "importschemagen", "statisticsgen", "examplevalidator", "datacheck",
        "baselinetrainer", "tuner-ffnn", "trainer-ffnn", "trainer-cnn-small", "ensembler",
        "evaluator", "genregate", "servingcheck", "pusher", "report",
    }  # fmt: skip
    for name, task in tasks.items():
        assert re.fullmatch(r"[a-z0-9-]{1,128}", name)
        assert set(task.get("dependentTasks", [])) <= tasks.keys()
    assert "datacheck" in tasks["trainer-ffnn"]["dependentTasks"]
    assert "serving_model" not in tasks["genregate"]["inputs"]["artifacts"]


def test_every_class_that_it_names_can_be_imported(job: Any, containers: dict[str, Any]) -> None:
    own = {
        title: f"{kind.__module__}.{kind.__name__}"
        for title, kind in artifact_types.own_types().items()
    }
    titles = set()
    for component in job["pipelineSpec"]["components"].values():
        for side in ("inputDefinitions", "outputDefinitions"):
            for artifact in component.get(side, {}).get("artifacts", {}).values():
                titles.add(yaml.safe_load(artifact["artifactType"]["instanceSchema"])["title"])
    assert {title for title in titles if not title.startswith("tfx.")} == own.keys()
    paths = [*own.values()]
    for container in containers.values():
        assert container["command"] == ["python", "-m", "kubeflow.vertex.step"]
        paths.append(container["args"][1])
    for path in paths:
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name), path


def test_tfxs_entry_point_makes_artifacts_of_the_right_class(job: Any) -> None:
    from kfp.pipeline_spec import pipeline_spec_pb2 as proto
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils as entry

    artifact_types.register()
    outputs = job["pipelineSpec"]["components"]["spectrogramgen"]["outputDefinitions"]
    told = {
        key: proto.ArtifactList(
            artifacts=[
                proto.RuntimeArtifact(
                    name=key,
                    uri=f"gs://bucket/{key}",
                    type=json_format.ParseDict(spec["artifactType"], proto.ArtifactTypeSchema()),
                )
            ]
        )
        for key, spec in outputs["artifacts"].items()
    }
    made = entry.parse_raw_artifact_dict(told)
    assert [type(found) for found in made["rejects"]] == [artifacts.Rejects]
    assert [found.type_name for found in made["examples"]] == ["Examples"]


def test_what_must_not_be_taken_from_a_cache_is_not(tasks: Any) -> None:
    cached = {name for name, task in tasks.items() if task["cachingOptions"]}
    assert tasks.keys() - cached == {"pusher", "servingcheck"}


def test_steps_are_tried_again_and_take_what_is_configured(
    tasks: Any, containers: dict[str, Any]
) -> None:
    for name, task in tasks.items():
        assert task["retryPolicy"]["maxRetryCount"] == 3
        assert task["retryPolicy"]["backoffDuration"] == "5s"
        assert containers[name]["env"] == [{"name": "GENREFLOW_X", "value": "1"}]
    for name in ("trainer-ffnn", "trainer-cnn-small"):
        assert containers[name]["resources"] == {
            "cpuLimit": 8.0,
            "memoryLimit": 30 * 2**30 / 1e9,
            "accelerator": {"type": "NVIDIA_TESLA_T4", "count": "2"},
        }
    assert containers["spectrogramgen"]["resources"] == {"cpuLimit": 1.5}
    assert "resources" not in containers["ensembler"]


def test_the_gate_asks_for_no_model_that_serves(tasks: Any) -> None:
    parameters = tasks["genregate"]["inputs"]["parameters"]
    gate = parameters["gate"]["runtimeValue"]["constant"]
    assert json.loads(gate)["holds_serving"] is False
    assert parameters["serving"]["runtimeValue"]["constant"] == "unknown"


def test_the_schema_is_in_the_file(tasks: Any, containers: dict[str, Any]) -> None:
    args = containers["importschemagen"]["args"]
    assert 'name: "mel_db"' in args[args.index("--schema") + 1]
    name = tasks["importschemagen"]["inputs"]["parameters"]["schema_file"]
    assert re.fullmatch(r"schema-[0-9a-f]{16}\.pbtxt", name["runtimeValue"]["constant"])


def test_text_that_vertex_ai_would_replace_is_refused(folder: pathlib.Path) -> None:
    with pytest.raises(UsageError, match=r"contains '\{\{\$'"):
        compiled(folder, "x.json", f"storage.push_destination={folder}/gcs/bucket/{{{{$.x}}}}")
    assert not (folder / "x.json").exists()


def test_resources_of_what_is_no_node_are_refused(folder: pathlib.Path) -> None:
    with pytest.raises(UsageError, match=r"kubeflow\.resources\.Traner: no such node"):
        compiled(folder, "x.json", 'kubeflow.resources.Traner={cpu="1"}')


def test_the_command_writes_the_same_bytes_in_another_process(
    folder: pathlib.Path, job: Any
) -> None:
    command = [
        sys.executable, "-c", "from genreflow.cli.app import main; main()",
        "kubeflow", "compile", "--target", "vertex",
        "-c", str(folder / "config.toml"), "--data-dir", "gs://bucket/data",
        "-o", str(folder / "again.json"),
    ]  # fmt: skip
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "PYTHONHASHSEED": "7",
            vertex_storage.MOUNT_VARIABLE: str(folder / "gcs"),
        },
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "again.json").read_bytes() == (folder / "pipeline.json").read_bytes()
    assert "holds_serving and already_serving are off" in done.stdout
    assert "PipelineJob(" in done.stdout
    assert done.stderr == ""
