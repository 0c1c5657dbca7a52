"""Tests of reading sound into memory, against the streamed reading of prediction."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import soundfile

import genreflow
from components.audio.decoding.decoder import InProcessDecoder
from components.audio.params import AudioParams
from components.audio.spectrogram.mel import log_mel

PARAMS = AudioParams(sample_rate_hz=8000, clip_seconds=0.5, n_mels=32, fft_samples=512)


def test_windows_and_spectrograms_are_those_of_prediction(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "two channels.flac"
    noise = np.random.default_rng(0).normal(0, 0.1, (25_000, 2))
    soundfile.write(file, noise, 11_025)
    sound = genreflow.read_sound(file, PARAMS)
    assert sound.seconds == pytest.approx(25_000 / 11_025, abs=1e-3)
    [part] = InProcessDecoder().stream(file, 8000, 4000, 16)
    np.testing.assert_array_equal(sound.windows(), part.samples[:16_000].reshape(4, 4000))
    np.testing.assert_array_equal(sound.spectrograms(), log_mel(sound.windows(), PARAMS))
    assert sound.spectrograms().shape == (4, 32, PARAMS.frames)


def test_a_recording_shorter_than_a_window_has_none(tmp_path: pathlib.Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.full(1000, 0.1), 8000)
    sound = genreflow.read_sound(tmp_path / "short.wav", PARAMS)
    assert sound.windows().shape == (0, 4000)
    assert sound.spectrograms().shape == (0, 32, PARAMS.frames)


def test_a_file_that_is_no_audio_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "words.mp3").write_text("words")
    with pytest.raises(genreflow.DecodeError) as caught:
        genreflow.read_sound(tmp_path / "words.mp3")
    assert caught.value.reason == "undecodable"
