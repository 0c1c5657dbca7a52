"""A failure that another attempt would not mend ends the next attempt at once."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from components.common.errors import DataError, GenreflowError, UsageError
from components.storage.errors import (
    ObjectForbidden,
    ObjectMissing,
    StorageError,
    StorageSetupError,
)
from kubeflow.steps import final_failure, finish, prepared, run_node
from kubeflow.steps.final_failure import FinalFailure
from kubeflow.steps.metadata_url import MetadataUnreachable
from kubeflow.steps.prepared import PreparedRun
from tests.support import ROOT

NODES = ["Trainer.ffnn", "Trainer.vgg16"]


def chained(error: Exception, cause: Exception | None = None) -> Exception:
    """Return an error as it is raised, after another."""
    try:
        raise error from cause
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DataError("no clips"), 1),
        (UsageError("no such setting"), 2),
        (chained(RuntimeError("of a library"), DataError("no clips")), 1),
        (chained(DataError("no clips"), ValueError("x")), 1),
    ],
)
def test_mistakes_of_the_users_are_for_good(error: Exception, status: int) -> None:
    found = final_failure.final_failure(error)
    assert found is not None
    assert found.text in ("no clips", "no such setting")
    assert found.status == status


@pytest.mark.parametrize(
    "error",
    [
        StorageError("away"),
        StorageSetupError("wrong key"),
        ObjectForbidden("not yours"),
        MetadataUnreachable("away"),
        GenreflowError("a shard could not be written"),
        RuntimeError("a defect"),
        MemoryError(),
        OSError(28, "No space left on device"),
        chained(DataError("missing; rerun the pipeline"), ObjectMissing("x")),
        chained(DataError("no such file"), FileNotFoundError("x")),
        chained(UsageError("cannot be read"), chained(RuntimeError("x"), OSError(116, "stale"))),
    ],
)
def test_what_may_pass_is_tried_again(error: Exception, tmp_path: pathlib.Path) -> None:
    assert final_failure.final_failure(error) is None
    with pytest.raises(type(error)), final_failure.recorded(str(tmp_path), "Trainer.ffnn"):
        raise error
    assert final_failure.read(str(tmp_path), "Trainer.ffnn") is None


def written(root: pathlib.Path, run_id: str) -> str:
    run = PreparedRun(run_id, str(root), str(root / "models"), {}, {}, NODES, "")
    return prepared.write(run, prepared.run_folder(str(root), run_id))


def attempt(
    root: pathlib.Path, run_id: str, node: str = "Trainer.ffnn"
) -> subprocess.CompletedProcess[str]:
    """Run the step's command line; it tells whether TFX or TensorFlow was imported."""
    code = (
        "import sys; from kubeflow.steps import run_node; status = run_node.main(sys.argv[1:]); "
        "print({'tfx', 'tensorflow', 'apache_beam'} & sys.modules.keys()); sys.exit(status)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, "--node-id", node,
         "--pipeline-ir", f"{root}/runs/{run_id}/pipeline.json", "--pipeline-root", str(root),
         "--metadata", "mysql://g@127.0.0.1:9/g"],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "GENREFLOW_METADATA_PASSWORD": "x"},
    )  # fmt: skip


def test_the_next_attempt_of_the_same_run_ends_with_the_same_words_before_any_import(
    tmp_path: pathlib.Path,
) -> None:
    for run_id in ("run-1", "run-2"):
        written(tmp_path, run_id)
    folder = prepared.run_folder(str(tmp_path), "run-1")
    error = UsageError("training.batch_size: too large\nset it to 8")
    with pytest.raises(UsageError), final_failure.recorded(folder, "Trainer.ffnn"):
        raise error
    done = attempt(tmp_path, "run-1")
    assert done.returncode == 2
    assert done.stdout == "set()\n"
    assert done.stderr.splitlines() == [
        "genreflow: Trainer.ffnn: training.batch_size: too large",
        "genreflow: Trainer.ffnn: set it to 8",
        "genreflow: Trainer.ffnn: an earlier attempt of this run failed so, and another would too; "
        "mend it and start a new run",
    ]
    # Neither another node nor another run is concerned: these reach the metadata store.
    for other in (attempt(tmp_path, "run-1", "Trainer.vgg16"), attempt(tmp_path, "run-2")):
        assert "too large" not in other.stdout + other.stderr
        assert "starting" in other.stdout


def test_a_record_that_cannot_be_written_hides_no_error(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mistakes").write_text("a file, not a folder")
    with (
        pytest.raises(DataError, match="no clips"),
        final_failure.recorded(str(tmp_path), "Pusher"),
    ):
        raise DataError("no clips")
    assert "not recorded" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"text": "x"}', "\xff"])
def test_a_damaged_record_is_none(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "mistakes").mkdir()
    (tmp_path / "mistakes" / "Pusher.json").write_text(text, encoding="latin-1")
    assert final_failure.read(str(tmp_path), "Pusher") is None


def test_the_node_that_fails_leaves_the_record(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "run-1")
    seen: list[FinalFailure | None] = []

    def run(node_id: str, pipeline: PreparedRun, *_: Any, **__: Any) -> str:
        folder = prepared.run_folder(pipeline.pipeline_root, pipeline.run_id)
        seen.append(final_failure.read(folder, node_id))
        with final_failure.recorded(folder, node_id):
            raise DataError("no clips")

    monkeypatch.setattr(run_node, "run", run)
    words = ["--node-id", "Trainer.ffnn", "--pipeline-ir", path, "--pipeline-root", str(tmp_path),
             "--metadata", "sqlite:///nowhere/m.sqlite"]  # fmt: skip
    assert [run_node.main(words), run_node.main(words)] == [1, 1]
    assert seen == [None]


def test_the_last_step_tells_the_words_and_lets_a_retried_run_try_again(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from kubeflow.steps import metadata_url
    from tests.support.kubeflow_volume import put_execution

    url = f"sqlite://{tmp_path}/metadata.sqlite"
    connection = metadata_url.connection_config(metadata_url.parse(url), {})
    put_execution(connection, "run-1", "Trainer.ffnn", "FAILED")
    written(tmp_path, "run-1")
    folder = prepared.run_folder(str(tmp_path), "run-1")
    with pytest.raises(DataError), final_failure.recorded(folder, "Trainer.ffnn"):
        raise DataError("no clips")
    status = finish.main(
        ["--run-id", "run-1", "--pipeline-root", str(tmp_path), "--metadata", url,
         "--status", json.dumps({"state": "FAILED"})]
    )  # fmt: skip
    assert status == 0
    assert "genreflow: Trainer.ffnn: no clips\n" in capsys.readouterr().out
    told = json.loads((tmp_path / "runs" / "run-1" / "failed.json").read_text())
    assert told["nodes"]["Trainer.ffnn"]["mistake"] == "no clips"
    assert final_failure.read(folder, "Trainer.ffnn") is None
