"""Project files in the image: copied as the Dockerfile copies them, and run from there."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from kubeflow.steps import prepared
from tests.support.image_recipe import ROOT, build_context, copy_stage, stage


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Copy the files that the image has at /opt/genreflow, without its packages."""
    target = tmp_path_factory.mktemp("image") / "opt" / "genreflow"
    copy_stage(stage("runtime"), build_context(ROOT), target)
    return target


def python(project: pathlib.Path, *arguments: str) -> str:
    """Return Python's output in a folder of its own, with no project packages but the image's."""
    environment = {**os.environ, "PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_steps_are_told_of_the_same_project_as_the_checkout_is(project: pathlib.Path) -> None:
    code = "from kubeflow.steps import prepared as p; print(p.__file__, p.project_digest())"
    place, digest = python(project, "-c", code).split()
    assert place == str(project / "kubeflow" / "steps" / "prepared.py")
    assert digest == prepared.project_digest()


@pytest.mark.parametrize("step", ["run_node", "prepare", "lookup", "finish", "deploy"])
def test_a_steps_entry_point_starts(project: pathlib.Path, step: str) -> None:
    assert f"usage: kubeflow.steps.{step}" in python(
        project, "-m", f"kubeflow.steps.{step}", "--help"
    )


def test_what_modules_read_beside_themselves_is_there(project: pathlib.Path) -> None:
    code = (
        "from pipeline.config import load as config_load; from components.report import page\n"
        "from pipeline.results import json_schema as results\n"
        "print(results.SCHEMA_FILE, len(results.SCHEMA_FILE.read_text()) > 100)\n"
        "print(config_load.shipped_config('demo'))\n"
    )
    schema, shipped = python(project, "-c", code).splitlines()
    assert schema == f"{project}/pipeline/results/results_schema.json True"
    assert shipped == f"{project}/configs/demo.toml"
    for folder in (
        "components/report/templates",
        "genreflow/web/templates",
        "genreflow/web/static",
    ):
        names = {path.name for path in (ROOT / folder).iterdir()}
        assert {path.name for path in (project / folder).iterdir()} == names


def test_it_holds_no_tests_and_nothing_that_is_not_read(project: pathlib.Path) -> None:
    files = [path for path in project.rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.startswith("test_") or "tests" in path.parts]
    assert {path.suffix for path in files} == {
        ".py", ".toml", ".json", ".html", ".css", ".js", ".svg", "",
    }  # fmt: skip
    assert [path.name for path in files if not path.suffix] == ["LICENSE"]
