"""Clips read by seeking are those of the whole track decoded, resampled and cut."""

from __future__ import annotations

import pathlib
import struct
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import soundfile
from hypothesis import given

from components.audio.clips import clip_starts
from components.audio.decoding import clip_reader
from components.audio.decoding.clip_reader import read_clips, resampled_length
from components.audio.decoding.decode import DecodeError, decode, resample
from components.audio.decoding.decoder import InProcessDecoder
from components.audio.params import AudioParams

PARAMS = AudioParams(clip_seconds=1.0)
# The difference of two float32 roundings, from another order of additions.
TOLERANCE = 1e-5


def _music(seconds: float, rate_hz: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Return bursts and tones between silences, so that an mp3 encoder uses its bit reservoir."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    tones = sum(0.1 * np.sin(2 * np.pi * f * time_s) for f in (220.0, 441.0, 3000.0))
    bursts = rng.normal(0, 0.3, (len(time_s), channels)) * (np.sin(5 * time_s) > 0.7)[:, None]
    return (tones[:, None] + bursts).astype(np.float32).clip(-0.99, 0.99)


def _tones(seconds: float, rate_hz: int) -> np.ndarray:
    """Return tones with a little noise now and then, whose coding noise is low."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    tones = sum(0.1 * np.sin(2 * np.pi * f * time_s) for f in (220.0, 441.0, 3000.0))
    noise = np.random.default_rng(0).normal(0, 0.03, len(time_s)) * (np.sin(5 * time_s) > 0.7)
    return (tones + noise).astype(np.float32)


def _expected(path: pathlib.Path, starts: list[int]) -> np.ndarray:
    samples, rate_hz = decode(path)
    whole = resample(samples, rate_hz, PARAMS.sample_rate_hz)
    return np.stack([whole[s : s + PARAMS.clip_samples] for s in starts])


def _at(*starts: int):  # type: ignore[no-untyped-def]
    return lambda samples: [min(s, samples - PARAMS.clip_samples) for s in starts]


@pytest.fixture
def no_whole_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that decodes the whole file."""

    def whole(self: object) -> None:
        raise AssertionError("the whole file was decoded")

    monkeypatch.setattr(clip_reader._Plan, "read_whole", whole)


@pytest.mark.usefixtures("no_whole_decode")
@pytest.mark.parametrize("rate_hz", [44100, 48000, 32000, 22050, 16000])
@pytest.mark.parametrize(
    ("mode", "compression"),
    [
        (mode, compression)
        for mode in ("CONSTANT", "AVERAGE", "VARIABLE")
        for compression in (0.0, 0.5, 0.9)
        # Their headers are wrong; a test below covers them.
        if (mode, compression) != ("CONSTANT", 0.9)
    ],
)
def test_mp3s_of_every_kind_are_entered_exactly(
    tmp_path: pathlib.Path, rate_hz: int, mode: str, compression: float
) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(
        path, _music(12, rate_hz), rate_hz, bitrate_mode=mode, compression_level=compression
    )
    starts = [0, 30_001, 77_777, 12 * 22050]
    clips = read_clips(path, PARAMS, _at(*starts))
    np.testing.assert_allclose(
        clips.waveforms, _expected(path, clips.starts), rtol=0, atol=TOLERANCE
    )
    assert clips.track_samples == len(resample(*decode(path), 22050))


@pytest.mark.usefixtures("no_whole_decode")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {"subtype": "PCM_16"}),
        ("a.wav", {"subtype": "PCM_24"}),
        ("a.wav", {"subtype": "FLOAT"}),
        ("a.au", {"subtype": "PCM_16"}),
        ("a.flac", {}),
        ("a.ogg", {}),
    ],
)
@pytest.mark.parametrize("rate_hz", [44100, 11025, 96000])
def test_other_formats_rates_and_channels_too(
    tmp_path: pathlib.Path, name: str, options: dict[str, str], rate_hz: int
) -> None:
    path = tmp_path / name
    soundfile.write(path, _music(12, rate_hz, channels=2), rate_hz, **options)
    clips = read_clips(path, PARAMS, _at(0, 54_321, 100_000))
    np.testing.assert_allclose(
        clips.waveforms, _expected(path, clips.starts), rtol=0, atol=TOLERANCE
    )


def test_real_mp3s_are_entered_exactly(real_data: pathlib.Path, no_whole_decode: None) -> None:
    params = AudioParams()
    for path in sorted((real_data / "fma" / "fma_small" / "000").glob("*.mp3")):
        for seed in range(5):
            clips = read_clips(
                path,
                params,
                lambda n, seed=seed, path=path: clip_starts(  # type: ignore[misc]
                    n, params.clip_samples, 4, track_id=path.stem, seed=seed
                ),
            )
            whole = resample(*decode(path), params.sample_rate_hz)
            expected = np.stack([whole[s : s + params.clip_samples] for s in clips.starts])
            np.testing.assert_allclose(clips.waveforms, expected, rtol=0, atol=TOLERANCE)
            assert clips.track_samples == len(whole)


def test_strict_and_clips_that_cover_the_file_decode_it_whole(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "a.flac", _music(4, 44100), 44100)
    calls: list[str] = []
    whole = clip_reader._Plan.read_whole
    monkeypatch.setattr(
        clip_reader._Plan, "read_whole", lambda self: calls.append("whole") or whole(self)
    )
    covering = _at(0, 22050, 44100, 66150)
    dense = read_clips(tmp_path / "a.flac", PARAMS, covering)
    strict = read_clips(tmp_path / "a.flac", PARAMS, _at(0), strict=True)
    assert calls == ["whole", "whole"]
    np.testing.assert_array_equal(dense.waveforms[0], strict.waveforms[0])


@given(st.integers(1, 200_000), st.sampled_from([8000, 11025, 16000, 32000, 44100, 48000, 44056]))
def test_the_length_is_what_the_resampler_makes(samples: int, rate_hz: int) -> None:
    made = resample(np.zeros(samples, np.float32), rate_hz, 22050)
    assert len(made) == resampled_length(samples, rate_hz, 22050)


def _reason(path: pathlib.Path) -> str:
    with pytest.raises(DecodeError) as caught:
        read_clips(path, PARAMS, _at(0, 50_000))
    assert caught.value.detail
    return caught.value.reason


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_a_file_that_is_broken_off_is_rejected_and_not_taken_for_a_shorter_one(
    tmp_path: pathlib.Path, mode: str
) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, _music(20, 44100), 44100, bitrate_mode=mode)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert _reason(path) == "truncated"


def test_a_header_that_is_a_little_off_costs_a_whole_decode_and_nothing_else(
    tmp_path: pathlib.Path,
) -> None:
    # At constant low rates this encoder's headers claim up to two frames too many.
    path = tmp_path / "a.mp3"
    soundfile.write(path, _music(10, 44100), 44100, bitrate_mode="CONSTANT", compression_level=0.95)
    with soundfile.SoundFile(path) as audio:
        claimed = audio.frames
    samples, _ = decode(path)
    assert claimed > len(samples)
    clips = read_clips(path, PARAMS, _at(0, 10**9))
    assert clips.track_samples == resampled_length(len(samples), 44100, 22050)
    np.testing.assert_allclose(
        clips.waveforms, _expected(path, clips.starts), rtol=0, atol=TOLERANCE
    )


def test_a_seek_that_comes_out_elsewhere_costs_a_whole_decode(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, _music(20, 44100), 44100)
    right = read_clips(path, PARAMS, _at(0, 50_000), strict=True)
    seek = soundfile.SoundFile.seek

    def stray(self: soundfile.SoundFile, frames: int, *rest: int) -> int:
        off = 4410 if 0 < frames < self.frames - 50_000 else 0
        return int(seek(self, frames + off, *rest))

    monkeypatch.setattr(soundfile.SoundFile, "seek", stray)
    clips = read_clips(path, PARAMS, _at(0, 50_000))
    np.testing.assert_allclose(clips.waveforms, right.waveforms, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(("level_db", "silent"), [(-61.0, True), (-59.0, False)])
def test_a_track_is_near_silent_if_each_clip_is(
    tmp_path: pathlib.Path, level_db: float, silent: bool
) -> None:
    noise = np.random.default_rng(0).normal(0, 10 ** (level_db / 20), 10 * 22050)
    soundfile.write(tmp_path / "a.wav", noise, 22050, subtype="FLOAT")
    if silent:
        assert _reason(tmp_path / "a.wav") == "near_silent"
    else:
        read_clips(tmp_path / "a.wav", PARAMS, _at(0, 50_000))


def test_digital_silence_is_near_silent(tmp_path: pathlib.Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(10 * 22050), 22050)
    assert _reason(tmp_path / "a.wav") == "near_silent"


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg"])
@pytest.mark.parametrize("strict", [False, True])
def test_silent_clips_are_left_out_one_by_one(
    tmp_path: pathlib.Path, name: str, strict: bool
) -> None:
    music = _tones(12, 44100)
    left, right = music.copy(), music.copy()
    left[: 3 * 44100] = right[: 3 * 44100] = 0
    right[6 * 44100 : 9 * 44100] *= -1
    soundfile.write(tmp_path / name, np.stack([left, right], axis=1), 44100)
    starts = [22050 * second for second in (7, 4, 1, 10)]
    clips = read_clips(tmp_path / name, PARAMS, _at(*starts), strict=strict)
    assert clips.left_out == ("channels_cancel", "", "near_silent", "")
    assert clips.starts == [starts[1], starts[3]]
    np.testing.assert_allclose(
        clips.waveforms, _expected(tmp_path / name, clips.starts), rtol=0, atol=TOLERANCE
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {"subtype": "PCM_16"}),
        ("a.wav", {"subtype": "ULAW"}),
        ("a.flac", {}),
        ("a.mp3", {"compression_level": 0.9}),
        ("a.ogg", {"compression_level": 0.9}),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_a_file_whose_channels_cancel_is_named_as_such(
    tmp_path: pathlib.Path, name: str, options: dict[str, Any], strict: bool
) -> None:
    left = _tones(12, 44100)
    soundfile.write(tmp_path / name, np.stack([left, -left], axis=1), 44100, **options)
    if name == "a.ogg":  # what is left of it is coding noise
        assert 10 ** (-50 / 20) < decode(tmp_path / name)[0].std() < 10 ** (-30 / 20)
    with pytest.raises(DecodeError, match="keep one") as caught:
        read_clips(tmp_path / name, PARAMS, _at(0, 50_000), strict=strict)
    assert caught.value.reason == "channels_cancel"


def test_real_stereo_music_never_cancels(real_data: pathlib.Path) -> None:
    for path in sorted((real_data / "fma" / "fma_small" / "000").glob("*.mp3")):
        clips = read_clips(path, PARAMS, lambda samples: list(range(0, samples - 22050, 22050)))
        assert "channels_cancel" not in clips.left_out


def test_samples_that_are_no_numbers_are_found_in_a_clip_and_by_strict_anywhere(
    tmp_path: pathlib.Path,
) -> None:
    samples = _music(20, 22050)
    samples[50_500] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 22050, subtype="FLOAT")
    assert _reason(tmp_path / "a.wav") == "not_finite"
    read_clips(tmp_path / "a.wav", PARAMS, _at(0, 100_000))
    with pytest.raises(DecodeError, match="NaN"):
        read_clips(tmp_path / "a.wav", PARAMS, _at(0, 100_000), strict=True)


@pytest.mark.parametrize(("samples", "enough"), [(22050, True), (22049, False)])
def test_exactly_one_clip_is_enough_and_one_sample_less_is_not(
    tmp_path: pathlib.Path, samples: int, enough: bool
) -> None:
    soundfile.write(tmp_path / "a.wav", _music(1, 22050)[:samples], 22050)
    if enough:
        assert read_clips(tmp_path / "a.wav", PARAMS, _at(0, 5)).starts == [0, 0]
    else:
        assert _reason(tmp_path / "a.wav") == "too_short"


@pytest.mark.parametrize("rate_hz", [1, 3999, 384001, 2_000_000_000])
def test_an_impossible_sample_rate_in_the_header_is_named(
    tmp_path: pathlib.Path, rate_hz: int
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, _music(3, 22050), 22050)
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate_hz)
    path.write_bytes(bytes(content))
    assert _reason(path) == "bad_sample_rate"


def test_windows_of_another_model_are_cut_from_the_whole_track_at_its_rate(
    tmp_path: pathlib.Path,
) -> None:
    """Read windows of 0.75 s at 16 kHz over clips of 1 s and of 0.5 s."""
    path = tmp_path / "a.mp3"
    soundfile.write(path, _music(20, 44100, channels=2), 44100)
    found = InProcessDecoder().read_windows(
        path, [(12.0, 12.5), (3.0, 4.0)], rate_hz=16000, window_samples=12000
    )
    whole = resample(*decode(path), 16000)
    starts = (3 * 16000, 3 * 16000 + 4000, 12 * 16000 - 2000)
    expected = np.stack([whole[start : start + 12000] for start in starts])
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


def test_silent_windows_are_left_out_and_a_short_track_has_none(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.wav"
    sound = _tones(4, 8000)
    sound[8000:16000] = 0
    soundfile.write(path, sound, 8000)
    decoder = InProcessDecoder()
    found = decoder.read_windows(path, [(0.0, 3.0)], rate_hz=8000, window_samples=8000)
    assert len(found) == 2
    for stretch, window_samples, reason in (
        ((1.0, 2.0), 8000, "near_silent"),
        ((0.0, 1.0), 32001, "too_short"),
    ):
        with pytest.raises(DecodeError) as caught:
            decoder.read_windows(path, [stretch], rate_hz=8000, window_samples=window_samples)
        assert caught.value.reason == reason
