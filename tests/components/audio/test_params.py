"""AudioParams: derived numbers, round trips, and the hash that keeps artifacts apart."""

from __future__ import annotations

import dataclasses
import json

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.audio.front_ends.mel_db import MelDb
from components.audio.params import AudioParams


def test_default_numbers_are_those_of_the_study() -> None:
    params = AudioParams()
    assert params.clip_samples == 44100
    assert params.frames == 87
    assert params.mel_bytes == 128 * 87 * 2


@given(
    fft=st.sampled_from([64, 100, 512, 2048]),
    hop=st.integers(16, 64),
    samples=st.integers(2048, 9000),
)
def test_frames_is_what_librosa_makes(fft: int, hop: int, samples: int) -> None:
    params = AudioParams(
        sample_rate_hz=8000, fft_samples=fft, hop_samples=hop, clip_seconds=samples / 8000
    )
    assert params.clip_samples == samples
    spectrum = librosa.stft(
        np.zeros(samples, np.float32), n_fft=fft, hop_length=hop, center=True, pad_mode="constant"
    )
    assert spectrum.shape[-1] == params.frames


def test_a_clip_of_exactly_one_fft_is_allowed_and_one_sample_less_is_not() -> None:
    assert AudioParams(sample_rate_hz=8000, clip_seconds=2048 / 8000).clip_samples == 2048
    with pytest.raises(ValueError, match="shorter than one FFT of 2048"):
        AudioParams(sample_rate_hz=8000, clip_seconds=2047 / 8000)


def test_a_hop_longer_than_the_fft_is_refused() -> None:
    assert AudioParams(fft_samples=512, hop_samples=512).hop_samples == 512
    with pytest.raises(ValueError, match="hop_samples = 514 skips audio"):
        AudioParams(fft_samples=512, hop_samples=514)


def test_an_odd_fft_is_refused_because_centred_frames_would_not_fit() -> None:
    with pytest.raises(ValueError, match="fft_samples = 2047 is odd"):
        AudioParams(fft_samples=2047)


def test_json_round_trip() -> None:
    params = AudioParams(sample_rate_hz=16000, n_mels=64, clip_seconds=1.5)
    assert AudioParams.from_json(json.loads(json.dumps(params.to_json()))) == params


def test_what_a_model_is_judged_by_is_no_part_of_what_it_hears() -> None:
    params = AudioParams(evaluation_clips="all")
    assert AudioParams.from_json(params.to_json()) == params
    assert params.digest() == AudioParams().digest()


def test_from_json_names_the_keys_when_one_is_missing_or_unknown() -> None:
    values = AudioParams().to_json()
    with pytest.raises(ValueError, match="need exactly"):
        AudioParams.from_json({**values, "speed": 2})
    values.pop("n_mels")
    with pytest.raises(ValueError, match="n_mels"):
        AudioParams.from_json(values)


def test_every_parameter_and_the_front_end_version_change_the_digest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    params = AudioParams()
    digests = {params.digest(), AudioParams.of_front_end("musicnn").digest()}
    numbers = [
        field for field in dataclasses.fields(params) if isinstance(field.default, int | float)
    ]
    for field in numbers:
        changed = getattr(params, field.name) * 2
        if field.name == "hop_samples":
            changed = 256
        digests.add(dataclasses.replace(params, **{field.name: changed}).digest())
    monkeypatch.setattr(MelDb, "version", 1000)
    digests.add(params.digest())
    assert len(digests) == len(numbers) + 3
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in digests)


def test_the_digest_of_the_default_is_the_one_that_models_already_carry() -> None:
    # Changes only with a front end's version or a default: both make old artifacts unusable.
    assert AudioParams().digest() == "7b605615b4a6665f"


def test_the_parameters_of_models_from_before_there_were_front_ends_can_be_read() -> None:
    values = AudioParams(n_mels=64).to_json()
    del values["front_end"], values["evaluation_clips"]
    assert AudioParams.from_json(values) == AudioParams(n_mels=64)


def test_a_front_end_fills_in_what_it_fixes() -> None:
    params = AudioParams.of_front_end("musicnn", clips_per_track=7)
    assert (params.sample_rate_hz, params.clip_samples, params.clips_per_track) == (16000, 48000, 7)
    assert (params.n_mels, params.frames) == (96, 187)
    assert AudioParams.from_json(json.loads(json.dumps(params.to_json()))) == params
    assert AudioParams.of_front_end("mel_db") == AudioParams()


@pytest.mark.parametrize(
    ("name", "value", "fixed"),
    [
        ("sample_rate_hz", 22050, 16000),
        ("fft_samples", 1024, 512),
        ("hop_samples", 128, 256),
        ("n_mels", 128, 96),
        ("clip_seconds", 2.0, 3.0),
    ],
)
def test_what_a_front_end_fixes_cannot_be_set(name: str, value: float, fixed: float) -> None:
    message = f"{name} = {value}: the front end 'musicnn' fixes it at {fixed}; remove it"
    with pytest.raises(ValueError, match=message):
        AudioParams.of_front_end("musicnn", **{name: value})


@pytest.mark.parametrize("name", ["mel", "", "Musicnn"])
def test_an_unknown_front_end_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unknown; there are: mel_db, musicnn"):
        AudioParams(front_end=name)
