"""The classical models behind one interface: fit on features, predict in label order."""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from components.baselines.settings import BaselineName, BaselineSettings
from components.common.errors import DataError
from components.common.probabilities import are_probabilities
from components.common.resources import usable_cores

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

# Number of training clips for which one more thread pays off.
CLIPS_PER_THREAD = 5000


class Model(Protocol):
    """Interface of a fitted model, whose labels are all of 0 to genres - 1."""

    def predict_proba(self, features: Floats) -> npt.NDArray[np.floating[Any]]:
        """Return probabilities `[clips, genres]` for features `[clips, components]`."""


class Xgboost:
    """An XGBoost booster as a Model."""

    def __init__(self, booster: Any) -> None:
        self.booster = booster

    def predict_proba(self, features: Floats) -> npt.NDArray[np.floating[Any]]:
        """Return probabilities; see Model."""
        import xgboost

        return np.asarray(self.booster.predict(xgboost.DMatrix(features, nthread=1)))


def threads(jobs: int, clips: int) -> int:
    """Return the number of threads for `jobs` of [baselines]; 0 allows as many as have work.

    On a busy machine, threads that wait for each other at every split of a small tree take tens
    of times as long as one thread. Predictions do not depend on the number.
    """
    return jobs or min(usable_cores(), 1 + clips // CLIPS_PER_THREAD)


def fit_model(
    name: BaselineName, features: Floats, labels: Labels, genres: int, settings: BaselineSettings
) -> Model:
    """Train one model.

    Args:
      name: the model's name.
      features: float32 `[clips, components]`, finite.
      labels: int64 `[clips]`, each of 0 to genres - 1 at least once.
      genres: number of genres, two or more.
      settings: the [baselines] table.
    """
    values, seed, jobs = settings.of_model(name), settings.seed, threads(settings.jobs, len(labels))
    if name == "xgboost":
        return _fit_xgboost(features, labels, genres, values, seed, jobs)
    model: Any
    if name == "dummy":
        from sklearn.dummy import DummyClassifier

        model = DummyClassifier(strategy="prior")
    elif name == "knn":
        from sklearn.neighbors import KNeighborsClassifier

        values["n_neighbors"] = min(values["n_neighbors"], len(labels))
        # A tree's file would hold Cython objects, which skops cannot store, and in 15 dimensions a
        # tree hardly saves time.
        model = KNeighborsClassifier(**values, algorithm="brute", n_jobs=jobs)
    elif name == "svm":
        from sklearn.svm import SVC

        from components.examples.subset import balanced_subset

        limit = values.pop("max_train_clips")
        if limit:
            chosen = balanced_subset(labels, limit, seed)
            features, labels = features[chosen], labels[chosen]
        gamma = values.pop("gamma") or "auto"
        model = SVC(**values, gamma=gamma, probability=True, random_state=seed, cache_size=200)
    elif name == "logistic":
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(**values, random_state=seed)
    elif name == "random_forest":
        from sklearn.ensemble import RandomForestClassifier

        model = RandomForestClassifier(**values, random_state=seed, n_jobs=jobs)
    else:
        from sklearn.ensemble import GradientBoostingClassifier

        model = GradientBoostingClassifier(**values, random_state=seed)
    return model.fit(features, labels)


def probabilities(model: Model, features: Floats, genres: int) -> Floats:
    """Return a model's probabilities, float32 `[clips, genres]`, checked.

    Raises:
      DataError: they have another shape, are not finite, or a row does not sum to 1.
    """
    if not len(features):
        return np.empty((0, genres), np.float32)
    found = np.asarray(model.predict_proba(features), np.float64)
    if found.shape != (len(features), genres):
        raise DataError(
            f"a baseline predicts an array of shape {found.shape}, not {(len(features), genres)}: "
            "it was trained for other genres; train the baselines again"
        )
    if not are_probabilities(found).all():
        raise DataError("a baseline's predictions are not probabilities; train the baselines again")
    return (found / found.sum(axis=1, keepdims=True)).astype(np.float32)


def _fit_xgboost(
    features: Floats, labels: Labels, genres: int, values: dict[str, Any], seed: int, jobs: int
) -> Xgboost:
    # OpenMP reads this when XGBoost loads it. Its threads synchronise thousands of times a second,
    # and by default they wait by spinning. If another program uses a core, a second of work then
    # takes minutes.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import xgboost

    rounds = values.pop("n_estimators")
    parameters = {
        **values,
        # For two genres too, so that each has a column.
        "objective": "multi:softprob",
        "num_class": genres,
        "tree_method": "hist",
        "seed": seed,
        "nthread": jobs,
        "verbosity": 0,
    }
    data = xgboost.DMatrix(features, label=labels, nthread=jobs)
    return Xgboost(xgboost.train(parameters, data, num_boost_round=rounds))
