"""Tests of results.json: its types, its schema and the file."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
from typing import Any

import jsonschema
import pydantic
import pytest

from components.artifacts import typed_json
from components.common.errors import DataError
from pipeline.results.json_schema import SCHEMA_FILE, results_schema
from pipeline.results.results_file import read_results, write_results
from pipeline.results.schema import Results
from tests.pipeline.plain_results import PASSED, plain_results, results_of, tuned_results

SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
PCA = {"components": 15, "explained_variance": 0.75}


def test_the_schema_in_the_tree_is_the_generated_one() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == results_schema(), (
        f"{SCHEMA_FILE} is out of date: run `python -m pipeline.results.json_schema`"
    )
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_field_is_described_or_speaks_for_itself() -> None:
    fields = SCHEMA["properties"].values()
    assert all(field.get("description") for field in fields)
    assert all(kind["description"] for kind in SCHEMA["$defs"].values())
    assert not any(kind["additionalProperties"] for kind in (SCHEMA, *SCHEMA["$defs"].values()))


@pytest.mark.parametrize(
    "values",
    [
        plain_results(),
        plain_results(serving_check=PASSED, pca=PCA),
        plain_results(pushed_version=None, best_baseline=None),
        tuned_results(),
    ],
)
def test_results_come_back_from_the_file_as_they_were(
    tmp_path: pathlib.Path, values: dict[str, Any]
) -> None:
    results = typed_json.parse(Results, values)
    path = pathlib.Path(write_results(results, str(tmp_path)))
    # Absent parts stay absent, nulls stay nulls.
    assert json.loads(path.read_text()) == values
    jsonschema.validate(values, SCHEMA)
    assert read_results(str(tmp_path)) == results
    assert list(tmp_path.iterdir()) == [path]


def test_keys_are_written_in_the_order_of_the_types(tmp_path: pathlib.Path) -> None:
    path = pathlib.Path(write_results(results_of(pca=PCA, serving_check=PASSED), str(tmp_path)))
    written = json.loads(path.read_text())
    assert list(written) == [
        "schema_version", "run_id", "config_digest", "dataset", "genres", "synthetic", "leaky",
        "audio_hash", "counts", "models", "candidate", "best_baseline", "ensembles", "pca", "gate",
        "serving_check", "test_split_uses", "pushed_version", "nodes",
    ]  # fmt: skip
    assert list(written["models"]["ffnn"]) == [
        "kind", "parameters", "train_seconds", "test", "validation",
    ]  # fmt: skip


def _replaced(**changes: Any) -> Results:
    return dataclasses.replace(results_of(serving_check=PASSED), **changes)


def _checks(**changes: Any) -> Any:
    served = results_of(serving_check=PASSED).serving_check
    assert served is not None
    return dataclasses.replace(served, checks=(dataclasses.replace(served.checks[0], **changes),))


def _tuned(**changes: Any) -> Any:
    results = typed_json.parse(Results, tuned_results())
    model = results.models["ffnn"]
    assert model.tuning is not None
    model = dataclasses.replace(model, tuning=dataclasses.replace(model.tuning, **changes))
    return {**results.models, "ffnn": model}


@pytest.mark.parametrize(
    "changes",
    [
        {"pushed_version": "not a number"},
        {"schema_version": 3},
        {"run_id": ""},
        {"config_digest": "0123"},
        {"dataset": "jamendo"},
        {"synthetic": 1},
        {"counts": {}},
        {"gate": dataclasses.replace(results_of().gate, rules=())},
        {"gate": dataclasses.replace(results_of().gate, blessed="yes")},
        {"serving_check": _checks(outcome="perhaps")},
        {"serving_check": _checks(signature="predict")},
        {"serving_check": _checks(requests=-1)},
        {"serving_check": _checks(requests=1.5)},
        {"test_split_uses": 0},
        {"nodes": {"Pusher": {"outcome": "lost", "seconds": 1.0}}},
        {"models": _tuned(best_trial=0)},
        {"models": _tuned(values={"epochs": 3})},
        {"models": _tuned(validation_clip_accuracy=1.5)},
    ],
    ids=str,
)
def test_results_that_break_the_schema_are_not_written(
    tmp_path: pathlib.Path, changes: dict[str, Any]
) -> None:
    results = _replaced(**changes)
    with pytest.raises(pydantic.ValidationError):
        write_results(results, str(tmp_path))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(results.to_json(), SCHEMA)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"candidate": None}, "candidate"),
        ({"candidate": "nobody"}, "candidate"),
        ({"genres": ("Folk", "Folk")}, "twice"),
        ({"genres": ("Folk", "Pop")}, "other genres"),
    ],
)
def test_results_that_contradict_themselves_cannot_be_made(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        _replaced(**changes)


@pytest.mark.parametrize(
    "change",
    [
        {"surprise": 1},
        {"candidate": None},
        {"serving_check": {"outcome": "off"}},
        {"serving_check": None},
        {"pca": None},
    ],
)
def test_the_schema_is_closed_and_absent_parts_are_not_null(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain_results(**change), SCHEMA)


@pytest.mark.parametrize(
    "change", [{"values": {}}, {"values": {"epochs": 3}}, {"best_trial": 0}, {"note": ""}]
)
def test_the_schema_knows_what_may_be_tuned(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tuned_results(**change), SCHEMA)


def test_a_later_versions_fields_are_ignored(tmp_path: pathlib.Path) -> None:
    values = plain_results(surprise=1)
    values["nodes"]["Pusher"]["host"] = "a"
    (tmp_path / "results.json").write_text(json.dumps(values))
    assert read_results(str(tmp_path)) == results_of()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"counts": {}}, r"is damaged, counts\.tracks_listed: Field required; rerun"),
        ({"leaky": "perhaps"}, r"is damaged, leaky: .*; rerun"),
        ({"candidate": "nobody"}, r"is damaged, its candidate is none of its models; rerun"),
        ({"schema_version": 1}, r"has schema version 1, but this genreflow reads 2; rerun"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(
    tmp_path: pathlib.Path, change: dict[str, Any], words: str
) -> None:
    (tmp_path / "results.json").write_text(json.dumps(plain_results(**change)))
    with pytest.raises(DataError, match=words) as caught:
        read_results(str(tmp_path))
    assert str(caught.value).startswith(f"{tmp_path / 'results.json'}: ")
    assert "\n" not in str(caught.value)


def test_the_types_are_light() -> None:
    code = (
        "import sys; import pipeline.results.schema, pipeline.results.results_file\n"
        "heavy = {'pydantic', 'numpy', 'pandas', 'tensorflow', 'tfx', 'jsonschema'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
