"""A finished run as its songs: labels, splits, and the predictions of every model."""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
import os
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.artifacts.names import REJECTS_CSV
from components.common.errors import DataError
from components.datasets.track import SPLITS
from components.examples.tracks import ExampleTrack, read_tracks
from components.predictions.table import probability_columns
from pipeline.config.schema import Config
from pipeline.results import run_file
from pipeline.results.finished_runs import read_run
from pipeline.results.results_file import RUN_AGAIN
from pipeline.results.schema import Results

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

SEVERAL = ""  # the split of a song whose clips are in several
_LEAST = 1e-7  # of a probability, so that its logarithm is finite


@dataclasses.dataclass(frozen=True, eq=False)
class ExploredRun:
    """One finished run.

    Attributes:
      folder: its work folder.
      results: content of results.json.
      config: the run's configuration.
      songs: the songs with examples, sorted by track id; an index into them names a song.
      labels: index of each song's genre, `[songs]`.
      probabilities: for each model the probabilities of each song, `[songs, genres]`, the means
        over its clips; NaN for songs that the model did not predict (the training split).
      rejects: rows of rejects.csv by column.
      examples: folder or URI of the examples.
    """

    folder: str
    results: Results
    config: Config
    songs: tuple[ExampleTrack, ...]
    labels: Integers
    probabilities: Mapping[str, Floats]
    rejects: tuple[Mapping[str, str], ...]
    examples: str

    @property
    def genres(self) -> tuple[str, ...]:
        """Genres in label order."""
        return self.results.genres

    @property
    def data_dir(self) -> str:
        """The data set's folder, a path or an s3:// URI."""
        return self.config.dataset.data_dir

    @functools.cached_property
    def index(self) -> dict[str, int]:
        """The index of each song by its track id."""
        return {song.track_id: number for number, song in enumerate(self.songs)}

    @functools.cached_property
    def splits(self) -> npt.NDArray[np.str_]:
        """The split of each song, `[songs]`; SEVERAL for all under split.policy = "by_clip"."""
        return np.array([song.split for song in self.songs])

    @functools.cache  # noqa: B019  a process explores one run
    def predicted(self, model: str) -> Integers:
        """Return the index of the genre that a model predicts for each song; -1 for none."""
        rows = self.probabilities[model]
        known = np.isfinite(rows).all(axis=1)
        return np.where(known, np.nan_to_num(rows, nan=-1).argmax(axis=1), -1)

    @functools.cache  # noqa: B019
    def losses(self, model: str) -> npt.NDArray[np.float64]:
        """Return each song's cross-entropy under a model; NaN for songs without a prediction."""
        own = self.probabilities[model][np.arange(len(self.songs)), self.labels]
        return -np.log(np.maximum(own.astype(np.float64), _LEAST))

    def confusion(self, model: str, split: str) -> npt.NDArray[np.int64]:
        """Return the numbers of songs, `[true, predicted]`.

        Args:
          model: name of the model.
          split: "validation", "test", or "" for both.
        """
        predicted = self.predicted(model)
        chosen = predicted >= 0
        if split:
            chosen &= self.splits == split
        counts = np.zeros((len(self.genres), len(self.genres)), np.int64)
        np.add.at(counts, (self.labels[chosen], predicted[chosen]), 1)
        return counts

    def counts(self) -> npt.NDArray[np.int64]:
        """Return the numbers of songs, `[genres, splits]`; the last split is SEVERAL."""
        names = (*SPLITS, SEVERAL)
        counts = np.zeros((len(self.genres), len(names)), np.int64)
        split = np.array([names.index(song.split) for song in self.songs], np.int64)
        np.add.at(counts, (self.labels, split), 1)
        return counts


def explore(folder: str) -> ExploredRun:
    """Read the last finished run of a work folder.

    Raises:
      UsageError: no run has finished there.
      DataError: the run's files are damaged, of another version, or of different runs.
    """
    folder = os.path.abspath(os.path.expanduser(folder))
    finished = read_run(folder)
    file = run_file.read_run_file(folder)
    if file.run_id != finished.results.run_id:
        raise DataError(
            f"{os.path.join(folder, run_file.FILE_NAME)}: is of the run {file.run_id}, but "
            f"results.json is of {finished.results.run_id}; {RUN_AGAIN}"
        )
    songs = read_tracks(folder)
    genres = finished.genres
    unknown = next((song for song in songs if song.genre not in genres), None)
    index = {song.track_id: number for number, song in enumerate(songs)}
    predictions = {
        name: [finished.validation[name], finished.tracks[name]] for name in finished.tracks
    }
    missing = {
        track
        for frames in predictions.values()
        for frame in frames
        for track in frame["track_id"]
        if track not in index
    }
    if unknown or missing:
        raise DataError(
            f"{folder}: tracks.json and predictions.parquet are of different runs; {RUN_AGAIN}"
        )
    return ExploredRun(
        folder=folder,
        results=finished.results,
        config=_config(folder, file),
        songs=songs,
        labels=np.array([genres.index(song.genre) for song in songs], np.int64),
        probabilities={
            name: _by_song(frames, index, genres) for name, frames in predictions.items()
        },
        rejects=_rejects(os.path.join(folder, REJECTS_CSV)),
        examples=file.examples,
    )


def _config(folder: str, file: run_file.RunFile) -> Config:
    import pydantic

    try:
        return pydantic.TypeAdapter(Config).validate_json(json.dumps(file.config))
    except pydantic.ValidationError as failure:
        error = failure.errors(include_url=False)[0]
        place = ".".join(map(str, error["loc"]))
        raise DataError(
            f"{os.path.join(folder, run_file.FILE_NAME)}: its configuration is damaged or of "
            f"another version ({place}: {error['msg']}); {RUN_AGAIN}"
        ) from failure


def _by_song(
    frames: list[pd.DataFrame], index: Mapping[str, int], genres: tuple[str, ...]
) -> Floats:
    """Return the probabilities of validation, then of test, at the songs' places."""
    rows = np.full((len(index), len(genres)), np.nan, np.float32)
    for frame in frames:
        places = [index[track] for track in frame["track_id"]]
        rows[places] = frame[probability_columns(genres)].to_numpy(np.float32)
    return rows


def _rejects(path: str) -> tuple[Mapping[str, str], ...]:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return tuple(
                {str(key): value or "" for key, value in row.items()}
                for row in csv.DictReader(file)
            )
    except FileNotFoundError:
        return ()
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}: is damaged ({error}); {RUN_AGAIN}") from error
