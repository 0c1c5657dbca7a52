"""selection.json, which the Ensembler writes and the gate and ServingCheck read."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import pytest

from components.common.errors import DataError
from components.predictions.selection import Selection, read_selection, write_selection

SELECTION = Selection(
    candidate="crnn",
    candidate_digest="abc",
    best_baseline="svm",
    kinds={"crnn": "network", "svm": "baseline"},
    validation_track_accuracy={"crnn": 0.5, "svm": 0.25},
    parameters={"crnn": 7, "svm": None},
    train_seconds={"crnn": 1.5, "svm": 0.5},
    members={},
    weights={},
    genres=("Folk", "Rock"),
    audio_hash="beef",
    pretrained={"crnn": {"weights": "base.h5"}},
)


def test_what_is_written_is_read_back(tmp_path: pathlib.Path) -> None:
    for selection in (SELECTION, dataclasses.replace(SELECTION, best_baseline=None)):
        write_selection(selection, str(tmp_path))
        assert read_selection(str(tmp_path)) == selection


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Selection)])
def test_a_selection_without_one_of_its_fields_is_of_another_version(
    tmp_path: pathlib.Path, name: str
) -> None:
    values = dataclasses.asdict(SELECTION)
    del values[name]
    _refuses(tmp_path, values, "damaged, or of another version")


@pytest.mark.parametrize("values", [None, [], 5, {}, {"genres": 5}])
def test_other_json_is_no_selection(tmp_path: pathlib.Path, values: Any) -> None:
    _refuses(tmp_path, values, "damaged, or of another version")


@pytest.mark.parametrize("field", ["candidate", "best_baseline"])
def test_a_model_that_is_not_listed_cannot_be_chosen(tmp_path: pathlib.Path, field: str) -> None:
    values = {**dataclasses.asdict(SELECTION), field: "knn"}
    _refuses(tmp_path, values, "knn is not one of the models")


def test_a_missing_file_and_one_that_is_not_json_are_errors(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DataError, match=r"selection\.json: missing; rerun"):
        read_selection(str(tmp_path))
    (tmp_path / "selection.json").write_text("{")
    with pytest.raises(DataError, match=r"selection\.json: not valid JSON"):
        read_selection(str(tmp_path))


def _refuses(folder: pathlib.Path, values: Any, reason: str) -> None:
    (folder / "selection.json").write_text(json.dumps(values))
    with pytest.raises(DataError, match=rf"selection\.json: {reason}"):
        read_selection(str(folder))
