"""KerasTuner's oracles, which draw the values of the trials.

Here their draws depend on the seed, the trial's number and the earlier trials alone. So an
interrupted search needs only its trials to resume as if it had never stopped. KerasTuner's own
saved state would not do: it lacks the random generator of the Bayesian oracle.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine import base_tuner

from components.trainer.tuned import Values
from components.tuner.settings import TuningSettings
from components.tuner.space import Space

_OBJECTIVE = "val_loss"


class Oracle:
    """Source of the trials' values: call `ask`, then `tell` its loss, for each trial in turn."""

    def __init__(self, oracle: Any) -> None:
        self._oracle = oracle
        self._trial: Any = None

    def ask(self) -> dict[str, float] | None:
        """Return the next trial's values; None if no new ones are left."""
        self._trial = self._oracle.create_trial("search")
        if self._trial.status != "RUNNING":
            return None
        return dict(self._trial.hyperparameters.values)

    def tell(self, loss: float) -> None:
        """Record the loss of the trial that `ask` returned last; lower is better."""
        self._oracle.update_trial(self._trial.trial_id, {_OBJECTIVE: loss})
        self._trial.status = "COMPLETED"
        self._oracle.end_trial(self._trial)


@contextlib.contextmanager
def opened(settings: TuningSettings, space: Space, *, known: Sequence[Values]) -> Iterator[Oracle]:
    """Open the oracle of a [tuning] table. Its first trials get the `known` values."""
    shared = {
        "objective": keras_tuner.Objective(_OBJECTIVE, "min"),
        "max_trials": settings.trials,
        "hyperparameters": space.hyperparameters(),
        "allow_new_entries": False,
        "tune_new_entries": False,
        "seed": _derived_seed(settings.seed, "oracle"),
    }
    oracle: Any
    if settings.algorithm == "random":
        oracle = _Random(**shared)
    else:
        # KerasTuner's own number, three for each setting, would be most of a small search.
        initial = min(2 * len(space.names), max(2, settings.trials // 2))
        oracle = _Bayesian(num_initial_points=initial, **shared)
    oracle.values_of = functools.partial(_values_of, space, [dict(values) for values in known])
    oracle.verbose = 0
    with tempfile.TemporaryDirectory(prefix="genreflow-oracle-") as folder:
        # The oracle writes files that nobody reads, and needs a folder for them.
        base_tuner.BaseTuner(oracle=oracle, directory=folder, project_name="oracle")
        yield Oracle(oracle)


class _Repeatable:
    """Mix-in that draws by the number of the trial, and rounds as the values are shown."""

    seed: int
    values_of: Any
    _seed_state: int
    _random_state: Any

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        self._seed_state = _derived_seed(self.seed, trial_id)
        self._random_state = np.random.RandomState(self._seed_state)
        return self.values_of(int(trial_id), super().populate_space)  # type: ignore[misc]


class _Random(_Repeatable, keras_tuner.oracles.RandomSearchOracle):  # type: ignore[misc]
    pass


class _Bayesian(_Repeatable, keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    pass


def _values_of(
    space: Space, known: Sequence[dict[str, float]], index: int, populate: Any
) -> dict[str, Any]:
    """Return KerasTuner's response for trial `index`, counted from 0."""
    if index < len(known):
        return {"status": "RUNNING", "values": dict(known[index])}
    response: dict[str, Any] = populate(str(index))
    if response["status"] == "RUNNING":
        response = {**response, "values": space.rounded(response["values"])}
    return response


def _derived_seed(seed: int, purpose: str) -> int:
    """Return a seed for one purpose.

    Seeds of different purposes lie far apart, because KerasTuner adds 1 to its seed with every
    value. None is 0, which KerasTuner replaces by a random seed.
    """
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return max(1, int.from_bytes(digest[:4], "big"))
