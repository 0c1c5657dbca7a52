"""What the compiler refuses before anything heavy is imported: all of it at once."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from components.errors import UsageError
from kubeflow import compiler
from pipeline.cli import app
from pipeline.config_load import load, shipped_config
from pipeline.kubeflow_settings import StepResources

RIGHT = {
    "image": "registry.example.org:5000/genreflow:1.2",
    "pipeline_root": "s3://bucket/genreflow",
    "metadata": "mysql://genreflow@mysql/genreflow",
    "metadata_secret": "genreflow-metadata",
}
VOLUME = {"volume_claim": "genreflow", "pipeline_root": "/genreflow/root"}


def complaints(name: str = "fma_small", **changes: str) -> list[str]:
    settings = {**RIGHT, **changes}
    overrides = [f'kubeflow.{key}="{value}"' for key, value in settings.items()]
    config = load(shipped_config(name), overrides)
    try:
        compiler.check(config, config.kubeflow)
    except UsageError as error:
        return str(error).splitlines()
    return []


def test_what_is_right_passes() -> None:
    assert complaints() == []
    assert complaints("demo", **VOLUME) == []
    assert complaints(**VOLUME, metadata="sqlite:///genreflow/metadata.sqlite") == []
    assert complaints(image="genreflow@sha256:" + "0" * 64) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": ""}, "no image"),
        ({"image": "Not An Image"}, "no reference of an image"),
        ({"pipeline_root": ""}, "not shared between steps"),
        ({"pipeline_root": "/tmp/root"}, "not shared between steps"),
        ({**VOLUME, "pipeline_root": "/genreflow/../tmp"}, "not shared between steps"),
        ({"pipeline_root": "gs://bucket/x"}, "only local folders and s3:// URIs"),
        ({"metadata": ""}, "kubeflow.metadata: "),
        ({"metadata_secret": ""}, "no Secret is named"),
        ({"metadata": "sqlite:///tmp/x.sqlite"}, "must lie on the volume"),
    ],
)
def test_what_cannot_run_is_refused_by_its_key(changes: dict[str, str], words: str) -> None:
    (line,) = complaints(**changes)
    assert words in line


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    (line,) = complaints(metadata="mysql://u:hush@db/g")
    assert "GENREFLOW_METADATA_PASSWORD" in line
    assert "hush" not in line


def test_synthetic_songs_need_a_volume() -> None:
    (line,) = complaints("demo")
    assert "made on the volume" in line


def test_resources_of_what_is_no_node_are_refused() -> None:
    config = load(shipped_config("fma_small"))
    steps = [compiler.Step("Trainer.ffnn", "trainer-ffnn", ())]
    for key in ("Trainer", "Trainer.ffnn", "default", "prepare"):
        compiler.check_resources(_with(config, key), steps)
    with pytest.raises(UsageError, match=r"kubeflow\.resources\.Traner: no such node"):
        compiler.check_resources(_with(config, "Traner"), steps)


def _with(config: compiler.Config, key: str) -> compiler.KubeflowSettings:
    import dataclasses

    return dataclasses.replace(config.kubeflow, resources={key: StepResources(cpu="1")})


def test_the_command_tells_all_at_once_with_status_2() -> None:
    result = CliRunner().invoke(app, ["kubeflow", "compile", "-c", "demo", "-o", "p.yaml"])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 4
    assert "no image" in result.stderr


def test_the_checks_import_nothing_heavy() -> None:
    program = "import sys; from kubeflow import compiler; print({'tfx', 'kfp'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "set()"
