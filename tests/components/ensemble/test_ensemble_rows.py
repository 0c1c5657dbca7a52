"""The ensembles' rows of the predictions table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from components.common.errors import DataError
from components.ensemble.rows import make_ensembles
from components.predictions import table

GENRES = ["Folk", "Pop", "Rock"]
COLUMNS = table.probability_columns(GENRES)


def _rows(model: str, seed: int, skill: float = 1.0, tracks: int = 6) -> pd.DataFrame:
    """Return two clips of each track in both splits."""
    rng = np.random.default_rng(seed)
    parts = []
    for split in ("validation", "test"):
        clips = pd.DataFrame(
            [
                {"track_id": f"{split}{t}", "artist_id": "", "clip_index": c, "label": t % 3}
                for t in range(tracks)
                for c in range(2)
            ]
        )
        scores = rng.normal(size=(len(clips), 3))
        scores[np.arange(len(clips)), clips["label"]] += skill
        made = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        parts.append(table.make_table(model, split, clips, made.astype(np.float32), GENRES))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def single() -> pd.DataFrame:
    return pd.concat(
        [
            _rows("crnn", 1, 2.0),
            _rows("ffnn", 2),
            _rows("svm", 3),
            _rows("knn", 4, 0.0),
            _rows("dummy", 5, 0.0),
        ],
        ignore_index=True,
    )


NETWORKS, BASELINES = ["crnn", "ffnn"], ["dummy", "knn", "svm"]


def _of(rows: pd.DataFrame, model: str) -> np.ndarray:
    found = rows[rows["model"] == model].sort_values(["split", "track_id", "clip_index"])
    return found[COLUMNS].to_numpy(np.float64)


def test_each_average_is_that_of_its_members_on_every_clip(single: pd.DataFrame) -> None:
    made = make_ensembles(single, GENRES, NETWORKS, BASELINES)
    members = {
        "ensemble_networks": ["crnn", "ffnn"],
        "ensemble_baselines": ["knn", "svm"],
        "ensemble_all": ["crnn", "ffnn", "knn", "svm"],
    }
    for name, names in members.items():
        expected = np.mean([_of(single, member) for member in names], axis=0)
        np.testing.assert_allclose(_of(made.rows, name), expected, atol=1e-6)
    assert {name: list(found) for name, found in made.members.items()} == {
        **members,
        "ensemble_weighted": members["ensemble_all"],
    }
    weighted = sum(made.weights[m] * _of(single, m) for m in members["ensemble_all"])
    np.testing.assert_allclose(_of(made.rows, "ensemble_weighted"), weighted, atol=1e-6)


def test_the_table_keeps_its_columns_types_and_clips(single: pd.DataFrame) -> None:
    made = make_ensembles(single, GENRES, NETWORKS, BASELINES).rows
    assert list(made.columns) == list(single.columns)
    assert made.dtypes.to_dict() == single.dtypes.to_dict()
    assert len(made) == 4 * len(single) / 5


def test_weights_are_chosen_on_validation_and_the_test_split_has_no_say(
    single: pd.DataFrame,
) -> None:
    before = make_ensembles(single, GENRES, NETWORKS, BASELINES).weights
    other = single.copy()
    test = other["split"] == "test"
    other.loc[test, COLUMNS] = np.roll(other.loc[test, COLUMNS].to_numpy(), 1, axis=1)
    assert make_ensembles(other, GENRES, NETWORKS, BASELINES).weights == before
    changed = single.copy()
    validation = (changed["split"] == "validation") & (changed["model"] == "crnn")
    changed.loc[validation, COLUMNS] = np.float32(1 / 3)
    assert make_ensembles(changed, GENRES, NETWORKS, BASELINES).weights != before


def test_row_order_does_not_matter(single: pd.DataFrame) -> None:
    shuffled = single.sample(frac=1, random_state=3)
    one = make_ensembles(single, GENRES, NETWORKS, BASELINES)
    other = make_ensembles(shuffled, GENRES, NETWORKS, BASELINES)
    pd.testing.assert_frame_equal(one.rows, other.rows)
    assert one.weights == other.weights


def test_a_single_network_without_baselines_has_no_ensembles() -> None:
    made = make_ensembles(_rows("crnn", 1), GENRES, ["crnn"], [])
    assert made.rows.empty
    assert made.weights == {}


def test_predictions_of_another_run_are_refused(single: pd.DataFrame) -> None:
    other = single.copy()
    mine = (other["model"] == "svm") & (other["track_id"] == "test0")
    other.loc[mine, "track_id"] = "test99"
    with pytest.raises(DataError, match="different runs"):
        make_ensembles(other, GENRES, NETWORKS, BASELINES)
    relabelled = single.copy()
    relabelled.loc[relabelled["model"] == "svm", "label"] = 0
    with pytest.raises(DataError, match="different runs"):
        make_ensembles(relabelled, GENRES, NETWORKS, BASELINES)


def test_a_model_without_predictions_is_refused(single: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="no rows of xgboost"):
        make_ensembles(single, GENRES, NETWORKS, [*BASELINES, "xgboost"])
