"""Commands `genreflow kubeflow watch` and `submit --watch`: output and exit status."""

from __future__ import annotations

import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import threading
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from genreflow.cli.app import app
from kubeflow.client import package, watching
from tests.support import commands
from tests.support.kubeflow_api import (
    ApiResponse,
    KubeflowApi,
    failure,
    node,
    node_id,
    run,
    serve,
    step_name,
    step_nodes,
)

RUN_ID = "6a2b8d1e-5f0c-4c7e-9d3a-000000000000"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Remove Kubeflow's variables, and hide kfp's settings in the home folder."""
    import kfp

    for name in ("ENDPOINT", "UI_ENDPOINT", "NAMESPACE", "TOKEN", "SA_TOKEN_PATH"):
        monkeypatch.delenv(f"KF_PIPELINES_{name}", raising=False)
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="session")
def spec(compiled_pipeline: pathlib.Path) -> Any:
    return package.read(str(compiled_pipeline)).spec


def looks(spec: Any, last: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return five states of a run: it waits, trains, retries its trainer, and succeeds.

    Args:
      spec: the pipeline.
      last: replaces the last state.
    """

    def prepare(*attempt: Any) -> list[dict[str, Any]]:
        return step_nodes("prepare", attempt)

    def trainer(*attempts: Any) -> list[dict[str, Any]]:
        return step_nodes("trainer-vgg16", *attempts)

    done = prepare("SUCCEEDED", 5, 30)
    pusher = step_nodes("pusher", ("SUCCEEDED", 701, 720))
    finish = step_nodes("finish", ("SUCCEEDED", 721, 740))
    again = (("FAILED", 31, 60), ("SUCCEEDED", 90, 700))
    return [
        {"run_id": RUN_ID, "display_name": "n", "state": "PENDING", "pipeline_spec": spec,
         "created_at": "2026-11-26T08:00:00Z"},
        run(RUN_ID, "RUNNING", prepare("RUNNING", 5, None), spec=spec),
        run(RUN_ID, "RUNNING", done, trainer(("RUNNING", 31, None)), spec=spec),
        run(RUN_ID, "RUNNING", done, trainer(("FAILED", 31, 60), ("PENDING", 90, None)), spec=spec),
        last or run(RUN_ID, "SUCCEEDED", done, trainer(*again), pusher, finish, spec=spec,
                    finished=741),
    ]  # fmt: skip


def failed(spec: Any) -> dict[str, Any]:
    nodes = step_nodes("trainer-vgg16", ("FAILED", 31, 60), ("FAILED", 90, 700))
    return run(
        RUN_ID, "FAILED", step_nodes("prepare", ("SUCCEEDED", 5, 30)), nodes,
        [node("pusher-driver", "", None, None)],
        step_nodes("finish", ("SUCCEEDED", 721, 740)), spec=spec, finished=741,
    )  # fmt: skip


def typed(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["kubeflow", *map(str, arguments)])
    assert "Traceback" not in result.output
    assert "\x1b" not in result.output
    return result


def test_each_change_is_a_line_in_its_order(kubeflow_api: KubeflowApi, spec: Any) -> None:
    kubeflow_api.runs[RUN_ID] = looks(spec)
    result = typed("watch", RUN_ID, "--host", kubeflow_api.url, "--interval", "0.2")
    assert result.exit_code == 0, result.output
    # Kubeflow gives no time for these changes; the time of the request is shown.
    untimed = r"(?m)^ *[\d:]+  (run: running|Trainer\.vgg16: pending)"
    said = re.sub(untimed, r"     ...  \1", result.stdout)
    assert said.splitlines() == [
        "    0:00  run: pending",
        "     ...  run: running",
        "    0:05  Prepare: running",
        "    0:30  Prepare: succeeded after 0:25",
        "    0:31  Trainer.vgg16: running",
        "     ...  Trainer.vgg16: pending (attempt 2)",
        "   11:40  Trainer.vgg16: succeeded (attempt 2) after 11:09",
        "   12:00  Pusher: succeeded after 0:19",
        "   12:20  Finish: succeeded after 0:19",
        "   12:21  run: succeeded",
        "succeeded after 12:21",
    ]
    assert len(kubeflow_api.of("GET", f"/runs/{RUN_ID}")) == 5
    assert result.stderr == ""


def test_a_failed_run_says_which_step_and_where_its_log_is(
    kubeflow_api: KubeflowApi, spec: Any
) -> None:
    kubeflow_api.runs[RUN_ID] = [failed(spec)]
    result = typed("watch", RUN_ID, "--host", kubeflow_api.url)
    assert result.exit_code == 1
    pod = node_id(f"{step_name('trainer-vgg16')}.executor(1)")
    assert result.stdout.splitlines()[-5:] == [
        "   12:21  run: failed",
        "failed after 12:21: Trainer.vgg16",
        "  ✗ Trainer.vgg16 failed (attempt 2) after 11:09",
        '    log: kubectl logs -n kubeflow -c main "$(kubectl get pods -n kubeflow -l '
        f'pipeline/runid={RUN_ID} -o name | grep -e -{pod.rpartition("-")[2]}$)"',
        f"page       {kubeflow_api.url}/#/runs/details/{RUN_ID}",
    ]
    assert "Pusher" not in result.stdout


def test_a_canceled_run_ends_with_1(kubeflow_api: KubeflowApi, spec: Any) -> None:
    nodes = step_nodes("prepare", ("RUNNING", 5, None))
    kubeflow_api.runs[RUN_ID] = [run(RUN_ID, "CANCELED", nodes, spec=spec, finished=20)]
    result = typed("watch", RUN_ID, "--host", kubeflow_api.url)
    assert result.exit_code == 1
    assert "canceled after 0:20\n" in result.stdout


def test_submit_may_watch_what_it_started(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path, spec: Any
) -> None:
    for last, status in ((None, 0), (failed(spec), 1)):
        kubeflow_api.runs.clear()
        made = kubeflow_api._create_run

        def create(body: Any, made: Any = made, last: Any = last) -> ApiResponse:
            answer = made(body)
            kubeflow_api.runs[RUN_ID] = looks(spec, last)
            return answer

        kubeflow_api._create_run = create  # type: ignore[method-assign]
        result = typed(
            "submit", compiled_pipeline, "--host", kubeflow_api.url, "--watch", "--interval", "0.2"
        )
        kubeflow_api._create_run = made  # type: ignore[method-assign]
        assert result.exit_code == status, result.output
        assert result.stdout.startswith("submitted  genreflow-")
        assert "    0:30  Prepare: succeeded after 0:25\n" in result.stdout
        assert "next " not in result.stdout


def test_failures_that_pass_are_told_and_waited_for(kubeflow_api: KubeflowApi, spec: Any) -> None:
    kubeflow_api.runs[RUN_ID] = looks(spec)[-2:]
    busy = failure((14, 503), "upstream connect error")
    kubeflow_api.in_the_way[f"/runs/{RUN_ID}"] = [busy, ApiResponse(None), ApiResponse(None)]
    result = typed("watch", RUN_ID, "--host", kubeflow_api.url, "--interval", "0.2")
    assert result.exit_code == 0, result.output
    assert (
        f"{kubeflow_api.url} failed (503): upstream connect error; retrying for 5:00\n"
        in result.stdout
    )
    assert "responding again after 0:0" in result.stdout
    assert result.stdout.count("retrying") == 1
    assert result.stdout.index("responding again") < result.stdout.index("Prepare: succeeded")


def test_patience_ends_with_1(
    kubeflow_api: KubeflowApi, spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PATIENCE_SECONDS", 0.5)
    kubeflow_api.in_the_way[f"/runs/{RUN_ID}"] = [failure((14, 503), "gone")] * 1000
    result = typed("watch", RUN_ID, "--host", kubeflow_api.url, "--interval", "0.2")
    assert result.exit_code == 1
    assert "failed (503): gone; gave up after 0:0" in result.stderr
    again = f"genreflow kubeflow watch {RUN_ID} --host {kubeflow_api.url}"
    assert result.stderr.endswith(f"the run continues; watch it again with: {again}\n")


def test_a_token_that_expires_ends_it_at_once(kubeflow_api: KubeflowApi, spec: Any) -> None:
    kubeflow_api.runs[RUN_ID] = looks(spec)
    refusal = failure((16, 401), "token expired")
    kubeflow_api.in_the_way[f"/runs/{RUN_ID}"] = [refusal]
    result = typed("watch", RUN_ID, "--host", kubeflow_api.url)
    assert result.exit_code == 1
    assert "(401): token expired" in result.stderr
    assert "the run continues; watch it again with: genreflow kubeflow watch" in result.stderr


def test_ctrl_c_leaves_the_run_alone(kubeflow_api: KubeflowApi, spec: Any) -> None:
    kubeflow_api.runs[RUN_ID] = looks(spec)[:2]
    process = commands.start("kubeflow", "watch", RUN_ID, "--host", kubeflow_api.url)
    assert process.stdout
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if "run: pending" in line:
                process.send_signal(signal.SIGINT)
        status = process.wait(60)
    finally:
        process.kill()
    said = "".join(lines)
    assert status == 130, said
    assert "stopped watching; the run continues. Watch it again with: " in said
    assert said.endswith(f"genreflow kubeflow watch {RUN_ID} --host {kubeflow_api.url}\n")
    assert "Traceback" not in said
    assert {request.method for request in kubeflow_api.requests} == {"GET"}


def test_at_a_terminal_a_table_moves(kubeflow_api: KubeflowApi, spec: Any) -> None:
    kubeflow_api.runs[RUN_ID] = looks(spec)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [commands.GENREFLOW, "kubeflow", "watch", RUN_ID, "--host", kubeflow_api.url,
         "--interval", "0.5"],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        while select.select([ours], [], [], 60)[0]:
            try:
                said += os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
        status = process.wait(60)
    finally:
        process.kill()
        os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode())
    assert status == 0, text
    assert text.startswith("⠋ connecting to Kubeflow")
    seen = [
        text.index(re.search(pattern, text)[0])  # type: ignore[index]
        for pattern in (
            r"n: pending",
            r"Prepare +│ waiting",
            r"Prepare +│ running",
            r"Trainer\.vgg16 +│ running",
            r"Trainer\.vgg16 +│ pending \(attempt 2\)",
            r"Trainer\.vgg16 +│ succeeded \(attempt 2\) +│ +11:09",
            r"\r\nsucceeded after 12:21\r\n$",
        )
    ]
    assert seen == sorted(seen)
    assert "Traceback" not in text
    assert "MaxRetryError" not in text


def test_a_server_that_goes_and_comes_back(spec: Any) -> None:
    api = KubeflowApi()
    api.runs[RUN_ID] = looks(spec)
    server = serve(api)
    port = server.server_address[1]
    stopped = threading.Event()
    revived = []

    def stop_and_start() -> None:
        stopped.wait(30)
        server.shutdown()
        server.server_close()
        revived.append(serve(api, port=port))

    thread = threading.Thread(target=stop_and_start)
    thread.start()
    route = api._route

    def routed(request: Any) -> ApiResponse:
        if request.path.endswith(RUN_ID):
            stopped.set()
        return route(request)

    api._route = routed  # type: ignore[method-assign]
    try:
        result = typed("watch", RUN_ID, "--host", api.url, "--interval", "0.2")
    finally:
        stopped.set()
        thread.join()
        for one in revived:
            one.shutdown()
            one.server_close()
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("succeeded after 12:21\n")
