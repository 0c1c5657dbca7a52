"""The [serving] table: how the candidate is tried on a server before it is pushed."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le


@dataclasses.dataclass(frozen=True)
class ServingSettings:
    """What ServingCheck does with a candidate that the gate has blessed.

    `check`: false leaves it out: what the gate blesses is pushed without having been served.

    `engine`: what serves: "tensorflow-serving" (a `tensorflow_model_server` on the PATH),
    "genreflow" (this project's own server), or "auto": the former where it is found.

    `examples`: test clips whose answers are compared with the trainer's own predictions.

    `tolerance`: by how much any probability may differ: from the trainer's predictions, and
    between the same sound as waveform, as WAV file and as spectrogram. What rounding does is
    some hundred times less; the front ends' own difference is what the default allows.

    `start_seconds`: how long the server may take to start and to load the model.

    `request_seconds`: how long it may take for one request.
    """

    check: bool = True
    engine: Literal["auto", "genreflow", "tensorflow-serving"] = "auto"
    examples: Annotated[int, Ge(1), Le(1000)] = 16
    tolerance: Annotated[float, Gt(0), Le(1)] = 1e-4
    start_seconds: Annotated[float, Gt(0), Le(3600)] = 180.0
    request_seconds: Annotated[float, Gt(0), Le(3600)] = 60.0
