"""Checks for Vertex AI that import nothing heavy, and paths of Cloud Storage."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from components.common.errors import UsageError
from genreflow.cli.app import app
from kubeflow.vertex import checks as vertex_checks
from kubeflow.vertex import step as vertex_step
from kubeflow.vertex import storage as vertex_storage
from pipeline.config.kubeflow import KubeflowSettings, StepResources
from pipeline.config.load import load, shipped_config, with_data_dir

RIGHT = ["kubeflow.image=registry.example.org/genreflow:1", "kubeflow.pipeline_root=gs://bucket/x"]
T4 = {vertex_checks.ACCELERATOR_LABEL: "nvidia-tesla-t4"}


@pytest.fixture
def mount(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "gcs"
    (folder / "bucket" / "data").mkdir(parents=True)
    return folder


def complaints(
    mount: pathlib.Path, *overrides: str, name: str = "fma_small", data: str | None = None
) -> list[str]:
    config = load(shipped_config(name), [*RIGHT, *overrides])
    config = with_data_dir(config, str(mount / "bucket" / "data") if data is None else data)
    try:
        vertex_checks.check(config, config.kubeflow, str(mount))
    except UsageError as error:
        return str(error).splitlines()
    return []


def test_what_is_right_passes(mount: pathlib.Path) -> None:
    assert complaints(mount) == []
    assert complaints(mount, name="demo") == []
    assert complaints(mount, f"storage.push_destination={mount}/models/x") == []
    gpu = 'kubeflow.resources.Trainer={gpus=1,node_selector={"%s"="nvidia-l4"}}'
    assert complaints(mount, gpu % vertex_checks.ACCELERATOR_LABEL) == []


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ('kubeflow.image=""', "no image"),
        ('kubeflow.image="Not An Image"', "not an image reference"),
        ('kubeflow.pipeline_root=""', "not a URI such as gs://bucket/folder"),
        ("kubeflow.pipeline_root=gs://bucket", "not a URI such as gs://bucket/folder"),
        ("kubeflow.pipeline_root=gs://bucket/a/../b", "not a URI such as gs://bucket/folder"),
        ("kubeflow.pipeline_root=gs://Bucket/a",
         "kubeflow.pipeline_root: 'gs://Bucket/a': 'Bucket' is not a bucket name (3 to 63 of a-z"),
        ("kubeflow.pipeline_root=gs://b/x", "'b' is not a bucket name"),
        ("kubeflow.pipeline_root=gs://", "not a URI such as gs://bucket/folder"),
        ("kubeflow.pipeline_root=s3://bucket/a", "not a URI such as gs://bucket/folder"),
        ("kubeflow.pipeline_root=/genreflow/root", "not a URI such as gs://bucket/folder"),
        ("storage.push_destination=s3://bucket/models", "storage.push_destination = 's3:"),
        ("storage.push_destination=/models", "must be in a bucket"),
        ("models.vgg16.weights=/weights.h5", "models.vgg16.weights = '/weights.h5': must be in"),
        ('beam={runner="portable",portable={endpoint="jobs:8099"}}',
         "which other machines cannot"),
        ("kubeflow.resources.Trainer={gpus=1}", "the kind of GPU is unknown"),
        ('kubeflow.resources.Trainer={gpus=1,gpu_resource="amd.com/gpu"}', "Vertex AI has nvidia"),
        ("kubeflow.resources.Traner.cpu='1'", "kubeflow.resources.Traner: no such node"),
        ("kubeflow.resources.ServingModel.cpu='1'", "no such node"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused_by_its_key(
    mount: pathlib.Path, override: str, words: str
) -> None:
    (line,) = complaints(mount, override)
    assert words in line


def test_published_weights_need_no_bucket_and_a_checkpoints_folder_does(
    mount: pathlib.Path,
) -> None:
    front_end = "audio.front_end=musicnn"
    assert complaints(mount, front_end, "models.musicnn.weights=msd") == []
    (line,) = complaints(mount, front_end, "models.musicnn.weights=/MSD")
    assert line.startswith("models.musicnn.weights = '/MSD': must be in a bucket")
    assert complaints(mount, front_end, f"models.musicnn.weights={mount}/bucket/MSD") == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "no data folder: the data is read"),
        ("/data/fma", "steps on Vertex AI cannot read this data folder"),
        ("s3://bucket/fma", "steps on Vertex AI cannot read this data folder"),
        ("{mount}/bucket/../../data", "steps on Vertex AI cannot read this data folder"),
        ("{mount}/bucket/nothing", "no such folder here"),
    ],
)
def test_data_that_no_step_can_read_is_refused(mount: pathlib.Path, data: str, words: str) -> None:
    (line,) = complaints(mount, data=data.format(mount=mount))
    assert words in line
    assert f"gcsfuse --implicit-dirs {mount}" in line


def test_synthetic_songs_have_to_be_there(mount: pathlib.Path) -> None:
    (line,) = complaints(mount, name="demo", data="")
    assert "the synthetic songs must exist" in line


def test_settings_that_only_kubernetes_has_are_told() -> None:
    assert vertex_checks.unused(KubeflowSettings()) == []
    settings = KubeflowSettings(
        image="x",
        environment={"A": "1"},
        retries=1,
        metadata="mysql://u@h/d",
        storage_secret="s",
        timeout_hours=2.0,
        resources={
            "prepare": StepResources(cpu="1"),
            "Trainer": StepResources(gpus=1, node_selector=T4),
            "Tuner": StepResources(node_selector={"pool": "big"}, timeout_hours=1.0),
        },
    )
    assert vertex_checks.unused(settings) == [
        "kubeflow.metadata",
        "kubeflow.resources.Tuner.node_selector",
        "kubeflow.resources.Tuner.timeout_hours",
        "kubeflow.resources.prepare",
        "kubeflow.storage_secret",
        "kubeflow.timeout_hours",
    ]


def test_every_setting_is_either_used_or_told() -> None:
    """A new setting must be considered here."""
    fields = {field.name for field in dataclasses.fields(KubeflowSettings)}
    told = {
        "metadata", "volume_claim", "volume_path", "storage_secret", "metadata_secret",
        "timeout_hours", "image_pull_secret", "security_context", "inference_service",
        "ready_minutes", "model_registry", "model_registry_secret", "merge_small_steps",
            "gpu_cache_lookup",
    }  # fmt: skip
    used = {"image", "pipeline_root", "environment", "retries", "retry_seconds", "resources"}
    assert fields == told | used


def test_uris_and_paths_are_each_others() -> None:
    assert vertex_storage.path_of("gs://bucket/a/b", "/gcs") == "/gcs/bucket/a/b"
    assert vertex_storage.uri_of("/gcs/bucket/a/b", "/gcs") == "gs://bucket/a/b"
    for other in ("/data/x", "s3://bucket/x", "/gcsbucket/x"):
        assert vertex_storage.path_of(other, "/gcs") == other
        assert vertex_storage.uri_of(other, "/gcs") == other


@pytest.mark.parametrize(
    "uri", ["gs://bbb/../../etc", "gs://b/../x", "gs://bucket/a//b", "gs://../etc/x", "gs://"]
)
def test_no_uri_leads_out_of_its_bucket(uri: str) -> None:
    with pytest.raises(UsageError, match=r"not a URI such as|is not a bucket name"):
        vertex_storage.path_of(uri, "/gcs")


def test_the_command_tells_all_at_once_with_status_2() -> None:
    arguments = ["kubeflow", "compile", "--target", "vertex", "-c", "demo"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 3
    assert "no image" in result.stderr
    result = CliRunner().invoke(app, [*arguments, "--data-dir", "gs://BUCKET/x", "-o", "p.yaml"])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 4
    assert "the data folder: 'gs://BUCKET/x': 'BUCKET' is not a bucket name" in result.stderr
    assert "p.yaml: the file's name must end in .json" in result.stderr


def test_buckets_of_the_configuration_are_found_where_they_are_mounted(
    mount: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(vertex_storage.MOUNT_VARIABLE, str(mount))
    changes = [word for one in (*RIGHT, "dataset.data_dir=gs://bucket/none") for word in
               ("--set", one)]  # fmt: skip
    result = CliRunner().invoke(
        app, ["kubeflow", "compile", "--target", "vertex", "-c", "fma_small", *changes]
    )
    assert f"'{mount}/bucket/none': no such folder here" in result.stderr


def test_the_checks_import_nothing_heavy() -> None:
    program = "import sys; from kubeflow import vertex; print({'tfx', 'kfp'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "set()"


def step(capsys: pytest.CaptureFixture[str], told: str) -> tuple[int, str]:
    status = vertex_step.main(
        [
            "--executor_class_path", "x.Y", "--json_serialized_invocation_args", told,
            "--json_serialized_inputs_spec_args", "{}", "--direct_running_mode=in_memory",
        ]
    )  # fmt: skip
    return status, capsys.readouterr().err


def test_a_step_without_buckets_says_so(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(vertex_storage.MOUNT_VARIABLE, str(tmp_path / "none"))
    status, said = step(capsys, "{}")
    assert status == 2
    assert "where Vertex AI mounts it" in said
    assert "Traceback" not in said


def test_outputs_take_the_place_of_what_an_earlier_attempt_left(tmp_path: pathlib.Path) -> None:
    made, kept = tmp_path / "made", tmp_path / "bucket" / "x"
    (made / "sub" / "empty").mkdir(parents=True)
    (made / "sub" / "new").write_text(json.dumps(1))
    kept.mkdir(parents=True)
    (kept / "old").write_text("")
    vertex_step._publish(str(made), str(kept))
    assert [path.relative_to(kept).as_posix() for path in sorted(kept.rglob("*"))] == [
        "sub",
        "sub/empty",
        "sub/new",
    ]
    assert (kept / "sub" / "new").read_text() == "1"
