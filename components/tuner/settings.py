"""The [tuning] table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from components.trainer.tuned import TUNABLE

Algorithm = Literal["bayesian", "random"]


@dataclasses.dataclass(frozen=True)
class TuningSettings:
    """Settings of the search for the values that some networks then train with.

    Each trial draws a value from every range that is given, trains, and is compared by its loss
    on the validation split. A range that is left out is not tuned. The values of the best trial
    replace those of [training]. A network with trained weights is tuned in its first phase, on
    the features of its frozen base: its learning rate here is its head's.

    Attributes:
      networks: names of the networks to tune.
      trials: number of trials; 0 tunes nothing.
      epochs: epochs of each trial.
      algorithm: "random" draws every trial. "bayesian" draws the first ones, then searches
        where a Gaussian process expects the largest improvement.
      seed: decides the draws. The weights of every trial start from training.seed.
      max_train_clips: clips of each trial at most, 0 for all. The network's own limit holds too.
      learning_rate: lowest and highest value, searched on a logarithmic scale.
      batch_size: sizes to choose from.
      dropout: lowest and highest value.
      l2: lowest and highest value, searched on a logarithmic scale.

    Raises:
      ValueError: a range or list is invalid; one line for each.
    """

    networks: tuple[str, ...] = ()
    trials: Annotated[int, Ge(0), Le(1000)] = 15
    epochs: Annotated[int, Ge(1), Le(10000)] = 5
    algorithm: Algorithm = "bayesian"
    seed: int = 0
    max_train_clips: Annotated[int, Ge(0)] = 0
    learning_rate: tuple[Annotated[float, Gt(0), Le(1)], ...] = ()
    batch_size: tuple[Annotated[int, Ge(1), Le(4096)], ...] = ()
    dropout: tuple[Annotated[float, Ge(0), Lt(1)], ...] = ()
    l2: tuple[Annotated[float, Gt(0), Le(1)], ...] = ()

    def __post_init__(self) -> None:
        problems = [
            problem
            for name, tunable in TUNABLE.items()
            for problem in (_range_problems if tunable.kind is float else _choice_problems)(
                name, getattr(self, name)
            )
        ]
        if problems:
            raise ValueError("\n".join(problems))

    def tuned(self) -> tuple[str, ...]:
        """Return the names of the settings that have a range or list, in TUNABLE's order."""
        return tuple(name for name in TUNABLE if getattr(self, name))


def _range_problems(name: str, values: tuple[float, ...]) -> Iterator[str]:
    shown = f"{name} = {list(values)}"
    if values and len(values) != 2:
        yield f"{shown}: must be [lowest, highest]"
    elif values and values[0] > values[1]:
        yield f"{shown}: is reversed; write {name} = {[values[1], values[0]]}"
    elif values and values[0] == values[1]:
        yield _nothing_to_choose(name, shown)


def _choice_problems(name: str, values: tuple[int, ...]) -> Iterator[str]:
    shown = f"{name} = {list(values)}"
    if len(set(values)) != len(values):
        yield f"{shown}: lists a value twice"
    elif len(values) == 1:
        yield _nothing_to_choose(name, shown)


def _nothing_to_choose(name: str, shown: str) -> str:
    return (
        f"{shown}: leaves nothing to choose; remove it, and set {name} in the network's own table"
    )
