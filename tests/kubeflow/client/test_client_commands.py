"""Commands `genreflow kubeflow submit|schedule|runs` with kfp's own client.

The API is a test double that behaves as Kubeflow Pipelines 2 does.
"""

from __future__ import annotations

import json
import pathlib
import re

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from genreflow.cli.app import app
from kubeflow.client import package
from tests.support.kubeflow_api import ApiResponse, KubeflowApi, at, failure, serve

TOKEN = "eyJhbGciOi.JSUzI1NiJ9.secret-signature"
RUN_ID = "6a2b8d1e-5f0c-4c7e-9d3a-000000000000"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Remove Kubeflow's variables, and hide kfp's settings in the home folder."""
    import kfp

    for name in ("ENDPOINT", "UI_ENDPOINT", "NAMESPACE", "TOKEN", "SA_TOKEN_PATH"):
        monkeypatch.delenv(f"KF_PIPELINES_{name}", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))


def typed(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["kubeflow", *map(str, arguments)])
    assert "Traceback" not in result.output
    assert TOKEN not in result.output
    assert "\x1b" not in result.output
    return result


# submit


@pytest.mark.parametrize("behind_page", [False, True])
@pytest.mark.parametrize("command", [["submit"], ["schedule", "--cron", "0 0 3 * * *"]])
@pytest.mark.parametrize("version", ["2.5.0", "2.13.9", "v1.8.22"])
def test_a_server_that_is_too_old_is_told_before_anything_is_made(
    version: str,
    command: list[str],
    behind_page: bool,
    kubeflow_api: KubeflowApi,
    compiled_pipeline: pathlib.Path,
) -> None:
    kubeflow_api.version, kubeflow_api.behind_page = version, behind_page
    result = typed(command[0], compiled_pipeline, *command[1:], "--host", kubeflow_api.url)
    assert result.exit_code == 1
    assert f"Kubeflow Pipelines {version} cannot run this pipeline" in result.stderr
    assert "needs 2.14.0 or newer" in result.stderr
    assert {request.method for request in kubeflow_api.requests} == {"GET"}


@pytest.mark.parametrize("version", ["2.14.0", "2.14.3", "2.17.0", "3.0.0", "unknown", "", "2"])
def test_a_server_that_is_new_enough_or_tells_no_version_gets_the_run(
    version: str, kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path
) -> None:
    kubeflow_api.version = version
    result = typed("submit", compiled_pipeline, "--host", kubeflow_api.url)
    assert result.exit_code == 0, result.output
    assert kubeflow_api.of("POST", "/runs")


@pytest.mark.parametrize(("version", "status"), [("2.15.2", 1), ("2.16.0", 0)])
@pytest.mark.parametrize("command", [["submit"], ["schedule", "--cron", "@daily"], ["upload"]])
def test_a_file_with_a_security_context_needs_a_server_that_knows_it(
    command: list[str],
    version: str,
    status: int,
    kubeflow_api: KubeflowApi,
    compiled_pipeline: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    pipeline, platform = yaml.safe_load_all(compiled_pipeline.read_text(encoding="utf-8"))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    next(iter(executors.values()))["securityContext"] = {"runAsNonRoot": True}
    file = tmp_path / "secure.yaml"
    file.write_text(yaml.safe_dump_all([pipeline, platform]), encoding="utf-8")
    kubeflow_api.version = version
    result = typed(command[0], file, *command[1:], "--host", kubeflow_api.url)
    assert result.exit_code == status, result.output
    assert ("needs 2.16.0 or newer" in result.stderr) == bool(status)


def test_a_run_is_what_was_typed(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path
) -> None:
    result = typed(
        "submit", compiled_pipeline, "--host", kubeflow_api.url, "--run-name", "the first",
        "--experiment", "Genres", "--service-account", "genreflow-runner",
        "-p", "data_dir=s3://bucket/fma", "--param", 'overrides={"training.epochs": 3}',
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "submitted  the first (experiment Genres)\n"
        f"run        {RUN_ID}\n"
        f"page       {kubeflow_api.url}/#/runs/details/{RUN_ID}\n"
        f"next       genreflow kubeflow watch {RUN_ID} --host {kubeflow_api.url}\n"
    )
    assert result.stderr == ""
    [experiment] = kubeflow_api.of("POST", "/experiments")
    assert experiment.body == {"display_name": "Genres"}
    [sent] = kubeflow_api.of("POST", "/runs")
    assert sent.body == {
        "display_name": "the first",
        "experiment_id": kubeflow_api.experiments[0]["experiment_id"],
        "service_account": "genreflow-runner",
        "runtime_config": {
            "parameters": {"data_dir": "s3://bucket/fma", "overrides": '{"training.epochs": 3}'}
        },
        "pipeline_spec": package.read(str(compiled_pipeline)).spec,
    }
    executors = sent.body["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]
    assert "activeDeadlineSeconds" in json.dumps(executors)
    assert all("authorization" not in request.headers for request in kubeflow_api.requests)


def test_little_has_to_be_typed(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", kubeflow_api.url)
    result = typed("submit", compiled_pipeline)
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(f"next       genreflow kubeflow watch {RUN_ID}\n")
    [sent] = kubeflow_api.of("POST", "/runs")
    assert re.fullmatch(r"genreflow-\d{8}-\d{6}", sent.body["display_name"])
    assert sent.body["runtime_config"] == {"parameters": {}}
    assert "service_account" not in sent.body
    assert kubeflow_api.experiments[0]["display_name"] == "genreflow"


def test_an_experiment_is_made_once(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path
) -> None:
    for _ in range(2):
        result = typed("submit", compiled_pipeline, "--host", kubeflow_api.url)
        assert result.exit_code == 0, result.output
    assert len(kubeflow_api.experiments) == 1
    first, second = kubeflow_api.of("POST", "/runs")
    assert first.body["experiment_id"] == second.body["experiment_id"]


def test_programs_read_json(kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path) -> None:
    result = typed(
        "submit", compiled_pipeline, "--host", f"{kubeflow_api.url}/", "--run-name", "n", "--json"
    )
    assert json.loads(result.stdout) == {
        "run_id": RUN_ID,
        "name": "n",
        "experiment": "genreflow",
        "url": f"{kubeflow_api.url}/#/runs/details/{RUN_ID}",
    }
    result = typed("submit", compiled_pipeline, "--host", kubeflow_api.url, "--json", "--watch")
    assert result.exit_code == 2
    assert "--watch and --json exclude each other" in result.stderr


def test_with_many_users_everything_is_in_the_namespace(
    compiled_pipeline: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = KubeflowApi(multi_user=True, token=TOKEN)
    server = serve(api)
    monkeypatch.setenv("KF_PIPELINES_TOKEN", TOKEN)
    try:
        result = typed("submit", compiled_pipeline, "--host", api.url, "-n", "team-a")
        assert result.exit_code == 0, result.output
        assert f"watch {RUN_ID} --host {api.url} --namespace team-a\n" in result.stdout
        assert api.of("POST", "/experiments")[0].body["namespace"] == "team-a"
        result = typed("runs", "--host", api.url, "-n", "team-a")
        assert result.exit_code == 0, result.output
        assert api.of("GET", "/runs")[0].query["namespace"] == "team-a"
        assert {request.headers["authorization"] for request in api.requests} == {f"Bearer {TOKEN}"}

        monkeypatch.setenv("KF_PIPELINES_NAMESPACE", "team-b")
        assert typed("runs", "--host", api.url).exit_code == 0
        assert api.of("GET", "/runs")[1].query["namespace"] == "team-b"
        monkeypatch.delenv("KF_PIPELINES_NAMESPACE")

        result = typed("runs", "--host", api.url)
        assert result.exit_code == 2
        assert "has many users: give your profile's namespace" in result.stderr
        assert "--namespace (or KF_PIPELINES_NAMESPACE)" in result.stderr
    finally:
        server.shutdown()
        server.server_close()


def test_with_a_single_user_no_namespace_is_sent(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path
) -> None:
    """Kubeflow would refuse it, and the manifests' schedule sets it to its own namespace."""
    for namespace in ("genreflow", "kubeflow"):
        result = typed("submit", compiled_pipeline, "--host", kubeflow_api.url, "-n", namespace)
        assert result.exit_code == 0, result.output
    assert all("namespace" not in request.query for request in kubeflow_api.requests)


def test_a_token_of_a_file_is_sent(
    compiled_pipeline: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(path))
    api = KubeflowApi(token=TOKEN)
    server = serve(api)
    result = typed("submit", compiled_pipeline, "--host", api.url)
    server.shutdown()
    server.server_close()
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.yaml"], "none.yaml: No such file or directory"),
        (["FILE", "-p", "epochs=3"],
         "has no such parameter; it has data_dir, overrides, pipeline_root, push_destination"),
        (["FILE", "-p", "overrides=3"], "a JSON object is needed"),
        (["FILE", "--experiment", ""], "--experiment : 1 to 128 characters on one line are needed"),
        (["FILE", "--experiment", "a" * 129], "1 to 128 characters"),
        (["FILE", "--run-name", "a\nb"], "--run-name a\\x0ab: 1 to 128 characters"),
        (["FILE", "--service-account", "Runner"], "--service-account Runner: not a valid name"),
        (["FILE", "--host", "localhost:8080"], "--host localhost:8080: not a URL"),
    ],
)  # fmt: skip
def test_nothing_is_sent_of_what_cannot_be(
    arguments: list[str], words: str, kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path
) -> None:
    arguments = [str(compiled_pipeline) if one == "FILE" else one for one in arguments]
    result = typed("submit", "--host", kubeflow_api.url, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""
    assert kubeflow_api.requests == []


def test_without_a_host_it_is_told_how_to_give_one(compiled_pipeline: pathlib.Path) -> None:
    result = typed("submit", compiled_pipeline)
    assert result.exit_code == 2
    assert "no host: give --host (or KF_PIPELINES_ENDPOINT)" in result.stderr


def test_an_answer_that_got_lost_does_not_mean_that_nothing_runs(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path
) -> None:
    kubeflow_api.in_the_way["/runs"] = [ApiResponse(None)]
    result = typed("submit", compiled_pipeline, "--host", kubeflow_api.url)
    assert result.exit_code == 1
    assert "cannot be reached" in result.stderr
    assert "it may have been started nevertheless; check before you retry" in result.stderr
    assert len(kubeflow_api.of("POST", "/runs")) == 1, "a second one would train twice"


def test_what_kubeflow_refuses_is_told_in_its_words_made_harmless(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path
) -> None:
    said = "Invalid input error: \x1b[2Jno such service account\n[red]here[/red]" + "x" * 1000
    kubeflow_api.in_the_way["/runs"] = [failure((3, 400), said)]
    result = typed("submit", compiled_pipeline, "--host", kubeflow_api.url)
    assert result.exit_code == 1
    refusal = "refused the request (400): Invalid input error: \\x1b[2Jno such"
    assert f"{kubeflow_api.url} {refusal}" in result.stderr
    assert "[red]here[/red]xxx" in result.stderr
    assert len(result.stderr) < 600


# schedule


def test_a_schedule_is_what_was_typed(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path
) -> None:
    result = typed(
        "schedule", compiled_pipeline, "--host", kubeflow_api.url, "--cron", "0 3 * * 1",
        "--run-name", "weekly", "--service-account", "genreflow-runner", "-p", "data_dir=s3://b/f",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    identifier = "0f0f0f0f-1111-4222-8333-444444444444"
    assert result.stdout == (
        "scheduled  weekly (experiment genreflow)\n"
        "when       0 0 3 * * 1  (UTC, unless the cluster has another time zone)\n"
        f"id         {identifier}\n"
        f"page       {kubeflow_api.url}/#/recurringrun/details/{identifier}  (stop it there too)\n"
        f"next       genreflow kubeflow runs --experiment genreflow --host {kubeflow_api.url}\n"
    )
    [sent] = kubeflow_api.schedules
    assert sent["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 1"}}
    assert (sent["mode"], sent["max_concurrency"], sent["no_catchup"]) == ("ENABLE", "1", True)
    assert (sent["display_name"], sent["service_account"]) == ("weekly", "genreflow-runner")
    assert sent["runtime_config"] == {"parameters": {"data_dir": "s3://b/f"}}
    assert sent["pipeline_spec"] == package.read(str(compiled_pipeline)).spec
    assert sent["experiment_id"] == kubeflow_api.experiments[0]["experiment_id"]


def test_a_schedule_that_cannot_be_is_not_sent(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path
) -> None:
    result = typed(
        "schedule", compiled_pipeline, "--host", kubeflow_api.url, "--cron", "0 25 * * *"
    )
    assert result.exit_code == 2
    assert 'hour "25": must be from 0 to 23' in result.stderr
    assert kubeflow_api.requests == []


# runs


def add_run(api: KubeflowApi, number: int, state: str, ended: float | None = None) -> str:
    run_id = f"run-{number:03d}"
    api.runs[run_id] = [
        {"run_id": run_id, "display_name": f"n{number} [b]", "state": state,
         "experiment_id": f"e{number % 2}", "created_at": at(number * 3600),
         "finished_at": at(ended)}
    ]  # fmt: skip
    return run_id


def test_the_latest_runs_are_listed(
    kubeflow_api: KubeflowApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    add_run(kubeflow_api, 1, "SUCCEEDED", 3600 + 754)
    add_run(kubeflow_api, 2, "FAILED", 2 * 3600 + 3725)
    add_run(kubeflow_api, 3, "SOMETHING_NEW", 3 * 3600)
    result = typed("runs", "--host", kubeflow_api.url, "--limit", "2")
    assert result.exit_code == 0, result.output
    assert [re.split(" {2,}", line.strip()) for line in result.stdout.splitlines()] == [
        ["run", "state", "started", "took", "name"],
        ["run-003", "something_new", "2026-11-26 11:00", "0:00", "n3 [b]"],
        ["run-002", "failed", "2026-11-26 10:00", "1:02:05", "n2 [b]"],
    ]


@pytest.mark.parametrize("columns", ["20", "80"])
def test_nothing_of_a_runs_id_is_cut_off(
    columns: str, kubeflow_api: KubeflowApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    add_run(kubeflow_api, 1, "SUCCEEDED", 3600 + 754)
    kubeflow_api.runs["run-001"][0].update(run_id=RUN_ID, display_name="n" * 128)
    stdout = typed("runs", "--host", kubeflow_api.url).stdout
    assert stdout.splitlines()[1].startswith(f"{RUN_ID}  succeeded  ")
    assert stdout.endswith("n" * 128 + "\n")


def test_more_runs_than_a_page_holds_are_all_listed(kubeflow_api: KubeflowApi) -> None:
    names = [add_run(kubeflow_api, number, "SUCCEEDED", 1) for number in range(230)]
    result = typed("runs", "--host", kubeflow_api.url, "--limit", "220", "--json")
    assert [one["run_id"] for one in json.loads(result.stdout)] == names[:9:-1]
    pages = [request.query["page_size"] for request in kubeflow_api.of("GET", "/runs")]
    assert pages == ["200", "20"]


def test_runs_are_read_by_programs(kubeflow_api: KubeflowApi) -> None:
    add_run(kubeflow_api, 1, "RUNNING")
    result = typed("runs", "--host", kubeflow_api.url, "--json")
    assert json.loads(result.stdout) == [
        {"run_id": "run-001", "name": "n1 [b]", "state": "running",
         "created": "2026-11-26T09:00:00+00:00", "finished": None,
         "url": f"{kubeflow_api.url}/#/runs/details/run-001"}
    ]  # fmt: skip


def test_those_of_one_experiment(kubeflow_api: KubeflowApi) -> None:
    kubeflow_api.experiments = [{"display_name": "odd", "experiment_id": "e1"}]
    for number in range(4):
        add_run(kubeflow_api, number, "RUNNING")
    result = typed("runs", "--host", kubeflow_api.url, "--experiment", "odd", "--json")
    assert [one["run_id"] for one in json.loads(result.stdout)] == ["run-003", "run-001"]
    result = typed("runs", "--host", kubeflow_api.url, "--experiment", "even")
    assert result.exit_code == 1
    assert "--experiment even: there is no experiment of this name" in result.stderr
    assert kubeflow_api.of("POST", "/experiments") == []


def test_without_runs_it_says_so(kubeflow_api: KubeflowApi) -> None:
    assert typed("runs", "--host", kubeflow_api.url).stdout == "no runs yet\n"
    assert json.loads(typed("runs", "--host", kubeflow_api.url, "--json").stdout) == []


@pytest.mark.parametrize("time", ["2026-11-26T08:00:00+99:99", "9999-12-31T23:59:59-12:00"])
def test_times_that_are_none_are_left_out(time: str, kubeflow_api: KubeflowApi) -> None:
    add_run(kubeflow_api, 1, "RUNNING")
    kubeflow_api.runs["run-001"][0]["created_at"] = time
    result = typed("runs", "--host", kubeflow_api.url, "--json")
    assert json.loads(result.stdout)[0]["created"] is None
