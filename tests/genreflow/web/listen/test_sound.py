"""Tests of the picture of a recording: right levels, of bounded size, however it is read."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.audio.params import AudioParams
from components.audio.spectrogram.mel import log_mel
from genreflow.web.listen.sound import Sound, Spectrogram, Waveform, band_centres_hz, ticks
from tests.support.serving_toys import PARAMS, clips


def test_the_levels_are_those_of_the_front_end() -> None:
    windows = clips(3)
    spectrogram = Spectrogram(PARAMS)
    spectrogram.add(windows)
    levels = spectrogram.levels()
    assert levels.shape == (3 * PARAMS.frames, PARAMS.n_mels)
    mel_db = np.concatenate(list(log_mel(windows, PARAMS)), axis=1).T
    np.testing.assert_array_equal(levels, np.rint((mel_db + 80) / 80 * 255).astype(np.uint8))
    assert levels.max() == 255


def test_silence_is_dark_and_not_as_loud_as_its_own_peak() -> None:
    spectrogram = Spectrogram(PARAMS)
    spectrogram.add(np.concatenate([clips(1), 1e-4 * clips(1), np.zeros_like(clips(1))]))
    levels = spectrogram.levels()
    assert levels[: PARAMS.frames].max() == 255
    assert not levels[PARAMS.frames :].any()


@given(st.lists(st.integers(0, 7), min_size=1, max_size=6))
def test_a_long_recording_has_as_few_columns_and_the_means_of_its_frames(sizes: list[int]) -> None:
    windows = clips(sum(sizes))
    spectrogram = Spectrogram(PARAMS, max_columns=16)
    start = 0
    for size in sizes:
        spectrogram.add(windows[start : start + size])
        start += size
    levels = spectrogram.levels()
    assert len(levels) <= 17
    if not start:
        return
    frames = log_mel(windows, PARAMS).transpose(0, 2, 1).reshape(-1, PARAMS.n_mels)
    per_column = 1
    while len(frames) // per_column > 16:
        per_column *= 2
    assert len(levels) == -(-len(frames) // per_column)
    for index, column in enumerate(levels):
        mean = frames[index * per_column : (index + 1) * per_column].mean(axis=0)
        np.testing.assert_allclose(column, (mean + 80) / 80 * 255, atol=0.51)


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=8))
def test_the_waveform_has_every_peak_in_its_place_whatever_its_parts(sizes: list[int]) -> None:
    samples = np.random.default_rng(1).uniform(-1, 1, sum(sizes)).astype(np.float32)
    waveform = Waveform(max_columns=8, samples_per_column=4)
    start = 0
    for size in sizes:
        waveform.add(samples[start : start + size])
        start += size
    peaks = waveform.peaks()
    per_column = 4
    while start // per_column > 8:
        per_column *= 2
    columns = [samples[at : at + per_column] for at in range(0, start, per_column)]
    expected = [(column.min(), column.max()) for column in columns]
    np.testing.assert_array_equal(peaks, np.rint(np.reshape(expected, (-1, 2)) * np.float32(127)))


def test_samples_beyond_full_scale_are_clipped() -> None:
    waveform = Waveform(samples_per_column=2)
    waveform.add(np.array([5, -3, 0.5], np.float32))
    np.testing.assert_array_equal(waveform.peaks(), [[-127, 127], [64, 64]])


def test_a_tone_is_brightest_in_its_band_and_beside_its_tick() -> None:
    params = AudioParams()
    times = np.arange(2 * params.clip_samples) / params.sample_rate_hz
    sound = Sound(params, is_exact=True)
    sound.add((0.5 * np.sin(2 * np.pi * 1000 * times)).astype(np.float32))
    shown = sound.to_json()
    levels = np.frombuffer(base64.b64decode(shown["levels"]), np.uint8).reshape(-1, 128)
    brightest = int(levels.mean(axis=0).argmax())
    assert shown["band_hz"][brightest] == pytest.approx(1000, rel=0.03)
    (height,) = [tick["height"] for tick in shown["ticks"] if tick["hz"] == 1000]
    assert height == pytest.approx((brightest + 0.5) / 128, abs=1 / 128)
    assert shown["spectrogram_s"] == 4.0
    assert [tick["hz"] for tick in shown["ticks"]] == [100, 250, 500, 1000, 2000, 4000, 8000]


def test_ticks_lie_between_the_centres_of_their_bands() -> None:
    params = AudioParams(sample_rate_hz=16000, n_mels=96, fft_samples=512)
    centres = band_centres_hz(params)
    for hz, height in ticks(params):
        below = sum(centre <= hz for centre in centres)
        assert below - 0.5 <= height * params.n_mels <= below + 0.5
