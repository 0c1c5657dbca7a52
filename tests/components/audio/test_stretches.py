"""Windows that cover stretches of a recording."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from components.audio.stretches import covering_starts, merged

RATE = 100


def test_clips_that_follow_each_other_are_cut_as_prediction_cuts_the_whole_song() -> None:
    # Ten clips of 3 s, heard in windows of 2 s: as many as fit, without overlap.
    clips = [(3.0 * index, 3.0 * index + 3) for index in range(10)]
    assert covering_starts(clips, 3050, 200, RATE) == [200 * index for index in range(15)]


@pytest.mark.parametrize(
    ("stretch", "window_samples", "expected"),
    [
        ((5.0, 8.0), 300, [500]),
        ((5.0, 8.0), 200, [500, 600]),  # both hear all three seconds
        ((5.0, 8.0), 100, [500, 600, 700]),
        ((5.0, 7.0), 300, [450]),  # half a second more on each side
        ((0.0, 2.0), 300, [0]),
        ((18.0, 20.0), 300, [1700]),
        ((5.00001, 7.00001), 200, [500]),  # as float32 rounds starts
        ((5.0, 7.01), 200, [500]),
    ],
)
def test_a_clip_is_heard_in_windows_of_another_length(
    stretch: tuple[float, float], window_samples: int, expected: list[int]
) -> None:
    assert covering_starts([stretch], 2000, window_samples, RATE) == expected


def test_overlapping_clips_are_heard_once() -> None:
    assert merged([(4.0, 6.0), (1.0, 3.0), (3.0005, 4.0), (9.0, 10.0)]) == [(1.0, 6.0), (9.0, 10.0)]
    # The windows of the first two would overlap by half.
    assert covering_starts([(5.0, 6.0), (7.0, 8.0)], 2000, 300, RATE) == [400, 600]
    assert covering_starts([(5.0, 6.0), (5.5, 6.5)], 2000, 300, RATE) == [425]


def test_a_recording_shorter_than_a_window_cannot_be_heard() -> None:
    with pytest.raises(ValueError, match="shorter than a window"):
        covering_starts([(0.0, 1.0)], 199, 200, RATE)
    assert covering_starts([(0.0, 1.0)], 200, 200, RATE) == [0]


@given(
    recording=st.integers(50, 3000),
    window=st.integers(1, 400),
    starts=st.lists(st.floats(0, 30, width=32), min_size=1, max_size=12),
    seconds=st.floats(0.25, 6),
)
def test_windows_lie_in_the_recording_cover_every_clip_and_hear_less_than_two_recordings(
    recording: int, window: int, starts: list[float], seconds: float
) -> None:
    window = min(window, recording)
    clips = [(start, start + seconds) for start in starts]
    found = covering_starts(clips, recording, window, RATE)
    assert found == sorted(found)
    assert found[0] >= 0
    assert found[-1] <= recording - window
    assert len(found) * window < 2 * recording
    heard = np.zeros(recording, bool)
    for start in found:
        heard[start : start + window] = True
    for start, end in clips:
        first, last = (min(recording, round(edge * RATE)) for edge in (start, end))
        missing = int((~heard[first:last]).sum())
        assert missing <= 0.01 * window + 1
