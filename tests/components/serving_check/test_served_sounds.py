"""The sounds of every run have the same samples as waveforms and as WAV files."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from components.audio.params import AudioParams
from components.audio.spectrogram.mel import log_mel
from components.serving_check import sounds
from tests.support.serving_toys import PARAMS


@pytest.mark.parametrize("params", [PARAMS, AudioParams()])
def test_a_wav_file_holds_exactly_the_samples_of_the_waveform(params: AudioParams) -> None:
    for pcm in (*sounds.short_sounds(params).values(), sounds.long_sound(params)):
        packed = io.BytesIO(sounds.wav_bytes(pcm, params.sample_rate_hz))
        samples, rate = soundfile.read(packed, dtype="float32")
        assert rate == params.sample_rate_hz
        np.testing.assert_array_equal(samples, sounds.waveform(pcm))


def test_the_sounds_are_the_same_every_time_and_differ_from_each_other() -> None:
    params = AudioParams()
    first, again = sounds.short_sounds(params), sounds.short_sounds(params)
    assert list(first) == list(again)
    for name, pcm in first.items():
        np.testing.assert_array_equal(pcm, again[name])
        assert pcm.shape == (params.clip_samples,)
        assert 0.2 < np.abs(sounds.waveform(pcm)).max() < 1.0
    pictures = log_mel(np.stack([sounds.waveform(pcm) for pcm in first.values()]), params)
    for one in range(len(first)):
        for other in range(one):
            assert np.abs(pictures[one] - pictures[other]).mean() > 1.0
    assert len(sounds.long_sound(params)) == 2.5 * params.clip_samples


def test_no_picture_rests_on_rounding() -> None:
    """Far below a clip's peak two front ends differ, so little of a spectrogram may lie there."""
    params = AudioParams()
    pictures = log_mel(
        np.stack([sounds.waveform(pcm) for pcm in sounds.short_sounds(params).values()]), params
    )
    assert (pictures < -75).mean() < 0.01
