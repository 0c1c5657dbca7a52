"""Metrics against sklearn and against expectations worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from components.common.errors import DataError
from components.predictions import metrics, table
from components.predictions.interval import ShareInterval

GENRES = ["Folk", "Pop", "Rock"]


def _clips(tracks: list[tuple[str, int]], clips: int) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"track_id": t, "artist_id": f"x{t}", "clip_index": i, "label": label}
            for t, label in tracks
            for i in range(clips)
        ]
    )


def _random_table(tracks: int, clips: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = _clips([(f"t{i:03d}", int(rng.integers(3))) for i in range(tracks)], clips)
    probabilities = rng.dirichlet(np.ones(3), size=len(frame)).astype(np.float32)
    return table.make_table("m", "test", frame, probabilities, GENRES)


def test_metrics_equal_sklearns_on_clips_and_on_mean_probabilities_of_tracks() -> None:
    rows = _random_table(tracks=60, clips=4, seed=3)
    found = metrics.evaluate(rows, GENRES)
    columns = ["p_Folk", "p_Pop", "p_Rock"]
    assert found.clip_accuracy.value == pytest.approx(
        sk.accuracy_score(rows["label"], rows[columns].to_numpy().argmax(1))
    )
    means = rows.groupby("track_id")[columns].mean().to_numpy().argmax(1)
    labels = rows.groupby("track_id")["label"].first()
    assert found.track_accuracy.value == pytest.approx(sk.accuracy_score(labels, means))
    assert found.macro_f1.value == pytest.approx(sk.f1_score(labels, means, average="macro"))
    assert found.confusion == sk.confusion_matrix(labels, means, labels=[0, 1, 2]).tolist()
    recalls = sk.recall_score(labels, means, average=None, labels=[0, 1, 2])
    assert list(found.recall.values()) == pytest.approx(list(recalls))
    assert (found.clips, found.tracks) == (240, 60)


def test_intervals_hold_the_value_and_resample_tracks_not_clips() -> None:
    one_clip = metrics.evaluate(_random_table(tracks=50, clips=1, seed=5), GENRES)
    interval = one_clip.track_accuracy
    assert interval.low < interval.value < interval.high
    # Each clip four times over is no more evidence: the interval must not shrink.
    rows = _random_table(tracks=50, clips=1, seed=5)
    copies = pd.concat([rows.assign(clip_index=i) for i in range(4)])
    repeated = metrics.evaluate(copies, GENRES)
    assert repeated.clip_accuracy.to_json() == one_clip.clip_accuracy.to_json()
    # Normal theory for a share of 50: a half width of 1.96 sqrt(p (1 - p) / 50).
    half = 1.96 * np.sqrt(interval.value * (1 - interval.value) / 50)
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.15)


def test_metrics_are_the_same_on_every_call_and_in_any_row_order() -> None:
    rows = _random_table(tracks=20, clips=2, seed=8)
    first = metrics.evaluate(rows, GENRES).rounded()
    assert metrics.evaluate(rows.sample(frac=1, random_state=1), GENRES).rounded() == first


def test_a_genre_without_tracks_has_no_recall() -> None:
    frame = _clips([("a", 0), ("b", 1)], 1)
    rows = table.make_table("m", "test", frame, np.eye(3, dtype=np.float32)[:2], GENRES)
    found = metrics.evaluate(rows, GENRES)
    assert found.recall == {"Folk": 1.0, "Pop": 1.0, "Rock": None}
    assert found.macro_f1.value == 1.0


def test_a_single_track_has_an_interval_of_no_width() -> None:
    rows = table.make_table(
        "m", "test", _clips([("a", 2)], 1), np.eye(3, dtype=np.float32)[2:], GENRES
    )
    assert metrics.evaluate(rows, GENRES).track_accuracy == ShareInterval(1.0, 1.0, 1.0)


def test_a_tie_counts_as_guessing_among_its_genres() -> None:
    """A constant model is as good as guessing, in any order of the labels."""
    frame = _clips([(f"t{label}", label) for label in range(3)], 2)
    rows = table.make_table("m", "test", frame, np.full((6, 3), 1 / 3, np.float32), GENRES)
    found = metrics.evaluate(rows, GENRES)
    assert found.track_accuracy.value == pytest.approx(1 / 3)
    assert found.clip_accuracy.value == pytest.approx(1 / 3)
    alone = metrics.evaluate(rows[rows["label"] == 0], GENRES)
    assert alone.track_accuracy.value == pytest.approx(1 / 3)


def test_tables_survive_the_file(tmp_path: object) -> None:
    rows = _random_table(tracks=5, clips=2, seed=1)
    table.write_table(rows, str(tmp_path))
    pd.testing.assert_frame_equal(table.read_table(str(tmp_path)), rows)


@pytest.mark.parametrize(
    "bad", [[[np.nan, 0.5, 0.5]], [[0.2, 0.2, 0.2]], [[1.0, 0.0]], [[1.0, 0, 0], [1.0, 0, 0]]]
)
def test_what_is_no_distribution_is_refused(bad: list[list[float]]) -> None:
    with pytest.raises(DataError, match="model m, split test"):
        table.make_table("m", "test", _clips([("a", 0)], 1), np.array(bad, np.float32), GENRES)
