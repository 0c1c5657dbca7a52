"""Comparison of finished runs: differences between their models, with intervals.

Two runs that were tested on the same tracks are compared track by track, which removes the
influence of how hard the tracks are. Runs on different tracks (another data set) are compared
as two independent samples. Whole artists are resampled where artists are known, else tracks.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from components.common.errors import UsageError
from components.predictions.correctness import correctness
from components.predictions.interval import Interval, ShareInterval
from components.predictions.macro_f1 import (
    TrackPredictions,
    paired_f1_difference,
    unpaired_f1_difference,
)
from components.predictions.resampling import groups_of, paired_difference, unpaired_difference
from components.predictions.table import probability_columns
from pipeline.results.finished_runs import FinishedRun
from pipeline.results.schema import ModelResults

Measure = Literal["track_accuracy", "macro_f1"]
MEASURES: tuple[Measure, ...] = ("track_accuracy", "macro_f1")
# With fewer tracks in common two runs are compared as independent samples, which makes the
# interval wider than it need be, never narrower.
MIN_PAIRED_TRACKS = 10
# With fewer runs a mean and a spread say nothing.
MIN_SPREAD_RUNS = 3


@dataclasses.dataclass(frozen=True)
class Difference:
    """Difference of a run's model from the first run's, in shares from -1 to 1.

    Attributes:
      models: The run's model, and the first run's.
      track_accuracy, macro_f1: The differences, positive where the run's model is better.
    """

    models: tuple[str, str]
    track_accuracy: Interval
    macro_f1: Interval

    def of(self, measure: Measure) -> Interval:
        """Return the difference of a measure."""
        return self.track_accuracy if measure == "track_accuracy" else self.macro_f1

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "models": list(self.models),
            **{measure: self.of(measure).to_json() for measure in MEASURES},
        }


@dataclasses.dataclass(frozen=True)
class Pair:
    """Comparison of a run with the first one.

    Attributes:
      run: Index of the run.
      tested: Number of test tracks of this run, and of the first.
      common: Number of test tracks of both, with the same id and genre.
      conflicting: Number of track ids whose genres differ.
      paired: Whether the tracks in common are compared one by one; else the runs are two
        independent samples.
      by: The groups that are resampled. A track whose artist is unknown is a group of its own.
      groups: Number of groups of this run, and of the first.
      chosen: Difference of the chosen models.
      models: Differences of the models that both runs have, by name.
      recall: Differences of the chosen models' recall, for the genres that both runs have
        tracks of.
    """

    run: int
    tested: tuple[int, int]
    common: int
    conflicting: int
    paired: bool
    by: Literal["artist", "track"]
    groups: tuple[int, int]
    chosen: Difference
    models: Mapping[str, Difference]
    recall: Mapping[str, Interval]


@dataclasses.dataclass(frozen=True)
class Spread:
    """Distribution of a measure over runs; `deviation` is the sample standard deviation."""

    mean: float
    deviation: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Return JSON values, with six decimals."""
        return {key: round(number, 6) for key, number in dataclasses.asdict(self).items()}


@dataclasses.dataclass(frozen=True)
class RunComparison:
    """Everything that `genreflow compare` shows.

    Attributes:
      runs: The runs, in the order given.
      chosen: The compared model of each run: its candidate, or the requested one.
      models: All models that occur.
      genres: Genres of every run.
      other_genres: For each run, its genres that not every run has.
      pairs: Each run but the first, compared with the first.
      spread: By model and measure; None for fewer than MIN_SPREAD_RUNS runs, or where their
        genres differ.
    """

    runs: tuple[FinishedRun, ...]
    chosen: tuple[str, ...]
    models: tuple[str, ...]
    genres: tuple[str, ...]
    other_genres: tuple[tuple[str, ...], ...]
    pairs: tuple[Pair, ...]
    spread: Mapping[str, Mapping[Measure, Spread]] | None


def measured(model: ModelResults, measure: Measure) -> ShareInterval:
    """Return a measure of a model on the test split."""
    return model.test.track_accuracy if measure == "track_accuracy" else model.test.macro_f1


def compare(runs: Sequence[FinishedRun], model: str = "") -> RunComparison:
    """Compare runs with the first of them.

    Args:
      runs: two or more.
      model: the model of each run to compare; "" for the candidates.

    Raises:
      UsageError: a run has no such model.
    """
    for run in runs:
        if model and model not in run.results.models:
            raise UsageError(
                f"{run.folder}: has no model {model}; it has {', '.join(run.results.models)}"
            )
    chosen = tuple(model or run.results.candidate for run in runs)
    models = tuple(dict.fromkeys(name for run in runs for name in run.results.models))
    common = [g for g in runs[0].genres if all(g in run.genres for run in runs)]
    return RunComparison(
        runs=tuple(runs),
        chosen=chosen,
        models=models,
        genres=tuple(common),
        other_genres=tuple(tuple(g for g in run.genres if g not in common) for run in runs),
        pairs=tuple(_pair(runs, chosen, number, common) for number in range(1, len(runs))),
        spread=_spread(runs, models),
    )


@dataclasses.dataclass(frozen=True)
class _Side:
    """Test tracks of one run that take part in a comparison.

    Attributes:
      run: The run.
      rows: Rows of its frames, `[tracks]`.
      groups: Group of each of these tracks, `[tracks]`.
    """

    run: FinishedRun
    rows: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]

    def answers(self, model: str) -> TrackPredictions:
        """Return true and predicted labels; ties as in the confusion matrices."""
        frame, genres = self.run.tracks[model].iloc[self.rows], self.run.genres
        return TrackPredictions(
            frame["genre"].map(genres.index).to_numpy(np.int64),
            frame[probability_columns(genres)].to_numpy().argmax(axis=1),
            len(genres),
        )

    def right(self, model: str) -> npt.NDArray[np.float64]:
        """Return how right each prediction is, float `[tracks]`; ties as in the accuracies."""
        frame = self.run.tracks[model].iloc[self.rows]
        return correctness(
            frame[probability_columns(self.run.genres)].to_numpy(), self.answers(model).true
        )

    def found(self, model: str) -> npt.NDArray[np.float64]:
        """Return 1 for each track whose genre is predicted, else 0, float `[tracks]`."""
        answers = self.answers(model)
        return (answers.true == answers.predicted).astype(float)

    def of_genre(self, genre: str) -> _Side:
        """Return the tracks of one genre."""
        kept = self.run.test_tracks["genre"].to_numpy()[self.rows] == genre
        return _Side(self.run, self.rows[kept], self.groups[kept])


def _pair(
    runs: Sequence[FinishedRun], chosen: Sequence[str], number: int, genres: Sequence[str]
) -> Pair:
    first, run = runs[0], runs[number]
    first_tracks, tracks = (
        one.test_tracks.assign(position=range(len(one.test_tracks))) for one in (first, run)
    )
    merged = tracks.merge(first_tracks, on="track_id", suffixes=("", "_first"))
    same = merged[merged["genre"] == merged["genre_first"]]
    paired = len(same) >= MIN_PAIRED_TRACKS or len(same) == len(tracks) == len(first_tracks)
    if paired:
        # One run may know an artist that the other does not.
        artists = same["artist_id"].where(same["artist_id"] != "", same["artist_id_first"])
        groups = groups_of(artists.tolist(), same["track_id"].tolist())
        by_artist = bool((artists != "").any())
        this = _Side(run, same["position"].to_numpy(), groups)
        other = _Side(first, same["position_first"].to_numpy(), groups)
    else:
        this, other = (_whole(one) for one in (run, first))
        by_artist = any((one.test_tracks["artist_id"] != "").any() for one in (run, first))
    models = [name for name in run.results.models if name in first.results.models]
    found = {name: _difference(this, name, other, name, paired=paired) for name in models}
    model, against = chosen[number], chosen[0]
    recall = {}
    for genre in genres:
        ours, theirs = this.of_genre(genre), other.of_genre(genre)
        if len(ours.rows) and len(theirs.rows):
            recall[genre] = _mean_difference(
                ours.found(model), ours.groups, theirs.found(against), theirs.groups, paired=paired
            )
    return Pair(
        run=number,
        tested=(len(tracks), len(first_tracks)),
        common=len(same),
        conflicting=len(merged) - len(same),
        paired=paired,
        by="artist" if by_artist else "track",
        groups=(len(np.unique(this.groups)), len(np.unique(other.groups))),
        chosen=(
            found[model]
            if model == against
            else _difference(this, model, other, against, paired=paired)
        ),
        models=found,
        recall=recall,
    )


def _whole(run: FinishedRun) -> _Side:
    """Return all test tracks of a run."""
    tracks = run.test_tracks
    groups = groups_of(tracks["artist_id"].tolist(), tracks["track_id"].tolist())
    return _Side(run, np.arange(len(tracks)), groups)


def _difference(this: _Side, model: str, other: _Side, against: str, *, paired: bool) -> Difference:
    a, b = this.answers(model), other.answers(against)
    f1 = (
        paired_f1_difference(a, b, this.groups)
        if paired
        else unpaired_f1_difference(a, this.groups, b, other.groups)
    )
    accuracy = _mean_difference(
        this.right(model), this.groups, other.right(against), other.groups, paired=paired
    )
    return Difference((model, against), accuracy, f1)


def _mean_difference(
    a: npt.NDArray[np.float64],
    groups_a: npt.NDArray[np.int64],
    b: npt.NDArray[np.float64],
    groups_b: npt.NDArray[np.int64],
    *,
    paired: bool,
) -> Interval:
    if paired:
        return paired_difference(a, b, groups_a)
    return unpaired_difference(a, groups_a, b, groups_b)


def _spread(
    runs: Sequence[FinishedRun], models: Sequence[str]
) -> dict[str, dict[Measure, Spread]] | None:
    """Return the spread of the models that every run has; None where RunComparison says so."""
    if len(runs) < MIN_SPREAD_RUNS or len({frozenset(run.genres) for run in runs}) > 1:
        return None
    found: dict[str, dict[Measure, Spread]] = {}
    for name in models:
        if not all(name in run.results.models for run in runs):
            continue
        found[name] = {}
        for measure in MEASURES:
            values = [measured(run.results.models[name], measure).value for run in runs]
            found[name][measure] = Spread(
                statistics.fmean(values), statistics.stdev(values), min(values), max(values)
            )
    return found or None
