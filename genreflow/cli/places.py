"""Checks of files and folders that a command is to write, before it works for minutes."""

from __future__ import annotations

import pathlib

from components.common.errors import UsageError


def check_file(path: str, option: str, example: str, *, makes_folder: bool = False) -> None:
    """Check that a local file can be made.

    Args:
      path: the file.
      option: the option that names it, for the message.
      example: a name that would fit, for the message.
      makes_folder: whether the command creates a missing folder itself.

    Raises:
      UsageError: it is a folder, or its folder is missing.
    """
    target = pathlib.Path(path)
    if target.is_dir():
        raise UsageError(f"{option} {path}: this is a folder; name a file, such as {example}")
    folder = target.absolute().parent
    if not makes_folder and not folder.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {folder}; create it first")


def check_folder(path: str, what: str) -> None:
    """Check that a local folder is one, or is not there yet.

    Args:
      path: the folder.
      what: what goes into it, for the message.

    Raises:
      UsageError: the name is empty, or it is a file.
    """
    if not path.strip():
        raise UsageError(f"the folder to put {what} into is empty; name one")
    if pathlib.Path(path).exists() and not pathlib.Path(path).is_dir():
        raise UsageError(f"{path}: this is a file; name a folder to put {what} into")
