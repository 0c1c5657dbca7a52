"""The state of an unfinished training on disk, so that a killed run goes on where it was.

One file a training, named by what the training depends on, rewritten after every epoch:
under a temporary name first, so that the last good one stays when the disk is full or the
process dies. Plain arrays in NumPy's .npz, never pickled.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

# Names the folder; set by whoever runs the pipeline. Not a setting of the Trainer: where
# states lie must not change what TFX's cache takes for the same step.
CHECKPOINTS_VARIABLE = "GENREFLOW_CHECKPOINTS"

# In the file's own words, so that a later layout does not take it for its own.
LAYOUT = 1
_META = "meta"

Arrays = list[npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """After an epoch of a phase. `meta` holds JSON values; `arrays` the groups of weights
    that the phase needs to go on, each in the order of its variables."""

    meta: Mapping[str, Any]
    arrays: Mapping[str, Arrays]


class Checkpoint:
    """The file of one training. Without a path nothing is kept and nothing found.

    `damaged`: `load` found a file, and no state in it.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self._path = pathlib.Path(path) if path else None
        self.damaged = False

    def load(self) -> TrainingState | None:
        """What was saved last; None if nothing was, or the file is damaged."""
        if self._path is None:
            return None
        try:
            with np.load(self._path, allow_pickle=False) as file:
                meta = json.loads(bytes(file[_META]).decode())
                if meta["layout"] != LAYOUT:
                    raise ValueError("another layout")
                arrays = {
                    name: [file[f"{name}_{index}"] for index in range(count)]
                    for name, count in meta["groups"].items()
                }
                return TrainingState(meta["state"], arrays)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            self.damaged = True
            return None

    def save(self, state: TrainingState) -> str | None:
        """Replaces the file; returns why it could not, and then the one before stays."""
        if self._path is None:
            return None
        meta = {
            "layout": LAYOUT,
            "groups": {name: len(group) for name, group in state.arrays.items()},
            "state": dict(state.meta),
        }
        arrays = {
            f"{name}_{index}": values
            for name, group in state.arrays.items()
            for index, values in enumerate(group)
        }
        text = np.frombuffer(json.dumps(meta).encode(), np.uint8)
        return write_atomically(self._path, lambda file: np.savez(file, **{_META: text}, **arrays))

    def remove(self) -> None:
        """Deletes the file: the training is done."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)


def write_atomically(path: pathlib.Path, write: Callable[[BinaryIO], object]) -> str | None:
    """Writes a file, making its folder; returns why it could not, and then the one before stays.

    Whoever finds the file finds all of it, also after a power failure.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        return f"{path.parent}: {error.strerror or error}"
    return None


def values_of(variables: Sequence[Any]) -> Arrays:
    """Copies of Keras variables as arrays."""
    return [np.array(variable) for variable in variables]


def assign(variables: Sequence[Any], values: Arrays) -> bool:
    """Gives variables their values back; False, and nothing changed, if they do not fit."""
    fits = len(variables) == len(values) and all(
        tuple(variable.shape) == value.shape
        for variable, value in zip(variables, values, strict=True)
    )
    if fits:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    return fits
