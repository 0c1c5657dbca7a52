"""The search itself: an oracle draws values, a runner trains with them. Keras alone."""

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
from components.tuner.trials import SearchState, Trial, TrialScores, best_of


class TuningError(GenreflowError):
    """Error of a search in which every trial failed. The message says what to change."""


class TrialRunner(Protocol):
    """Runner of trials: trains and evaluates the network that is tuned."""

    def settings(self, values: Values) -> Mapping[str, float]:
        """Return all of TUNABLE as a trial with `values` uses them."""

    def run(self, number: int, values: Values) -> TrialScores:
        """Train with the values of trial `number`, and evaluate.

        Raises:
          DivergedError: the trial failed. Any other error ends the search.
        """


class Watcher(Protocol):
    """Receiver of a search's progress."""

    def begins(self, number: int, values: Values, best: Trial | None) -> None:
        """Take note that a trial begins to train; `best` is the best one so far."""

    def note(self, text: str) -> None:
        """Show a sentence to whoever watches."""


def search(
    settings: TuningSettings,
    runner: TrialRunner,
    *,
    guessing_loss: float,
    watcher: Watcher,
    state: SearchState,
) -> list[Trial]:
    """Run `settings.trials` trials, or fewer if the space has fewer different values.

    The same settings and the same scores give the same trials, also if the search was
    interrupted and resumed.

    Args:
      settings: the [tuning] table.
      runner: trains and evaluates.
      guessing_loss: loss of a network that learned nothing. The oracle gets at most twice that
        for a trial, and for a failed one: it would otherwise know nothing of the failed values
        and draw them again.
      watcher: receives the progress.
      state: keeps the finished trials. The caller removes it once the results are safe.

    Raises:
      TuningError: every trial failed.
    """
    space = Space.of(settings)
    saved = state.load()
    if len(saved) > settings.trials or any(not space.holds(trial.values) for trial in saved):
        saved = []  # from another search, or edited by hand
    if saved:
        watcher.note(f"resumes after trial {len(saved)}, where an earlier run was interrupted")
    trials: list[Trial] = []
    with oracles.opened(settings, space, known=[trial.values for trial in saved]) as oracle:
        while len(trials) < settings.trials:
            values = oracle.ask()
            if values is None:
                watcher.note(
                    f"the ranges hold only {len(trials)} different settings; all have been tried"
                )
                break
            number = len(trials) + 1
            if number <= len(saved):
                trials.append(saved[number - 1])
            else:
                trials.append(_run_trial(number, values, trials, runner, watcher))
                problem = state.save(trials)
                if problem:
                    watcher.note(
                        f"trial {number} could not be saved ({problem}); if this run is "
                        "interrupted, a rerun repeats it"
                    )
            loss = trials[-1].val_loss
            max_loss = 2 * guessing_loss
            oracle.tell(max_loss if loss is None else min(loss, max_loss))
    if best_of(trials) is None:
        raise TuningError(
            f"all {len(trials)} trials failed; the last one: {trials[-1].reason}; lower the "
            "highest value of tuning.learning_rate"
        )
    return trials


def _run_trial(
    number: int,
    values: dict[str, float],
    earlier: Sequence[Trial],
    runner: TrialRunner,
    watcher: Watcher,
) -> Trial:
    blank = Trial(number, values, dict(runner.settings(values)), "failed")
    same = next((trial for trial in earlier if trial.values == values), None)
    if same is not None:
        return dataclasses.replace(
            blank,
            outcome="failed" if same.val_loss is None else "repeated",
            val_loss=same.val_loss,
            val_accuracy=same.val_accuracy,
            reason=same.reason or f"the values of trial {same.number}",
        )
    watcher.begins(number, values, best_of(earlier))
    started = time.monotonic()
    try:
        scores = runner.run(number, values)
    except DivergedError as error:
        watcher.note(f"trial {number} failed: {error}")
        seconds = round(time.monotonic() - started, 3)
        return dataclasses.replace(blank, seconds=seconds, reason=str(error))
    return dataclasses.replace(
        blank,
        outcome="done",
        epochs=scores.epochs,
        val_loss=scores.val_loss,
        val_accuracy=scores.val_accuracy,
        seconds=round(scores.seconds, 3),
    )
