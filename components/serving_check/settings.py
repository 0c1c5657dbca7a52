"""Settings of ServingCheck and Pusher, the [serving] table."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le


@dataclasses.dataclass(frozen=True)
class ServingSettings:
    """Settings of the test on a server that a blessed candidate must pass, and of the push.

    Attributes:
      check: whether to test; with false, blessed candidates are pushed untested.
      engine: the server: "tensorflow-serving" (a `tensorflow_model_server` on the PATH),
        "genreflow" (this project's own server), or "auto" (the former if it is found, else the
        latter).
      examples: number of test clips whose responses are compared with the trainer's
        predictions.
      tolerance: largest allowed difference of a probability, from the trainer's predictions and
        between the same sound as waveform, WAV file and spectrogram. Rounding makes about a
        hundredth of the default, which allows for the difference between the front ends.
      start_seconds: time limit for starting the server and loading the model.
      request_seconds: time limit of one request.
      keep_versions: number of complete versions to keep after a push; 0 keeps all. Versions with a
        label are kept besides. 1 is refused: it leaves nothing to roll back to.
    """

    check: bool = True
    engine: Literal["auto", "genreflow", "tensorflow-serving"] = "auto"
    examples: Annotated[int, Ge(1), Le(1000)] = 16
    tolerance: Annotated[float, Gt(0), Le(1)] = 1e-4
    start_seconds: Annotated[float, Gt(0), Le(3600)] = 180.0
    request_seconds: Annotated[float, Gt(0), Le(3600)] = 60.0
    keep_versions: Annotated[int, Ge(0), Le(10_000)] = 0

    def __post_init__(self) -> None:
        if self.keep_versions == 1:
            raise ValueError(
                "keep_versions is 1, which leaves no version to roll back to; set 2 or more, or 0 "
                "to keep all"
            )
