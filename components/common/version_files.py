"""Folders of a model's versions: their names, and the files of a complete version."""

from __future__ import annotations

import re
from collections.abc import Mapping

from components.common.model_contract import SAVED_MODEL

# Folder of the pushed models below the folder of a run's output.
PUSH_FOLDER = "serving_models"
VARIABLES_INDEX = "variables/variables.index"
# By TensorFlow Serving's own rule, a version is a folder named by a 64-bit number.
VERSION_NAME = re.compile(r"[0-9]{1,18}", re.ASCII)
_DATA_FILE = re.compile(r"variables\.data-(\d{5})-of-(\d{5})", re.ASCII)


def missing_file(files: Mapping[str, int]) -> str | None:
    """Return the first file of a SavedModel that is missing or empty, or None.

    The name of each file of variables says how many such files there are.

    Args:
      files: bytes of each file of a version by its path below the version's folder.
    """
    for name in (SAVED_MODEL, VARIABLES_INDEX):
        if not files.get(name):
            return name
    shards = [
        match for name in files if (match := _DATA_FILE.fullmatch(name.removeprefix("variables/")))
    ]
    if not shards:
        return "variables/variables.data-00000-of-00001"
    total = shards[0].group(2)
    have = {match.group(1) for match in shards if match.group(2) == total}
    for index in range(int(total)):
        if f"{index:05d}" not in have:
            return f"variables/variables.data-{index:05d}-of-{total}"
    return None
