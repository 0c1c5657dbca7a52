"""Reads what finished runs left in their work folders; says in words what is wrong with one."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from components.artifacts.names import PREDICTIONS_PARQUET
from components.common.errors import DataError, UsageError
from components.predictions.table import (
    KEYS,
    by_track,
    check_probabilities,
    probability_columns,
    read_table,
)
from pipeline.results import results_file

RUN_AGAIN = "type its genreflow run again (finished steps are cached), which writes both anew"


# What is read of results.json, for pydantic to look at. Its JSON Schema says it too, but
# jsonschema takes seconds to import.
@dataclasses.dataclass
class _Interval:
    value: float
    low: float
    high: float


@dataclasses.dataclass
class _Metrics:
    track_accuracy: _Interval
    macro_f1: _Interval
    recall: dict[str, float | None]
    confusion: list[list[int]]


@dataclasses.dataclass
class _Model:
    kind: str
    test: _Metrics


@dataclasses.dataclass
class _Tracks:
    train: int
    validation: int


@dataclasses.dataclass
class _Counts:
    tracks: _Tracks


@dataclasses.dataclass
class _Gate:
    blessed: bool


@dataclasses.dataclass
class _ServingCheck:
    outcome: str


@dataclasses.dataclass
class _Results:
    schema_version: int
    run_id: str
    config_digest: str
    dataset: str
    genres: list[str]
    synthetic: bool
    leaky: bool
    audio_hash: str
    counts: _Counts
    models: dict[str, _Model]
    candidate: str
    gate: _Gate
    test_split_uses: int
    pushed_version: str | None
    serving_check: _ServingCheck | None = None  # earlier runs have none


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """One run, as its work folder tells it.

    `results` is its results.json. `tracks` holds for each model its test tracks, sorted by
    id: `track_id`, `artist_id` ("" where unknown), `genre` (the true one, by name) and
    `p_<genre>...`, the mean over the track's clips, in the order of `results["genres"]`.
    """

    folder: str
    results: Mapping[str, Any]
    tracks: Mapping[str, pd.DataFrame]

    @property
    def genres(self) -> list[str]:
        """In label order."""
        return list(self.results["genres"])

    @property
    def test_tracks(self) -> pd.DataFrame:
        """`track_id`, `artist_id`, `genre`, the same for every model."""
        return next(iter(self.tracks.values()))[["track_id", "artist_id", "genre"]]


def read_runs(folders: Sequence[str]) -> list[FinishedRun]:
    """Reads the runs of several work folders, in the order given.

    Raises:
      UsageError: fewer than two folders, one of them twice, or one where no run has finished.
      DataError: what a run left is damaged, of another version, or of two runs.
    """
    if len(folders) < 2:
        raise UsageError("one work folder alone has nothing to be compared with; name two or more")
    places: dict[str, str] = {}
    for folder in folders:
        if not folder.strip():
            raise UsageError("a work folder's name is empty")
        place = os.path.realpath(os.path.expanduser(folder))
        if place in places:
            same = "" if places[place] == folder else f" as {places[place]}"
            raise UsageError(f"{folder}: the same work folder{same}, named twice")
        places[place] = folder
    return [read_run(os.path.expanduser(folder)) for folder in folders]


def read_run(folder: str) -> FinishedRun:
    """Reads one work folder.

    Raises:
      UsageError: no run has finished there.
      DataError: what the run left is damaged, of another version, or of two runs.
    """
    results = _read_results(folder)
    path = os.path.join(folder, PREDICTIONS_PARQUET)
    table = _read_predictions(folder, path, results["genres"])
    test = table[table["split"] == "test"]
    tracks: dict[str, pd.DataFrame] = {}
    for name, model in results["models"].items():
        tracks[name] = _test_tracks(test[test["model"] == name], results["genres"])
        if _confusion(tracks[name], results["genres"]) != model["test"]["confusion"]:
            raise DataError(
                f"{path}: is not of the run that wrote {results_file.FILE_NAME} beside it: "
                f"{name} names other test tracks right; {RUN_AGAIN}"
            )
    ids = {tuple(frame["track_id"]) for frame in tracks.values()}
    if len(ids) != 1:
        raise DataError(f"{path}: its models were tested on different tracks; {RUN_AGAIN}")
    return FinishedRun(folder, results, tracks)


def _read_results(folder: str) -> dict[str, Any]:
    import pydantic

    path = os.path.join(folder, results_file.FILE_NAME)
    if not os.path.isdir(folder):
        there = "is a file, not a work folder" if os.path.exists(folder) else "no such folder"
        raise UsageError(f"{folder}: {there}; name what was given to --work-dir")
    try:
        results: Any = results_file.read_results(folder)
    except FileNotFoundError as error:
        raise UsageError(
            f"{folder}: no run has finished there (it has no {results_file.FILE_NAME}); "
            f"finish one with genreflow run --work-dir {folder}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is damaged, this is no JSON ({error}); {RUN_AGAIN}") from error
    version = results.get("schema_version") if isinstance(results, dict) else None
    if version is not None and version != results_file.SCHEMA_VERSION:
        raise DataError(
            f"{path}: has schema version {version!r}, and this genreflow reads "
            f"{results_file.SCHEMA_VERSION}; {RUN_AGAIN}"
        )
    try:
        pydantic.TypeAdapter(_Results).validate_python(results)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "its top level"
        raise DataError(f"{path}: is damaged, {where}: {first['msg']}; {RUN_AGAIN}") from error
    if results["candidate"] not in results["models"]:
        raise DataError(f"{path}: is damaged, its candidate is none of its models; {RUN_AGAIN}")
    for name, model in results["models"].items():
        if set(model["test"]["recall"]) != set(results["genres"]):
            raise DataError(f"{path}: is damaged, {name} was tested on other genres; {RUN_AGAIN}")
    return dict(results)


def _read_predictions(folder: str, path: str, genres: Sequence[str]) -> pd.DataFrame:
    import pyarrow

    try:
        table = read_table(folder)
    except FileNotFoundError as error:
        raise DataError(f"{path}: is not there; {RUN_AGAIN}") from error
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        raise DataError(
            f"{path}: is damaged, this is no Parquet file ({str(error)[:200]}); {RUN_AGAIN}"
        ) from error
    missing = [name for name in KEYS if name not in table.columns]
    if missing:
        raise DataError(f"{path}: is damaged, it has no column {missing[0]}; {RUN_AGAIN}")
    answers = [table[name].dtype.kind for name in table.columns if str(name).startswith("p_")]
    if table["label"].dtype.kind not in "iu" or set(answers) - {"f"}:
        raise DataError(f"{path}: is damaged, its labels or probabilities are none; {RUN_AGAIN}")
    try:
        check_probabilities(table, genres)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if not table["label"].between(0, len(genres) - 1).all():
        raise DataError(f"{path}: has labels beyond the {len(genres)} genres; {RUN_AGAIN}")
    return table


def _test_tracks(rows: pd.DataFrame, genres: Sequence[str]) -> pd.DataFrame:
    tracks = by_track(rows, genres)
    tracks["artist_id"] = tracks["artist_id"].fillna("")
    tracks["genre"] = [genres[label] for label in tracks["label"]]
    return tracks[["track_id", "artist_id", "genre", *probability_columns(genres)]]


def _confusion(tracks: pd.DataFrame, genres: Sequence[str]) -> list[list[int]]:
    """Of `_test_tracks`, as results.json counts it: `[true][predicted]`."""
    predicted = tracks[probability_columns(genres)].to_numpy().argmax(axis=1)
    true = [genres.index(genre) for genre in tracks["genre"]]
    counts = np.zeros((len(genres), len(genres)), np.int64)
    np.add.at(counts, (true, predicted), 1)
    return counts.tolist()
