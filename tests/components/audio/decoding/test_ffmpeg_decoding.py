"""Files that FFmpeg's libraries decode, through every task of both decoders."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

from benchmarks.fuzz_decoder import damage
from benchmarks.shared import av_files
from components.audio import duplicates
from components.audio.clips import clip_starts
from components.audio.decoding import decode as decoding
from components.audio.decoding.decode import DECODE_REASONS, DecodeError
from components.audio.decoding.decoder import Decoder, InProcessDecoder
from components.audio.decoding.isolation import IsolatedDecoder
from components.audio.decoding.limits import DecodeLimits
from components.audio.params import AudioParams
from tests.components.audio.decoding.test_ffmpeg import LOSSLESS, make, music

pytestmark = pytest.mark.usefixtures("pyav")

NAMES = ("song.m4a", "alac16.m4a", "opus.webm", "v2.wma", "song.aac", "song.wv")
PARAMS = AudioParams(sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16,
                     clip_seconds=1.0, clips_per_track=3)  # fmt: skip
RATE_HZ = 48000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("songs")
    for name in NAMES:
        make(folder, name, music(5.0, RATE_HZ), RATE_HZ)
    soundfile.write(folder / "song.flac", music(5.0, RATE_HZ), RATE_HZ)
    return folder


@pytest.fixture(scope="module", params=["in process", "isolated"])
def decoder(request: pytest.FixtureRequest) -> Iterator[Decoder]:
    isolated = request.param == "isolated"
    with IsolatedDecoder(DecodeLimits()) if isolated else InProcessDecoder() as decoder:
        yield decoder


@pytest.mark.parametrize("name", NAMES)
def test_clips_are_those_of_the_whole(decoder: Decoder, folder: pathlib.Path, name: str) -> None:
    path = folder / name
    clips = decoder.read_clips(path, PARAMS, track_id="t", seed=0)
    whole = decoder.decode(path, PARAMS.sample_rate_hz)
    starts = clip_starts(len(whole.samples), PARAMS.clip_samples, 3, track_id="t", seed=0)
    assert clips.starts == starts
    for start, waveform in zip(starts, clips.waveforms, strict=True):
        assert np.array_equal(waveform, whole.samples[start : start + PARAMS.clip_samples])
    assert clips.track_samples == len(whole.samples)
    assert len(clips.fingerprint) == 16
    strict = decoder.read_clips(path, PARAMS, track_id="t", seed=0, strict=True)
    assert strict.fingerprint == clips.fingerprint


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_is_the_whole_to_the_last_bit(
    decoder: Decoder, folder: pathlib.Path, name: str
) -> None:
    whole = decoder.decode(folder / name, 8000)
    parts = list(decoder.stream(folder / name, 8000, window_samples=4000, windows=3))
    assert np.array_equal(np.concatenate([part.samples for part in parts]), whole.samples)
    assert parts[-1].seconds == pytest.approx(whole.seconds)
    assert parts[-1].faults == ()


@pytest.mark.parametrize("name", NAMES)
def test_the_header_tells_about_the_length(
    decoder: Decoder, folder: pathlib.Path, name: str
) -> None:
    frames, rate_hz = decoder.header(folder / name)
    assert rate_hz == RATE_HZ
    assert frames == pytest.approx(5 * RATE_HZ, abs=4096)


@pytest.mark.parametrize("name", NAMES)
def test_both_decoders_give_the_same_bytes(folder: pathlib.Path, name: str) -> None:
    path = folder / name
    with IsolatedDecoder(DecodeLimits()) as isolated, InProcessDecoder() as here:
        assert isolated.digest(path) == here.digest(path) == isolated.digest(path)


def test_the_whole_track_is_written_as_wav(
    decoder: Decoder, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    decoder.write_wav(folder / "alac16.m4a", tmp_path / "song.wav")
    samples, rate_hz = soundfile.read(tmp_path / "song.wav")
    expected = np.round(music(5.0, RATE_HZ).astype(np.float64) * 2**15) / 2**15
    assert rate_hz == RATE_HZ
    assert np.array_equal(samples, expected)


@pytest.mark.parametrize("extension", ["", ".mp3", ".flac", ".raw", ".au", ".M4A", ".txt"])
def test_the_content_counts_and_not_the_name(
    decoder: Decoder, folder: pathlib.Path, tmp_path: pathlib.Path, extension: str
) -> None:
    path = tmp_path / os.fsdecode(b"s\xff ng" + extension.encode())
    path.write_bytes((folder / "song.m4a").read_bytes())
    assert decoder.digest(path) == decoder.digest(folder / "song.m4a")


def test_a_song_kept_in_two_lossless_formats_is_one(tmp_path: pathlib.Path) -> None:
    sound = music(5.0)
    soundfile.write(tmp_path / "b.flac", sound, 44100, subtype="PCM_16")
    make(tmp_path, "alac16.m4a", sound)
    tracks = []
    with InProcessDecoder() as decoder:
        for track_id, name in (("1", "alac16.m4a"), ("2", "b.flac")):
            clips = decoder.read_clips(tmp_path / name, PARAMS, track_id=track_id, seed=0)
            tracks.append((track_id, str(tmp_path / name), clips.fingerprint))
    assert duplicates.find_duplicates(tracks) == {"2": "1"}


def reject(decoder: Decoder, path: pathlib.Path) -> tuple[str, str]:
    with pytest.raises(DecodeError) as caught:
        decoder.read_clips(path, PARAMS, track_id="t", seed=0)
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize("name", ["song.wv", "opus.webm", "v2.wma"])
def test_training_refuses_a_cut_file_and_prediction_reads_what_is_there(
    decoder: Decoder, folder: pathlib.Path, tmp_path: pathlib.Path, name: str
) -> None:
    content = (folder / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: len(content) // 2])
    reason, detail = reject(decoder, path)
    assert reason == "truncated"
    assert "s of audio, but its header says" in detail
    with pytest.raises(DecodeError):
        decoder.header(path)  # without decoding, as check-data asks
    *_, last = decoder.stream(path, 8000, window_samples=4000, windows=3)
    assert [fault.reason for fault in last.faults] == ["truncated"]
    assert 1 < last.seconds < 3.5


def test_what_only_decoding_shows_is_refused_in_training_too(
    decoder: Decoder, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    other = make(tmp_path, "song.aac", music(1.0, 44100), 44100)
    path = tmp_path / "joined.aac"
    path.write_bytes((folder / "song.aac").read_bytes() + other.read_bytes())
    reason, detail = reject(decoder, path)
    assert reason == "unread_audio"
    assert "from 48000 Hz and 2 channels to 44100 Hz" in detail
    *_, last = decoder.stream(path, 8000, window_samples=4000, windows=3)
    assert [fault.reason for fault in last.faults] == ["unread_audio"]


def test_rates_beyond_those_of_other_formats_are_refused(
    decoder: Decoder, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "song.wv"
    recipe = LOSSLESS["song.wv"][0]
    av_files.write(path, music(0.1, 3000), 3000, **recipe)
    assert reject(decoder, path)[0] == "bad_sample_rate"


def test_a_recording_beyond_the_limit_is_refused_before_or_while_it_is_read(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MAX_SECONDS", 3.0)
    for name in NAMES:
        with pytest.raises(DecodeError) as caught:
            decoding.decode(folder / name)
        assert caught.value.reason == "too_long"


def test_a_web_page_is_no_song(decoder: Decoder, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "song.m4a"
    path.write_bytes(b"<!DOCTYPE html><html><body>Sign in to download</body></html>" * 50)
    assert reject(decoder, path)[0] == "undecodable"


def test_without_pyav_the_sentence_names_both_ways_out(
    folder: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['av'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with IsolatedDecoder(DecodeLimits()) as decoder:
        reason, detail = reject(decoder, folder / "song.m4a")
        assert decoder.header(folder / "song.flac")[1] == RATE_HZ  # the others are read
    assert reason == "undecodable"
    assert "(MPEG-4) is read if PyAV is installed: pip install" in detail
    assert detail.endswith("convert it: ffmpeg -i song.m4a -vn song.flac")


def test_a_broken_installation_of_pyav_is_told(
    folder: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "av").mkdir()
    (tmp_path / "av" / "__init__.py").write_text("raise ImportError('version GLIBC_2.99 missing')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with IsolatedDecoder(DecodeLimits()) as decoder:
        told = reject(decoder, folder / "song.m4a")
    assert told == ("undecodable", "PyAV cannot be imported: version GLIBC_2.99 missing")


def test_too_little_memory_for_the_libraries_is_the_file_s_reason(folder: pathlib.Path) -> None:
    with IsolatedDecoder(DecodeLimits(memory_mib=64)) as decoder:
        assert reject(decoder, folder / "song.m4a")[0] == "too_large"


def test_an_ordinary_song_needs_little_memory(folder: pathlib.Path) -> None:
    with IsolatedDecoder(DecodeLimits(memory_mib=256)) as decoder:
        for name in NAMES:
            decoder.decode(folder / name, 22050)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files_end_as_clips_or_as_a_reject_of_the_list(
    decoder: Decoder, folder: pathlib.Path, tmp_path: pathlib.Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    contents = [(folder / name).read_bytes() for name in NAMES]
    path = tmp_path / "case"
    ends = set()
    for _ in range(40):
        content, other = (contents[int(rng.integers(len(contents)))] for _ in range(2))
        path.write_bytes(damage(content, other, rng))
        try:
            decoder.read_clips(path, PARAMS, track_id="t", seed=0)
            ends.add("clips")
        except DecodeError as error:
            ends.add(error.reason)
    assert ends <= {"clips", *DECODE_REASONS} - {"decoder_crashed", "timed_out"}
    assert {"clips", "undecodable"} <= ends


def test_a_fresh_process_gives_the_same_bytes(folder: pathlib.Path) -> None:
    digests = set()
    for _ in range(2):
        with IsolatedDecoder(DecodeLimits()) as decoder:
            digests.add(tuple(decoder.digest(folder / name) for name in NAMES))
    assert len(digests) == 1
