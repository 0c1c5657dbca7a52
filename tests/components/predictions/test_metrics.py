"""Metrics against sklearn and against expectations worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from components.common.errors import DataError
from components.gate.scores import read_scores
from components.predictions import metrics, resampling, table
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


def test_all_intervals_resample_artists_and_that_of_tracks_is_the_gates() -> None:
    of_own_artists = _random_table(tracks=60, clips=2, seed=4)
    track = of_own_artists["track_id"].str[1:].astype(int)
    by_four = of_own_artists.assign(artist_id=(track // 15).astype(str))
    unknown = of_own_artists.assign(artist_id="")
    found = [metrics.evaluate(rows, GENRES) for rows in (of_own_artists, by_four, unknown)]
    for measure in ("clip_accuracy", "track_accuracy", "macro_f1"):
        own, shared, nobody = (getattr(one, measure) for one in found)
        assert own == nobody
        assert shared.value == own.value
        assert (shared.low, shared.high) != (own.low, own.high)
    for rows, one in zip((of_own_artists, by_four), found, strict=False):
        scores = read_scores(rows, rows[list(table.CLIP_KEYS)], GENRES, ["m"])
        gates = resampling.share(scores.correctness["m"], scores.groups)
        assert one.track_accuracy == ShareInterval.of(gates)


def test_a_song_of_many_clips_counts_as_much_in_resamples_as_in_the_share_by_clip() -> None:
    """The clips of one song in two decide nearly alone, so little is known of others."""
    frame = _clips([("a", 0)], 98)
    frame = pd.concat([frame, _clips([(f"t{i}", 0) for i in range(20)], 1)])
    found = metrics.evaluate(
        table.make_table(
            "m", "test", frame, np.eye(3, dtype=np.float32)[[0] * 98 + [1] * 20], GENRES
        ),
        GENRES,
    )
    assert found.clip_accuracy.value == pytest.approx(98 / 118)
    assert (found.clip_accuracy.low, found.clip_accuracy.high) == (0, 1)
    assert found.track_accuracy.value == pytest.approx(1 / 21)
    assert found.track_accuracy.high < 0.3


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


def test_a_single_track_says_nothing_of_others() -> None:
    rows = table.make_table(
        "m", "test", _clips([("a", 2)], 1), np.eye(3, dtype=np.float32)[2:], GENRES
    )
    assert metrics.evaluate(rows, GENRES).track_accuracy == ShareInterval(1.0, 0.0, 1.0)


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
