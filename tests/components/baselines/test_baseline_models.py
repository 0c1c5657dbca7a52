"""Tests of every classical model: it learns, predicts probabilities, and is reproducible."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from components.baselines import train
from components.baselines.models import CLIPS_PER_THREAD, probabilities, threads
from components.baselines.settings import (
    BASELINES,
    BaselineName,
    BaselineSettings,
    GradientBoostingSettings,
    RandomForestSettings,
    SvmSettings,
    XgboostSettings,
)
from components.baselines.train import array_blocks
from components.common.errors import DataError, UsageError
from tests.components.baselines.baseline_toys import GENRES, toy

QUICK = BaselineSettings(
    pca_components=4,
    jobs=1,
    random_forest=RandomForestSettings(n_estimators=10),
    gradient_boosting=GradientBoostingSettings(n_estimators=8),
    xgboost=XgboostSettings(n_estimators=10),
)


def _fit(
    clips_per_genre: int = 30, settings: BaselineSettings = QUICK, *, genres: int = 3
) -> train.Baselines:
    mel_db, labels = toy(clips_per_genre, genres=genres)
    names = [f"genre {number}" for number in range(genres)]
    return train.fit(array_blocks(mel_db), labels, names, settings)


@pytest.fixture(scope="module")
def fitted() -> train.Baselines:
    return _fit()


@pytest.fixture(scope="module")
def heard_first() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return clips that no model was trained on."""
    return toy(40, seed=1)


@pytest.mark.parametrize("name", BASELINES)
def test_each_learns_what_can_be_told_apart_and_beats_the_dummy(
    name: BaselineName,
    fitted: train.Baselines,
    heard_first: tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]],
) -> None:
    mel_db, labels = heard_first
    found = fitted.predict_proba(name, fitted.transform([mel_db]))
    accuracy = (found.argmax(axis=1) == labels).mean()
    if name == "dummy":
        assert accuracy == pytest.approx(1 / 3)
    else:
        assert accuracy > 0.9
        # Surer of the right genre than the dummy, not only right.
        assert found[np.arange(len(labels)), labels].mean() > 0.5


@pytest.mark.parametrize("genres", [2, 3, 5])
def test_answers_are_probabilities_in_label_order(genres: int) -> None:
    fitted = _fit(genres=genres)
    mel_db, labels = toy(20, seed=2, genres=genres)
    features = fitted.transform([mel_db])
    for name in BASELINES:
        found = fitted.predict_proba(name, features)
        assert found.shape == (len(labels), genres), name
        assert found.dtype == np.float32, name
        assert np.isfinite(found).all(), name
        assert (found >= 0).all(), name
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6, err_msg=name)
        if name != "dummy":
            # A mistaken order of columns would find each genre where another one is.
            mean = np.stack([found[labels == label].mean(axis=0) for label in range(genres)])
            assert (mean.argmax(axis=1) == np.arange(genres)).all(), name
        assert fitted.predict_proba(name, features[:0]).shape == (0, genres)


def test_the_dummy_answers_with_the_shares_of_the_genres_in_training() -> None:
    mel_db, labels = toy(20)
    few = np.concatenate(
        [np.flatnonzero(labels == label)[:n] for label, n in enumerate((4, 10, 6))]
    )
    fitted = train.fit(
        array_blocks(mel_db[few]),
        labels[few],
        GENRES,
        dataclasses.replace(QUICK, models=("dummy",)),
    )
    found = fitted.predict_proba("dummy", fitted.transform([mel_db[:2]]))
    np.testing.assert_allclose(found, [[0.2, 0.5, 0.3]] * 2, atol=1e-6)


def _answers(settings: BaselineSettings) -> dict[str, bytes]:
    fitted = _fit(20, settings)
    features = fitted.transform([toy(20, seed=3)[0]])
    return {name: fitted.predict_proba(name, features).tobytes() for name in fitted.models}


def test_the_same_seed_gives_the_same_bytes_whatever_the_threads() -> None:
    first = _answers(QUICK)
    assert _answers(QUICK) == first
    assert _answers(dataclasses.replace(QUICK, jobs=2)) == first


def test_another_seed_draws_other_trees() -> None:
    first, other = _answers(QUICK), _answers(dataclasses.replace(QUICK, seed=1))
    for name in ("random_forest", "gradient_boosting", "xgboost"):
        assert first[name] != other[name], name
    assert first["dummy"] == other["dummy"]


def test_the_features_are_fitted_on_the_training_clips_alone() -> None:
    """Later predictions, even of loud clips, change neither features nor models."""
    mel_db, labels = toy(20)
    asked = []

    def blocks() -> Iterator[npt.NDArray[np.float32]]:
        asked.append(len(mel_db))
        yield mel_db

    fitted = train.fit(blocks, labels, GENRES, QUICK)
    assert set(asked) == {60}
    flat = mel_db.reshape(60, -1)
    np.testing.assert_allclose(fitted.features["pca"].mean_, flat.mean(axis=0), rtol=1e-5)
    before = {name: fitted.predict_proba(name, fitted.transform([mel_db])) for name in BASELINES}
    ratio = list(fitted.explained_variance()["explained_variance_ratio"])
    fitted.transform([mel_db + 40 * toy(20, seed=5)[0]])
    assert fitted.explained_variance()["explained_variance_ratio"] == ratio
    for name in BASELINES:
        after = fitted.predict_proba(name, fitted.transform([mel_db]))
        np.testing.assert_array_equal(after, before[name])


def test_a_genre_without_training_clips_is_told_by_its_name() -> None:
    mel_db, labels = toy(10)
    kept = labels != 1
    with pytest.raises(DataError, match=r"no clip of 'jazz'.*dataset.genres"):
        train.fit(array_blocks(mel_db[kept]), labels[kept], GENRES, QUICK)


def test_a_label_that_is_no_genre_is_told() -> None:
    mel_db, labels = toy(10)
    with pytest.raises(DataError, match="label 2, but there are 2 genres"):
        train.fit(array_blocks(mel_db), labels, GENRES[:2], QUICK)
    with pytest.raises(DataError, match="label -1"):
        train.fit(array_blocks(mel_db), labels - 1, GENRES, QUICK)


def test_one_clip_of_each_genre_is_enough_to_answer() -> None:
    fitted = _fit(1)
    assert fitted.explained_variance()["components"] == 2
    features = fitted.transform([toy(5)[0]])
    for name in BASELINES:
        assert fitted.predict_proba(name, features).shape == (15, 3), name


def test_clips_that_cannot_be_told_apart_get_equal_answers() -> None:
    """No model prefers one of two genres that have the same clips."""
    mel_db, _ = toy(15, genres=2)
    twice = np.concatenate([mel_db, mel_db])
    labels = np.repeat([0, 1], len(mel_db))
    names: tuple[BaselineName, ...] = ("dummy", "knn", "logistic")
    fitted = train.fit(
        array_blocks(twice), labels, GENRES[:2], dataclasses.replace(QUICK, models=names)
    )
    for name in names:
        found = fitted.predict_proba(name, fitted.transform([mel_db]))
        np.testing.assert_allclose(found, 0.5, atol=0.04, err_msg=name)


def test_features_that_are_not_finite_are_refused(fitted: train.Baselines) -> None:
    features = fitted.transform([toy(2)[0]])
    features[3, 1] = np.nan
    for name in BASELINES:
        with pytest.raises(DataError, match="not finite"):
            fitted.predict_proba(name, features)


@pytest.mark.parametrize(
    "answers", [[[0.5, np.nan, 0.5]], [[0.9, 0.9, 0.2]], [[1.2, -0.2, 0.0]], [[0.5, 0.5]]]
)
def test_answers_that_are_no_probabilities_are_refused(answers: list[list[float]]) -> None:
    class Broken:
        def predict_proba(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
            return np.array(answers)

    with pytest.raises(DataError):
        probabilities(Broken(), np.zeros((1, 4), np.float32), 3)


def test_the_svm_takes_no_more_clips_than_it_may() -> None:
    settings = dataclasses.replace(QUICK, models=("svm",), svm=SvmSettings(max_train_clips=15))
    model = _fit(30, settings).models["svm"]
    assert model.shape_fit_[0] == 15  # type: ignore[attr-defined]  # scikit-learn's SVC
    whole = dataclasses.replace(QUICK, models=("svm",), svm=SvmSettings(max_train_clips=0))
    assert _fit(30, whole).models["svm"].shape_fit_[0] == 90  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="max_train_clips = 2: fewer than the 3 genres"):
        _fit(30, dataclasses.replace(settings, svm=SvmSettings(max_train_clips=2)))


def test_progress_names_each_model_in_turn() -> None:
    mel_db, labels = toy(5)
    heard: list[tuple[str, int, int]] = []
    names: tuple[BaselineName, ...] = ("dummy", "knn")
    train.fit(
        array_blocks(mel_db), labels, GENRES, dataclasses.replace(QUICK, models=names),
        lambda *event: heard.append(event),
    )  # fmt: skip
    assert heard == [
        ("principal components", 0, 3), ("dummy", 1, 3), ("knn", 2, 3), ("predictions", 3, 3),
    ]  # fmt: skip


def test_no_jobs_means_as_many_threads_as_there_is_work_and_cores_for() -> None:
    there = len(os.sched_getaffinity(0))
    assert threads(3, 10) == 3
    assert threads(0, 10) == 1
    assert threads(0, 10**9) == there
    assert threads(0, CLIPS_PER_THREAD) == min(2, there)
