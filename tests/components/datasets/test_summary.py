from __future__ import annotations

from components.datasets.settings import SplitSettings
from components.datasets.split.splits import SplitResult, assign_splits
from components.datasets.summary import summarize
from components.datasets.track import REJECT_REASONS, Reject, Track


def tracks():
    hints = ("train", "train", "validation", "test", None)
    return [
        Track(f"{genre}{i}", "/x", genre, f"artist{genre}{i % 2}", hints[i])
        for genre in ("Rock", "Pop")
        for i in range(5)
    ]


def test_counts_per_genre_split_and_reason():
    rejects = [Reject(f"r{i}", "", "Rock", "missing_file") for i in range(4)]
    rejects.append(Reject("bad", "", "", "bad_metadata", "row"))
    genres = ("Rock", "Pop", "Jazz")
    splits = assign_splits(tracks(), SplitSettings(policy="official"), ("Rock", "Pop"))

    summary = summarize(tracks(), rejects, genres, splits)

    assert summary.tracks_of == {"Rock": 4, "Pop": 4, "Jazz": 0}
    assert summary.split_tracks == {
        "Rock": {"train": 2, "validation": 1, "test": 1},
        "Pop": {"train": 2, "validation": 1, "test": 1},
        "Jazz": {"train": 0, "validation": 0, "test": 0},
    }
    assert list(summary.rejects_of) == list(REJECT_REASONS)
    assert {reason: n for reason, n in summary.rejects_of.items() if n} == {
        "missing_file": 4,
        "bad_metadata": 1,
        "no_split": 2,
    }
    assert (summary.tracks, summary.rejects, summary.listed) == (8, 7, 15)
    assert (summary.tracks_in("train"), summary.tracks_in("test")) == (4, 2)
    assert summary.artists == 4
    assert [r.track_id for r in summary.reject_examples["missing_file"]] == ["r0", "r1", "r2"]
    assert set(summary.reject_examples) == {"missing_file", "bad_metadata", "no_split"}


def test_unplaced_tracks_count_once_when_given_with_the_rejects_too():
    splits = assign_splits(tracks(), SplitSettings(policy="official"), ("Rock", "Pop"))
    summary = summarize(tracks(), splits.rejects, ("Rock", "Pop"), splits)
    assert summary.rejects_of["no_split"] == 2
    assert summary.listed == 10


def test_equal_rejects_are_each_counted():
    same = Reject("a", "", "", "bad_metadata", "x has the same track id")
    splits = assign_splits(tracks(), SplitSettings(policy="official"), ("Rock", "Pop"))
    assert (
        summarize(tracks(), [same, same], ("Rock", "Pop"), splits).rejects_of["bad_metadata"] == 2
    )


def test_a_dataset_that_cannot_be_split_is_still_counted():
    summary = summarize(tracks(), [], ("Rock", "Pop"), None)
    assert summary.split_tracks is None
    assert summary.tracks == 10
    assert summary.tracks_in("train") == 0


def test_by_clip_has_no_track_counts_per_split():
    splits = SplitResult(SplitSettings(policy="by_clip"), {}, leaky=True)
    assert summarize(tracks(), [], ("Rock", "Pop"), splits).split_tracks is None


def test_nothing_is_nothing():
    summary = summarize([], [], ())
    assert (summary.tracks, summary.rejects, summary.artists) == (0, 0, 0)
