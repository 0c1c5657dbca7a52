"""Reading of finished runs from their work folders."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from components.artifacts.names import PREDICTIONS_PARQUET
from components.common.errors import DataError, UsageError
from components.predictions.table import (
    KEYS,
    TEST,
    VALIDATION,
    by_track,
    check_probabilities,
    probability_columns,
    read_table,
)
from pipeline.results.results_file import FILE_NAME, RUN_AGAIN, read_results
from pipeline.results.schema import Results


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """One run that finished.

    Attributes:
      folder: Its work folder.
      results: Content of results.json.
      tracks: For each model its test tracks, sorted by id, with the columns `track_id`,
        `artist_id` ("" where unknown), `genre` (the true one, by name) and `p_<genre>...`, the
        mean over the track's clips, in label order.
      validation: The same of its validation tracks.
    """

    folder: str
    results: Results
    tracks: Mapping[str, pd.DataFrame]
    validation: Mapping[str, pd.DataFrame]

    @property
    def genres(self) -> tuple[str, ...]:
        """Genres in label order."""
        return self.results.genres

    @property
    def test_tracks(self) -> pd.DataFrame:
        """Columns `track_id`, `artist_id` and `genre`, which are the same for every model."""
        return next(iter(self.tracks.values()))[["track_id", "artist_id", "genre"]]


def read_runs(folders: Sequence[str]) -> list[FinishedRun]:
    """Read the runs of several work folders, in the order given.

    Raises:
      UsageError: fewer than two folders, a folder named twice, or one without a finished run.
      DataError: a run's files are damaged, of another version, or of different runs.
    """
    if len(folders) < 2:
        raise UsageError("one work folder alone cannot be compared; name two or more")
    places: dict[str, str] = {}
    for folder in folders:
        if not folder.strip():
            raise UsageError("a work folder's name is empty; name the folder of a finished run")
        place = os.path.realpath(os.path.expanduser(folder))
        if place in places:
            same = "" if places[place] == folder else f" as {places[place]}"
            raise UsageError(f"{folder}: the same work folder{same}, named twice")
        places[place] = folder
    return [read_run(os.path.expanduser(folder)) for folder in folders]


def read_run(folder: str) -> FinishedRun:
    """Read the run of one work folder.

    Raises:
      UsageError: no run has finished there.
      DataError: the run's files are damaged, of another version, or of different runs.
    """
    results = _read_results(folder)
    path = os.path.join(folder, PREDICTIONS_PARQUET)
    table = _read_predictions(folder, path, results.genres)
    validation = table[table["split"] == VALIDATION]
    test = table[table["split"] == TEST]
    tracks: dict[str, pd.DataFrame] = {}
    for name, model in results.models.items():
        tracks[name] = _tracks_of(test[test["model"] == name], results.genres)
        if _confusion(tracks[name], results.genres) != model.test.confusion:
            raise DataError(
                f"{path}: is not from the run that wrote the {FILE_NAME} beside it, as the "
                f"predictions of {name} on the test split differ; {RUN_AGAIN}"
            )
    ids = {tuple(frame["track_id"]) for frame in tracks.values()}
    if len(ids) != 1:
        raise DataError(f"{path}: its models have different test tracks; {RUN_AGAIN}")
    validated = {
        name: _tracks_of(validation[validation["model"] == name], results.genres) for name in tracks
    }
    return FinishedRun(folder, results, tracks, validated)


def _read_results(folder: str) -> Results:
    if not os.path.isdir(folder):
        problem = "is a file, not a work folder" if os.path.exists(folder) else "no such folder"
        raise UsageError(f"{folder}: {problem}; name the work folder of a finished run")
    try:
        return read_results(folder)
    except FileNotFoundError as error:
        raise UsageError(
            f"{folder}: no run has finished there (it has no {FILE_NAME}); rerun the "
            "genreflow run that began it, or name another work folder"
        ) from error


def _read_predictions(folder: str, path: str, genres: Sequence[str]) -> pd.DataFrame:
    import pyarrow

    try:
        table = read_table(folder)
    except FileNotFoundError as error:
        raise DataError(f"{path}: is missing; {RUN_AGAIN}") from error
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        raise DataError(
            f"{path}: is damaged, not a Parquet file ({str(error)[:200]}); {RUN_AGAIN}"
        ) from error
    missing = [name for name in KEYS if name not in table.columns]
    if missing:
        raise DataError(f"{path}: is damaged, it has no column {missing[0]}; {RUN_AGAIN}")
    kinds = {table[name].dtype.kind for name in table.columns if str(name).startswith("p_")}
    if table["label"].dtype.kind not in "iu" or kinds - {"f"}:
        raise DataError(
            f"{path}: is damaged, its labels or probabilities are not numbers; {RUN_AGAIN}"
        )
    try:
        check_probabilities(table, genres)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if not table["label"].between(0, len(genres) - 1).all():
        raise DataError(
            f"{path}: has labels that are none of the {len(genres)} genres; {RUN_AGAIN}"
        )
    return table


def _tracks_of(rows: pd.DataFrame, genres: Sequence[str]) -> pd.DataFrame:
    """Return one model's tracks of one split as FinishedRun holds them."""
    tracks = by_track(rows, genres)
    tracks["artist_id"] = tracks["artist_id"].fillna("")
    tracks["genre"] = [genres[label] for label in tracks["label"]]
    return tracks[["track_id", "artist_id", "genre", *probability_columns(genres)]]


def _confusion(tracks: pd.DataFrame, genres: Sequence[str]) -> list[list[int]]:
    """Return the confusion matrix of test tracks as results.json holds it."""
    predicted = tracks[probability_columns(genres)].to_numpy().argmax(axis=1)
    true = [genres.index(genre) for genre in tracks["genre"]]
    counts = np.zeros((len(genres), len(genres)), np.int64)
    np.add.at(counts, (true, predicted), 1)
    return counts.tolist()
