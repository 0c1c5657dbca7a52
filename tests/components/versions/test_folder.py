"""Tests of the listing of versions."""

from __future__ import annotations

from components.artifacts import files
from components.versions.folder import complete_versions, list_versions
from tests.components.versions import made


def test_only_folders_named_by_numbers_are_versions_and_only_whole_ones_are_complete(
    models: str,
) -> None:
    assert list_versions(models) == {}
    made.version(models, 10)
    made.version(models, 9)
    made.version(models, 11, without="saved_model.pb")
    made.version(models, 12, without="variables/variables.index")
    files.write_text(f"{models}/.partial-1/saved_model.pb", "x")
    files.write_text(f"{models}/tmp/saved_model.pb", "x")
    files.write_text(f"{models}/13/deep/saved_model.pb", "x")
    files.write_text(f"{models}/labels.json", "{}")
    found = list_versions(models)
    assert list(found) == [9, 10, 11, 12, 13]
    assert complete_versions(models) == ["9", "10"]
    assert found[11].missing == found[13].missing == "saved_model.pb"
    assert found[12].missing == "variables/variables.index"
    sizes = [len(f"10 {name}") for name in made.NAMES]
    assert found[10].size_bytes == sum(sizes) + len(made.record(10).to_text())


def test_an_empty_file_does_not_complete_a_version(models: str) -> None:
    made.version(models, 1)
    files.write_text(f"{models}/1/saved_model.pb", "")
    assert complete_versions(models) == []
