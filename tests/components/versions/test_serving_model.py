"""The gate compares with the model that serves, whatever was refused or rolled back in between.

The artifacts go through ML Metadata, as in a run.
"""

from __future__ import annotations

import pathlib
import shutil

import pytest
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import PushedModel

from components.versions import adding
from components.versions.folder import list_versions
from components.versions.record import Rollback
from components.versions.serving_model import ServingModelStrategy
from tests.components.versions import made


class Runs:
    """Successive runs of one metadata store, of which some push."""

    def __init__(self, folder: pathlib.Path) -> None:
        config = metadata_store_pb2.ConnectionConfig()
        config.fake_database.SetInParent()
        self.store = metadata_store.MetadataStore(config)
        self.models, self.count = str(folder / "serving"), 0
        self.model = made.saved_model(folder / "model")

    def run(self, *, pushes: bool = True) -> int:
        """Simulate a run; return the version that it pushed, or 0."""
        self.count += 1
        number = self.add() if pushes else 0
        self.publish(pushes, number)
        return number

    def add(self) -> int:
        """Add a version as a run of another metadata store does."""
        return adding.add_folder(
            self.models, str(self.model), lambda number: made.record(number).to_text()
        )

    def publish(self, pushed: bool, number: int) -> None:
        """Record a Pusher's output."""
        artifact = PushedModel()
        artifact.uri = f"archived/{self.count}"
        artifact.set_int_custom_property("pushed", int(pushed))
        if number:
            artifact.set_string_custom_property("pushed_destination", f"{self.models}/{number}")
            artifact.set_string_custom_property("pushed_version", str(number))
        artifact.type_id = self.store.put_artifact_type(artifact.artifact_type, can_add_fields=True)
        self.store.put_artifacts([artifact.mlmd_artifact])

    def roll_back(self, number: int) -> int:
        """Copy a version under a new number, as a rollback does."""
        versions = list_versions(self.models)
        rollback = Rollback(number, max(versions), "")
        return adding.add_copy(
            self.models,
            versions[number],
            lambda new: made.record(new, rollback=rollback).to_text(),
        )

    def serving(self) -> int | None:
        """Return the version that the next run's gate would compare with."""
        kept = [
            artifact_utils.deserialize_artifact(PushedModel().artifact_type, found)
            for found in self.store.get_artifacts_by_type(PushedModel.TYPE_NAME)
        ]
        found = ServingModelStrategy().resolve_artifacts(self.store, {"pushed_model": kept})
        assert len(found["pushed_model"]) <= 1
        for artifact in found["pushed_model"]:
            return int(artifact.get_string_custom_property("pushed_version"))
        return None


@pytest.fixture
def runs(tmp_path: pathlib.Path) -> Runs:
    return Runs(tmp_path)


def test_nothing_serves_before_something_was_pushed(runs: Runs) -> None:
    runs.publish(False, 0)
    assert runs.serving() is None


def test_a_model_that_was_refused_is_never_compared_with(runs: Runs) -> None:
    first = runs.run()
    runs.run(pushes=False)
    assert runs.serving() == first
    second = runs.run()
    assert runs.serving() == second


def test_a_version_that_someone_deleted_serves_nobody(runs: Runs) -> None:
    first = runs.run()
    second = runs.run()
    shutil.rmtree(f"{runs.models}/{second}")
    assert runs.serving() == first
    shutil.rmtree(f"{runs.models}/{first}")
    assert runs.serving() is None


def test_a_version_without_its_graph_serves_nobody(runs: Runs) -> None:
    first, second = runs.run(), runs.run()
    pathlib.Path(runs.models, str(second), "saved_model.pb").unlink()
    assert runs.serving() == first


def test_what_is_marked_as_not_pushed_does_not_serve_whatever_lies_at_its_destination(
    runs: Runs,
) -> None:
    first = runs.run()
    runs.publish(False, runs.add())
    assert runs.serving() == first


def test_after_a_rollback_the_copied_version_serves_and_after_the_next_push_that_one(
    runs: Runs,
) -> None:
    first, _ = runs.run(), runs.run()
    runs.roll_back(first)
    assert runs.serving() == first
    # The copy serves, so the original may go.
    shutil.rmtree(f"{runs.models}/{first}")
    assert runs.serving() == first
    third = runs.run()
    assert runs.serving() == third


def test_a_version_of_another_metadata_store_leaves_the_last_own_one(runs: Runs) -> None:
    first = runs.run()
    runs.add()
    assert runs.serving() == first
