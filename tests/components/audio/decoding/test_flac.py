"""FLAC files whose header tells no length or a wrong one, and files that were joined or cut."""

from __future__ import annotations

import io
import pathlib
import types
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from components.audio.decoding import decode, flac, streaming
from components.audio.decoding.clip_reader import read_clips
from components.audio.decoding.decode import DecodeError
from components.audio.decoding.extent import Extent
from components.audio.decoding.measuring import measure
from components.audio.params import AudioParams

PARAMS = AudioParams(clip_seconds=0.5, clips_per_track=2)
RATE_HZ = 22050
ID3 = b"ID3\3\0\0\0\0\0\x0a" + bytes(10)
ID3V1 = b"TAG" + bytes(range(125))


def sound(seconds: float, channels: int = 2, seed: int = 0) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    # Loud and soft parts have frames of different lengths.
    level = np.repeat(rng.uniform(0.001, 0.3, int(seconds) + 1), RATE_HZ)[: int(seconds * RATE_HZ)]
    return (level[:, None] * rng.normal(0, 1, (len(level), channels))).astype(np.float32)


def encoded(samples: npt.NDArray[np.float32], subtype: str = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE_HZ, format="FLAC", subtype=subtype)
    return buffer.getvalue()


def told(content: bytes, total: int) -> bytes:
    """Return the file with another number of samples in its header."""
    data = bytearray(content)
    at = data.index(b"fLaC") + 8 + 13
    data[at] = data[at] & 0xF0 | total >> 32
    data[at + 1 : at + 5] = (total & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(data)


def written(path: pathlib.Path, content: bytes) -> pathlib.Path:
    path.write_bytes(content)
    return path


def fault_of(path: pathlib.Path) -> tuple[str, str]:
    with pytest.raises(DecodeError) as caught:
        decode.decode(path)
    found = list(streaming.parts(path, RATE_HZ, RATE_HZ))
    assert [(one.reason, one.detail) for one in found[-1].faults] == [
        (caught.value.reason, caught.value.detail)
    ]
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize(("seconds", "channels"), [(0.01, 1), (1, 1), (12, 2), (30.3, 6)])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("total", [0, 1, 4096, (1 << 36) - 1])
def test_a_length_that_is_not_told_or_too_low_is_found(
    tmp_path: pathlib.Path, seconds: float, channels: int, subtype: str, total: int
) -> None:
    samples = sound(seconds, channels)
    content = encoded(samples, subtype)
    whole, _ = decode.decode(written(tmp_path / "right.flac", content))
    assert len(whole) == len(samples)
    for front, back in ((b"", b""), (ID3, ID3V1)):
        path = written(tmp_path / "a.flac", front + told(content, total) + back)
        if 0 < len(samples) - total <= RATE_HZ and total:
            assert measure(path) == Extent()  # within a second the header is believed
            continue
        np.testing.assert_array_equal(decode.decode(path)[0], whole)
        found = list(streaming.parts(path, RATE_HZ, 30000))
        np.testing.assert_array_equal(np.concatenate([part.samples for part in found]), whole)
        assert found[-1].claimed_seconds == len(samples) / RATE_HZ


def test_clips_of_a_piped_file_are_those_of_the_whole(tmp_path: pathlib.Path) -> None:
    content = encoded(sound(20))
    written(tmp_path / "right.flac", content)
    written(tmp_path / "piped.flac", told(content, 0))
    clips = [
        read_clips(tmp_path / name, PARAMS, lambda n: [7, n - PARAMS.clip_samples], strict=strict)
        for name in ("right.flac", "piped.flac")
        for strict in (False, True)
    ]
    for other in clips[1:]:
        np.testing.assert_allclose(other.waveforms, clips[0].waveforms, atol=2e-6)
        assert other.fingerprint == clips[0].fingerprint
        assert other.track_samples == clips[0].track_samples


def test_a_length_that_only_decoding_shows_is_decoded_in_blocks(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libsndfile tells its largest number for files whose length it does not know."""
    from components.audio.decoding import decode_tasks

    content = encoded(sound(20))
    right = written(tmp_path / "right.flac", content)
    piped = written(tmp_path / "piped.flac", told(content, 0))
    whole, _ = decode.decode(right)
    expected = read_clips(right, PARAMS, lambda n: [0, 99999], strict=True)
    monkeypatch.setattr(decode, "measure", lambda path: Extent())
    np.testing.assert_array_equal(decode.decode(piped)[0], whole)
    assert decode_tasks.header(str(piped)).values == {"frames": len(whole), "rate_hz": RATE_HZ}
    for strict in (False, True):
        clips = read_clips(piped, PARAMS, lambda n: [0, 99999], strict=strict)
        np.testing.assert_array_equal(clips.waveforms, expected.waveforms)
    found = list(streaming.parts(piped, RATE_HZ, 70000))
    np.testing.assert_array_equal(np.concatenate([part.samples for part in found]), whole)
    assert {part.claimed_seconds for part in found} == {None}
    # The limits hold while reading.
    monkeypatch.setattr(decode, "MAX_SECONDS", 5.0)
    with pytest.raises(DecodeError, match="the limit is 5 s") as caught:
        decode.decode(piped)
    assert caught.value.reason == "too_long"
    with pytest.raises(DecodeError, match="the limit is 5 s"):
        decode_tasks.header(str(piped))
    with pytest.raises(DecodeError, match="the limit is 5 s"):
        list(streaming.parts(piped, RATE_HZ, 70000, max_seconds=5.0))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("piped", [False, True])
def test_a_cut_file_is_read_up_to_its_last_whole_frame(
    tmp_path: pathlib.Path, share: float, piped: bool
) -> None:
    content = encoded(sound(20))
    whole, _ = decode.decode(written(tmp_path / "a.flac", content))
    cut = told(content, 0) if piped else content
    path = written(tmp_path / "a.flac", cut[: int(len(cut) * share)])
    reason, detail = fault_of(path)
    assert reason == "truncated"
    samples = np.concatenate([part.samples for part in streaming.parts(path, RATE_HZ, RATE_HZ)])
    np.testing.assert_array_equal(samples, whole[: len(samples)])
    assert 2 < len(samples) / RATE_HZ < 19.5
    read = f"{len(samples) / RATE_HZ:.1f} s of audio, but "
    tail = "its last frame is incomplete" if piped else "its header says 20.0 s"
    assert detail == read + tail


def test_a_header_without_frames_has_no_audio(tmp_path: pathlib.Path) -> None:
    content = encoded(sound(3))
    path = written(tmp_path / "a.flac", content[: content.index(b"\xff\xf8")])
    assert fault_of(path) == ("truncated", "no audio behind its header")


@pytest.mark.parametrize(("first_s", "second_s"), [(10, 10), (10, 3), (1, 12), (12, 1.5)])
@pytest.mark.parametrize("between", [b"", ID3V1 + ID3])
@pytest.mark.parametrize("piped", [False, True])
def test_of_joined_streams_the_first_is_read_and_the_rest_said(
    tmp_path: pathlib.Path, first_s: float, second_s: float, between: bytes, piped: bool
) -> None:
    one, other = encoded(sound(first_s)), encoded(sound(second_s, seed=1))
    whole, _ = decode.decode(written(tmp_path / "one.flac", one))
    path = written(tmp_path / "a.flac", (told(one, 0) if piped else one) + between + other)
    reason, detail = fault_of(path)
    assert reason == "unread_audio"
    assert detail.startswith(f"{first_s:.1f} s of audio are read and about ")
    assert detail.endswith(": another FLAC stream follows the first")
    samples = np.concatenate([part.samples for part in streaming.parts(path, RATE_HZ, RATE_HZ)])
    np.testing.assert_array_equal(samples, whole)


def test_a_file_that_is_right_is_left_alone(tmp_path: pathlib.Path) -> None:
    for seconds in (0.1, 3, 60):
        path = written(tmp_path / "a.flac", encoded(sound(seconds)) + ID3V1)
        assert measure(path) == Extent()


def test_numbers_of_blocks_of_all_sizes_say_nothing(tmp_path: pathlib.Path) -> None:
    """FLAC before 1.2 numbered frames in turn, whatever their size; STREAMINFO tells both sizes."""
    content = bytearray(told(encoded(sound(3)), 99 * RATE_HZ))
    assert measure(written(tmp_path / "a.flac", bytes(content))).told > 1
    content[8:10] = (1024).to_bytes(2, "big")
    assert measure(written(tmp_path / "a.flac", bytes(content))) == Extent()


def test_the_numbers_of_frames_may_have_all_lengths() -> None:
    """Build headers by the rules of RFC 9639, section 9.1, with the number coded as characters."""
    stream = flac._Stream(b"\xff\xf8", (0x9, 0x8), 4096)
    for number in (0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xFFFF, 0x10000, 0x10FFFF):
        head = b"\xff\xf8\xc9\x18" + chr(number).encode("utf-8")
        crc = 0
        for bit in (byte >> shift & 1 for byte in head for shift in range(7, -1, -1)):
            crc = (crc << 1 ^ (0x07 if (crc >> 7 ^ bit) & 1 else 0)) & 0xFF
        frame = flac._frame(head + bytes([crc]) + bytes(9), 0, 0, stream)
        assert frame == (0, 4096 * number, 4096 * (number + 1))
        assert flac._frame(head + bytes([crc ^ 1]) + bytes(9), 0, 0, stream) is None


def test_a_preallocated_download_is_not_walked_block_by_block(tmp_path: pathlib.Path) -> None:
    path = written(tmp_path / "a.flac", encoded(sound(1.0))[:42].replace(b"\x80", b"\0", 1))
    with path.open("r+b") as file:
        file.truncate(20 << 20)
    reads: list[Any] = []
    with path.open("rb") as file:
        seek = file.seek
        spy = types.SimpleNamespace(read=file.read, seek=lambda *at: reads.append(at) or seek(*at))
        assert flac._audio_at(spy, 0) is None  # type: ignore[arg-type]
    assert len(reads) <= 1000


def test_of_joined_streams_the_rest_is_not_checked(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have hundreds of MB."""
    piped = told(encoded(sound(3.0)), 0)
    path = written(tmp_path / "a.flac", piped + piped)
    monkeypatch.setattr(flac, "_crc16", lambda data: pytest.fail("it was checked"))
    assert "another FLAC stream" in measure(path).unread
