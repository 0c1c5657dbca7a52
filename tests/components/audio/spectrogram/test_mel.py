"""The reference front end compared with librosa's own functions, clip by clip."""

from __future__ import annotations

import librosa
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.audio.front_ends.mel_db import MelDb
from components.audio.params import AudioParams
from components.audio.spectrogram import mel

PARAMS = AudioParams()
SMALL = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.25
)


def noise(clips: int, params: AudioParams, seed: int = 0) -> npt.NDArray[np.float32]:
    shape = (clips, params.clip_samples)
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


@pytest.mark.parametrize("params", [PARAMS, SMALL])
def test_equals_the_usual_librosa_script(params: AudioParams) -> None:
    clips = noise(3, params)
    clips[1] *= 1e-3
    got = mel.log_mel(clips, params)
    assert got.shape == (3, params.n_mels, params.frames)
    assert got.dtype == np.float32
    for clip, picture in zip(clips, got, strict=True):
        power = librosa.feature.melspectrogram(
            y=clip,
            sr=params.sample_rate_hz,
            n_fft=params.fft_samples,
            hop_length=params.hop_samples,
            n_mels=params.n_mels,
        )
        np.testing.assert_allclose(picture, librosa.power_to_db(power, ref=np.max), atol=1e-4)


def test_a_batch_equals_its_clips_one_by_one() -> None:
    clips = noise(5, SMALL)
    singles = [mel.log_mel(clip[np.newaxis], SMALL)[0] for clip in clips]
    np.testing.assert_allclose(mel.log_mel(clips, SMALL), np.stack(singles), atol=1e-5)


def test_no_clips_make_no_pictures() -> None:
    # No maximum of an empty array is taken.
    assert MelDb().levels(np.zeros((0, 16, 16), np.float32)).shape == (0, 16, 16)


def test_silence_is_zero_everywhere_as_in_librosa() -> None:
    silent = np.zeros((1, SMALL.clip_samples), np.float32)
    np.testing.assert_array_equal(mel.log_mel(silent, SMALL), 0.0)


@given(st.floats(1e-2, 1e4))
def test_loudness_does_not_matter(gain: float) -> None:
    clips = noise(1, SMALL)
    loud = mel.log_mel((clips * gain).astype(np.float32), SMALL)
    np.testing.assert_allclose(loud, mel.log_mel(clips, SMALL), atol=1e-3)


def test_the_loudest_allowed_sample_stays_finite() -> None:
    full = np.full((1, SMALL.clip_samples), 1e6, np.float32)
    assert np.isfinite(mel.log_mel(full, SMALL)).all()


@given(
    hnp.arrays(
        np.float32, (2, 3, 4), elements=st.floats(0, 2.0**66, width=32, allow_subnormal=False)
    )
)
def test_decibels_lie_between_the_floor_and_each_clips_own_peak(
    power: npt.NDArray[np.float32],
) -> None:
    level = MelDb().levels(power)
    assert (level >= -80).all()
    np.testing.assert_array_equal(level.max(axis=(1, 2)), 0.0)


def test_a_tone_lights_the_band_around_its_frequency() -> None:
    time_s = np.arange(PARAMS.clip_samples) / PARAMS.sample_rate_hz
    centres_hz = librosa.mel_frequencies(n_mels=130, fmin=0, fmax=PARAMS.sample_rate_hz / 2)[1:-1]
    for band in (20, 64, 120):
        clip = np.sin(2 * np.pi * centres_hz[band] * time_s).astype(np.float32)
        picture = mel.log_mel(clip[np.newaxis], PARAMS)[0]
        assert abs(int(picture[:, PARAMS.frames // 2].argmax()) - band) <= 1


@pytest.mark.parametrize("samples", [SMALL.clip_samples - 1, SMALL.clip_samples + 1, 0])
def test_clips_of_another_length_are_refused(samples: int) -> None:
    with pytest.raises(ValueError, match=rf"must have shape \[clips, {SMALL.clip_samples}\]"):
        mel.log_mel(np.zeros((2, samples), np.float32), SMALL)


def test_one_clip_without_a_batch_axis_is_refused() -> None:
    with pytest.raises(ValueError, match="clips must have shape"):
        mel.log_mel(np.zeros(SMALL.clip_samples, np.float32), SMALL)
