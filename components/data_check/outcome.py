"""Result of DataCheck, the content of check.json; results.json has its drift too."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from annotated_types import Ge


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Difference between the songs of two models.

    Attributes:
      feature: "genre" for the shares of genres, or a level: that of whole spectrograms, or of a
        quarter of the mel bands.
      value: Largest difference of a genre's share, or Jensen-Shannon divergence in bits.
      threshold: Value above which it counts as drift.
      drifted: True if the value is above the threshold.
    """

    feature: str
    value: Annotated[float, Ge(0)]
    threshold: Annotated[float, Ge(0)]
    drifted: bool


@dataclasses.dataclass(frozen=True)
class DriftResult:
    """Comparison of the training songs with those of the serving model.

    Attributes:
      outcome: "unknown" if there is nothing to compare with, "off" with data_check.drift = "off".
      text: A summary, or the reason why nothing was compared.
      version: Version of the serving model; null if there is none.
      songs: Number of training songs.
      songs_before: Number of training songs of the serving model.
      measurements: One for the genres' shares and one for each level.
    """

    outcome: Literal["same", "drifted", "unknown", "off"]
    text: str
    version: str | None = None
    songs: Annotated[int, Ge(0)] = 0
    songs_before: Annotated[int, Ge(0)] = 0
    measurements: tuple[Measurement, ...] = ()


@dataclasses.dataclass(frozen=True)
class CheckedData:
    """Counts of the examples by split, and the comparison with earlier data.

    Attributes:
      clips: Number of clips by split.
      tracks: Number of tracks by split.
      drift: The comparison.
    """

    clips: dict[str, int]
    tracks: dict[str, int]
    drift: DriftResult

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclasses.asdict(self)


OFF = DriftResult("off", 'disabled (data_check.drift = "off")')
