"""The trials of a search: their records, the best of them, and their state on disk."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from components.trainer.checkpoints import replace_whole
from components.tuner.settings import PARAMETERS

TRIALS_SCHEMA_VERSION = 1
_STATE_LAYOUT = 1

Outcome = Literal["done", "failed", "repeated"]


@dataclasses.dataclass(frozen=True)
class Measured:
    """What training with some values came to; see Trial."""

    epochs: int
    val_loss: float
    val_accuracy: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trial, from number 1.

    `values`: what was drawn, by the parameters' names. `settings`: the four parameters it
    trained with, drawn or not. `val_loss` is the mean cross-entropy over the clips of the
    validation split, without penalties, and `val_accuracy` the share of them that is
    right, both of the weights of the trial's best epoch. `outcome`: "failed" where the
    loss ran away, for `reason` (then nothing was measured); "repeated" where an earlier
    trial had the same values, whose numbers it takes without training again.
    """

    number: int
    values: Mapping[str, float]
    settings: Mapping[str, float]
    outcome: Outcome
    epochs: int = 0
    val_loss: float | None = None
    val_accuracy: float | None = None
    seconds: float = 0.0
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The trial as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Trial:
        """What to_json gave. Raises TypeError or ValueError for anything else."""
        trial = cls(**values)
        if trial.outcome not in ("done", "failed", "repeated") or (
            (trial.val_loss is None) != (trial.outcome == "failed")
        ):
            raise ValueError(f"trial {trial.number} has outcome {trial.outcome!r}")
        return trial


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The trial of the lowest validation loss, the first of equals; None if all failed."""
    measured = [trial for trial in trials if trial.val_loss is not None]
    return min(measured, key=lambda trial: (trial.val_loss, trial.number), default=None)


class State:
    """The finished trials of an unfinished search, in a file that is written anew after each.

    Under a temporary name first. Without a path nothing is kept and nothing found.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self._path = pathlib.Path(path) if path else None

    def load(self) -> list[Trial]:
        """The trials that were saved; none if the file is not there or is damaged."""
        if self._path is None:
            return []
        try:
            saved = json.loads(self._path.read_text(encoding="utf-8"))
            if saved["layout"] != _STATE_LAYOUT:
                return []
            trials = [Trial.from_json(values) for values in saved["trials"]]
        except (OSError, ValueError, TypeError, KeyError):
            return []
        numbers = [trial.number for trial in trials]
        return trials if numbers == list(range(1, len(trials) + 1)) else []

    def save(self, trials: Sequence[Trial]) -> str | None:
        """Replaces the file; returns why it could not, and then the one before stays."""
        if self._path is None:
            return None
        values = {"layout": _STATE_LAYOUT, "trials": [trial.to_json() for trial in trials]}
        content = json.dumps(values, allow_nan=False).encode()
        return replace_whole(self._path, lambda file: file.write(content))

    def remove(self) -> None:
        """Deletes the file: the search is done."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)


def table_csv(trials: Sequence[Trial]) -> str:
    """One row a trial; `best` marks the chosen one, empty cells are what was not measured."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    measured = ("epochs", "val_loss", "val_accuracy", "seconds", "outcome", "best", "reason")
    rows.writerow(["trial", *PARAMETERS, *measured])
    best = best_of(trials)
    for trial in trials:
        rows.writerow(
            [
                trial.number,
                *(trial.settings[name] for name in PARAMETERS),
                trial.epochs,
                _cell(trial.val_loss),
                _cell(trial.val_accuracy),
                f"{trial.seconds:.3f}",
                trial.outcome,
                "best" if trial is best else "",
                trial.reason,
            ]
        )
    return text.getvalue()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def guessing_loss(genres: int) -> float:
    """The cross-entropy of a network that gives every genre the same probability."""
    return math.log(genres)
