"""Probabilities for every track by a classifier that has not seen it: cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from components.datasets.text import artist_key

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

FOLDS = 5
SEED = 0
# Chosen on benchmarks.explore: the classifier's regularisation.
INVERSE_PENALTY = 0.03
MAX_ITERATIONS = 300


def groups_of(track_ids: Sequence[str], artist_ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return a number for each track that it shares with the same artist's, int64 `[tracks]`.

    A track of an unknown artist is a group of its own.
    """
    keys = [
        ("artist", artist_key(artist)) if artist.strip() else ("track", track)
        for track, artist in zip(track_ids, artist_ids, strict=True)
    ]
    numbers: dict[tuple[str, str], int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def out_of_fold(
    features: Floats,
    labels: Labels,
    groups: npt.NDArray[np.int64],
    genres: int,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Floats:
    """Return each track's probabilities by a classifier that was fitted without its group.

    A multinomial logistic regression on standardised features, in FOLDS folds of whole groups,
    with each genre spread over the folds.

    Args:
      features: `[tracks, features]`; rows that are not finite are left out.
      labels: genre of each track, `[tracks]`.
      groups: tracks of the same group share a fold, `[tracks]`.
      genres: number of genres.
      report: called with the folds done and their total.

    Returns:
      float32 `[tracks, genres]`. NaN for a track without features, and for one whose genre has
      no other group: a classifier that never met the genre says nothing about its label.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = np.full((len(labels), genres), np.nan, np.float32)
    usable = np.flatnonzero(np.isfinite(features).all(axis=1) & bool(features.shape[1]))
    values, given, group = features[usable], labels[usable], groups[usable]
    # scikit-learn refuses more folds than the largest genre has tracks.
    largest = int(np.bincount(given).max()) if len(given) else 0
    folds = min(FOLDS, len(np.unique(group)), largest)
    if folds < 2:
        return found
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=SEED)
    with warnings.catch_warnings():
        # A genre with fewer tracks than folds; and a fit that stops at MAX_ITERATIONS.
        warnings.simplefilter("ignore", UserWarning)
        parts = list(split.split(values, given, group))
        for done, (train, held) in enumerate(parts):
            report(done, folds)
            known = np.unique(given[train])
            if len(known) < 2:
                continue
            model = make_pipeline(
                StandardScaler(), LogisticRegression(C=INVERSE_PENALTY, max_iter=MAX_ITERATIONS)
            ).fit(values[train], given[train])
            judged = held[np.isin(given[held], known)]
            if len(judged):
                rows = np.zeros((len(judged), genres), np.float32)
                rows[:, model.classes_] = model.predict_proba(values[judged])
                found[usable[judged]] = rows
    report(folds, folds)
    return found


def combined(first: Floats, second: Floats) -> Floats:
    """Return the mean of two sources' probabilities, and of one where the other has none (NaN)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # neither has any
        return np.nanmean(np.stack([first, second]), axis=0).astype(np.float32)
