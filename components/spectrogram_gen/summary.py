"""Summary of the data that a run was made of: the content of summary.json."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from annotated_types import Ge

Count = Annotated[int, Ge(0)]


@dataclasses.dataclass(frozen=True)
class SplitCounts:
    """A number for each split."""

    train: Count
    validation: Count
    test: Count

    @property
    def total(self) -> int:
        """Sum over the splits."""
        return self.train + self.validation + self.test


@dataclasses.dataclass(frozen=True)
class DataCounts:
    """Counts of tracks and clips.

    Attributes:
      tracks_listed: Tracks that the metadata lists.
      tracks_read: Tracks that were used.
      tracks_decoded: Of tracks_read and duplicates; the others came from the clip store.
      tracks: Tracks used, by split.
      clips: Clips used, by split.
      rejects: Tracks left out, by reason.
      clips_left_out: Clips of used tracks that are left out, by reason; absent in the results of
        earlier versions.
    """

    tracks_listed: Count
    tracks_read: Count
    tracks_decoded: Count
    tracks: SplitCounts
    clips: SplitCounts
    rejects: dict[str, Count]
    clips_left_out: dict[str, Count] = dataclasses.field(default_factory=dict, kw_only=True)


@dataclasses.dataclass(frozen=True)
class DataSummary(DataCounts):
    """Content of summary.json.

    Attributes:
      genres: In label order.
      leaky: Whether clips of one track lie in several splits.
    """

    genres: tuple[str, ...]
    leaky: bool

    @property
    def counts(self) -> DataCounts:
        """The counts alone."""
        names = [field.name for field in dataclasses.fields(DataCounts)]
        return DataCounts(**{name: getattr(self, name) for name in names})
