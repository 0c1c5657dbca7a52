"""Command `genreflow kubeflow upload` with kfp's own client at a test double of the API."""

from __future__ import annotations

import json
import pathlib
import shutil

import pytest
from click.testing import Result
from typer.testing import CliRunner

from genreflow.cli.app import app
from tests.support.kubeflow_api import LOGIN_PAGE, ApiResponse, KubeflowApi


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    import kfp

    for name in ("ENDPOINT", "UI_ENDPOINT", "NAMESPACE", "TOKEN", "SA_TOKEN_PATH"):
        monkeypatch.delenv(f"KF_PIPELINES_{name}", raising=False)
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))


def upload(api: KubeflowApi, file: object, *arguments: str) -> Result:
    result = CliRunner().invoke(
        app, ["kubeflow", "upload", str(file), "--host", api.url, *arguments]
    )
    assert "Traceback" not in result.output
    return result


def test_the_file_becomes_a_version_of_a_new_pipeline(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path
) -> None:
    result = upload(
        kubeflow_api, compiled_pipeline, "--pipeline-name", "Genres", "--version-name", "of May",
        "--description", "with more rock",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    [pipeline], [version] = kubeflow_api.pipelines, kubeflow_api.versions
    assert (pipeline["display_name"], pipeline["description"]) == ("Genres", "with more rock")
    assert (version["display_name"], version["description"]) == ("of May", "with more rock")
    assert version["pipeline_id"] == pipeline["pipeline_id"]
    assert version["content"] == compiled_pipeline.read_bytes()
    assert result.stdout == (
        "uploaded   Genres, version of May\n"
        f"id         {version['pipeline_version_id']}\n"
        f"page       {kubeflow_api.url}/#/pipelines/details/{pipeline['pipeline_id']}/version/"
        f"{version['pipeline_version_id']}\n"
    )


def test_the_same_file_is_one_version_and_a_changed_one_another(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    first, second = (json.loads(upload(kubeflow_api, compiled_pipeline, "--json").stdout)
                     for _ in range(2))  # fmt: skip
    assert (first.pop("is_new"), second.pop("is_new")) == (True, False)
    assert first == second
    assert first["pipeline"] == "genreflow"
    changed = tmp_path / "changed.yml"
    shutil.copy(compiled_pipeline, changed)
    changed.write_text("# changed\n" + changed.read_text())
    assert json.loads(upload(kubeflow_api, changed, "--json").stdout)["is_new"]
    assert len(kubeflow_api.pipelines) == 1
    assert len({one["display_name"] for one in kubeflow_api.versions}) == 2


def test_a_version_name_that_exists_is_refused(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path
) -> None:
    assert upload(kubeflow_api, compiled_pipeline, "--version-name", "1").exit_code == 0
    result = upload(kubeflow_api, compiled_pipeline, "--version-name", "1")
    assert result.exit_code == 1
    assert "pipeline genreflow has a version 1 already; give another" in result.stderr
    other = upload(kubeflow_api, compiled_pipeline, "--version-name", "1", "--pipeline-name", "b")
    assert other.exit_code == 0


def test_with_profiles_it_is_a_pipeline_of_the_namespace(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path
) -> None:
    kubeflow_api.multi_user = True
    assert upload(kubeflow_api, compiled_pipeline, "--namespace", "team-a").exit_code == 0
    assert kubeflow_api.pipelines[0]["namespace"] == "team-a"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pipeline-name", " "], "--pipeline-name"),
        (["--pipeline-name", "x" * 129], "1 to 128 characters"),
        (["--version-name", "x" * 128], "1 to 127 characters"),
        (["--version-name", "a\nb"], "--version-name"),
    ],
)
def test_what_kubeflow_would_refuse_is_not_sent(
    arguments: list[str], words: str, kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path
) -> None:
    result = upload(kubeflow_api, compiled_pipeline, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not kubeflow_api.requests


def test_only_compiled_pipelines_with_a_fitting_name_are_sent(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    shutil.copy(compiled_pipeline, tmp_path / "pipeline.txt")
    (tmp_path / "other.yaml").write_text("a: 1")
    for name, words in (
        ("pipeline.txt", "ends in .yaml or .yml"),
        ("other.yaml", "not a compiled"),
    ):
        result = upload(kubeflow_api, tmp_path / name)
        assert result.exit_code == 2
        assert words in result.stderr
    assert not kubeflow_api.requests


def test_an_old_server_and_a_login_page_are_told(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path
) -> None:
    kubeflow_api.version = "2.5.0"
    assert "needs 2.14.0 or newer" in upload(kubeflow_api, compiled_pipeline).stderr
    assert not kubeflow_api.pipelines
    kubeflow_api.version = "2.17.0"
    page = ApiResponse(LOGIN_PAGE, content_type="text/html")
    kubeflow_api.in_the_way["/pipelines/upload_version"] = [page]
    result = upload(kubeflow_api, compiled_pipeline)
    assert result.exit_code == 1
    assert "not from the API of Kubeflow Pipelines 2" in result.stderr
    kubeflow_api.in_the_way["/pipelines/upload_version"] = [
        ApiResponse({"error_message": "no rights", "error_details": "x"}, 400)
    ]
    assert "refused the request (400): no rights" in upload(kubeflow_api, compiled_pipeline).stderr
