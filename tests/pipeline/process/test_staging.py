"""Tests of nodes on local copies of artifacts in an object store, run by TFX's launcher."""

import json
import os
import pathlib
from typing import Any

import apache_beam as beam
import pytest
from ml_metadata.metadata_store import metadata_store
from tfx.dsl.compiler import compiler
from tfx.dsl.component.experimental.annotations import (
    BeamComponentParameter,
    InputArtifact,
    OutputArtifact,
    Parameter,
)
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import filesystem_registry
from tfx.dsl.io.plugins import tensorflow_gfile
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.types.standard_artifacts import Model, ModelBlessing

from components.artifacts import tfx_files
from components.common.errors import GenreflowError
from components.storage import copies as copies_module
from components.storage import objects
from components.storage.copies import Copies, DiskFullError
from components.storage.errors import ObjectForbidden
from pipeline.config.beam import IN_MEMORY, BeamSettings, pipeline_args
from pipeline.config.beam_runners import PortableSettings
from pipeline.process import node_runner
from pipeline.process.failures import find_user_error
from tests.support import s3_server
from tests.support.beam_services import Service

FAILS_VARIABLE = "GENREFLOW_TEST_FAILS"


@component
def WriteModel(model: OutputArtifact[Model], text: Parameter[str]) -> None:  # noqa: N802
    folder = pathlib.Path(model.uri, "Format-Serving")
    folder.mkdir()
    for name in ("assets", "saved_model.pb", "variables"):
        (folder / name).write_text(text)
    model.set_string_custom_property("place", str(folder))
    model.set_string_custom_property("text", text)


@component
def BlessModel(model: InputArtifact[Model], blessing: OutputArtifact[ModelBlessing]) -> None:  # noqa: N802
    if os.environ.get(FAILS_VARIABLE):
        raise GenreflowError("refused")
    found = pathlib.Path(model.uri, "Format-Serving")
    names = sorted(path.name for path in found.iterdir())
    pathlib.Path(blessing.uri, "found.json").write_text(json.dumps([names, str(found)]))
    blessing.set_string_custom_property("current_model", model.uri)


class Runs:
    """Successive runs of the two nodes in one work folder."""

    def __init__(self, root: str, folder: pathlib.Path) -> None:
        self.root, self.folder = root, folder
        self.connection = metadata.sqlite_metadata_connection_config(str(folder / "metadata"))
        self.copies = Copies(folder / "copies")
        self.copies.root.mkdir()
        self.count = 0

    def run(self, text: str = "a") -> dict[str, str]:
        """Run both nodes and return their outcomes."""
        self.count += 1
        write = WriteModel(text=text)
        bless = BlessModel(model=write.outputs["model"])
        ir = compiler.Compiler().compile(
            Pipeline("p", self.root, self.connection, [write, bless], enable_cache=True)
        )
        outcomes = {}

        def on_event(event: str, **values: Any) -> None:
            if event == "node_finished":
                outcomes[values["node"]] = values["outcome"]

        node_runner.run_all(ir, self.connection, f"run-{self.count}", on_event, self.copies)
        return outcomes

    def artifacts(self, kind: str) -> list[Any]:
        store = metadata_store.MetadataStore(self.connection)
        return list(store.get_artifacts_by_type(kind)) if kind in self.kinds(store) else []

    @staticmethod
    def kinds(store: Any) -> set[str]:
        return {kind.name for kind in store.get_artifact_types()}

    def objects(self) -> list[str]:
        prefix = f"{self.root}/"
        return [item.uri.removeprefix(prefix) for item in objects.list_objects(prefix)]


@pytest.fixture
def runs(bucket: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Return runs whose file system of TFX is registered for this test alone."""
    registry = filesystem_registry.FilesystemRegistry()
    registry.register(tensorflow_gfile.TensorflowFilesystem, 10, use_as_fallback=True)
    monkeypatch.setattr(filesystem_registry, "DEFAULT_FILESYSTEM_REGISTRY", registry)
    tfx_files.register()
    return Runs(f"s3://{bucket}/root", tmp_path)


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_nodes_see_copies_and_metadata_sees_the_store(
    runs: Runs, s3_proxy: s3_server.Proxy
) -> None:
    assert runs.run() == {"WriteModel": "done", "BlessModel": "done"}
    (model,) = runs.artifacts("Model")
    (blessing,) = runs.artifacts("ModelBlessing")
    assert model.uri == f"{runs.root}/WriteModel/model/1"
    assert model.custom_properties["place"].string_value == f"{model.uri}/Format-Serving"
    assert model.custom_properties["text"].string_value == "a"
    assert blessing.custom_properties["current_model"].string_value == model.uri
    names, path = json.loads(objects.read(f"{blessing.uri}/found.json", 1000))
    assert names == ["assets", "saved_model.pb", "variables"]
    assert pathlib.Path(path).is_relative_to(runs.copies.root)
    saved = "WriteModel/model/1/Format-Serving"
    assert runs.objects() == [
        "BlessModel/blessing/2/found.json", *(f"{saved}/{name}" for name in names)
    ]  # fmt: skip
    written = [e.path for e in s3_proxy.requests("PUT", "/WriteModel/")]
    assert written[-1].endswith("/saved_model.pb")
    assert s3_proxy.requests("GET", f"/root/{saved}") == [], "fetched what this process wrote"
    assert {path.name for path in runs.copies.root.iterdir()} == {model.uri.split("/")[2]}


def test_a_rerun_of_another_process_fetches_what_it_needs(
    runs: Runs, s3_proxy: s3_server.Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAILS_VARIABLE, "1")
    with pytest.raises(node_runner.NodeFailed):
        runs.run()
    assert not [name for name in runs.objects() if name.startswith("BlessModel")]
    assert not [path for path in _files(runs.copies.root) if "BlessModel" in str(path)]
    monkeypatch.delenv(FAILS_VARIABLE)
    runs.copies = Copies(runs.folder / "others")
    runs.copies.root.mkdir()
    s3_proxy.log.clear()
    assert runs.run() == {"WriteModel": "cached", "BlessModel": "done"}
    assert len(s3_proxy.requests("GET", "/Format-Serving/")) == 3
    assert runs.run() == {"WriteModel": "cached", "BlessModel": "cached"}
    assert runs.run("b") == {"WriteModel": "done", "BlessModel": "done"}


def test_an_output_that_cannot_be_uploaded_fails_its_node_and_leaves_nothing(
    runs: Runs, s3_proxy: s3_server.Proxy
) -> None:
    s3_proxy.fail(1000, s3_server.DENIED, method="PUT", path="/variables")
    with pytest.raises(node_runner.NodeFailed) as caught:
        runs.run()
    assert isinstance(caught.value.__cause__, ObjectForbidden)
    assert str(caught.value.__cause__).startswith(f"{runs.root}/WriteModel/model/1/Format-Serving/")
    assert len(s3_proxy.requests("PUT", "/Format-Serving/")) == 2, "the marker comes last"
    assert runs.objects() == []
    assert runs.artifacts("Model") == []
    assert _files(runs.copies.root) == []
    s3_proxy.fault = lambda method, path: None
    assert runs.run() == {"WriteModel": "done", "BlessModel": "done"}


def test_an_executor_that_works_on_uris_gets_them(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = BlessModel.EXECUTOR_SPEC.executor_class
    monkeypatch.setattr(executor, "works_on_uris", True, raising=False)
    with pytest.raises(node_runner.NodeFailed) as caught:
        runs.run()
    assert isinstance(caught.value.__cause__, FileNotFoundError)  # no such local folder
    assert caught.value.__cause__.filename.startswith("s3:/")


def test_a_full_disk_is_told_as_such(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FAILS_VARIABLE, "1")
    monkeypatch.setattr(copies_module, "MIN_FREE_BYTES", 1 << 60)
    with pytest.raises(node_runner.NodeFailed) as caught:
        runs.run()
    assert isinstance(caught.value.__cause__, DiskFullError)


@component(use_beam=True)
def FailInBeam(beam_pipeline: BeamComponentParameter[beam.Pipeline] = None) -> None:  # noqa: N802
    with beam_pipeline as pipeline:
        pipeline | beam.Create([0]) | beam.Map(lambda zero: 1 // zero)


def _run_in_beam(folder: pathlib.Path, flags: list[str]) -> None:
    connection = metadata.sqlite_metadata_connection_config(str(folder / "metadata"))
    pipeline = Pipeline("p", str(folder), connection, [FailInBeam()], beam_pipeline_args=flags)
    ir = compiler.Compiler().compile(pipeline)
    node_runner.run_all(ir, connection, "1", lambda event, **values: None, Copies(folder))


@pytest.mark.e2e
def test_an_error_on_another_machine_is_put_in_words(
    tmp_path: pathlib.Path, job_service: Service
) -> None:
    table = PortableSettings(endpoint=job_service.endpoint)
    flags = pipeline_args(BeamSettings(runner="portable", portable=table), tracks=1)
    with pytest.raises(node_runner.NodeFailed) as caught:
        _run_in_beam(tmp_path / "elsewhere", flags)
    assert str(find_user_error(caught.value)) == (
        f"the Beam job at {job_service.endpoint} failed: ZeroDivisionError: integer division or "
        "modulo by zero. The log has its traceback"
    )
    with pytest.raises(node_runner.NodeFailed) as caught:
        _run_in_beam(tmp_path / "here", list(IN_MEMORY))
    assert find_user_error(caught.value) is None
