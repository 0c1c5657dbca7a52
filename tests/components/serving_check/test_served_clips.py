"""Choice of the test clips that a server must reproduce, and their expected probabilities."""

from __future__ import annotations

import pathlib
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from components.predictions import table
from components.serving_check.clips import choose, read_test_clips
from components.serving_check.outcome import CheckFailed
from tests.components.serving_check import served_inputs as made
from tests.support.serving_toys import GENRES

KEYS = [(f"t{track}", index) for track in range(10) for index in range(4)]


@pytest.mark.parametrize("count", [1, 7, 10, 13, 40, 100])
def test_clips_are_of_as_many_tracks_as_can_be(count: int) -> None:
    chosen = choose(KEYS, count)
    assert len(chosen) == len(set(chosen)) == min(count, 40)
    of_track = Counter(track for track, _ in chosen)
    assert max(of_track.values()) - min([*of_track.values(), 4]) <= 1
    assert len(of_track) == min(count, 10)


def test_the_choice_depends_on_names_alone() -> None:
    chosen = choose(KEYS, 12)
    assert choose(list(reversed(KEYS)) * 2, 12) == chosen
    # Neither the first ones nor always the same place in a track: what is sorted first would be
    # one genre, and a track's first clip its intro.
    assert {index for _, index in choose(KEYS, 10)} != {0}
    assert [track for track, _ in choose(KEYS, 10)] != sorted({track for track, _ in KEYS})
    # What is added pushes few others out.
    assert len(set(choose([*KEYS, ("new", 0)], 10)) & set(choose(KEYS, 10))) >= 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("served-clips")
    made.write_inputs(folder)
    return folder


def _read(folder: pathlib.Path, rows: pd.DataFrame, name: str = made.NAME, count: int = 5):  # type: ignore[no-untyped-def]
    return read_test_clips(rows, name, GENRES, str(folder / "examples"), count)


def test_each_clip_comes_with_its_own_example_and_the_candidates_test_prediction(
    folder: pathlib.Path,
) -> None:
    rows = table.read_table(str(folder / "predictions"))
    clips = _read(folder, rows, count=7)
    serialized = made.serialized_clips()
    predicted = rows[(rows["model"] == made.NAME) & (rows["split"] == "test")]
    by_key = predicted.set_index(["track_id", "clip_index"])[table.probability_columns(GENRES)]
    names = {f"clip {i} of test track {t}": (t, i) for t, i in serialized}
    assert len(clips.names) == 7
    for name, raw, expected in zip(clips.names, clips.examples, clips.expected, strict=True):
        assert raw == serialized[names[name]]
        np.testing.assert_array_equal(expected, by_key.loc[names[name]].to_numpy())
    assert clips.expected.dtype == np.float32
    assert len(_read(folder, rows, count=1000).names) == made.TRACKS * made.CLIPS


def test_predictions_without_the_candidate_or_of_other_clips_are_told(
    folder: pathlib.Path,
) -> None:
    rows = table.read_table(str(folder / "predictions"))
    with pytest.raises(CheckFailed, match="no test rows of crnn"):
        _read(folder, rows, "crnn")
    with pytest.raises(CheckFailed, match=f"no test rows of {made.NAME}"):
        _read(folder, rows[rows["split"] == "validation"])
    with pytest.raises(CheckFailed, match="for the genres Folk, Rock, Jazz"):
        _read(folder, rows.rename(columns={"p_Jazz": "p_Pop"}))
    with pytest.raises(CheckFailed, match=r"do not contain clip \d of test track other-t"):
        _read(folder, rows.assign(track_id="other-" + rows["track_id"]))
