"""A failed attempt's outputs are deleted before the next one starts, and nothing else."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from kubeflow.steps import metadata_url, run_node
from kubeflow.steps.prepared import PreparedRun
from tests.support.kubeflow_volume import put_execution

NODE, OTHER = "Trainer.ffnn", "Trainer.vgg16"
FILES = ("model/{id}/saved_model.pb", "model/{id}/variables/1", "model_run/{id}/history.json")


@pytest.fixture
def connection(tmp_path: pathlib.Path) -> Any:
    return metadata_url.connection_config(
        metadata_url.parse(f"sqlite://{tmp_path}/metadata.sqlite"), {}
    )


def of(run_id: str, root: str) -> PreparedRun:
    return PreparedRun(run_id, root, f"{root}/models", {}, {}, [NODE, OTHER], "")


@pytest.mark.parametrize("state", ["RUNNING", "FAILED", "CANCELED"])
def test_the_folders_of_its_execution_are_deleted(
    connection: Any, tmp_path: pathlib.Path, state: str
) -> None:
    root = tmp_path / "root"
    earlier = put_execution(connection, "run-0", NODE, "COMPLETE")
    dead = put_execution(connection, "run-1", NODE, state)
    other = put_execution(connection, "run-1", OTHER, "RUNNING")
    for node, execution in ((NODE, earlier), (NODE, dead), (OTHER, other), (OTHER, dead)):
        for name in FILES:
            path = root / node / name.format(id=execution)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
    run = of("run-1", str(root))
    assert not run_node.empty_earlier_attempt(connection, "genreflow", run, NODE)
    left = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert left == {
        f"{node}/{name.format(id=execution)}"
        for node, execution in ((NODE, earlier), (OTHER, other), (OTHER, dead))
        for name in FILES
    }


@pytest.mark.parametrize("state", ["COMPLETE", "CACHED"])
def test_what_is_complete_stays(connection: Any, tmp_path: pathlib.Path, state: str) -> None:
    execution = put_execution(connection, "run-1", NODE, state)
    path = tmp_path / "root" / NODE / FILES[0].format(id=execution)
    path.parent.mkdir(parents=True)
    path.write_text("x")
    run = of("run-1", str(tmp_path / "root"))
    assert run_node.empty_earlier_attempt(connection, "genreflow", run, NODE), "is not run again"
    assert path.read_text() == "x"


def test_the_first_node_of_a_run_finds_nothing_to_delete(
    connection: Any, tmp_path: pathlib.Path
) -> None:
    run = of("never-begun", str(tmp_path))
    assert not run_node.empty_earlier_attempt(connection, "genreflow", run, NODE)


def test_objects_are_deleted_alike(connection: Any, s3: Any, bucket: str) -> None:
    dead = put_execution(connection, "run-1", NODE, "RUNNING")
    keys = [f"root/{NODE}/{name.format(id=i)}" for name in FILES for i in (dead, f"{dead}0")]
    keys.append(f"root/{OTHER}/model/{dead}/saved_model.pb")
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    run = of("run-1", f"s3://{bucket}/root")
    run_node.empty_earlier_attempt(connection, "genreflow", run, NODE)
    left = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert sorted(left) == sorted(key for key in keys if f"/{dead}/" not in key or OTHER in key)
