"""Metrics of one model on one split, as a plain type: results.json holds it as it is."""

from __future__ import annotations

import dataclasses

from components.predictions.interval import DECIMALS, Count, Share, ShareInterval


@dataclasses.dataclass(frozen=True)
class SplitMetrics:
    """Metrics of one model on one split.

    Accuracies count a tie by the chance of guessing right among its genres
    (components.predictions.rightness). The confusion matrix, and what follows from it, takes
    the first of them in label order.

    Attributes:
      clip_accuracy: Share of clips whose genre is predicted.
      track_accuracy: Share of tracks whose genre is predicted, by the mean over their clips.
      macro_f1: Mean F1 over the genres, of tracks.
      recall: For each genre the share of its tracks that were found; null where the split has
        none.
      confusion: Tracks, [true][predicted], in label order.
      clips: Number of clips.
      tracks: Number of tracks.
    """

    clip_accuracy: ShareInterval
    track_accuracy: ShareInterval
    macro_f1: ShareInterval
    recall: dict[str, Share | None]
    confusion: list[list[Count]]
    clips: Count
    tracks: Count

    def rounded(self) -> SplitMetrics:
        """Return a copy whose shares have DECIMALS places."""
        return dataclasses.replace(
            self,
            clip_accuracy=self.clip_accuracy.rounded(),
            track_accuracy=self.track_accuracy.rounded(),
            macro_f1=self.macro_f1.rounded(),
            recall={
                genre: None if value is None else round(value, DECIMALS)
                for genre, value in self.recall.items()
            },
        )
