"""Clip offsets are inside the track and reproducible; whole recordings become clips in order."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.audio.clips import ClipChoice, clip_starts, cut, too_short, window_starts
from components.audio.params import MAX_EVALUATION_CLIPS, AudioParams

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=64, hop_samples=32, n_mels=8, clip_seconds=0.0125
)


@given(
    clip=st.integers(1, 50_000),
    extra=st.integers(0, 2**40),
    clips=st.integers(0, 20),
    track_id=st.text(st.characters(codec="utf-8")),
    seed=st.integers(),
)
def test_every_clip_lies_inside_the_track(
    clip: int, extra: int, clips: int, track_id: str, seed: int
) -> None:
    starts = clip_starts(clip + extra, clip, clips, track_id=track_id, seed=seed)
    assert len(starts) == clips
    assert all(0 <= start <= extra for start in starts)


@given(st.integers(100, 10_000), st.integers(1, 10), st.integers(0, 10))
def test_asking_for_more_clips_keeps_the_first_ones(samples: int, few: int, more: int) -> None:
    first = clip_starts(samples, 100, few, track_id="t", seed=3)
    assert clip_starts(samples, 100, few + more, track_id="t", seed=3)[:few] == first


def test_a_track_of_exactly_one_clip_starts_at_zero() -> None:
    assert clip_starts(44100, 44100, 3, track_id="t", seed=0) == [0, 0, 0]


def test_one_sample_short_of_a_clip_is_an_error_that_says_both_lengths() -> None:
    with pytest.raises(ValueError, match=r"44099 samples is shorter than a clip \(44100\)"):
        clip_starts(44099, 44100, 1, track_id="t", seed=0)
    with pytest.raises(ValueError, match=r"44099 samples is shorter than a clip \(44100\)"):
        window_starts(44099, 44100, 1)


def test_offsets_are_the_documented_hash_and_not_pythons() -> None:
    fraction = int(hashlib.sha256(b"7\x00000002\x001").hexdigest()[:16], 16) / 2**64
    second = clip_starts(660_000, 44_100, 2, track_id="000002", seed=7)[1]
    assert second == int(fraction * (660_000 - 44_100 + 1))


def test_track_id_seed_and_index_each_move_the_clip() -> None:
    def starts(track_id: str, seed: int) -> list[int]:
        return clip_starts(10**9, 1, 4, track_id=track_id, seed=seed)

    everything = starts("a", 0) + starts("b", 0) + starts("a", 1)
    assert len(set(everything)) == 12


def test_offsets_spread_evenly_over_the_track() -> None:
    starts = [clip_starts(1000, 1, 1, track_id=str(i), seed=0)[0] for i in range(4000)]
    counts, _ = np.histogram(starts, bins=10, range=(0, 1000))
    # Binomial with mean 400 and deviation 19: five deviations.
    assert (np.abs(counts - 400) < 95).all()


@given(st.integers(0, 1000))
def test_clips_follow_each_other_and_only_a_shorter_tail_is_dropped(samples: int) -> None:
    sound = np.arange(samples, dtype=np.float32)
    clips = cut(sound, 100)
    assert clips.shape == (samples // 100, 100)
    np.testing.assert_array_equal(clips.ravel(), sound[: clips.size])
    assert samples - clips.size < 100


@given(samples=st.integers(100, 100_000), max_windows=st.integers(1, 300))
def test_windows_to_evaluate_are_those_of_prediction_evenly_spaced(
    samples: int, max_windows: int
) -> None:
    starts = window_starts(samples, 100, max_windows)
    windows = [start // 100 for start in starts]
    whole = samples // 100
    assert starts == [window * 100 for window in windows]
    assert len(starts) == min(whole, max_windows)
    if whole <= max_windows:
        assert windows == list(range(whole))
    # The k-th lies in the middle of the k-th of equal parts.
    width = whole / len(windows)
    for index, window in enumerate(windows):
        assert index * width <= window + 0.5 <= (index + 1) * width
        assert abs(window + 0.5 - (index + 0.5) * width) <= 0.5


def test_the_setting_decides_about_evaluation_alone() -> None:
    random, window = ClipChoice(4), AudioParams(evaluation_clips=7)
    every = AudioParams(evaluation_clips="all")
    assert ClipChoice.of(AudioParams(), evaluates=True) == random
    assert ClipChoice.of(window) == ClipChoice.of(every) == random
    assert ClipChoice.of(window, evaluates=True) == ClipChoice(7, windows=True)
    assert ClipChoice.of(every, evaluates=True) == ClipChoice(MAX_EVALUATION_CLIPS, windows=True)


def test_a_choice_allows_the_counts_that_it_can_give() -> None:
    assert [n for n in range(9) if ClipChoice(3).allows(n)] == [3]
    assert [n for n in range(9) if ClipChoice(3, windows=True).allows(n)] == [1, 2, 3]
    for choice in (ClipChoice(3), ClipChoice(3, windows=True)):
        for samples in range(100, 900):
            assert choice.allows(len(choice.starts(samples, 100, track_id="t", seed=0)))


def test_one_sample_short_of_a_clip_says_what_is_needed() -> None:
    text = too_short(99, 100, 8000)
    assert text == "0.01 s of audio: the model needs at least 0.0125 s (100 samples at 8000 Hz)"
