"""Audio files that `genreflow predict` reads: files, pipes, and the contents of folders."""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from components.audio.decoding.formats import is_readable, refusal
from components.common.errors import UsageError
from components.common.spelling import find_spelling
from components.storage.uri import is_remote
from genreflow.cli.predict import pipes

_MAX_SHOWN = 5


@dataclasses.dataclass
class Inputs:
    """Inputs of one command.

    Attributes:
      files: the audio files, in order, as they are shown.
      copies: path of the copy of each of `files` that is a pipe.
      problems: (path, what is wrong) of each folder and pipe that cannot be read.
      skipped: audio files in folders whose formats are not read.
    """

    files: list[str] = dataclasses.field(default_factory=list)
    copies: dict[str, str] = dataclasses.field(default_factory=dict)
    problems: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    skipped: list[str] = dataclasses.field(default_factory=list)


def collect(given: Sequence[str], scratch: pathlib.Path) -> Inputs:
    """Return the files as given, with each folder replaced by the audio files below it, sorted.

    In a folder, hidden files and links that lead out of it are skipped, and links to folders are
    not followed. A path that does not exist is tried with its accents composed and decomposed.

    Args:
      given: paths of files and folders, uris, and "-" for standard input.
      scratch: folder for copies of pipes.

    Raises:
      UsageError: a folder contains no audio file.
    """
    inputs = Inputs()
    for path in given:
        if is_remote(path):
            inputs.files.append(path)
        elif pipes.is_piped(path) and not os.path.isdir(path):
            _add_pipe(inputs, path, scratch)
        else:
            path = find_spelling(path, os.path.exists) or path
            if os.path.isdir(path):
                _add_folder(inputs, path)
            else:
                inputs.files.append(path)
    copied = inputs.copies
    if not any(is_remote(one) or one in copied or os.path.lexists(one) for one in inputs.files):
        # Told before a model is loaded, which takes seconds.
        missing = [(path, "there is no such file (missing_file)") for path in inputs.files]
        return dataclasses.replace(inputs, files=[], problems=[*inputs.problems, *missing])
    return inputs


def skipped_lines(skipped: Iterable[str]) -> Iterator[str]:
    """Yield lines that say which files were skipped, why, and what to do."""
    kinds: dict[str, list[str]] = collections.defaultdict(list)
    for path in skipped:
        kinds[refusal(path) or ""].append(path)
    for why, paths in kinds.items():
        yield f"{len(paths)} {'files were' if len(paths) > 1 else 'file was'} skipped: {why}"
        yield from (f"  {path}" for path in paths[:_MAX_SHOWN])
        if len(paths) > _MAX_SHOWN:
            yield f"  ... and {len(paths) - _MAX_SHOWN} more"


def _add_pipe(inputs: Inputs, path: str, scratch: pathlib.Path) -> None:
    if path not in inputs.copies:  # a pipe can be read only once
        copy = scratch / str(len(inputs.copies))
        try:
            pipes.copy(path, copy)
        except OSError as error:
            inputs.problems.append((path, error.strerror or str(error)))
            return
        inputs.copies[path] = str(copy)
    inputs.files.append(path)


def _add_folder(inputs: Inputs, folder: str) -> None:
    problems: list[tuple[str, str]] = []

    def unreadable(error: OSError) -> None:
        why = f"the folder cannot be read: {error.strerror}"
        problems.append((os.fspath(error.filename), why))

    found = sorted(_inside(folder, unreadable), key=lambda name: pathlib.PurePath(name).parts)
    if not found and not problems:
        raise UsageError(
            f"{folder}: no audio files in this folder (such as .mp3, .flac or .wav); give another "
            "folder, or files"
        )
    inputs.problems += sorted(problems)
    for path in found:
        (inputs.files if is_readable(path) else inputs.skipped).append(path)


def _inside(folder: str, unreadable: Callable[[OSError], None]) -> Iterator[str]:
    """Yield the audio files in a folder and below it, readable or not."""
    root = os.path.realpath(folder)
    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.join(parent, name)
            if name.startswith(".") or not (is_readable(name) or refusal(name)):
                continue
            if os.path.islink(path) and not _leads_inside(path, root):
                continue
            yield path


def _leads_inside(link: str, root: str) -> bool:
    return os.path.commonpath([os.path.realpath(link), root]) == root
