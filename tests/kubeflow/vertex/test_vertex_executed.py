"""The pipeline for Vertex AI, executed: every step's own command line in its own process.

A folder stands for the mounted buckets. Vertex AI's part is done with KFP's proto alone; no code
of the compiler is reused.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
from google.protobuf import json_format

from components.synthesis import write_corpus
from kubeflow.vertex import compiler as vertex
from pipeline.config.load import load, with_data_dir
from tests.support import ROOT
from tests.support.kubeflow_volume import SMALLEST

# Each step is a process that imports TFX.
pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(2400)]


STEP_SECONDS = 600
# The rule holds_serving stays on here: the compiler must switch it off.
CONFIG = (
    SMALLEST.replace("holds_serving = false\n", "")
    + """
[kubeflow]
image = "registry.example.org/genreflow:1"
pipeline_root = "gs://bucket/root"
"""
)


@dataclasses.dataclass
class Step:
    """Result of a step.

    Attributes:
      output: printed text.
      artifacts: artifacts that the step reported, by key.
    """

    output: str
    artifacts: dict[str, Any]


class Vertex:
    """Backend that runs a compiled job once, step after step."""

    def __init__(self, job: pathlib.Path, mount: pathlib.Path) -> None:
        from kfp.pipeline_spec import pipeline_spec_pb2

        content = json.loads(job.read_text(encoding="utf-8"))
        self._mount = mount
        self._root = content["runtimeConfig"]["gcsOutputDirectory"]
        spec = json_format.ParseDict(content["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())
        self._components = spec.components
        self._executors = json_format.MessageToDict(spec.deployment_spec)["executors"]
        self._tasks = dict(spec.root.dag.tasks)
        self._artifacts = 0
        self.steps: dict[str, Step] = {}

    def run(self) -> None:
        while self._tasks:
            ready = [
                name
                for name, task in sorted(self._tasks.items())
                if all(before in self.steps for before in task.dependent_tasks)
            ]
            assert ready, f"tasks that wait for each other: {sorted(self._tasks)}"
            self.steps[ready[0]] = self._run(ready[0], self._tasks.pop(ready[0]))

    def _run(self, name: str, task: Any) -> Step:
        component = self._components[task.component_ref.name]
        folder = f"{self._root}/123456/genreflow-1/{name}_{len(self.steps)}"
        told = {
            "inputs": {
                "parameterValues": {
                    key: json_format.MessageToDict(value.runtime_value.constant)
                    for key, value in task.inputs.parameters.items()
                },
                "artifacts": {
                    key: {"artifacts": [self._produced(source.task_output_artifact)]}
                    for key, source in task.inputs.artifacts.items()
                },
            },
            "outputs": {
                "artifacts": {
                    key: {"artifacts": [self._planned(spec, f"{folder}/{key}")]}
                    for key, spec in component.output_definitions.artifacts.items()
                },
                "outputFile": f"{folder}/executor_output.json",
            },
        }
        container = self._executors[component.executor_label]["container"]
        command, *words = [*container["command"], *container["args"]]
        assert command == "python"
        done = subprocess.run(
            [sys.executable, *(json.dumps(told) if word == "{{$}}" else word for word in words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self._mount.parent,
            env={**os.environ, "PYTHONPATH": str(ROOT), "GENREFLOW_GCS_MOUNT": str(self._mount)},
            timeout=STEP_SECONDS,
        )
        print(f"--- {name}: {done.returncode}\n{done.stdout[-1500:]}")
        assert done.returncode == 0, f"{name}: {done.stdout[-3000:]}"
        said = json.loads(
            (self._mount / folder[len("gs://") :] / "executor_output.json").read_text()
        )
        artifacts = {}
        for key, planned in told["outputs"]["artifacts"].items():
            (planned_one,) = planned["artifacts"]
            (said_one,) = said["artifacts"][key]["artifacts"]
            artifacts[key] = {**planned_one, **said_one}
        return Step(done.stdout, artifacts)

    def _planned(self, spec: Any, uri: str) -> dict[str, Any]:
        self._artifacts += 1
        name = f"projects/123456/locations/r/metadataStores/default/artifacts/{self._artifacts}"
        kind = json_format.MessageToDict(spec.artifact_type)
        return {"name": name, "type": kind, "uri": uri, "metadata": {}}

    def _produced(self, source: Any) -> Any:
        return self.steps[source.producer_task].artifacts[source.output_artifact_key]


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Create the folder of the buckets, with 16 tracks in one of them."""
    folder = tmp_path_factory.mktemp("vertex") / "gcs"
    (folder / "bucket").mkdir(parents=True)
    write_corpus(str(folder / "bucket" / "data"), tracks=16, track_seconds=3.0, workers=1)
    return folder


@pytest.fixture(scope="module")
def steps(mount: pathlib.Path) -> dict[str, Step]:
    """Run the smallest pipeline once; return the results of its steps."""
    folder = mount.parent
    (folder / "config.toml").write_text(CONFIG, encoding="utf-8")
    config = with_data_dir(load(folder / "config.toml"), str(mount / "bucket" / "data"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENREFLOW_GCS_MOUNT", str(mount))
        vertex.compile_pipeline(config, config.kubeflow, str(folder / "pipeline.json"))
    run = Vertex(folder / "pipeline.json", mount)
    run.run()
    return run.steps


def test_every_step_runs_and_a_model_is_pushed(steps: dict[str, Step], mount: pathlib.Path) -> None:
    assert steps.keys() == {
        "spectrogramgen", "importschemagen", "statisticsgen", "examplevalidator", "datacheck",
        "trainer-ffnn", "ensembler", "evaluator", "genregate", "pusher", "report",
    }  # fmt: skip
    (version,) = (mount / "bucket/root/serving_models/genreflow").iterdir()
    assert (version / "saved_model.pb").is_file()
    pushed = steps["pusher"].artifacts["pushed_model"]
    assert pushed["metadata"]["pushed"] == 1
    assert pushed["metadata"]["pushed_version"] == version.name


def test_every_artifact_is_in_the_bucket_under_the_name_that_vertex_gave(
    steps: dict[str, Step], mount: pathlib.Path
) -> None:
    for name, step in steps.items():
        for key, artifact in step.artifacts.items():
            assert artifact["uri"].startswith(f"gs://bucket/root/123456/genreflow-1/{name}_"), key
            assert (mount / artifact["uri"][len("gs://") :]).is_dir()


def test_people_find_the_decision_and_the_report(
    steps: dict[str, Step], mount: pathlib.Path
) -> None:
    blessing = mount / steps["genregate"].artifacts["blessing"]["uri"][len("gs://") :]
    decision = json.loads((blessing / "decision.json").read_text())
    assert decision["blessed"]
    outcomes = {rule["id"]: rule["outcome"] for rule in decision["rules"]}
    assert outcomes["holds_serving"] == outcomes["already_serving"] == "off"
    report = mount / steps["report"].artifacts["report"]["uri"][len("gs://") :]
    assert "<html" in (report / "index.html").read_text(encoding="utf-8")
