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

from components.trainer.checkpoints import write_atomically
from components.trainer.tuned import TUNABLE
from components.tuner.settings import Algorithm

TRIALS_SCHEMA_VERSION = 1
_STATE_LAYOUT = 1

TrialOutcome = Literal["done", "failed", "repeated"]


@dataclasses.dataclass(frozen=True)
class TrialScores:
    """Result of training with some values; see Trial for the fields."""

    epochs: int
    val_loss: float
    val_accuracy: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Trial:
    """One finished trial.

    Attributes:
      number: counts from 1.
      values: the drawn values by name.
      settings: all of TUNABLE that the trial trained with, drawn or not.
      outcome: "done"; "failed" if the loss diverged, and then there are no scores; "repeated"
        if an earlier trial had the same values, and then the scores are that trial's.
      epochs: number of epochs that were trained.
      val_loss: mean cross-entropy over the clips of the validation split, without penalties,
        with the weights of the best epoch.
      val_accuracy: share of these clips that is predicted correctly, with the same weights.
      seconds: duration of the training.
      reason: why the trial failed, or which trial it repeats.
    """

    number: int
    values: Mapping[str, float]
    settings: Mapping[str, float]
    outcome: TrialOutcome
    epochs: int = 0
    val_loss: float | None = None
    val_accuracy: float | None = None
    seconds: float = 0.0
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the trial as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Trial:
        """Return the trial of which to_json made `values`.

        Raises:
          TypeError, ValueError: the values are not a trial's.
        """
        trial = cls(**values)
        if trial.outcome not in ("done", "failed", "repeated") or (
            (trial.val_loss is None) != (trial.outcome == "failed")
        ):
            raise ValueError(f"trial {trial.number} has outcome {trial.outcome!r}")
        return trial


@dataclasses.dataclass(frozen=True)
class TrialsFile:
    """Content of trials.json.

    Attributes:
      schema_version: TRIALS_SCHEMA_VERSION.
      architecture: The network's name.
      objective: What was minimised, in words.
      algorithm, seed, epochs: As in the [tuning] table.
      space: For each tuned parameter [lowest, highest], or its choices.
      clips: Number of clips that were used, by split: train, validation.
      best: Number of the best trial.
      values: Values of the best trial, which the Trainer takes.
      trials: All trials, in order.
      seconds: Of all trials together.
      versions: Of what the numbers depend on, by name.
      audio_hash: Digest of the audio parameters.
      code_digest: Digest of the Tuner's code.
    """

    schema_version: int
    architecture: str
    objective: str
    algorithm: Algorithm
    seed: int
    epochs: int
    space: Mapping[str, Any]
    clips: Mapping[str, int]
    best: int
    values: Mapping[str, float]
    trials: tuple[Trial, ...]
    seconds: float
    versions: Mapping[str, str]
    audio_hash: str
    code_digest: str

    @property
    def best_trial(self) -> Trial:
        """The trial whose values are used."""
        return self.trials[self.best - 1]


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial of lowest validation loss, the first of equals; None if all failed."""
    evaluated = [trial for trial in trials if trial.val_loss is not None]
    return min(evaluated, key=lambda trial: (trial.val_loss, trial.number), default=None)


class SearchState:
    """File of an unfinished search's finished trials, replaced atomically after each trial.

    Without a path nothing is saved and nothing is loaded.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self._path = pathlib.Path(path) if path else None

    def load(self) -> list[Trial]:
        """Return the saved trials; none if the file is missing or damaged."""
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
        """Replace the file. Return why that failed, in which case the old file stays, or None."""
        if self._path is None:
            return None
        values = {"layout": _STATE_LAYOUT, "trials": [trial.to_json() for trial in trials]}
        content = json.dumps(values, allow_nan=False).encode()
        return write_atomically(self._path, lambda file: file.write(content))

    def remove(self) -> None:
        """Delete the file, once the search's results are safe."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)


def table_csv(trials: Sequence[Trial]) -> str:
    """Return a CSV table of one row per trial. Its column `best` marks the best one."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    scores = ("epochs", "val_loss", "val_accuracy", "seconds", "outcome", "best", "reason")
    rows.writerow(["trial", *TUNABLE, *scores])
    best = best_of(trials)
    for trial in trials:
        rows.writerow(
            [
                trial.number,
                *(trial.settings[name] for name in TUNABLE),
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
    """Return the cross-entropy of a network that gives every genre the same probability."""
    return math.log(genres)
