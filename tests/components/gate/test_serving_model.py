"""The gate compares with the last pushed model, whatever was refused in between.

The artifacts come from TFX's own Pusher and go through ML Metadata, as in a run.
"""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

import pytest
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2
from tfx.components.pusher.executor import Executor as Pusher
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, PushedModel

from components.export.assets import read_model_digest
from components.gate.serving_model import ServingModelStrategy
from tests.components.gate import gate_inputs as made


class Runs:
    """Successive runs; each ends with the Pusher, which pushes only what is blessed."""

    def __init__(self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config = metadata_store_pb2.ConnectionConfig()
        config.fake_database.SetInParent()
        self.store = metadata_store.MetadataStore(config)
        self.folder, self.count = folder, 0
        # The Pusher names a version by the second.
        monkeypatch.setattr(
            "tfx.components.pusher.executor.time.time", lambda: 1_700_000_000 + self.count
        )

    def run(self, *, gate: bool, infra: bool = True) -> str:
        """Simulate a run; return the digest of its candidate."""
        self.count += 1
        digest = f"digest-{self.count}"
        model = self._artifact(Model, "model")
        saved = pathlib.Path(model.uri, "Format-Serving")
        made.write_assets(saved, digest)
        (saved / "saved_model.pb").write_bytes(b"model")
        blessing, infra_blessing = ModelBlessing(), InfraBlessing()
        blessing.set_int_custom_property("blessed", int(gate))
        infra_blessing.set_string_custom_property(
            "blessing_status", "INFRA_BLESSED" if infra else "INFRA_NOT_BLESSED"
        )
        infra_blessing.set_int_custom_property("blessed", int(infra))
        pushed = self._artifact(PushedModel, "pushed")
        destination = {"filesystem": {"base_directory": str(self.folder / "serving")}}
        Pusher().Do(
            {
                "model": [model],
                "model_blessing": [blessing],
                "infra_blessing": [infra_blessing],
            },
            {"pushed_model": [pushed]},
            {"push_destination": json.dumps(destination)},
        )
        for artifact in (blessing, infra_blessing, pushed):
            self.publish(artifact)
        return digest

    def serving(self) -> str | None:
        """Return the digest of the model that the next run's gate would compare with."""
        kept = [
            artifact_utils.deserialize_artifact(PushedModel().artifact_type, found)
            for found in self.store.get_artifacts_by_type(PushedModel.TYPE_NAME)
        ]
        found = ServingModelStrategy().resolve_artifacts(self.store, {"pushed_model": kept})
        assert len(found["pushed_model"]) <= 1
        return read_model_digest(found["pushed_model"][0].uri) if found["pushed_model"] else None

    def _artifact(self, kind: Any, name: str) -> Any:
        artifact = kind()
        artifact.uri = str(self.folder / f"{name}-{self.count}")
        pathlib.Path(artifact.uri).mkdir()
        return artifact

    def publish(self, artifact: Any) -> None:
        artifact.type_id = self.store.put_artifact_type(artifact.artifact_type, can_add_fields=True)
        self.store.put_artifacts([artifact.mlmd_artifact])


@pytest.fixture
def runs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    return Runs(tmp_path, monkeypatch)


def test_nothing_serves_before_something_was_pushed(runs: Runs) -> None:
    assert runs.serving() is None
    runs.run(gate=False)
    assert runs.serving() is None


def test_a_model_that_the_gate_refused_is_never_compared_with(runs: Runs) -> None:
    first = runs.run(gate=True)
    runs.run(gate=False)
    runs.run(gate=False)
    assert runs.serving() == first
    second = runs.run(gate=True)
    assert runs.serving() == second


def test_a_model_that_a_later_step_refused_is_never_compared_with_though_it_was_blessed(
    runs: Runs,
) -> None:
    first = runs.run(gate=True)
    runs.run(gate=True, infra=False)
    assert runs.serving() == first


def test_a_version_that_someone_deleted_serves_nobody(runs: Runs) -> None:
    first = runs.run(gate=True)
    runs.run(gate=True)
    versions = sorted((runs.folder / "serving").iterdir())
    shutil.rmtree(versions[-1])
    assert runs.serving() == first
    shutil.rmtree(versions[0])
    assert runs.serving() is None


def test_what_is_marked_as_not_pushed_does_not_serve_whatever_lies_at_its_destination(
    runs: Runs,
) -> None:
    first = runs.run(gate=True)
    (version,) = (runs.folder / "serving").iterdir()
    refused = PushedModel()
    refused.uri = str(runs.folder / "refused")
    refused.set_int_custom_property("pushed", 0)
    refused.set_string_custom_property("pushed_destination", str(version))
    runs.publish(refused)
    assert runs.serving() == first
