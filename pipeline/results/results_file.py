"""Reading and writing results.json."""

from __future__ import annotations

import json
import os
import pathlib

from components.artifacts import typed_json
from components.common.errors import DataError
from pipeline.results.schema import SCHEMA_VERSION, Results

FILE_NAME = "results.json"
RUN_AGAIN = "rerun its genreflow run, which rewrites the file (finished steps are cached)"


def write_results(results: Results, work_dir: str) -> str:
    """Check the results and write them, whole or not at all; return the path.

    Raises:
      pydantic.ValidationError: the results break their own contract (a defect of ours).
    """
    text = json.dumps(results.to_json(), indent=2) + "\n"
    typed_json.adapter(Results).validate_json(text, strict=True)
    path = os.path.join(work_dir, FILE_NAME)
    temporary = path + ".tmp"
    pathlib.Path(temporary).write_text(text, encoding="utf-8")
    os.replace(temporary, path)
    return path


def read_results(work_dir: str) -> Results:
    """Read the last run's results. Fields that this version does not know are ignored.

    Raises:
      FileNotFoundError: no run has finished in this work folder.
      DataError: the file is damaged, or of another version.
    """
    path = pathlib.Path(work_dir, FILE_NAME)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is damaged, not JSON ({error}); {RUN_AGAIN}") from error
    version = values.get("schema_version") if isinstance(values, dict) else None
    if version is not None and version != SCHEMA_VERSION:
        raise DataError(
            f"{path}: has schema version {version!r}, but this genreflow reads {SCHEMA_VERSION}; "
            f"{RUN_AGAIN}"
        )
    try:
        return typed_json.parse(Results, values)
    except ValueError as error:
        raise DataError(f"{path}: is damaged, {error}; {RUN_AGAIN}") from error
