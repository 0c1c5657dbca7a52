"""Messages and exit status of steps that cannot start or finish."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import pytest

from components.common.errors import DataError
from kubeflow.steps import finish, prepare, prepared, run_node
from kubeflow.steps.prepared import PreparedRun
from kubeflow.steps.recorded_run import RecordedRun

METADATA = "sqlite:///nowhere/metadata.sqlite"
NODES = ("SpectrogramGen", "Trainer.ffnn", "Ensembler", "Pusher")


def node(root: pathlib.Path, *, ir: str, pipeline_root: str = "") -> int:
    return run_node.main(
        ["--node-id", "Trainer.ffnn", "--pipeline-ir", ir, "--metadata", METADATA,
         "--pipeline-root", pipeline_root or str(root)]
    )  # fmt: skip


def written(root: pathlib.Path) -> str:
    run = PreparedRun("run-1", str(root), str(root / "models"), {}, {}, list(NODES), "")
    return prepared.write(run, prepared.run_folder(str(root), "run-1"))


def test_a_step_without_the_runs_pipeline_says_that_the_root_must_be_shared(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert node(tmp_path, ir=str(tmp_path / "pipeline.json")) == 2
    told = capsys.readouterr().err
    assert "genreflow: Trainer.ffnn: " in told
    assert "shared by all steps" in told
    assert "Traceback" not in told


def test_a_step_of_another_root_does_not_begin(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    assert node(tmp_path, ir=written(tmp_path), pipeline_root=str(tmp_path / "other")) == 2
    assert "start a new run" in capsys.readouterr().err


def test_what_a_user_can_mend_is_told_without_a_traceback_however_deep_it_lies(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> str:
        try:
            raise DataError("the manifest has no column 'genre'")
        except DataError as error:
            raise RuntimeError("a library's words") from error

    monkeypatch.setattr(run_node, "run", fail)
    assert node(tmp_path, ir=written(tmp_path)) == 1
    told = capsys.readouterr().err
    assert told == "genreflow: Trainer.ffnn: the manifest has no column 'genre'\n"


def test_a_defect_leaves_its_traceback_in_the_log(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_node, "run", lambda *_, **__: {}["x"])
    assert node(tmp_path, ir=written(tmp_path)) == 1
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert told.splitlines()[-1] == "genreflow: Trainer.ffnn: KeyError: 'x'"


def test_a_run_that_was_never_prepared_is_told_of(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    status = finish.main(
        ["--run-id", "run-1", "--pipeline-root", str(tmp_path), "--metadata", METADATA,
         "--status", json.dumps({"state": "FAILED"}), "--page", str(page)]
    )  # fmt: skip
    assert status == 0
    told = capsys.readouterr().out
    assert "Kubeflow says of the run: FAILED" in told
    assert "Prepare" in told
    assert "The run failed" in page.read_text()


def test_of_a_failed_run_the_last_step_says_which_node_it_was(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from kubeflow.steps import metadata_url
    from tests.support.kubeflow_volume import put_execution

    url = f"sqlite://{tmp_path}/metadata.sqlite"
    connection = metadata_url.connection_config(metadata_url.parse(url), {})
    put_execution(connection, "run-1", "SpectrogramGen", "COMPLETE")
    put_execution(connection, "run-1", "Trainer.ffnn", "FAILED")
    written(tmp_path)
    page = tmp_path / "page.html"
    status = {"state": "FAILED", "error": {"code": 9, "message": "1 step <failed>"}}
    ended = finish.main(
        ["--run-id", "run-1", "--pipeline-root", str(tmp_path), "--metadata", url,
         "--status", json.dumps(status), "--page", str(page)]
    )  # fmt: skip
    assert ended == 0
    assert capsys.readouterr().out.splitlines() == [
        "genreflow: Kubeflow says of the run: FAILED",
        "genreflow: 1 step <failed>",
        "genreflow: Trainer.ffnn: FAILED; see the log of its step",
        "genreflow: not started: Ensembler, Pusher",
    ]
    assert "Trainer.ffnn: FAILED" in page.read_text()
    assert "1 step &lt;failed&gt;" in page.read_text()
    told = json.loads((tmp_path / "runs" / "run-1" / "failed.json").read_text())
    assert told["status"] == status
    assert [node["outcome"] for node in told["nodes"].values()] == [
        "done", "FAILED", "not started", "not started",
    ]  # fmt: skip


def _finish(root: pathlib.Path, state: str, nodes: Mapping[str, str]) -> int:
    """Run the last step after a run whose nodes ended as given."""
    from kubeflow.steps import metadata_url
    from tests.support.kubeflow_backend import final_status
    from tests.support.kubeflow_volume import put_execution

    url = f"sqlite://{root}/metadata.sqlite"
    connection = metadata_url.connection_config(metadata_url.parse(url), {})
    for name, outcome in nodes.items():
        put_execution(connection, "run-1", name, outcome)
    written(root)
    return finish.main(
        ["--run-id", "run-1", "--pipeline-root", str(root), "--metadata", url, "--status",
         json.dumps(final_status("run-1", "exit-handler-1", state))]
    )  # fmt: skip


class _PublishedError(Exception):
    """Raised in place of publishing the results."""


@pytest.mark.parametrize("state", ["COMPLETE", "SUCCEEDED", "CACHED", "FAILED", "RUNNING", "DONE"])
def test_a_run_whose_nodes_completed_is_a_success_whatever_kubeflow_calls_it(
    state: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish(run: RecordedRun, *, page: str) -> None:
        assert list(run.nodes) == list(NODES)
        raise _PublishedError

    monkeypatch.setattr(finish, "publish_results", publish)
    done = dict.fromkeys(NODES, "COMPLETE") | {"SpectrogramGen": "CACHED"}
    with pytest.raises(_PublishedError):
        _finish(tmp_path, state, done)
    assert not (tmp_path / "runs" / "run-1" / "failed.json").exists()


@pytest.mark.parametrize(
    ("state", "status"), [("COMPLETE", 1), ("SUCCEEDED", 1), ("FAILED", 0), ("RUNNING", 0)]
)
@pytest.mark.parametrize("last", ["FAILED", "RUNNING", "CANCELED", None])
def test_a_run_with_an_incomplete_node_has_failed_whatever_kubeflow_calls_it(
    state: str,
    status: int,
    last: str | None,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Describe it; a node without an execution is one whose driver died."""
    nodes = dict.fromkeys(NODES, "COMPLETE")
    if last:
        nodes["Pusher"] = last
    else:
        del nodes["Pusher"]
    assert _finish(tmp_path, state, nodes) == status
    told = capsys.readouterr().out
    assert f"Kubeflow says of the run: {state}" in told
    assert (f"Pusher: {last}; see the log" if last else "not started: Pusher") in told
    failed = json.loads((tmp_path / "runs" / "run-1" / "failed.json").read_text())
    assert failed["nodes"]["Pusher"]["outcome"] == (last or "not started")


def test_a_run_whose_first_drivers_died_names_the_step(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _finish(tmp_path, "RUNNING", {}) == 0
    assert "no node has started; see the log of the step after Prepare" in capsys.readouterr().out


@pytest.mark.parametrize("status", ["", "{", "[]"])
def test_a_status_that_is_none_is_said_to_be(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], status: str
) -> None:
    ended = finish.main(
        ["--run-id", "run-1", "--pipeline-root", str(tmp_path), "--metadata", METADATA,
         "--status", status]
    )  # fmt: skip
    assert ended == 2
    assert "genreflow: --status: " in capsys.readouterr().out


def test_what_can_be_known_is_told_before_the_imports(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never() -> None:
        raise AssertionError("TFX would be imported now")

    monkeypatch.setattr("kubeflow.steps.opened_graph.configure_tensorflow", never)
    monkeypatch.delenv("GENREFLOW_METADATA_PASSWORD", raising=False)
    options = {
        "--node-id": "Nope", "--pipeline-ir": written(tmp_path), "--metadata": "mysql://u@db/g",
        "--pipeline-root": str(tmp_path),
    }  # fmt: skip
    assert run_node.main([word for pair in options.items() for word in pair]) == 2
    assert "there are: SpectrogramGen, Trainer.ffnn" in capsys.readouterr().err
    options["--node-id"] = "Pusher"
    assert run_node.main([word for pair in options.items() for word in pair]) == 2
    assert "GENREFLOW_METADATA_PASSWORD is not set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"--config": "{"}, "--config: not JSON"),
        ({"--overrides": "[]"}, "a JSON object is needed"),
        ({"--overrides": '{"training.epocs": 3}'}, "did you mean training.epochs"),
        ({"--metadata": "mysql://u:hush@db/g"}, "GENREFLOW_METADATA_PASSWORD"),
        ({"--pipeline-root": "/not/mounted"}, "volume"),
    ],
)
def test_what_a_run_is_given_wrongly_ends_its_first_step_in_words(
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    changed: dict[str, str],
    words: str,
) -> None:
    from pipeline.config.load import load, shipped_config

    config = load(shipped_config("fma_small")).to_json()
    options = {
        "--config": json.dumps(config), "--run-id": "run-1", "--pipeline-root": str(tmp_path),
        "--metadata": METADATA, "--data-dir": str(tmp_path), **changed,
    }  # fmt: skip
    assert prepare.main([word for pair in options.items() for word in pair]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert "hush" not in told
    assert "Traceback" not in told
