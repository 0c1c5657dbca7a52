"""Results of a search: the files of the TuningResults artifact, and the values to train with.

`trials.json` is a components.tuner.trials.TrialsFile, `trials.csv` holds the trials as a
table, `trials.png` as a picture.
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
    TrialsFile,
    best_of,
    guessing_loss,
    table_csv,
)

OBJECTIVE = "validation loss: mean cross-entropy over the clips, without penalties"


@dataclasses.dataclass(frozen=True)
class SearchResults:
    """Results of a finished search, in which at least one trial did not fail.

    Attributes:
      architecture: the network's name.
      genres: number of genres.
      settings: the [tuning] table.
      trials: all trials, in order.
      clips: number of clips used, by split.
      versions: versions of the libraries that the numbers depend on.
      audio_hash: hash of the examples' audio parameters.
      code_digest: digest of the code that searched.
    """

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
        """The trial whose values the Trainer uses."""
        best = best_of(self.trials)
        assert best is not None
        return best

    def result_files(self) -> dict[str, bytes]:
        """Return the content of the TuningResults artifact's files, by name."""
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
            TRIALS_JSON: _text(dataclasses.asdict(self.trials_file())),
        }

    def hyperparameter_files(self) -> dict[str, bytes]:
        """Return the content of TFX's HyperParameters artifact's one file, by name."""
        config = as_hyperparameters(Space.of(self.settings), self.best.values)
        return {BEST_HYPERPARAMETERS_TXT: _text(config)}

    def trials_file(self) -> TrialsFile:
        """Return the content of trials.json."""
        return TrialsFile(
            schema_version=TRIALS_SCHEMA_VERSION,
            architecture=self.architecture,
            objective=OBJECTIVE,
            algorithm=self.settings.algorithm,
            seed=self.settings.seed,
            epochs=self.settings.epochs,
            space=Space.of(self.settings).to_json(),
            clips=dict(self.clips),
            best=self.best.number,
            values=dict(self.best.values),
            trials=tuple(self.trials),
            seconds=round(sum(trial.seconds for trial in self.trials), 3),
            versions=dict(self.versions),
            audio_hash=self.audio_hash,
            code_digest=self.code_digest,
        )


def _text(values: Any) -> bytes:
    return (json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
