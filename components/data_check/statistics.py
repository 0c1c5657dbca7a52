"""Statistics of the songs that a model is trained on, as TFDV compares them.

TFDV's statistics of the examples say nothing of the sound, as a spectrogram is bytes to it. So each
song becomes a row of a few numbers, of which TFDV makes its statistics: levels in dB below the
spectrogram's peak, and the genre. A row per song and not per clip, because clips of one song are
alike, and counting them all would make chance look like drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.audio.spectrogram.stored import from_stored

GENRE = "genre"
LEVEL = "level_db"
# From low to high frequencies: mean levels of four equal parts of the mel bands.
BANDS = ("low_db", "lower_middle_db", "upper_middle_db", "high_db")
NUMBERS = (LEVEL, *BANDS)
# Buckets of the histograms that TFDV compares (StatsOptions.num_histogram_buckets).
BUCKETS = 10


class Songs:
    """Collector of each song's numbers, over its clips."""

    def __init__(self) -> None:
        self._sums: dict[str, npt.NDArray[np.float64]] = {}
        self._clips: dict[str, int] = {}
        self._genres: dict[str, str] = {}

    def add(self, track_id: str, genre: str, stored: npt.NDArray[np.uint16]) -> None:
        """Add a clip.

        Args:
          track_id: of its song.
          genre: the song's.
          stored: the spectrogram as stored, `[n_mels, frames]`.
        """
        before = self._sums.get(track_id, np.zeros(len(NUMBERS)))
        self._sums[track_id] = before + clip_numbers(stored)
        self._clips[track_id] = self._clips.get(track_id, 0) + 1
        self._genres[track_id] = genre

    def statistics(self) -> Any:
        """Return TFDV's statistics, a DatasetFeatureStatisticsList; a song is an example."""
        ids = sorted(self._sums)
        rows = [self._sums[one] / self._clips[one] for one in ids]
        return statistics_of(
            [self._genres[one] for one in ids], np.array(rows).reshape(-1, len(NUMBERS))
        )


def clip_numbers(stored: npt.NDArray[np.uint16]) -> npt.NDArray[np.float64]:
    """Return the numbers of a clip, in the order of NUMBERS.

    Args:
      stored: the spectrogram as stored, `[n_mels, frames]`.
    """
    mel_db = from_stored(stored)
    parts = np.array_split(mel_db.mean(axis=1, dtype=np.float64), len(BANDS))
    return np.array([mel_db.mean(dtype=np.float64), *(part.mean() for part in parts)])


def statistics_of(genres: Sequence[str], numbers: npt.NDArray[np.float64]) -> Any:
    """Return TFDV's statistics of songs, a DatasetFeatureStatisticsList.

    Args:
      genres: of each song.
      numbers: of each song, `[songs, len(NUMBERS)]`.
    """
    import pyarrow as pa
    from tensorflow_data_validation.statistics import stats_impl, stats_options

    columns = {
        GENRE: pa.array([[genre.encode()] for genre in genres], pa.large_list(pa.large_binary()))
    }
    for index, name in enumerate(NUMBERS):
        column = numbers[:, index].astype(np.float32)
        columns[name] = pa.array([[value] for value in column], pa.large_list(pa.float32()))
    options = stats_options.StatsOptions(num_histogram_buckets=BUCKETS)
    return stats_impl.generate_statistics_in_memory(
        pa.RecordBatch.from_arrays(list(columns.values()), list(columns)), options
    )


def songs_in(statistics: Any) -> int:
    """Return the number of songs of statistics."""
    return int(statistics.datasets[0].num_examples) if statistics.datasets else 0


def genre_counts(statistics: Any) -> dict[str, float]:
    """Return the number of songs of each genre."""
    for feature in statistics.datasets[0].features:
        if list(feature.path.step) == [GENRE]:
            buckets = feature.string_stats.rank_histogram.buckets
            return {bucket.label: bucket.sample_count for bucket in buckets}
    return {}
