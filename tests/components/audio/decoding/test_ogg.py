"""Ogg files that were cut or joined."""

from __future__ import annotations

import io
import pathlib

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from components.audio.decoding import decode, streaming
from components.audio.decoding.decode import DecodeError
from components.audio.decoding.extent import Extent
from components.audio.decoding.measuring import measure

RATE_HZ = 24000
KINDS = ("VORBIS", "OPUS")


def sound(seconds: float, seed: int = 0) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.1, (round(seconds * RATE_HZ), 2)).astype(np.float32)


def encoded(kind: str, seconds: float, seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, sound(seconds, seed), RATE_HZ, format="OGG", subtype=kind)
    return buffer.getvalue()


def pages(content: bytes) -> list[bytes]:
    """Split a file into pages (RFC 3533, section 6)."""
    found, at = [], 0
    while at < len(content):
        assert content[at : at + 4] == b"OggS"
        count = content[at + 26]
        end = at + 27 + count + sum(content[at + 27 : at + 27 + count])
        found.append(content[at:end])
        at = end
    return found


def marked(page: bytes, flags: int) -> bytes:
    """Return a page with other flags and the checksum that belongs to them."""
    data = bytearray(page)
    data[5], data[22:26] = flags, bytes(4)
    crc = 0
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    data[22:26] = crc.to_bytes(4, "little")
    return bytes(data)


def written(path: pathlib.Path, content: bytes) -> pathlib.Path:
    path.write_bytes(content)
    return path


def streamed(path: pathlib.Path) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    found = list(streaming.parts(path, RATE_HZ, RATE_HZ))
    faults = tuple(fault.reason for fault in found[-1].faults)
    return np.concatenate([part.samples for part in found]), faults


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("back", [b"", b"TAG" + bytes(range(125)), bytes(3000), b"junk" * 900])
def test_a_whole_file_is_left_alone(tmp_path: pathlib.Path, kind: str, back: bytes) -> None:
    path = written(tmp_path / "a.ogg", encoded(kind, 12) + back)
    assert measure(path) == Extent()
    assert streamed(path)[1] == ()


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_file_lacks_the_mark_of_its_end(tmp_path: pathlib.Path, kind: str) -> None:
    content = encoded(kind, 12)
    whole, _ = decode.decode(written(tmp_path / "a.ogg", content))
    parts = pages(content)
    assert len(parts) > 6
    cuts = {
        "in a page": b"".join(parts[:-3])[:-100],
        "in a page's header": b"".join(parts[:-3]) + parts[-3][:15],
        "between pages": b"".join(parts[:-3]),
        "in the last page": content[:-10],
        "without a mark": b"".join([*parts[:-1], marked(parts[-1], 0)]),
    }
    for name, cut in cuts.items():
        path = written(tmp_path / "a.ogg", cut)
        with pytest.raises(DecodeError, match="but the mark of its end is missing") as caught:
            decode.decode(path)
        assert caught.value.reason == "truncated", name
        samples, faults = streamed(path)
        assert faults == ("truncated",), name
        # Vorbis ends with half a block.
        assert 4 < len(samples) / RATE_HZ <= 12, name
        np.testing.assert_allclose(samples[:RATE_HZ], whole[:RATE_HZ], atol=1e-6, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("first_s", "second_s"), [(6, 6), (12, 2), (2, 15)])
@pytest.mark.parametrize("same", [True, False])
def test_of_a_chain_the_first_link_is_read_and_the_rest_said(
    tmp_path: pathlib.Path, kind: str, first_s: float, second_s: float, same: bool
) -> None:
    one, other = encoded(kind, first_s), encoded(kind, second_s, 1)
    whole, _ = decode.decode(written(tmp_path / "one.ogg", one))
    # A file that is joined with itself has one serial number.
    path = written(tmp_path / "a.ogg", one + one + one if same else one + other)
    with pytest.raises(DecodeError, match="another stream follows the first") as caught:
        decode.decode(path)
    assert caught.value.reason == "unread_audio"
    assert f"{len(whole) / RATE_HZ:.1f} s of audio are read and about " in caught.value.detail
    samples, faults = streamed(path)
    assert faults == ("unread_audio",)
    np.testing.assert_array_equal(samples, whole)
