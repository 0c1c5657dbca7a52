"""The configuration and the examples of a work folder's last finished run, `run.json`."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import Annotated, Any, Final

from annotated_types import MinLen

from components.artifacts import files as artifact_files
from components.artifacts import typed_json
from components.common.errors import DataError
from components.storage.uri import is_remote
from pipeline.results.results_file import RUN_AGAIN

FILE_NAME = "run.json"
VERSION: Final = 1


@dataclasses.dataclass(frozen=True)
class RunFile:
    """Content of run.json.

    Attributes:
      version: Version of this file's format.
      run_id: Name of the run, as in results.json.
      config: Values of `Config.to_json`, with dataset.data_dir.
      examples: The examples' folder or URI; a folder in the work folder is relative to it, so that
        the work folder can be moved.
    """

    version: int
    run_id: Annotated[str, MinLen(1)]
    config: dict[str, Any]
    examples: Annotated[str, MinLen(1)]


def write_run_file(work_dir: str, *, run_id: str, config: dict[str, Any], examples: str) -> None:
    """Write the file into a work folder.

    Args:
      work_dir: the work folder.
      run_id: as in results.json.
      config: values of `Config.to_json`.
      examples: URI of the Examples artifact.
    """
    if not is_remote(examples):
        root, path = pathlib.Path(work_dir).resolve(), pathlib.Path(examples).resolve()
        examples = str(path.relative_to(root) if path.is_relative_to(root) else path)
    content = RunFile(VERSION, run_id, config, examples)
    text = json.dumps(dataclasses.asdict(content), indent=2) + "\n"
    artifact_files.write_text(os.path.join(work_dir, FILE_NAME), text)


def read_run_file(work_dir: str) -> RunFile:
    """Read the file; its `examples` is an absolute path or a URI.

    Raises:
      DataError: it is missing, damaged, or of another version.
    """
    path = os.path.join(work_dir, FILE_NAME)
    values = artifact_files.read_json(
        work_dir, FILE_NAME, missing="is missing, as an earlier version ran", remedy=RUN_AGAIN
    )
    version = values.get("version") if isinstance(values, dict) else None
    if version is not None and version != VERSION:
        raise DataError(
            f"{path}: has version {version!r}, but this genreflow reads {VERSION}; {RUN_AGAIN}"
        )
    try:
        found = typed_json.parse(RunFile, values)
    except ValueError as error:
        raise DataError(f"{path}: is damaged, {error}; {RUN_AGAIN}") from error
    if is_remote(found.examples):
        return found
    examples = os.path.join(os.path.abspath(work_dir), found.examples)
    return dataclasses.replace(found, examples=examples)
