"""Whole recordings as consecutive clips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.audio.params import AudioParams
from components.audio.windows import whole_clips

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=64, hop_samples=32, n_mels=8, clip_seconds=0.0125
)


@given(st.integers(100, 1000))
def test_clips_follow_each_other_and_only_a_shorter_tail_is_dropped(samples: int) -> None:
    sound = np.arange(samples, dtype=np.float32)
    clips = whole_clips(sound, PARAMS)
    assert clips.shape == (samples // 100, 100)
    np.testing.assert_array_equal(clips.ravel(), sound[: clips.size])
    assert samples - clips.size < 100


def test_one_sample_short_of_a_clip_says_what_is_needed() -> None:
    with pytest.raises(ValueError, match=r"at least 0\.0125 s \(100 samples at 8000 Hz\)"):
        whole_clips(np.zeros(99, np.float32), PARAMS)
