"""Windows of validation and test tracks are the very ones that prediction hears."""

from __future__ import annotations

import dataclasses
import pathlib
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from components.audio.clips import ClipChoice
from components.audio.decoding import clip_reader, streaming
from components.audio.decoding.clip_reader import TrackClips
from components.audio.decoding.decode import DecodeError
from components.audio.decoding.decoder import Decoder, InProcessDecoder
from components.audio.decoding.faults import Fault
from components.audio.decoding.isolation import IsolatedDecoder
from components.audio.decoding.limits import DecodeLimits
from components.audio.decoding.streaming import Part
from components.audio.params import MAX_EVALUATION_CLIPS, AudioParams
from serving.model.prediction import GenreModel, Prediction

PARAMS = AudioParams(clip_seconds=0.5, clips_per_track=2, evaluation_clips="all")
ALL = ClipChoice.of(PARAMS, evaluates=True)


class Listener(GenreModel):
    """Model that keeps the windows that it hears."""

    genres = ("Folk", "Rock")
    sample_rate_hz, clip_samples = PARAMS.sample_rate_hz, PARAMS.clip_samples
    model_card = types.MappingProxyType({})

    def __init__(self, decoder: Decoder) -> None:
        super().__init__(decoder)
        self.heard: list[npt.NDArray[np.float32]] = []

    def predict_windows(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self.heard += list(windows)
        return np.full((len(windows), 2), 0.5, np.float32)


@pytest.fixture(scope="module", params=["in process", "isolated"])
def decoder(request: pytest.FixtureRequest) -> Iterator[Decoder]:
    one = InProcessDecoder() if request.param == "in process" else IsolatedDecoder(DecodeLimits())
    with one as opened:
        yield opened


def _song(path: pathlib.Path, seconds: float, rate_hz: int = 44100) -> pathlib.Path:
    """Write music with a silent second, and one in which the channels cancel."""
    rng = np.random.default_rng(round(seconds * 10))
    samples = rng.normal(0, 0.1, (round(seconds * rate_hz), 1)) * [1.0, 1.0]
    samples[2 * rate_hz : 3 * rate_hz] *= 1e-5
    samples[4 * rate_hz : 5 * rate_hz, 1] *= -1
    soundfile.write(path, samples, rate_hz)
    return path


def _read(decoder: Decoder, path: pathlib.Path, choice: ClipChoice = ALL) -> TrackClips:
    return decoder.read_clips(path, PARAMS, track_id="t", seed=0, choice=choice)


def _predicted(decoder: Decoder, path: pathlib.Path) -> tuple[Prediction, npt.NDArray[np.float32]]:
    model = Listener(decoder)
    prediction = model.predict_file(path)
    return prediction, np.stack(model.heard)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize("rate_hz", [22050, 48000])
def test_all_windows_are_bit_for_bit_those_that_prediction_hears(
    decoder: Decoder, tmp_path: pathlib.Path, name: str, rate_hz: int
) -> None:
    path = _song(tmp_path / name, 12.3, rate_hz)
    prediction, heard = _predicted(decoder, path)
    clips = _read(decoder, path)
    assert clips.left_out == prediction.left_out
    assert len(clips.left_out) == prediction.windows == 24
    assert {"near_silent", ""} <= set(clips.left_out)
    # Vorbis makes cancelling noise alike (components.audio.levels).
    assert "channels_cancel" in clips.left_out or name == "a.ogg"
    counted = [index for index, reason in enumerate(clips.left_out) if not reason]
    assert clips.starts == [index * PARAMS.clip_samples for index in counted]
    np.testing.assert_array_equal(clips.waveforms, heard)


def test_real_mp3s_too(real_data: pathlib.Path, decoder: Decoder) -> None:
    path = real_data / "fma" / "fma_small" / "000" / "000140.mp3"
    _, heard = _predicted(decoder, path)
    np.testing.assert_array_equal(_read(decoder, path).waveforms, heard)


@pytest.mark.parametrize("name", ["a.wav", "a.mp3"])
def test_a_limit_takes_some_of_them_by_seeking(
    decoder: Decoder, tmp_path: pathlib.Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_reader._Plan, "read_parts", None)  # in this process at least
    path = _song(tmp_path / name, 60)
    prediction, heard = _predicted(decoder, path)
    clips = _read(decoder, path, ClipChoice(10, windows=True))
    chosen = [6 + 12 * index for index in range(10)]  # of 120
    assert clips.left_out == tuple(prediction.left_out[window] for window in chosen)
    counted = [window for window in chosen if not prediction.left_out[window]]
    rows = [counted.index(start // PARAMS.clip_samples) for start in clips.starts]
    assert rows == list(range(len(counted)))
    place = np.cumsum([not reason for reason in prediction.left_out]) - 1
    np.testing.assert_allclose(clips.waveforms, heard[place[counted]], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_a_file_has_the_fingerprint_that_it_has_when_trained_on(
    tmp_path: pathlib.Path, name: str
) -> None:
    path = _song(tmp_path / name, 20)
    choices = (ClipChoice.of(PARAMS), ALL, ClipChoice(3, windows=True))
    found = {_read(InProcessDecoder(), path, choice).fingerprint for choice in choices}
    assert len(found) == 1
    assert found != {""}


def test_a_long_recording_has_at_most_the_documented_number_of_windows(
    tmp_path: pathlib.Path,
) -> None:
    seconds = MAX_EVALUATION_CLIPS * PARAMS.clip_seconds
    for extra_windows in (0, 1, 400):
        path = _song(tmp_path / "a.wav", seconds + extra_windows * PARAMS.clip_seconds, 8000)
        assert len(_read(InProcessDecoder(), path).left_out) == MAX_EVALUATION_CLIPS


def test_a_song_of_one_window_has_one_and_a_shorter_one_is_rejected(
    decoder: Decoder, tmp_path: pathlib.Path
) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, PARAMS.clip_samples)
    soundfile.write(tmp_path / "one.wav", samples, PARAMS.sample_rate_hz)
    soundfile.write(tmp_path / "less.wav", samples[1:], PARAMS.sample_rate_hz)
    assert _read(decoder, tmp_path / "one.wav").starts == [0]
    with pytest.raises(DecodeError) as caught:
        _read(decoder, tmp_path / "less.wav")
    assert caught.value.reason == "too_short"


def test_a_truncated_file_is_rejected_although_prediction_takes_what_is_there(
    decoder: Decoder, tmp_path: pathlib.Path
) -> None:
    path = _song(tmp_path / "a.mp3", 20)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert _predicted(decoder, path)[0].warnings
    with pytest.raises(DecodeError) as caught:
        _read(decoder, path)
    assert caught.value.reason == "truncated"


def test_so_is_a_file_whose_end_is_missing_only_when_it_is_reached(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*arguments: Any, **options: Any) -> Iterator[Part]:
        *some, last = streaming.parts(*arguments, **options)
        yield from some
        yield dataclasses.replace(last, faults=(Fault("truncated", "4 of 12 s"),))

    monkeypatch.setattr(clip_reader, "parts", faulty)
    with pytest.raises(DecodeError, match="4 of 12 s"):
        _read(InProcessDecoder(), _song(tmp_path / "a.wav", 12))
