"""What a search leaves: the files of its results, and the values for the Trainer.

`trials.json`:

schema_version  1
architecture    the network's name
objective       what was made least, in words
algorithm, seed, epochs   of the [tuning] table
space           for each tuned parameter [lowest, highest] or its choices
clips           {"train": n, "validation": n} that were used
best            the number of the best trial
values          its values: what the Trainer takes
trials          Trial of each trial, in order
seconds         of all trials together
versions        of what the numbers depend on
audio_hash, code_digest

`trials.csv` holds the trials as a table, `trials.png` as a picture.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from components.artifacts.names import BEST_HYPERPARAMETERS_TXT, TRIALS_CSV, TRIALS_JSON, TRIALS_PNG
from components.tuner.plot import plot_trials
from components.tuner.settings import TuningSettings
from components.tuner.space import Space, as_hyperparameters
from components.tuner.trials import (
    TRIALS_SCHEMA_VERSION,
    Trial,
    best_of,
    guessing_loss,
    table_csv,
)

OBJECTIVE = "validation loss: mean cross-entropy over the clips, without penalties"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A finished search, of which at least one trial did not fail."""

    architecture: str
    genres: int
    settings: TuningSettings
    trials: Sequence[Trial]
    clips: Mapping[str, int]
    versions: Mapping[str, str]
    audio_hash: str
    code_digest: str

    @property
    def best(self) -> Trial:
        """The trial whose values are used."""
        best = best_of(self.trials)
        assert best is not None
        return best

    def results(self) -> dict[str, bytes]:
        """The files of the TuningResults artifact, by their names."""
        title = f"{self.architecture}: {len(self.trials)} trials, best {self.best.val_loss:.3f}"
        plot = plot_trials(
            self.trials,
            Space.of(self.settings),
            title=title,
            guessing_loss=guessing_loss(self.genres),
        )
        return {
            TRIALS_CSV: table_csv(self.trials).encode(),
            TRIALS_PNG: plot,
            TRIALS_JSON: _text(self.to_json()),
        }

    def hyperparameters(self) -> dict[str, bytes]:
        """The file of TFX's HyperParameters artifact, by its name."""
        config = as_hyperparameters(Space.of(self.settings), self.best.values)
        return {BEST_HYPERPARAMETERS_TXT: _text(config)}

    def to_json(self) -> dict[str, Any]:
        """The content of trials.json."""
        return {
            "schema_version": TRIALS_SCHEMA_VERSION,
            "architecture": self.architecture,
            "objective": OBJECTIVE,
            "algorithm": self.settings.algorithm,
            "seed": self.settings.seed,
            "epochs": self.settings.epochs,
            "space": Space.of(self.settings).to_json(),
            "clips": dict(self.clips),
            "best": self.best.number,
            "values": dict(self.best.values),
            "trials": [trial.to_json() for trial in self.trials],
            "seconds": round(sum(trial.seconds for trial in self.trials), 3),
            "versions": dict(self.versions),
            "audio_hash": self.audio_hash,
            "code_digest": self.code_digest,
        }


def _text(values: Any) -> bytes:
    return (json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
