"""The step that looks into the cache before steps with GPUs, on a graph of two small nodes."""

from __future__ import annotations

import base64
import json
import pathlib
import shutil
from typing import Any

import pytest

from kubeflow.steps import lookup, metadata_url, prepared, run_node
from kubeflow.steps.lookup import LookedUp
from kubeflow.steps.prepared import PreparedRun

STEP = {
    "usual": {"gpus_step": "1", "node_selector_step": {"pool": "gpu"}},
    "cached": {"gpus_step": "0", "node_selector_step": {}},
}


class Cluster:
    """Root and ML Metadata of runs of the small graph."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.root, self.file = folder / "root", folder / "output.json"
        self.url = f"sqlite://{folder}/metadata.sqlite"
        self.root.mkdir()

    def prepare(self, run_id: str, text: str = "a") -> str:
        """Write a run's pipeline.json; return its path."""
        from tests.support import toy_graph

        ir = base64.b64encode(toy_graph.compile_ir(self.root, text).SerializeToString()).decode()
        nodes = list(toy_graph.NODES)
        run = PreparedRun(run_id, str(self.root), str(self.root / "models"), {}, {}, nodes, ir)
        return prepared.write(run, prepared.run_folder(str(self.root), run_id))

    def run(self, path: str, *nodes: str) -> None:
        names = [word for node in nodes for word in ("--node-id", node)]
        assert run_node.main([*names, *self._arguments(path)]) == 0

    def look_up(self, path: str, *steps: tuple[str, ...]) -> dict[str, Any]:
        """Run the lookup and return its output parameters."""
        asked = [LookedUp(step, **STEP) for step in steps]
        given = json.dumps({"outputs": {"outputFile": str(self.file)}})
        words = ["--steps", lookup.to_json(asked), "--executor-input", given]
        assert lookup.main([*words, *self._arguments(path)]) == 0
        found: dict[str, Any] = json.loads(self.file.read_text())["parameterValues"]
        return found

    def _arguments(self, path: str) -> list[str]:
        return ["--pipeline-ir", path, "--pipeline-root", str(self.root), "--metadata", self.url]

    def states(self, run_id: str) -> dict[str, str]:
        """Return the state of each node of a run that ML Metadata has."""
        from ml_metadata.proto import metadata_store_pb2

        from pipeline.results.collect import RunRecord

        connection = metadata_url.connection_config(metadata_url.parse(self.url), {})
        try:
            found = RunRecord(connection, "toy", run_id).executions
        except LookupError:
            return {}
        name = metadata_store_pb2.Execution.State.Name
        return {node: name(one.last_known_state) for node, one in found.items()}


@pytest.fixture
def cluster(tmp_path: pathlib.Path) -> Cluster:
    """Return a cluster in which the small graph has run once."""
    made = Cluster(tmp_path)
    made.run(made.prepare("first"), "Source", "Follower")
    return made


def test_a_step_whose_nodes_are_in_the_cache_asks_for_no_gpu(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    path = cluster.prepare("second")
    assert cluster.look_up(path, ("Source",)) == STEP["cached"]
    assert cluster.states("second") == {"Source": "CACHED"}
    cluster.run(path, "Source")
    assert "Source: complete since an earlier attempt or lookup" in capsys.readouterr().out
    assert cluster.states("second") == {"Source": "CACHED"}


def test_nodes_of_one_step_are_looked_up_one_after_the_other(cluster: Cluster) -> None:
    path = cluster.prepare("second")
    assert cluster.look_up(path, ("Source", "Follower")) == STEP["cached"]
    assert cluster.states("second") == {"Source": "CACHED", "Follower": "CACHED"}


def test_a_node_that_is_not_in_the_cache_asks_for_its_gpu_and_leaves_no_trace(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    path = cluster.prepare("second", text="b")
    assert cluster.look_up(path, ("Source", "Follower")) == STEP["usual"]
    assert cluster.states("second") == {}
    assert "Source: not in the cache; its step asks for a GPU" in capsys.readouterr().out
    cluster.run(path, "Source", "Follower")
    assert cluster.states("second") == {"Source": "COMPLETE", "Follower": "COMPLETE"}


def test_a_step_of_which_only_the_first_node_is_in_the_cache_asks_for_its_gpu(
    cluster: Cluster,
) -> None:
    shutil.rmtree(cluster.root / "Follower")  # someone deleted the outputs
    path = cluster.prepare("second")
    assert cluster.look_up(path, ("Source", "Follower")) == STEP["usual"]
    assert cluster.states("second") == {"Source": "CACHED"}
    cluster.run(path, "Source", "Follower")
    assert cluster.states("second") == {"Source": "CACHED", "Follower": "COMPLETE"}


def test_a_lookup_that_is_tried_again_says_the_same(cluster: Cluster) -> None:
    path = cluster.prepare("second")
    for _ in range(2):
        assert cluster.look_up(path, ("Source",)) == STEP["cached"]
    assert cluster.states("second") == {"Source": "CACHED"}


def test_missing_inputs_are_left_to_the_nodes_own_step(cluster: Cluster) -> None:
    path = cluster.prepare("second")
    assert cluster.look_up(path, ("Follower",)) == STEP["usual"]
    assert cluster.states("second") == {}
