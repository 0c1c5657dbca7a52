"""The state of an unfinished training on disk, from which a rerun resumes.

Each training has one file, named by a hash of all that the training depends on. The file is
replaced atomically after every epoch, so that the previous one stays if the disk is full or the
process dies. It holds plain arrays in NumPy's .npz format, never pickled.
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

# Environment variable of the folder, set by whoever runs the pipeline. It is not a setting of the
# Trainer, because the place of states must not change TFX's cache key.
CHECKPOINTS_VARIABLE = "GENREFLOW_CHECKPOINTS"

# Version of the file's layout, stored in the file.
LAYOUT = 1
_META = "meta"

Arrays = list[npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """State of a training after an epoch.

    Attributes:
      meta: JSON values.
      arrays: groups of weights that the phase needs to resume, each in its variables' order.
    """

    meta: Mapping[str, Any]
    arrays: Mapping[str, Arrays]


class Checkpoint:
    """File of one training's state. Without a path nothing is saved and nothing is loaded.

    Attributes:
      damaged: whether `load` found a file that it could not read.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self._path = pathlib.Path(path) if path else None
        self.damaged = False

    def load(self) -> TrainingState | None:
        """Return the saved state; None if there is none or the file is damaged."""
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
        """Replace the file. Return why that failed, in which case the old file stays, or None."""
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
        """Delete the file, once the training's result is safe."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)


def write_atomically(path: pathlib.Path, write: Callable[[BinaryIO], object]) -> str | None:
    """Write a file under a temporary name, then rename it; create its folder.

    The file is complete whenever it exists, also after a power failure.

    Returns:
      Why the file could not be written, in which case an older one stays; None on success.
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
    """Return copies of Keras variables as arrays."""
    return [np.array(variable) for variable in variables]


def assign(variables: Sequence[Any], values: Arrays) -> bool:
    """Assign saved values to variables. If they do not fit, change nothing and return False."""
    fits = len(variables) == len(values) and all(
        tuple(variable.shape) == value.shape
        for variable, value in zip(variables, values, strict=True)
    )
    if fits:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    return fits
