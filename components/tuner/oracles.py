"""What draws the values of the trials: KerasTuner's oracles.

What they draw is made a function of the seed, the trial's number and the trials before it
alone, so that a search that was broken off needs no more than its trials to go on as an
unbroken one: KerasTuner's own saved state lacks the random generator of its Bayesian oracle.
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
    """Asked for the values of each trial in turn, and told its loss before the next."""

    def __init__(self, oracle: Any) -> None:
        self._oracle = oracle
        self._asked: Any = None

    def ask(self) -> dict[str, float] | None:
        """The next trial's values; None where no others are left."""
        self._asked = self._oracle.create_trial("search")
        if self._asked.status != "RUNNING":
            return None
        return dict(self._asked.hyperparameters.values)

    def tell(self, loss: float) -> None:
        """What came of it; lower is better."""
        self._oracle.update_trial(self._asked.trial_id, {_OBJECTIVE: loss})
        self._asked.status = "COMPLETED"
        self._oracle.end_trial(self._asked)


@contextlib.contextmanager
def opened(settings: TuningSettings, space: Space, *, known: Sequence[Values]) -> Iterator[Oracle]:
    """The oracle of a [tuning] table; the first trials have the `known` values."""
    shared = {
        "objective": keras_tuner.Objective(_OBJECTIVE, "min"),
        "max_trials": settings.trials,
        "hyperparameters": space.hyperparameters(),
        "allow_new_entries": False,
        "tune_new_entries": False,
        "seed": _drawn(settings.seed, "oracle"),
    }
    oracle: Any
    if settings.algorithm == "random":
        oracle = _Random(**shared)
    else:
        # KerasTuner's own number, three for each parameter, is most of a small search.
        initial = min(2 * len(space.names), max(2, settings.trials // 2))
        oracle = _Bayesian(num_initial_points=initial, **shared)
    oracle.values_of = functools.partial(_values_of, space, [dict(values) for values in known])
    oracle.verbose = 0
    with tempfile.TemporaryDirectory(prefix="genreflow-oracle-") as folder:
        # Gives it a folder for its files, which it writes although nobody reads them.
        base_tuner.BaseTuner(oracle=oracle, directory=folder, project_name="oracle")
        yield Oracle(oracle)


class _Repeatable:
    """Values by the number of the trial, and as short as they are shown."""

    seed: int
    values_of: Any
    _seed_state: int
    _random_state: Any

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        self._seed_state = _drawn(self.seed, trial_id)
        self._random_state = np.random.RandomState(self._seed_state)
        return self.values_of(int(trial_id), super().populate_space)  # type: ignore[misc]


class _Random(_Repeatable, keras_tuner.oracles.RandomSearchOracle):  # type: ignore[misc]
    pass


class _Bayesian(_Repeatable, keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    pass


def _values_of(
    space: Space, known: Sequence[dict[str, float]], index: int, populate: Any
) -> dict[str, Any]:
    """KerasTuner's answer for trial `index`, from 0."""
    if index < len(known):
        return {"status": "RUNNING", "values": dict(known[index])}
    answer: dict[str, Any] = populate(str(index))
    if answer["status"] == "RUNNING":
        answer = {**answer, "values": space.rounded(answer["values"])}
    return answer


def _drawn(seed: int, what: str) -> int:
    """A seed for one thing: no neighbour of another, as KerasTuner counts on from its seed
    with every value, and not 0, which it replaces by a random one."""
    digest = hashlib.sha256(f"{seed}:{what}".encode()).digest()
    return max(1, int.from_bytes(digest[:4], "big"))
