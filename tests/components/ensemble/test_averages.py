"""Averages of probabilities, and weights fitted on validation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ensemble import averages
from components.ensemble.members import members_of


def _probabilities(seed: int, rows: int = 20, genres: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(genres), rows)


def test_the_members_of_each_ensemble() -> None:
    found = members_of(["vgg16", "crnn"], ["svm", "dummy", "knn"])
    assert found == {
        "ensemble_networks": ("crnn", "vgg16"),
        "ensemble_baselines": ("knn", "svm"),
        "ensemble_all": ("crnn", "vgg16", "knn", "svm"),
        "ensemble_weighted": ("crnn", "vgg16", "knn", "svm"),
    }


@pytest.mark.parametrize(
    ("networks", "baselines", "expected"),
    [
        (["crnn"], [], set()),
        (["crnn"], ["dummy"], set()),
        (["crnn"], ["svm"], {"ensemble_all", "ensemble_weighted"}),
        (["crnn", "ffnn"], [], {"ensemble_networks", "ensemble_all", "ensemble_weighted"}),
    ],
)
def test_one_model_is_no_ensemble(
    networks: list[str], baselines: list[str], expected: set[str]
) -> None:
    assert set(members_of(networks, baselines)) == expected


def test_the_plain_mean_and_a_weighted_one() -> None:
    one, other = np.array([[1.0, 0.0]]), np.array([[0.2, 0.8]])
    np.testing.assert_allclose(averages.average([one, other]), [[0.6, 0.4]], atol=1e-7)
    np.testing.assert_allclose(
        averages.average([one, other], [0.25, 0.75]), [[0.4, 0.6]], atol=1e-7
    )


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_an_average_is_a_distribution_between_its_members(seed: int, count: int) -> None:
    members = [_probabilities(seed + i) for i in range(count)]
    weights = np.random.default_rng(seed).dirichlet(np.ones(count))
    for made in (averages.average(members), averages.average(members, list(weights))):
        np.testing.assert_allclose(made.sum(axis=1), 1, atol=1e-6)
        assert (made <= np.max(members, axis=0) + 1e-6).all()
        assert (made >= np.min(members, axis=0) - 1e-6).all()


@pytest.mark.parametrize("weights", [[1.0], [0.5, 0.6], [1.5, -0.5], [np.nan, 1.0]])
def test_weights_that_are_no_shares_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="shares"):
        averages.average([_probabilities(1), _probabilities(2)], weights)


def test_members_of_different_clips_are_refused() -> None:
    with pytest.raises(ValueError, match="the same shape"):
        averages.average([_probabilities(1), _probabilities(2, rows=19)])
    with pytest.raises(ValueError, match="the same shape"):
        averages.average([])


def _loss(shares: np.ndarray, members: list[np.ndarray], labels: np.ndarray) -> float:
    mixed = np.tensordot(shares, np.stack(members), axes=1)
    return float(-np.log(mixed[np.arange(len(labels)), labels]).mean())


@pytest.mark.parametrize("seed", range(5))
def test_no_other_weights_are_likelier(seed: int) -> None:
    """Compare with a fine grid over the weights of three models."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 60)
    members = []
    for skill in (0.5, 2.0, 1.0):
        scores = rng.normal(size=(60, 4))
        scores[np.arange(60), labels] += skill
        members.append(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True))
    found = averages.likeliest_weights(dict(zip("abc", members, strict=True)), labels)
    assert sum(found.values()) == pytest.approx(1)
    best = _loss(np.array(list(found.values())), members, labels)
    grid = [
        _loss(np.array([a, b, 1 - a - b]), members, labels)
        for a in np.linspace(0, 1, 51)
        for b in np.linspace(0, 1 - a, 51)
    ]
    assert best <= min(grid) + 1e-9


def test_a_perfect_model_gets_all_the_weight_and_a_wrong_one_none() -> None:
    labels = np.array([0, 1, 2, 3] * 5)
    right, wrong = np.eye(4)[labels], np.eye(4)[(labels + 1) % 4]
    found = averages.likeliest_weights({"right": right, "wrong": wrong}, labels)
    assert found["right"] == pytest.approx(1, abs=1e-6)


def test_equal_models_share_and_the_order_of_models_and_tracks_does_not_matter() -> None:
    one = _probabilities(3)
    labels = np.random.default_rng(4).integers(0, 4, len(one))
    assert averages.likeliest_weights({"a": one, "b": one}, labels) == {"a": 0.5, "b": 0.5}
    members = {"a": one, "b": _probabilities(5), "c": _probabilities(6)}
    found = averages.likeliest_weights(members, labels)
    order = np.random.default_rng(7).permutation(len(labels))
    turned = {name: members[name][order] for name in reversed(members)}
    assert averages.likeliest_weights(turned, labels[order]) == pytest.approx(found)


def test_weights_need_tracks() -> None:
    with pytest.raises(ValueError, match="0 labels"):
        averages.likeliest_weights({"a": np.empty((0, 4))}, np.empty(0, int))
