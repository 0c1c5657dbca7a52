"""results.json: the machine-readable outcome of a run, and its schema's version."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

SCHEMA_VERSION = 2
FILE_NAME = "results.json"
SCHEMA_FILE = pathlib.Path(__file__).with_name("results_schema.json")


def blessed(results: Mapping[str, Any]) -> bool:
    """Whether nothing keeps the candidate from being pushed: neither the gate nor ServingCheck."""
    served = results.get("serving_check") or {"outcome": "off"}  # earlier runs have none
    return bool(results["gate"]["blessed"]) and served["outcome"] != "failed"


def write_results(results: dict[str, Any], work_dir: str) -> str:
    """Validates against the checked-in JSON Schema and writes; returns the path.

    Raises:
      jsonschema.ValidationError: the results break their own contract (a defect of ours).
    """
    import jsonschema

    jsonschema.validate(results, json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
    path = os.path.join(work_dir, FILE_NAME)
    temporary = path + ".tmp"
    with open(temporary, "w", encoding="utf-8") as out:
        json.dump(results, out, indent=2)
        out.write("\n")
    os.replace(temporary, path)
    return path


def read_results(work_dir: str) -> dict[str, Any]:
    """The last run's results.

    Raises:
      FileNotFoundError: no run has finished in this work folder.
    """
    values: dict[str, Any] = json.loads(
        pathlib.Path(work_dir, FILE_NAME).read_text(encoding="utf-8")
    )
    return values
