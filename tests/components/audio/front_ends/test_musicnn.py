"""musicnn's front end compared with librosa's own functions and with published values."""

from __future__ import annotations

import pathlib

import librosa
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.audio.decoding import decode
from components.audio.front_ends.musicnn import Musicnn
from components.audio.params import AudioParams
from components.audio.spectrogram import mel
from components.audio.spectrogram.stored import from_stored, to_stored

PARAMS = AudioParams.of_front_end("musicnn")


def of_librosa(clip: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return musicnn's own numbers, log10(10000 S + 1), `[96, 187]`."""
    power = librosa.feature.melspectrogram(y=clip, sr=16000, n_fft=512, hop_length=256, n_mels=96)
    return np.asarray(np.log10(10000 * power[:, :187] + 1), np.float32)


def own_numbers(levels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return (levels + 80) / 10


@pytest.mark.parametrize("loudness", [1.0, 0.1, 1e-4])
def test_levels_are_musicnns_numbers_in_decibels(loudness: float) -> None:
    noise = np.random.default_rng(0).normal(0, 0.2, (2, 48000))
    noise[1] = np.sin(np.arange(48000) * 0.3)
    clips = (loudness * noise).astype(np.float32)
    levels = mel.log_mel(clips, PARAMS)
    assert levels.shape == (2, 96, 187)
    for clip, picture in zip(clips, levels, strict=True):
        np.testing.assert_allclose(own_numbers(picture), of_librosa(clip), atol=2e-6)


def test_a_patch_equals_the_published_one(real_data: pathlib.Path) -> None:
    with np.load(real_data / "musicnn" / "expected.npz") as expected:
        names = sorted({key.split("/")[0] for key in expected if key.endswith("/mel")})
        patches = {name: expected[f"{name}/mel"][0] for name in names}
    assert len(patches) == 3
    paths = {path.stem: path for path in real_data.glob("gtzan/*/*.wav")}
    for name, patch in patches.items():
        samples, rate_hz = decode.decode(paths[name])
        clip = decode.resample(samples, rate_hz, 16000)[:48000]
        levels = mel.log_mel(clip[np.newaxis], PARAMS)
        assert np.abs(own_numbers(levels[0]).T - patch).max() < 2e-6
        # Half a stored step is 1 / 10,240 here.
        stored = from_stored(to_stored(levels))
        assert np.abs(own_numbers(stored[0]).T - patch).max() < 1.01e-4


def test_silence_is_the_floor_and_the_loudest_sound_saturates_at_zero() -> None:
    silent = np.zeros((1, 48000), np.float32)
    np.testing.assert_array_equal(mel.log_mel(silent, PARAMS), -80.0)
    full = np.full((1, 48000), 1e6, np.float32)
    assert mel.log_mel(full, PARAMS).max() == 0.0


def test_music_at_full_scale_does_not_saturate() -> None:
    # The loudest sound within [-1, 1] by band: a square wave of one period in an FFT's window.
    square = np.sign(np.sin(2 * np.pi * (np.arange(48000) + 0.5) / 512)).astype(np.float32)
    assert -12 < mel.log_mel(square[np.newaxis], PARAMS).max() < -10


@given(
    hnp.arrays(
        np.float32, (2, 3, 4), elements=st.floats(0, 2.0**66, width=32, allow_subnormal=False)
    )
)
def test_levels_lie_between_the_floor_and_zero_and_keep_the_order(
    power: npt.NDArray[np.float32],
) -> None:
    levels = Musicnn().levels(power)
    assert levels.dtype == np.float32
    assert (levels >= -80).all()
    assert (levels <= 0).all()
    order = np.argsort(power, axis=None)
    assert (np.diff(levels.ravel()[order]) >= 0).all()
