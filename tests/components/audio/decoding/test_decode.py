"""Decoding of formats, rates and channels, and of all kinds of bad files."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from components.audio.decoding import decode
from components.audio.decoding.decode import DecodeError
from components.audio.decoding.formats import readable_extensions
from components.datasets.track import REJECT_REASONS

RATE_HZ = 22050


def tone(seconds: float, rate_hz: int = RATE_HZ, hz: float = 440.0) -> npt.NDArray[np.float32]:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def reason_of(path: pathlib.Path) -> str:
    with pytest.raises(DecodeError) as caught:
        decode.decode(path)
    assert caught.value.detail
    return caught.value.reason


@pytest.mark.parametrize("extension", [".au", ".flac", ".mp3", ".ogg", ".wav"])
def test_every_named_format_decodes_to_the_sound_that_went_in(
    tmp_path: pathlib.Path, extension: str
) -> None:
    path = tmp_path / f"a{extension}"
    sound = tone(1.0)
    soundfile.write(path, sound, RATE_HZ)
    samples, rate_hz = decode.decode(path)
    assert rate_hz == RATE_HZ
    assert samples.dtype == np.float32
    assert samples.flags.c_contiguous
    assert abs(len(samples) - len(sound)) <= 1152  # one mp3 frame
    # Compare spectra, because lossy codecs may delay the sound.
    spectrum = np.abs(np.fft.rfft(samples[:RATE_HZ]))
    assert abs(int(spectrum.argmax()) - 440) <= 1
    assert 0.4 < np.abs(samples).max() < 0.6


@pytest.mark.parametrize("rate_hz", [8000, 44100, 48000])
def test_the_files_own_rate_is_returned(tmp_path: pathlib.Path, rate_hz: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(0.5, rate_hz), rate_hz)
    samples, found_hz = decode.decode(path)
    assert (found_hz, len(samples)) == (rate_hz, rate_hz // 2)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_channels_are_averaged(tmp_path: pathlib.Path, channels: int) -> None:
    path = tmp_path / "a.wav"
    sound = np.random.default_rng(0).uniform(-1, 1, (5000, channels)).astype(np.float32)
    soundfile.write(path, sound, RATE_HZ, subtype="FLOAT")
    samples, _ = decode.decode(path)
    assert samples.shape == (5000,)
    np.testing.assert_allclose(samples, sound.astype(np.float64).mean(axis=1), atol=1e-6)


def test_16_bit_wav_decodes_to_exact_fractions(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.wav"
    integers = np.array([-32768, -1, 0, 1, 32767], np.int16)
    soundfile.write(path, integers, RATE_HZ, subtype="PCM_16")
    assert decode.decode(path)[0].tolist() == [value / 32768 for value in integers.tolist()]


def test_a_header_and_no_samples_is_an_empty_array(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(0.0), RATE_HZ)
    samples, _ = decode.decode(path)
    assert (samples.shape, samples.dtype) == ((0,), np.float32)


def test_a_name_that_is_not_utf8_decodes(tmp_path: pathlib.Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff\x1b[31m.wav"
    soundfile.write(raw, tone(0.1), RATE_HZ)
    assert len(decode.decode(os.fsdecode(raw))[0]) == 2205


def test_missing_files_folders_and_impossible_names(tmp_path: pathlib.Path) -> None:
    assert reason_of(tmp_path / "nothing.mp3") == "missing_file"
    assert reason_of(tmp_path) == "missing_file"
    assert reason_of(tmp_path / "nul\0byte.mp3") == "missing_file"
    (tmp_path / "dangling.mp3").symlink_to(tmp_path / "nothing.mp3")
    assert reason_of(tmp_path / "dangling.mp3") == "missing_file"


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    assert reason_of(tmp_path / "pipe.wav") == "missing_file"


def test_a_file_of_no_bytes(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"")
    assert reason_of(tmp_path / "a.mp3") == "empty_file"


@pytest.mark.parametrize("extension", [*readable_extensions(), ".gsm", ".vox", ".raw", ".m4a", ""])
@pytest.mark.parametrize("content", [b"hello world\n" * 500, b"\0" * 5000, b"x"])
def test_a_file_that_is_not_audio_says_so(
    tmp_path: pathlib.Path, extension: str, content: bytes
) -> None:
    path = tmp_path / f"notes{extension}"
    path.write_bytes(content)
    with pytest.raises(DecodeError) as caught:
        decode.decode(path)
    assert caught.value.reason == "undecodable"
    assert "does not exist" not in caught.value.detail
    assert str(tmp_path) not in caught.value.detail


def test_libsndfile_still_takes_anything_named_au_for_sound(tmp_path: pathlib.Path) -> None:
    # The reason why decode refuses format RAW; if this fails, that check can be removed.
    (tmp_path / "notes.au").write_bytes(b"hello" * 100)
    assert soundfile.info(tmp_path / "notes.au").format == "RAW"


def test_an_mp3_cut_in_half_is_refused_or_gives_the_half_that_is_there(
    tmp_path: pathlib.Path,
) -> None:
    whole, half = tmp_path / "whole.mp3", tmp_path / "half.mp3"
    soundfile.write(whole, tone(4.0), RATE_HZ)
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert reason_of(half) == "truncated"
    with decode.opened(half, partial=True) as audio:
        assert [fault.reason for fault in audio.faults] == ["truncated"]
        assert 1.5 < len(decode.read_all(audio)) / RATE_HZ < 2.5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, -1.1e6])
def test_samples_that_are_no_sound_are_refused(tmp_path: pathlib.Path, bad: float) -> None:
    path = tmp_path / "a.wav"
    sound = np.stack([tone(0.1)] * 2, axis=1)
    sound[100, 1] = 2 * bad
    soundfile.write(path, sound, RATE_HZ, subtype="FLOAT")
    assert reason_of(path) == "not_finite"


def test_16_bit_scale_floats_are_loud_but_allowed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(0.1) * 32768, RATE_HZ, subtype="FLOAT")
    assert decode.decode(path)[0].max() > 16000


def test_the_longest_file_is_read_and_a_longer_one_is_not(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "MAX_SECONDS", 1.0)
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(1.0), RATE_HZ)
    assert len(decode.decode(path)[0]) == RATE_HZ
    soundfile.write(path, np.zeros(RATE_HZ + 1, np.float32), RATE_HZ)
    assert reason_of(path) == "too_long"


def test_every_reason_is_on_the_closed_list(tmp_path: pathlib.Path) -> None:
    source = pathlib.Path(decode.__file__).read_text("utf-8")
    used = {line.split('"')[1] for line in source.splitlines() if 'DecodeError("' in line}
    assert used
    assert used <= set(REJECT_REASONS)


def test_resampling_keeps_length_in_seconds_and_the_tone() -> None:
    sound = tone(2.0, 44100)
    low = decode.resample(sound, 44100, RATE_HZ)
    assert low.dtype == np.float32
    assert len(low) == 44100
    middle = slice(2000, -2000)
    np.testing.assert_allclose(low[middle], tone(2.0)[middle], atol=1e-3)


def test_resampling_to_the_same_rate_is_the_input_itself() -> None:
    sound = tone(0.1)
    assert decode.resample(sound, RATE_HZ, RATE_HZ) is sound


@pytest.mark.parametrize("samples", [0, 1])
def test_resampling_almost_nothing(samples: int) -> None:
    assert len(decode.resample(np.zeros(samples, np.float32), 44100, RATE_HZ)) <= samples


def test_real_mp3s_decode_to_their_known_lengths(real_data: pathlib.Path) -> None:
    for track in ("000002", "000005", "000140"):
        samples, rate_hz = decode.decode(real_data / "fma/fma_small/000" / f"{track}.mp3")
        assert rate_hz == 44100
        assert 29 < len(samples) / rate_hz < 31
        assert 0.05 < np.abs(samples).max() <= 1.5


@pytest.mark.parametrize("kind", ["wav", "au"])
@pytest.mark.parametrize(("left", "reason"), [(0.4, "truncated"), (0.999, None)])
def test_stored_samples_that_end_before_their_header_says_are_truncated(
    tmp_path: pathlib.Path, kind: str, left: float, reason: str | None
) -> None:
    """libsndfile takes the rest of a truncated file for the whole file."""
    path = tmp_path / f"a.{kind}"
    samples = np.random.default_rng(0).normal(0, 0.1, (10 * 22050, 2))
    soundfile.write(path, samples, 22050, format=kind.upper())
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * left)])
    if reason is None:
        assert len(decode.decode(path)[0]) == pytest.approx(10 * 22050 * left, abs=50)
        return
    with pytest.raises(DecodeError, match=r"4\.0 s of .*, but its header says 10\.0 s") as caught:
        decode.decode(path)
    assert caught.value.reason == reason


def test_a_header_without_any_samples_behind_it_is_truncated(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(22050), 22050)
    path.write_bytes(path.read_bytes()[:44])
    with pytest.raises(DecodeError, match="no audio behind its header") as caught:
        decode.decode(path)
    assert caught.value.reason == "truncated"


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff", b"\xf0\xff\xff\xff", b"\x00\xf0\xff\x7f"])
def test_a_length_that_its_writer_did_not_know_yet_claims_nothing(
    tmp_path: pathlib.Path, length: bytes
) -> None:
    path = tmp_path / "a.wav"
    samples = np.random.default_rng(0).integers(-3000, 3000, 3 * 22050).astype(np.int16)
    soundfile.write(path, samples, 22050)
    content = bytearray(path.read_bytes())
    content[40:44] = length
    path.write_bytes(bytes(content))
    np.testing.assert_array_equal(decode.decode(path)[0], samples.astype(np.float32) / 32768)
