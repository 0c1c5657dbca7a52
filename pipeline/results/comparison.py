"""Runs side by side: what differs between them, by how much, and how sure that is.

Two runs that were tested on the same tracks are compared track by track, which takes out
how hard the tracks are; runs on different tracks (another data set) as two independent
samples. Whole artists are resampled where artists are known, else tracks.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from components.common.errors import UsageError
from components.predictions.f1_difference import (
    Answers,
    paired_f1_difference,
    unpaired_f1_difference,
)
from components.predictions.interval import Interval
from components.predictions.resampling import groups_of, paired_difference, unpaired_difference
from components.predictions.rightness import rightness
from components.predictions.table import probability_columns
from pipeline.results.finished_runs import FinishedRun

MEASURES = ("track_accuracy", "macro_f1")
# Fewer tracks in common than this are no sample; two runs are then compared as independent
# ones, which makes the interval wider than need be, not narrower.
FEWEST_PAIRS = 10
# From so many runs on their mean and spread say something.
FEWEST_FOR_SPREAD = 3


@dataclasses.dataclass(frozen=True)
class Difference:
    """What one model has over another, with its 95 % interval; in shares, -1 to 1."""

    models: tuple[str, str]  # this run's, and the first run's
    track_accuracy: Interval
    macro_f1: Interval

    def to_json(self) -> dict[str, Any]:
        return {
            "models": list(self.models),
            **{measure: getattr(self, measure).to_json() for measure in MEASURES},
        }


@dataclasses.dataclass(frozen=True)
class Pair:
    """A run against the first one.

    `tested` counts the test tracks of this run and of the first; `common` those of both, the
    same id and genre; `conflicting` the ids whose genres differ; `groups` what is drawn of
    each, artists (a track whose artist is unknown is one) or tracks. `recall` holds the
    differences of the genres that both runs have tracks of, between the chosen models.
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
    """A measure over runs; `deviation` is the sample standard deviation."""

    mean: float
    deviation: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        return {key: round(number, 6) for key, number in dataclasses.asdict(self).items()}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Everything `genreflow compare` says.

    `chosen` is the model of each run that is looked at: its candidate, or the one asked for.
    `models` are all that occur, `genres` those of every run, `other_genres` of each run those
    that not every run has. `spread` is by model and measure; None where it would say nothing.
    """

    runs: tuple[FinishedRun, ...]
    chosen: tuple[str, ...]
    models: tuple[str, ...]
    genres: tuple[str, ...]
    other_genres: tuple[tuple[str, ...], ...]
    pairs: tuple[Pair, ...]
    spread: Mapping[str, Mapping[str, Spread]] | None


def compare(runs: Sequence[FinishedRun], model: str = "") -> Comparison:
    """Compares runs with the first of them.

    Args:
      runs: two or more.
      model: which model of each run to look at; "" for the candidates.

    Raises:
      UsageError: a run has no such model.
    """
    for run in runs:
        if model and model not in run.results["models"]:
            raise UsageError(
                f"{run.folder}: has no model {model}; it has {', '.join(run.results['models'])}"
            )
    chosen = tuple(model or str(run.results["candidate"]) for run in runs)
    models = tuple(dict.fromkeys(name for run in runs for name in run.results["models"]))
    common = [g for g in runs[0].genres if all(g in run.genres for run in runs)]
    return Comparison(
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
    """The tracks of one run that a comparison looks at, by position in its frames."""

    run: FinishedRun
    chosen: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]

    def answers(self, model: str) -> Answers:
        """As the confusion matrices count them."""
        frame, genres = self.run.tracks[model].iloc[self.chosen], self.run.genres
        return Answers(
            frame["genre"].map(genres.index).to_numpy(np.int64),
            frame[probability_columns(genres)].to_numpy().argmax(axis=1),
            len(genres),
        )

    def right(self, model: str) -> npt.NDArray[np.float64]:
        """As accuracies count them: of a tie its share."""
        frame = self.run.tracks[model].iloc[self.chosen]
        return rightness(
            frame[probability_columns(self.run.genres)].to_numpy(), self.answers(model).true
        )

    def found(self, model: str) -> npt.NDArray[np.float64]:
        """As recall counts them."""
        answers = self.answers(model)
        return (answers.true == answers.predicted).astype(float)

    def of_genre(self, genre: str) -> _Side:
        kept = self.run.test_tracks["genre"].to_numpy()[self.chosen] == genre
        return _Side(self.run, self.chosen[kept], self.groups[kept])


def _pair(
    runs: Sequence[FinishedRun], chosen: Sequence[str], number: int, genres: Sequence[str]
) -> Pair:
    first, run = runs[0], runs[number]
    first_tracks, tracks = (
        one.test_tracks.assign(position=range(len(one.test_tracks))) for one in (first, run)
    )
    merged = tracks.merge(first_tracks, on="track_id", suffixes=("", "_first"))
    same = merged[merged["genre"] == merged["genre_first"]]
    paired = len(same) >= FEWEST_PAIRS or len(same) == len(tracks) == len(first_tracks)
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
    models = [name for name in run.results["models"] if name in first.results["models"]]
    found = {name: _difference(this, name, other, name, paired=paired) for name in models}
    model, against = chosen[number], chosen[0]
    recall = {}
    for genre in genres:
        ours, theirs = this.of_genre(genre), other.of_genre(genre)
        if len(ours.chosen) and len(theirs.chosen):
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
) -> dict[str, dict[str, Spread]] | None:
    """Of the models that every run has; None for few runs, or other genres."""
    if len(runs) < FEWEST_FOR_SPREAD or len({frozenset(run.genres) for run in runs}) > 1:
        return None
    found: dict[str, dict[str, Spread]] = {}
    for name in models:
        if not all(name in run.results["models"] for run in runs):
            continue
        found[name] = {}
        for measure in MEASURES:
            values = [run.results["models"][name]["test"][measure]["value"] for run in runs]
            found[name][measure] = Spread(
                statistics.fmean(values), statistics.stdev(values), min(values), max(values)
            )
    return found or None
