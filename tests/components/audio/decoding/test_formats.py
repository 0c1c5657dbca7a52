"""The table of audio formats, and the decoder's independence of extensions."""

from __future__ import annotations

import pathlib
import shlex

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from components.audio.decoding import decode, formats
from components.audio.decoding.decoder import InProcessDecoder
from components.audio.params import AudioParams
from tests.support import ROOT

RATE_HZ = 8000  # WVE knows no other
# soundfile's format by an extension of each format that libsndfile reads, and its codec.
WRITTEN_AS = {
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".wav": ("WAV", "PCM_16"),
    ".rf64": ("RF64", "PCM_16"),
    ".w64": ("W64", "PCM_16"),
    ".aiff": ("AIFF", "PCM_16"),
    ".caf": ("CAF", "ALAC_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "OPUS"),
    ".au": ("AU", "PCM_16"),
    ".voc": ("VOC", "PCM_16"),
    ".8svx": ("SVX", "PCM_16"),
    ".sf": ("IRCAM", "PCM_16"),
    ".sph": ("NIST", "PCM_16"),
    ".paf": ("PAF", "PCM_16"),
    ".pvf": ("PVF", "PCM_16"),
    ".wve": ("WVE", "ALAW"),
    ".avr": ("AVR", "PCM_16"),
}
READ = [one for one in formats.FORMATS if one.reader == "libsndfile"]


def tone(seconds: float) -> npt.NDArray[np.float32]:
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.5 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)


def pitch_hz(samples: npt.NDArray[np.float32], rate_hz: int) -> int:
    """Return the loudest frequency of the second second."""
    return int(np.abs(np.fft.rfft(samples[rate_hz : 2 * rate_hz])).argmax())


@pytest.mark.parametrize("one", READ, ids=lambda one: one.name)
def test_a_file_decodes_to_the_same_samples_under_every_spelling_of_its_extension(
    one: formats.Format, tmp_path: pathlib.Path
) -> None:
    container, codec = WRITTEN_AS[one.extensions[0]]
    written = tmp_path / "without-extension"
    soundfile.write(written, tone(3.0), RATE_HZ, format=container, subtype=codec)
    expected, rate_hz = decode.decode(written)
    assert pitch_hz(expected, rate_hz) == 440
    for extension in (*one.extensions, *map(str.upper, one.extensions), ".mp3", ".flac", ".raw"):
        named = written.rename(tmp_path / f"song{extension}")
        samples, _ = decode.decode(named)
        np.testing.assert_array_equal(samples, expected)
        written = named


@pytest.mark.parametrize(
    ("container", "codec"),
    [("WAV", "GSM610"), ("AIFF", "GSM610"), ("W64", "GSM610"), ("AU", "G723_40"),
     ("WAV", "NMS_ADPCM_32")],
)  # fmt: skip
def test_a_codec_that_cannot_seek_gives_whole_files_and_clips(
    container: str, codec: str, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "song"
    soundfile.write(path, tone(20.0), RATE_HZ, format=container, subtype=codec)
    with soundfile.SoundFile(path) as audio:
        assert not audio.seekable()
    params = AudioParams()
    with InProcessDecoder() as decoder:
        whole = decoder.decode(path, RATE_HZ).samples
        clips = decoder.read_clips(path, params, track_id="a", seed=0)
        decoder.write_wav(path, tmp_path / "whole.wav")
    assert pitch_hz(whole, RATE_HZ) == 440
    assert 0 <= len(whole) - 20 * RATE_HZ < 160  # the codecs fill their last block
    assert clips.waveforms.shape == (params.clips_per_track, params.clip_samples)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "whole.wav")[0], whole)


def test_extensions_are_lower_case_and_belong_to_one_format() -> None:
    extensions = [extension for one in formats.FORMATS for extension in one.extensions]
    assert len(extensions) == len(set(extensions))
    assert all(e == e.lower() and e.startswith(".") for e in extensions)
    assert set(WRITTEN_AS) == {one.extensions[0] for one in READ}


@pytest.mark.parametrize("name", ["a.MP3", "b.Oga", "x.y/c.wave", "d.W64", "e.AIFC", "f.opus"])
def test_audio_that_is_read_needs_no_refusal(name: str) -> None:
    assert formats.is_readable(name)
    assert formats.refusal(name) is None
    assert formats.extension_of(name) in formats.readable_extensions()


@pytest.mark.parametrize(
    "name", ["cover.jpg", "notes.txt", "Makefile", ".mp3", "list.m3u", "a.mat"]
)
def test_what_is_no_audio_is_neither_read_nor_refused(name: str) -> None:
    assert not formats.is_readable(name)
    assert formats.refusal(name) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.M4P", ".m4p (iTunes purchase with DRM) is not read; it is encrypted"),
        ("b.aax", "use a copy without DRM"),
        ("c.mid", "holds notes, not sound"),
        ("d.xm", "holds notes, not sound"),
        ("e.avi", "a video, whose sound ffmpeg extracts: ffmpeg -i song.avi -vn song.flac"),
        ("f.sd2", "export it as WAV or FLAC"),
    ],
)
def test_audio_that_is_never_read_says_why(name: str, words: str) -> None:
    assert words in (formats.refusal(name) or "")


def test_the_advice_is_a_command_for_any_extension() -> None:
    command = formats.advice(".ABC").removeprefix("convert it: ")
    assert shlex.split(command) == ["ffmpeg", "-i", "song.abc", "-vn", "song.flac"]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("a.m4a", "convert it: ffmpeg -i song.m4a -vn song.flac"),
        ("b.WMA", "convert it: ffmpeg -i song.wma -vn song.flac"),
        ("c.mkv", "a video, whose sound ffmpeg extracts: ffmpeg -i song.mkv -vn song.flac"),
    ],
)
def test_without_pyav_its_formats_are_refused_with_both_ways_out(
    name: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extension = formats.extension_of(name)
    monkeypatch.setattr(formats, "has_pyav", lambda: True)
    assert formats.is_readable(name)
    assert formats.refusal(name) is None
    assert extension in formats.readable_extensions()
    monkeypatch.setattr(formats, "has_pyav", lambda: False)
    assert not formats.is_readable(name)
    refusal = formats.refusal(name)
    assert refusal is not None
    assert refusal.startswith(f"{extension} (")
    assert refusal.endswith(f'is read if PyAV is installed: pip install "av>=17,<18"; or {advice}')
    assert extension not in formats.readable_extensions()


def test_the_sentence_names_the_versions_of_the_extra() -> None:
    assert f'"av": ["{formats.PYAV}"]' in (ROOT / "setup.py").read_text(encoding="utf-8")
