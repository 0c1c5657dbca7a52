"""The [tuning] table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from components.trainer.tuned import TUNABLE

# In the order of every table and plot.
PARAMETERS = tuple(TUNABLE)


@dataclasses.dataclass(frozen=True)
class TuningSettings:
    """A search for the values that the networks in `networks` then train with.

    Each of `trials` draws a value from every range that is given, trains for `epochs` on
    at most `max_train_clips` clips (0 for all; the network's own limit holds too), and is
    judged by its loss on the validation split. `learning_rate`, `dropout` and `l2` are a
    lowest and a highest value, the rate and the penalty drawn on a logarithmic scale;
    `batch_size` lists the sizes to choose from. A range that is left out is not tuned.
    What is found takes the place of what [training] says.

    A network with trained weights is tuned in its first phase, on the features of its
    frozen base: its `learning_rate` here is its head's.

    `algorithm`: "bayesian" draws at first and then looks where a Gaussian process expects
    the most, "random" draws every trial. `seed` decides the draws; the weights of every
    trial start from training.seed. `trials = 0` tunes nothing.

    Raises:
      ValueError: a range that is none; one line for each.
    """

    networks: tuple[str, ...] = ()
    trials: Annotated[int, Ge(0), Le(1000)] = 15
    epochs: Annotated[int, Ge(1), Le(10000)] = 5
    algorithm: Literal["bayesian", "random"] = "bayesian"
    seed: int = 0
    max_train_clips: Annotated[int, Ge(0)] = 0
    learning_rate: tuple[Annotated[float, Gt(0), Le(1)], ...] = ()
    batch_size: tuple[Annotated[int, Ge(1), Le(4096)], ...] = ()
    dropout: tuple[Annotated[float, Ge(0), Lt(1)], ...] = ()
    l2: tuple[Annotated[float, Gt(0), Le(1)], ...] = ()

    def __post_init__(self) -> None:
        problems = [*self._range_problems(), *self._choice_problems()]
        if problems:
            raise ValueError("\n".join(problems))

    def tuned(self) -> tuple[str, ...]:
        """The parameters that have a range, in PARAMETERS' order."""
        return tuple(name for name in PARAMETERS if getattr(self, name))

    def _range_problems(self) -> Iterator[str]:
        for name in ("learning_rate", "dropout", "l2"):
            values: tuple[float, ...] = getattr(self, name)
            shown = f"{name} = {list(values)}"
            if values and len(values) != 2:
                yield f"{shown}: must be [lowest, highest]"
            elif values and values[0] > values[1]:
                yield f"{shown}: is reversed; write {name} = {[values[1], values[0]]}"
            elif values and values[0] == values[1]:
                yield (
                    f"{shown}: leaves nothing to choose; leave it out and set {name} in the "
                    "network's own table"
                )

    def _choice_problems(self) -> Iterator[str]:
        sizes = self.batch_size
        if len(set(sizes)) != len(sizes):
            yield f"batch_size = {list(sizes)}: names a size twice"
        elif len(sizes) == 1:
            yield (
                f"batch_size = {list(sizes)}: leaves nothing to choose; leave it out and set "
                "batch_size in the network's own table"
            )

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TuningSettings:
        """From what json.dumps(dataclasses.asdict(settings)) wrote."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**fields)
