"""The search itself: the oracles draw, somebody else trains. Keras alone."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from components.common.errors import GenreflowError
from components.trainer.callbacks import DivergedError
from components.trainer.tuned import Values
from components.tuner import oracles
from components.tuner.settings import TuningSettings
from components.tuner.space import Space
from components.tuner.trials import Measured, State, Trial, best_of


class TuningError(GenreflowError):
    """The search found nothing to use. The text says what to change."""


class Trainee(Protocol):
    """What is tuned."""

    def settings(self, values: Values) -> Mapping[str, float]:
        """All four parameters as training with some values uses them."""

    def train(self, number: int, values: Values) -> Measured:
        """Trains with the values of the trial of a number.

        Raises:
          DivergedError: the trial failed. Any other error ends the search.
        """


class Watcher(Protocol):
    """Hears of a search: each trial that is to be trained, and sentences."""

    def begins(self, number: int, values: Values, best: Trial | None) -> None: ...

    def note(self, text: str) -> None: ...


def search(
    settings: TuningSettings,
    trainee: Trainee,
    *,
    guessing_loss: float,
    watcher: Watcher,
    state: State,
) -> list[Trial]:
    """Runs `settings.trials` trials, or fewer if there are no more different values.

    The same settings and the same numbers give the same trials, broken off or not.

    Args:
      settings: the [tuning] table.
      trainee: trains and measures.
      guessing_loss: what a network that learned nothing has. Losses above twice that are
        equally useless, and a failed trial is told to the algorithm as such a one:
        otherwise it would know nothing of that place and ask for it again.
      watcher: hears of each trial.
      state: where finished trials are kept; who searched removes it once the result is safe.

    Raises:
      TuningError: every trial failed.
    """
    space = Space.of(settings)
    before = state.load()
    if len(before) > settings.trials or any(not space.holds(trial.values) for trial in before):
        before = []  # of another search, or of somebody's hand
    if before:
        watcher.note(f"goes on after trial {len(before)}, where an earlier run ended")
    trials: list[Trial] = []
    with oracles.opened(settings, space, known=[trial.values for trial in before]) as oracle:
        while len(trials) < settings.trials:
            values = oracle.ask()
            if values is None:
                watcher.note(
                    f"the ranges hold no more than {len(trials)} different settings; all were tried"
                )
                break
            number = len(trials) + 1
            if number <= len(before):
                trials.append(before[number - 1])
            else:
                trials.append(_tried(number, values, trials, trainee, watcher))
                trouble = state.save(trials)
                if trouble:
                    watcher.note(
                        f"trial {number} could not be saved ({trouble}); a run that is broken "
                        "off now repeats it"
                    )
            loss = trials[-1].val_loss
            worst = 2 * guessing_loss
            oracle.tell(worst if loss is None else min(loss, worst))
    if best_of(trials) is None:
        raise TuningError(
            f"all {len(trials)} trials failed; the last: {trials[-1].reason}; lower the highest "
            "value of tuning.learning_rate"
        )
    return trials


def _tried(
    number: int,
    values: dict[str, float],
    before: Sequence[Trial],
    trainee: Trainee,
    watcher: Watcher,
) -> Trial:
    blank = Trial(number, values, dict(trainee.settings(values)), "failed")
    same = next((trial for trial in before if trial.values == values), None)
    if same is not None:
        return dataclasses.replace(
            blank,
            outcome="failed" if same.val_loss is None else "repeated",
            val_loss=same.val_loss,
            val_accuracy=same.val_accuracy,
            reason=same.reason or f"the values of trial {same.number}",
        )
    watcher.begins(number, values, best_of(before))
    begun = time.monotonic()
    try:
        measured = trainee.train(number, values)
    except DivergedError as error:
        watcher.note(f"trial {number} failed: {error}")
        seconds = round(time.monotonic() - begun, 3)
        return dataclasses.replace(blank, seconds=seconds, reason=str(error))
    return dataclasses.replace(
        blank,
        outcome="done",
        epochs=measured.epochs,
        val_loss=measured.val_loss,
        val_accuracy=measured.val_accuracy,
        seconds=round(measured.seconds, 3),
    )
