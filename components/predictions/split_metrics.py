"""Metrics of one model on one split, as results.json holds them."""

from __future__ import annotations

import dataclasses

from components.predictions.interval import DECIMALS, Count, Share, ShareInterval


@dataclasses.dataclass(frozen=True)
class SplitMetrics:
    """Metrics of one model on one split.

    Accuracies count a tie as guessing among the tied genres
    (components.predictions.correctness). In the confusion matrix, recall and F1 a tie goes to the
    first of them in label order. Intervals resample whole artists; a track whose artist is
    unknown is drawn on its own.

    Attributes:
      clip_accuracy: Share of clips whose genre is predicted.
      track_accuracy: Share of tracks whose genre is predicted, by the mean over their clips.
      macro_f1: Mean F1 over the genres, by track.
      recall: Share of each genre's tracks whose genre is predicted; null for a genre without
        tracks in the split.
      confusion: Number of tracks, [true][predicted], in label order.
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
