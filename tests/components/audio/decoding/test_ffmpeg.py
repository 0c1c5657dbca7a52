"""The file object over PyAV: what its encoders wrote comes back, and bad files end as told."""

from __future__ import annotations

import io
import pathlib
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.shared import av_files
from components.audio.decoding import pyav
from components.audio.decoding.containers import Container, find_container
from components.audio.decoding.ffmpeg import FFmpegFile, without_padding
from components.audio.decoding.pyav import Reader, UndecodableError
from tests.support import ROOT

pytestmark = pytest.mark.usefixtures("pyav")

Samples = npt.NDArray[np.float32]

# Name: what av_files.write takes. Bits per sample for lossless codecs.
LOSSLESS: Mapping[str, tuple[dict[str, Any], int]] = {
    "alac16.m4a": ({"codec": "alac", "container": "ipod", "sample_format": "s16p"}, 16),
    "alac24.m4a": ({"codec": "alac", "container": "ipod", "sample_format": "s32p"}, 24),
    "flac.mp4": ({"codec": "flac", "container": "mp4"}, 16),
    "flac.mka": ({"codec": "flac", "container": "matroska"}, 16),
    "flac.oga": ({"codec": "flac", "container": "ogg"}, 16),
    "song.wv": ({"codec": "wavpack", "container": "wv", "sample_format": "s16p"}, 16),
    "song.tta": ({"codec": "tta", "container": "tta", "sample_format": "s16"}, 16),
    "pcm.mov": ({"codec": "pcm_s16be", "container": "mov"}, 16),
}
LOSSY: Mapping[str, dict[str, Any]] = {
    "song.m4a": {"codec": "aac", "container": "ipod"},
    "song.mov": {"codec": "aac", "container": "mov"},
    "song.mka": {"codec": "aac", "container": "matroska"},
    "song.aac": {"codec": "aac", "container": "adts"},
    "mp3.mp4": {"codec": "libmp3lame", "container": "mp4"},
    "opus.webm": {"codec": "libopus", "container": "webm"},
    "opus.mp4": {"codec": "libopus", "container": "mp4"},
    "vorbis.webm": {"codec": "vorbis", "container": "webm"},
    "v1.wma": {"codec": "wmav1", "container": "asf"},
    "v2.wma": {"codec": "wmav2", "container": "asf"},
    "song.ac3": {"codec": "ac3", "container": "ac3"},
    "song.eac3": {"codec": "eac3", "container": "eac3"},
}  # fmt: skip
# What precedes the sound, where no container says that it is to be skipped. FFmpeg skips two frames
# of WMA, as Microsoft's encoders need; its own encoder delays the sound by one.
DELAY_SAMPLES = {
    "song.aac": 1024,
    "song.ac3": 256,
    "song.eac3": 256,
    "v1.wma": -2048,
    "v2.wma": -2048,
}
FRAME_SAMPLES = 2048  # the longest of these codecs


def music(seconds: float, rate_hz: int = 44100, channels: int = 2) -> Samples:
    """Make a different sum of sweeps for each channel."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    columns = [
        sum(
            0.2 * np.sin(2 * np.pi * hz * (1 + channel / 5) * time_s * (1 + time_s / 9))
            for hz in (130.0, 311.0, 930.0)
        )
        for channel in range(channels)
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def read(path: pathlib.Path) -> tuple[FFmpegFile, Samples]:
    with path.open("rb") as file:
        container = find_container(file)
        assert container is not None
        with FFmpegFile(file, container) as audio:
            blocks = []
            while len(block := audio.read(10000)):
                blocks.append(block)
            return audio, np.concatenate(blocks)


def make(folder: pathlib.Path, name: str, samples: Samples, rate_hz: int = 44100) -> pathlib.Path:
    recipe = LOSSLESS[name][0] if name in LOSSLESS else LOSSY[name]
    av_files.write(folder / name, samples, rate_hz, **recipe)
    return folder / name


@pytest.mark.parametrize(
    ("name", "channels"),
    # FFmpeg's encoder of TTA writes no mono.
    [(name, count) for name in LOSSLESS for count in (1, 2) if (name, count) != ("song.tta", 1)],
)
def test_lossless_codecs_give_back_each_sample(
    tmp_path: pathlib.Path, name: str, channels: int
) -> None:
    sound = music(1.3, channels=channels)
    audio, samples = read(make(tmp_path, name, sound))
    scale = 1 << (LOSSLESS[name][1] - 1)
    expected = (np.round(sound.astype(np.float64) * scale) / scale).astype(np.float32)
    if LOSSLESS[name][1] == 24:
        # av_files rounds to 32 bits, of which the encoder takes the first 24.
        assert np.abs(samples - sound).max() <= 2**-23
        assert np.array_equal(samples * 2**23, np.round(samples * 2**23))
    else:
        assert np.array_equal(samples, expected)
    told = None if name.endswith((".mka", ".oga")) else len(sound)  # in milliseconds, or estimated
    assert (audio.samplerate, audio.channels, audio.frames) == (44100, channels, told)
    assert samples.dtype == np.float32


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_codecs_give_the_sound_at_its_place(tmp_path: pathlib.Path, name: str) -> None:
    rate_hz = 48000 if name.startswith("opus") else 44100
    sound = music(2.0, rate_hz)
    audio, samples = read(make(tmp_path, name, sound, rate_hz))
    assert (audio.samplerate, audio.channels) == (rate_hz, 2)
    delay = DELAY_SAMPLES.get(name, 0)
    assert abs(len(samples) - delay - len(sound)) <= FRAME_SAMPLES
    if name.endswith((".m4a", ".mp4", ".mov")):
        assert len(samples) == len(sound) == audio.frames
    heard = samples[max(0, delay) :]
    sound = sound[max(0, -delay) :]
    count = min(len(heard), len(sound)) - FRAME_SAMPLES
    for channel in range(2):
        # FFmpeg's Vorbis encoder mixes the channels of such a sound.
        least = 0.7 if name.startswith("vorbis") else 0.98
        assert np.corrcoef(heard[:count, channel], sound[:count, channel])[0, 1] > least


@pytest.mark.parametrize("channels", [1, 6, 8])
@pytest.mark.parametrize("rate_hz", [22050, 48000])
def test_all_channels_come_in_their_order(
    tmp_path: pathlib.Path, channels: int, rate_hz: int
) -> None:
    sound = music(1.0, rate_hz, channels)
    path = tmp_path / "song.wv"
    av_files.write(path, sound, rate_hz, codec="wavpack", container="wv", sample_format="s16p")
    audio, samples = read(path)
    assert (audio.samplerate, audio.channels) == (rate_hz, channels)
    assert np.abs(samples - sound).max() <= 2**-16


@pytest.mark.parametrize("name", ["song.aac", "song.ac3", "opus.webm", "v2.wma", "song.mka"])
def test_a_length_that_is_not_told_to_the_sample_is_none(tmp_path: pathlib.Path, name: str) -> None:
    audio, samples = read(make(tmp_path, name, music(1.0, 48000), 48000))
    assert (audio.frames, audio.faults) == (None, ())
    assert len(samples) > 45000


def test_a_recording_of_unknown_length_is_read_to_its_end(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "live.webm"
    recipe = {**LOSSY["opus.webm"], "options": {"live": "1"}}
    av_files.write(path, music(1.0, 48000), 48000, **recipe)
    audio, samples = read(path)
    assert (audio.frames, len(samples), audio.faults) == (None, 48000, ())


def test_a_fragmented_file_is_read_to_its_end(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "dash.m4a"
    options = {"movflags": "empty_moov+default_base_moof", "frag_duration": "500000"}
    sound = music(4.0)
    av_files.write(path, sound, 44100, codec="aac", container="mp4", options=options)
    audio, samples = read(path)
    # Without an edit list, the encoder's 1,024 samples of delay remain.
    assert len(samples) == len(sound) + 1024
    assert audio.frames == len(samples)


@pytest.mark.parametrize("size", [1, 1000, 1024, 4097])
@pytest.mark.parametrize("name", ["song.m4a", "song.wv", "song.aac"])
def test_reading_in_blocks_gives_the_whole(tmp_path: pathlib.Path, name: str, size: int) -> None:
    path = make(tmp_path, name, music(0.2))
    whole = read(path)[1]
    with path.open("rb") as file, FFmpegFile(file, find_container(file)) as audio:  # type: ignore[arg-type]
        assert not audio.seekable()
        blocks = []
        while len(block := audio.read(size)):
            assert len(block) == size or not len(audio.read(1))
            blocks.append(block)
        with pytest.raises(ValueError, match="cannot seek"):
            audio.seek(0)
    assert np.array_equal(np.concatenate(blocks), whole)


def test_two_runs_give_the_same_bytes(tmp_path: pathlib.Path) -> None:
    for name in LOSSY:
        path = make(tmp_path, name, music(1.0, 48000), 48000)
        assert read(path)[1].tobytes() == read(path)[1].tobytes()


def test_tags_a_cover_and_a_video_do_not_change_the_sound(tmp_path: pathlib.Path) -> None:
    sound = music(1.0)
    plain = read(make(tmp_path, "song.mov", sound))[1]
    for name, container, pictures in (
        ("cover.m4a", "mp4", 1), ("video.mp4", "mp4", 30), ("video.mkv", "matroska", 30),
    ):  # fmt: skip
        path = tmp_path / name
        tags = {"title": "Ein Tänzchen", "artist": "x" * 5000}
        av_files.write(
            path, sound, 44100, codec="aac", container=container, pictures=pictures, tags=tags
        )
        samples = read(path)[1]
        assert np.array_equal(samples[: len(sound)], plain)


def test_tags_that_are_not_utf8_do_no_harm(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "song.wv"
    recipe = LOSSLESS["song.wv"][0]
    av_files.write(path, music(0.5), 44100, **recipe, tags={"title": "abcdefgh"})
    content = path.read_bytes()
    assert b"abcdefgh" in content
    path.write_bytes(content.replace(b"abcdefgh", b"ab\xff\xfe\xe9fgh"))
    assert len(read(path)[1]) == 22050


def test_an_id3_tag_in_front_is_skipped(tmp_path: pathlib.Path) -> None:
    tag = b"ID3\4\0\0\0\0\x10\0" + bytes(2048)
    for name in ("song.aac", "song.tta"):
        path = make(tmp_path, name, music(0.5))
        whole = read(path)[1]
        path.write_bytes(tag + path.read_bytes())
        assert np.array_equal(read(path)[1], whole)


@pytest.mark.parametrize("name", ["song.wv", "opus.webm", "v2.wma", "song.tta", "faststart.m4a"])
def test_a_cut_file_gives_what_is_there_and_tells_the_whole(
    tmp_path: pathlib.Path, name: str
) -> None:
    rate_hz = 48000 if name.startswith("opus") else 44100
    path = tmp_path / name
    if name == "faststart.m4a":
        options = {"movflags": "faststart"}
        av_files.write(path, music(8.0), 44100, codec="aac", container="ipod", options=options)
    else:
        make(tmp_path, name, music(8.0, rate_hz), rate_hz)
    whole, samples = read(path)
    assert whole.faults == ()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    audio, there = read(path)
    assert audio.frames is None
    (fault,) = audio.faults
    assert fault.reason == "truncated"
    assert re.fullmatch(r"[345]\.\d s of audio, but its header says [78]\.\d s", fault.detail)
    assert 0.3 * len(samples) < len(there) < 0.6 * len(samples)
    kept = len(there) - rate_hz // 2
    np.testing.assert_allclose(there[:kept], samples[:kept], atol=1e-6)


def test_a_cut_fragmented_file_is_told_as_such(tmp_path: pathlib.Path) -> None:
    """Its fragments tell their own lengths, and nothing tells the whole's."""
    path = tmp_path / "dash.m4a"
    options = {"movflags": "empty_moov+default_base_moof", "frag_duration": "500000"}
    av_files.write(path, music(8.0), 44100, codec="aac", container="mp4", options=options)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    audio, samples = read(path)
    assert [fault.reason for fault in audio.faults] == ["truncated"]
    assert 3 * 44100 < len(samples) < 5 * 44100


def test_a_second_file_behind_the_first_is_told(tmp_path: pathlib.Path) -> None:
    path = make(tmp_path, "song.m4a", music(2.0))
    path.write_bytes(path.read_bytes() * 2)
    audio, samples = read(path)
    assert [fault.reason for fault in audio.faults] == ["unread_audio"]
    assert "another MPEG-4 file" in audio.faults[0].detail
    assert len(samples) == pytest.approx(2 * 44100, abs=1024)


def test_joined_streams_without_a_length_are_read_as_one(tmp_path: pathlib.Path) -> None:
    path = make(tmp_path, "song.aac", music(2.0))
    once = len(read(path)[1])
    path.write_bytes(path.read_bytes() * 2)
    audio, samples = read(path)
    assert (len(samples), audio.faults) == (2 * once, ())


def test_an_mp4_file_without_its_index_is_told_as_such(tmp_path: pathlib.Path) -> None:
    path = make(tmp_path, "song.m4a", music(2.0))  # its index is at the end
    path.write_bytes(path.read_bytes()[:10000])
    with pytest.raises(UndecodableError, match=r"index \(moov\)"):
        read(path)


def damage_frames(content: bytes, first: int, last: int) -> bytes:
    """Overwrite the payload of some frames of an AAC stream."""
    damaged = bytearray(content)
    position = 0
    for index in range(last):
        header = damaged[position : position + 7]
        size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
        if index >= first:
            damaged[position + 7 : position + size] = b"\xff" * (size - 7)
        position += size
    return bytes(damaged)


def test_damaged_packets_are_left_out(tmp_path: pathlib.Path) -> None:
    path = make(tmp_path, "song.aac", music(5.0))
    whole = read(path)[1]
    path.write_bytes(damage_frames(path.read_bytes(), 100, 102))
    samples = read(path)[1]
    assert len(samples) == len(whole) - 2 * 1024
    assert np.array_equal(samples[: 99 * 1024], whole[: 99 * 1024])
    # The noise that AAC makes up is random, and depends on what was decoded before.
    np.testing.assert_allclose(samples[104 * 1024 :], whole[106 * 1024 :], atol=0.05)


def test_a_stream_that_is_damaged_in_many_places_is_told_as_such(tmp_path: pathlib.Path) -> None:
    path = make(tmp_path, "song.aac", music(5.0))
    path.write_bytes(damage_frames(path.read_bytes(), 100, 120))
    audio, samples = read(path)
    (fault,) = audio.faults
    assert fault.reason == "unread_audio"
    assert re.fullmatch(r"\d+% of it are damaged and were left out", fault.detail)
    assert len(samples) > 4 * 44100


@pytest.mark.parametrize(("rate_hz", "channels"), [(48000, 2), (44100, 1)])
def test_a_change_of_rate_or_channels_ends_the_reading(
    tmp_path: pathlib.Path, rate_hz: int, channels: int
) -> None:
    first = make(tmp_path, "song.aac", music(2.0))
    before, content = read(first)[1], first.read_bytes()
    path = make(tmp_path, "song.aac", music(2.0, rate_hz, channels), rate_hz)
    path.write_bytes(content + path.read_bytes())
    audio, samples = read(path)
    (fault,) = audio.faults
    assert fault.reason == "unread_audio"
    told = rf"2\.\d s of audio, then .* from 44100 Hz and 2 .* to {rate_hz} Hz and {channels} "
    assert re.match(told, fault.detail)
    assert np.array_equal(samples, before)


def test_a_codec_that_is_not_listed_is_not_opened(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path, "song.m4a", music(0.5))
    monkeypatch.setattr(pyav, "DECODERS", pyav.DECODERS - {"aac"})
    with pytest.raises(UndecodableError, match="codec is not read: aac"):
        read(path)


def test_a_file_with_pictures_alone_has_no_sound(tmp_path: pathlib.Path) -> None:
    import av

    path = tmp_path / "film.mp4"
    with av.open(str(path), "w", format="mp4") as output:
        stream: Any = output.add_stream("mjpeg", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuvj420p"
        output.mux(stream.encode(av.VideoFrame(16, 16, "yuvj420p")))
        output.mux(stream.encode(None))
    with pytest.raises(UndecodableError, match="no sound"):
        read(path)


@pytest.mark.parametrize(
    ("demuxer", "content"),
    [
        ("hls", "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{path}\n#EXT-X-ENDLIST\n"),
        ("concat", "ffconcat version 1.0\nfile '{path}'\n"),
        ("concat", "ffconcat version 1.0\nfile 'file:{path}'\n"),
    ],
)
def test_no_other_file_is_opened_even_by_a_format_that_does(
    tmp_path: pathlib.Path, demuxer: str, content: str
) -> None:
    path = make(tmp_path, "song.aac", music(1.0))
    playlist = io.BytesIO(content.format(path=path).encode())
    assert find_container(playlist) is None
    with pytest.raises(UndecodableError):
        FFmpegFile(playlist, Container("Playlist", demuxer)).read(1)


def test_decoding_starts_no_threads(tmp_path: pathlib.Path) -> None:
    path = make(tmp_path, "flac.mka", music(3.0))
    before = len(list(pathlib.Path("/proc/self/task").iterdir()))
    with path.open("rb") as file, FFmpegFile(file, find_container(file)) as audio:  # type: ignore[arg-type]
        audio.read(44100)
        assert len(list(pathlib.Path("/proc/self/task").iterdir())) == before


def test_an_error_of_reading_stays_one_of_reading(tmp_path: pathlib.Path) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 20000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    content = make(tmp_path, "song.wv", music(3.0)).read_bytes()
    container = find_container(io.BytesIO(content))
    assert container is not None
    with pytest.raises(OSError, match="Input/output"), FFmpegFile(Failing(content), container) as a:
        a.read(1 << 20)


def test_damaged_offsets_are_damage_and_no_error_of_the_file(tmp_path: pathlib.Path) -> None:
    """A block's offset lies behind what a file may be asked for."""
    path = tmp_path / "song.m4a"
    options = {"movflags": "faststart"}
    av_files.write(path, music(1.0), 44100, codec="aac", container="mp4", options=options)
    content = path.read_bytes()
    at = content.index(b"stco")
    count = int.from_bytes(content[at + 8 : at + 12], "big")
    far = (b"\xff" * 8) * (count // 2) + b"\xff" * 4 * (count % 2)
    path.write_bytes(content[: at + 12] + far + content[at + 12 + 4 * count :])
    with pytest.raises(UndecodableError):
        read(path)
    with path.open("rb") as file:
        reader = Reader(file)
        assert reader.seek(7) == reader.tell() == 7
        assert [reader.seek(-1), reader.seek(1 << 80), reader.seek(0, 99)] == [-22, -22, -22]


@pytest.mark.parametrize("excess", [0, 1, 4096, 4097, 9000])
def test_only_a_few_samples_after_the_end_are_padding(excess: int) -> None:
    whole = np.arange(10000, dtype=np.float32).reshape(1, -1)
    blocks = np.split(whole, range(700, 10000, 700), axis=1)
    kept = np.concatenate(list(without_padding(blocks, 10000 - excess)), axis=1)
    assert np.array_equal(kept, whole[:, : 10000 - excess] if excess <= 4096 else whole)


def test_pyav_is_imported_for_no_other_file() -> None:
    code = (
        "import sys, components.audio.decoding.decode_tasks, components.audio.decoding.ffmpeg;"
        "sys.exit('av' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
