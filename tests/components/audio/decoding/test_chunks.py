"""Files of stored samples whose header tells no size or a wrong one."""

from __future__ import annotations

import io
import pathlib
import struct

import numpy as np
import pytest
import soundfile

from components.audio.decoding import decode, streaming
from components.audio.decoding.clip_reader import read_clips
from components.audio.decoding.decode import DecodeError
from components.audio.decoding.extent import Extent
from components.audio.decoding.measuring import measure
from components.audio.params import AudioParams

PARAMS = AudioParams(clip_seconds=0.5, clips_per_track=2)
RATE_HZ = 22050
SECONDS = 10
SAMPLES = np.random.default_rng(0).integers(-3000, 3000, (SECONDS * RATE_HZ, 2)).astype(np.int16)
MONO = SAMPLES.astype(np.float64).mean(axis=1) / 32768
# Of each format: how its header finds the size, that number's struct format, and the number that
# stands for all samples.
FIELDS = {
    "WAV": (lambda c: c.index(b"data") + 4, "<I", 4 * len(SAMPLES)),
    "WAVEX": (lambda c: c.index(b"data") + 4, "<I", 4 * len(SAMPLES)),
    "RF64": (lambda c: c.index(b"ds64") + 16, "<Q", 4 * len(SAMPLES)),
    "W64": (lambda c: c.index(b"data\xf3\xac") + 16, "<Q", 4 * len(SAMPLES) + 24),
    "AIFF": (lambda c: c.index(b"SSND") + 4, ">I", 4 * len(SAMPLES) + 8),
    "CAF": (lambda c: c.index(b"data") + 4, ">Q", 4 * len(SAMPLES) + 4),
    "AU": (lambda c: 8, ">I", 4 * len(SAMPLES)),
}
EXACT = pytest.mark.parametrize("kind", list(FIELDS))


def encoded(kind: str, endian: str = "FILE") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, SAMPLES, RATE_HZ, format=kind, subtype="PCM_16", endian=endian)
    return buffer.getvalue()


def told(kind: str, size: int) -> bytes:
    content = bytearray(encoded(kind))
    find, layout, all_of_it = FIELDS[kind]
    at = find(bytes(content))
    assert struct.unpack_from(layout, content, at) == (all_of_it,)
    struct.pack_into(layout, content, at, size)
    return bytes(content)


def written(path: pathlib.Path, content: bytes) -> pathlib.Path:
    path.write_bytes(content)
    return path


def fault_of(path: pathlib.Path) -> tuple[str, str, int]:
    with pytest.raises(DecodeError) as caught:
        decode.decode(path)
    found = list(streaming.parts(path, RATE_HZ, RATE_HZ))
    assert [(one.reason, one.detail) for one in found[-1].faults] == [
        (caught.value.reason, caught.value.detail)
    ]
    samples = np.concatenate([part.samples for part in found])
    np.testing.assert_allclose(samples, MONO[: len(samples)], atol=1e-6)
    return caught.value.reason, caught.value.detail, len(samples)


@EXACT
def test_a_size_that_is_right_is_left_alone(tmp_path: pathlib.Path, kind: str) -> None:
    content = encoded(kind)
    assert measure(written(tmp_path / "a", content)) == Extent()
    # A chunk of 3,000 bytes: its name and its size.
    head = {
        "W64": b"LIST" + bytes(12) + struct.pack("<Q", 3024),
        "AIFF": b"LIST" + struct.pack(">I", 3000),
        "CAF": b"LIST" + struct.pack(">Q", 3000),
        "AU": b"",
    }.get(kind, b"LIST" + struct.pack("<I", 3000))
    chunk = head + b"\x07" * 3000 if head else b""
    id3 = chunk.replace(b"LIST", b"ID3 ", 1)
    for rest in (bytes(5000), b"TAG" + bytes(range(125)), chunk, id3, id3 + chunk):
        path = written(tmp_path / "a", content + rest)
        samples, _ = decode.decode(path)
        np.testing.assert_allclose(samples, MONO, atol=1e-6)
        assert measure(path).faults(len(samples), RATE_HZ) == ()


@EXACT
@pytest.mark.parametrize("size", ["zero", "all bits", "the largest"])
def test_a_size_that_its_writer_did_not_know_claims_nothing(
    tmp_path: pathlib.Path, kind: str, size: str
) -> None:
    _, layout, _ = FIELDS[kind]
    bits = 8 * struct.calcsize(layout)
    number = {"zero": 0, "all bits": (1 << bits) - 1, "the largest": (1 << bits - 1) - 1}[size]
    path = written(tmp_path / "a", told(kind, number))
    samples, _ = decode.decode(path)
    np.testing.assert_allclose(samples, MONO, atol=1e-6)
    (part,) = streaming.parts(path, RATE_HZ, len(samples) + 1)
    assert (part.claimed_seconds, part.faults) == (SECONDS, ())
    clips = read_clips(path, PARAMS, lambda n: [7, n - PARAMS.clip_samples])
    np.testing.assert_allclose(clips.waveforms[0], MONO[7 : 7 + PARAMS.clip_samples], atol=1e-6)


@EXACT
def test_a_size_beyond_the_file_is_a_cut(tmp_path: pathlib.Path, kind: str) -> None:
    content = encoded(kind)
    reason, detail, samples = fault_of(
        written(tmp_path / "a", content[: round(len(content) * 0.4)])
    )
    assert (reason, detail) == ("truncated", "4.0 s of audio, but its header says 10.0 s")
    assert samples / RATE_HZ == pytest.approx(4, abs=0.05)
    # Less than a second and 2 % may be missing.
    path = written(tmp_path / "a", content[: round(len(content) * 0.99)])
    assert len(decode.decode(path)[0]) / RATE_HZ == pytest.approx(9.9, abs=0.05)


@EXACT
def test_samples_that_the_size_leaves_out_are_said(tmp_path: pathlib.Path, kind: str) -> None:
    all_of_it = FIELDS[kind][2]
    reason, detail, samples = fault_of(written(tmp_path / "a", told(kind, all_of_it // 2)))
    assert reason == "unread_audio"
    assert detail.startswith("5.0 s of audio are read and about ")
    assert detail.endswith("bytes follow that its header does not describe")
    assert samples / RATE_HZ == pytest.approx(5, abs=0.05)


@EXACT
def test_another_file_behind_the_first_is_said(tmp_path: pathlib.Path, kind: str) -> None:
    reason, detail, samples = fault_of(written(tmp_path / "a", 2 * encoded(kind)))
    assert (reason, samples) == ("unread_audio", len(SAMPLES))
    assert detail.startswith("10.0 s of audio are read and about 10.")


@pytest.mark.parametrize("kind", ["WAV", "AU"])
def test_the_other_order_of_bytes_is_understood(tmp_path: pathlib.Path, kind: str) -> None:
    content = encoded(kind, "BIG" if kind == "WAV" else "LITTLE")
    reason, _, samples = fault_of(written(tmp_path / "a", content[: len(content) // 2]))
    assert (reason, samples / RATE_HZ) == ("truncated", pytest.approx(5, abs=0.01))


@EXACT
def test_a_header_alone_has_no_audio(tmp_path: pathlib.Path, kind: str) -> None:
    content = encoded(kind)
    at = max(content.find(SAMPLES[:16].astype(order).tobytes()) for order in ("<i2", ">i2"))
    assert 0 < at < 5000
    with pytest.raises(DecodeError) as caught:
        decode.decode(written(tmp_path / "a", content[:at]))
    assert caught.value.reason in ("truncated", "undecodable")
    assert caught.value.detail


@pytest.mark.parametrize("told_bytes", [b"\0\0\0\0", b"\0\1\0\0", b"\xff\xff\xff\xff"])
def test_samples_that_begin_behind_the_end_are_none(
    tmp_path: pathlib.Path, told_bytes: bytes
) -> None:
    content = bytearray(encoded("AU"))
    content[4:12] = b"\x7f\xff\xff\xff" + told_bytes
    with pytest.raises(DecodeError) as caught:
        decode.decode(written(tmp_path / "a.au", bytes(content)))
    assert caught.value.reason in ("truncated", "undecodable")


def test_no_samples_and_other_chunks_are_an_empty_file(tmp_path: pathlib.Path) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, SAMPLES[:0], RATE_HZ, format="WAV", subtype="PCM_16")
    for rest in (b"", b"LIST\x04\0\0\0INFO"):
        path = written(tmp_path / "a.wav", buffer.getvalue() + rest)
        assert len(decode.decode(path)[0]) == 0


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
@pytest.mark.parametrize("kind", ["WAV", "AIFF", "AU"])
def test_more_than_a_header_can_tell_is_read_up_to_that(
    tmp_path: pathlib.Path, kind: str, size: int
) -> None:
    """A recorder's file of 5 GiB, which takes no space here."""
    path = written(tmp_path / "a", told(kind, size))
    with path.open("r+b") as file:
        file.truncate(5 << 30)
    with decode.opened(path, max_seconds=1e6, partial=True) as audio:
        (fault,) = audio.faults
        assert fault.reason == "unread_audio"
        assert "bytes follow that its header cannot describe" in fault.detail
        assert audio.frames is not None
        assert audio.frames > (1 << 32) // 4 - 1000
    with pytest.raises(DecodeError) as caught:
        decode.decode(path)
    assert caught.value.reason == "too_long"
