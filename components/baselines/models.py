"""The classical models behind one interface: fit on features, probabilities in label order."""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from components.baselines.settings import BaselineName, BaselineSettings
from components.common.cpu import usable_cores
from components.common.errors import DataError
from components.common.probabilities import are_probabilities

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


CLIPS_PER_THREAD = 5000


class Model(Protocol):
    """What a fitted model can do; its labels are 0 to genres - 1, all of them."""

    def predict_proba(self, features: Floats) -> npt.NDArray[np.floating[Any]]:
        """`[clips, genres]` of float `[clips, components]`."""


class Xgboost:
    """An XGBoost booster as a Model."""

    def __init__(self, booster: Any) -> None:
        self.booster = booster

    def predict_proba(self, features: Floats) -> npt.NDArray[np.floating[Any]]:
        """See Model."""
        import xgboost

        return np.asarray(self.booster.predict(xgboost.DMatrix(features, nthread=1)))


def threads(jobs: int, clips: int) -> int:
    """How many threads `jobs` of [baselines] means: for 0, no more than there is work for.

    Threads that wait for each other at every split of a small tree take tens of times the
    time of one, on a machine that does anything else. Answers do not depend on it.
    """
    return jobs or min(usable_cores(), 1 + clips // CLIPS_PER_THREAD)


def fit_model(
    name: BaselineName, features: Floats, labels: Labels, genres: int, settings: BaselineSettings
) -> Model:
    """Trains one model.

    Args:
      name: which one.
      features: float32 `[clips, components]`, finite.
      labels: int64 `[clips]`, each of 0 to genres - 1 at least once.
      genres: how many there are, two or more.
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
        # With a tree the file would hold Cython objects that skops knows nothing of, and in
        # 15 dimensions a tree saves next to nothing.
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
    """A model's answers, checked: float32 `[clips, genres]`, finite, each row adding up to 1.

    Raises:
      DataError: they are not that.
    """
    if not len(features):
        return np.empty((0, genres), np.float32)
    found = np.asarray(model.predict_proba(features), np.float64)
    if found.shape != (len(features), genres):
        raise DataError(
            f"a baseline answers with {found.shape}, not {(len(features), genres)}: it was "
            "trained for other genres"
        )
    if not are_probabilities(found).all():
        raise DataError("a baseline's answers are no probabilities; train the baselines again")
    return (found / found.sum(axis=1, keepdims=True)).astype(np.float32)


def _fit_xgboost(
    features: Floats, labels: Labels, genres: int, values: dict[str, Any], seed: int, jobs: int
) -> Xgboost:
    # Read by OpenMP when XGBoost loads it. Its threads meet thousands of times a second, and by
    # default wait for each other by spinning: with another program on a core, a second of work
    # takes minutes.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import xgboost

    rounds = values.pop("n_estimators")
    parameters = {
        **values,
        # Also with two genres, so that there is a column for each.
        "objective": "multi:softprob",
        "num_class": genres,
        "tree_method": "hist",
        "seed": seed,
        "nthread": jobs,
        "verbosity": 0,
    }
    data = xgboost.DMatrix(features, label=labels, nthread=jobs)
    return Xgboost(xgboost.train(parameters, data, num_boost_round=rounds))
