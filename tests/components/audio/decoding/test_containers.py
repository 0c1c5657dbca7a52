"""Recognising containers by their content, and what makes a file undecodable from the start."""

from __future__ import annotations

import io
import pathlib

import pytest

from components.audio.decoding import containers
from components.audio.decoding.containers import MP4, asf_seconds, find_container, find_fault
from components.audio.decoding.decode import DecodeError, decode


def box(kind: bytes, *content: bytes) -> bytes:
    """Return an MP4 box (ISO 14496-12, 4.2)."""
    inner = b"".join(content)
    return (8 + len(inner)).to_bytes(4, "big") + kind + inner


def adts(payload_bytes: int) -> bytes:
    """Return a frame of an AAC stream: LC, 44.1 kHz, stereo."""
    size = 7 + payload_bytes
    head = [0xFF, 0xF1, 0x50, 0x80 | size >> 11, size >> 3 & 0xFF, (size & 7) << 5 | 0x1F, 0xFC]
    return bytes(head) + bytes(payload_bytes)


def id3(payload_bytes: int) -> bytes:
    return (
        b"ID3\4\0\0" + bytes([0, 0, payload_bytes >> 7, payload_bytes & 127]) + bytes(payload_bytes)
    )


@pytest.mark.parametrize(
    ("content", "demuxer"),
    [
        (box(b"ftyp", b"M4A \0\0\0\0"), "mov"),
        (box(b"wide") + box(b"mdat", b"x" * 100), "mov"),  # QuickTime before ftyp
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01", "matroska"),
        (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "asf"),
        (b"MAC \x96\x0f\0\0", "ape"),
        (b"wvpk\0\0\0\0", "wv"),
        (b"TTA1\1\0", "tta"),
        (b"tBaK\1\0", "tak"),
        (b"MP+\x07", "mpc"),
        (b"MPCKSH", "mpc8"),
        (b"DSD \x1c\0\0\0", "dsf"),
        (b"FRM8\0\0\0\0", "iff"),
        (b"#!AMR\n<", "amr"),
        (b"#!AMR-WB\n<", "amr"),
        (b"OggS\0\2" + bytes(22) + b"Speex   1.2", "ogg"),
        (b"OggS\0\2" + bytes(22) + b"\x7fFLAC\1", "ogg"),
        (b"\x0b\x77\0\0\x14\x40", "ac3"),
        (b"\x0b\x77\0\0\x14\x80", "eac3"),
        (adts(100) + adts(60), "aac"),
        (adts(100), None),  # one frame may be chance
        (b"", None),
        (b"\xff", None),
        (b"<!DOCTYPE html><html><body>ftyp moov</body></html>", None),
        (b"version https://git-lfs.github.com/spec/v1\n", None),
        (b"#EXTM3U\nsong.aac\n", None),
        (b"ffconcat version 1.0\nfile song.aac\n", None),
        (b"OggS\0\2" + bytes(22) + b"\x01vorbis", None),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"fLaC", None),
        (b"\xff\xfb\x90\x64" + bytes(413) + b"\xff\xfb\x90\x64", None),  # mp3
    ],
)  # fmt: skip
def test_the_content_decides(content: bytes, demuxer: str | None) -> None:
    for tags in (b"", id3(300), id3(10) + id3(5)):
        if tags and demuxer in ("matroska", "ogg"):
            continue  # these have tags of their own
        found = find_container(io.BytesIO(tags + content))
        assert (found and found.demuxer) == demuxer


def index(entry: bytes) -> bytes:
    table = box(b"stsd", bytes(4), b"\0\0\0\1", box(entry, bytes(28)))
    return box(b"moov", box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", table)))))


@pytest.mark.parametrize("entry", [b"drms", b"enca", b"aavd"])
def test_encrypted_mp4_files_are_told_as_such(entry: bytes) -> None:
    file = io.BytesIO(box(b"ftyp", b"M4P ") + index(entry) + box(b"mdat", b"x"))
    fault = find_fault(file, MP4)
    assert fault is not None
    assert f"encrypted ({entry.decode()})" in fault
    assert find_fault(io.BytesIO(box(b"ftyp", b"M4A ") + index(b"mp4a")), MP4) is None


def test_the_name_of_a_song_does_not_make_it_encrypted() -> None:
    tagged = index(b"mp4a") + box(b"udta", b"drms enca")
    assert find_fault(io.BytesIO(tagged), MP4) is None


@pytest.mark.parametrize("size", [0, 4, 7, 8])
def test_an_mp4_file_without_an_index_was_cut(size: int) -> None:
    broken = box(b"ftyp", b"M4A ") + size.to_bytes(4, "big") + b"mdat"
    assert "moov" in str(find_fault(io.BytesIO(broken), MP4))


def test_large_boxes_and_boxes_up_to_the_end_are_stepped_over() -> None:
    large = b"\0\0\0\1mdat" + (16 + 5).to_bytes(8, "big") + b"xxxxx"
    assert find_fault(io.BytesIO(large + index(b"mp4a")), MP4) is None
    to_the_end = b"\0\0\0\0" + index(b"enca")[4:]
    assert "encrypted" in str(find_fault(io.BytesIO(to_the_end), MP4))


def test_a_million_empty_boxes_are_not_all_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "_MAX_BOXES", 100)
    assert find_fault(io.BytesIO(box(b"free") * 101 + index(b"mp4a")), MP4) is not None


def asf(flags: int = 2, play: int = 305_000_000, preroll: int = 3000, more: bytes = b"") -> bytes:
    properties = (
        bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365") + (104).to_bytes(8, "little")
        + bytes(40) + play.to_bytes(8, "little") + bytes(8) + preroll.to_bytes(8, "little")
        + flags.to_bytes(4, "little") + bytes(12)
    )  # fmt: skip
    head = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
    size = 30 + len(properties) + len(more)
    return head + size.to_bytes(8, "little") + bytes(6) + properties + more


def test_the_length_of_an_asf_file_is_its_header_s() -> None:
    assert asf_seconds(io.BytesIO(asf())) == pytest.approx(27.5)
    assert asf_seconds(io.BytesIO(asf(flags=1))) is None  # broadcast: not known when it was written
    assert asf_seconds(io.BytesIO(asf(play=0))) is None
    assert asf_seconds(io.BytesIO(asf()[:60])) is None
    assert asf_seconds(io.BytesIO(b"")) is None


@pytest.mark.parametrize(
    "guid", ["fbb3112223bdd211b4b700a0c955fc6e", "14e68a292226174cb935dae07ee9289c"]
)
def test_encrypted_wma_files_are_told_as_such(guid: str) -> None:
    file = io.BytesIO(asf(more=bytes.fromhex(guid)))
    container = find_container(file)
    assert container is not None
    assert "encrypted (Windows Media DRM)" in str(find_fault(file, container))
    assert find_fault(io.BytesIO(asf()), container) is None


@pytest.mark.parametrize("length", [2**64 - 32, 2**63, 1 << 40])
def test_a_box_that_is_longer_than_any_file_ends_the_walk(
    length: int, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "song.m4a"
    large = b"\0\0\0\1free" + length.to_bytes(8, "big")
    path.write_bytes(box(b"ftyp", b"M4A \0\0\0\0") + large + bytes(100))
    with pytest.raises(DecodeError) as caught:
        decode(path)
    assert caught.value.reason in ("undecodable", "truncated")
