"""Files that are no audio are told as what they are, whatever their name says."""

from __future__ import annotations

import gzip
import io
import json
import pathlib
import tarfile
import zipfile

import numpy as np
import pytest
import soundfile

from components.audio.decoding import contents, decode, streaming
from components.audio.decoding.decode import DecodeError

PAGE = "<html><head><title>404 Not Found</title></head><body>No such song</body></html>"


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("song.mp3", b"\xff\xfb\x90\x64" * 1000)
    return buffer.getvalue()


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("song.mp3"))
    return buffer.getvalue()


FOREIGN: dict[str, tuple[bytes, str]] = {
    "html": (PAGE.encode(), "it is an HTML page and no audio; download the song again"),
    "doctype": (b"\n <!DOCTYPE HTML PUBLIC '-//W3C//DTD'>" + PAGE.encode(), "an HTML page"),
    "comment": (b"\xef\xbb\xbf<!-- x --><HTML lang=de>" + "é".encode() * 5000, "an HTML page"),
    "utf-16": (PAGE.encode("utf-16"), "an HTML page"),
    "xhtml": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML text"),
    "s3": (b"<Error><Code>NoSuchKey</Code></Error>", "XML text"),
    "json": (json.dumps({"message": "rate limit"}).encode(), "JSON text"),
    "json list": (b"[1, 2]", "JSON text"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n",
        "it is a Git LFS pointer and no audio; run git lfs pull to fetch it",
    ),
    "annex": (b"/annex/objects/SHA256E-s9--00.mp3\n", "run git annex get to fetch it"),
    "playlist": (b"#EXTM3U\nsong.mp3\n", "a playlist and no audio; use the files that it names"),
    "text": (b"hello world\n" * 500, "it is text and no audio"),
    "latin": ("Fehler: Größe überschritten\n".encode(), "it is text and no audio"),
    "zeros": (bytes(5000), "nothing but zero bytes"),
    "many zeros": (bytes(3 << 20), "nothing but zero bytes"),
    "zip": (_zip(), "it is a ZIP archive and no audio; unpack it"),
    "tar": (_tar(), "a tar archive"),
    "gzip": (gzip.compress(bytes(9)), "a gzip file"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(500), "a JPEG picture"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(500), "a PNG picture"),
    "midi": (b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk", "it is MIDI, which is not read; it holds notes"),
    "avi": (b"RIFF\x10\x27\0\0AVI LIST" + bytes(500), "an AVI video, which is not read"),
    "real": (b".RMF\0\0\0\x12\0\1" + bytes(500), "ffmpeg -i song.rm -vn song.flac"),
    "tag alone": (b"ID3\3\0\0\0\0\0\x0a" + bytes(10), "tags and no audio behind them"),
    "page behind a tag": (b"ID3\3\0\0\0\0\0\x0a" + bytes(10) + PAGE.encode(), "an HTML page"),
    "noise": (
        np.random.default_rng(1).bytes(5000),
        "no known audio format; it may be damaged or encrypted. If a player plays it, convert it",
    ),
}


@pytest.mark.parametrize("name", list(FOREIGN))
@pytest.mark.parametrize("extension", [".mp3", ".wav", ".au", ".flac", ".ogg", ".aiff", ""])
def test_what_is_no_audio_is_told_as_what_it_is(
    tmp_path: pathlib.Path, name: str, extension: str
) -> None:
    content, words = FOREIGN[name]
    path = tmp_path / f"song{extension}"
    path.write_bytes(content)
    for read in (lambda: decode.decode(path), lambda: list(streaming.parts(path, 8000, 8000))):
        with pytest.raises(DecodeError) as caught:
            read()
        assert (caught.value.reason, words in caught.value.detail) == ("undecodable", True), (
            caught.value.detail
        )
        assert str(tmp_path) not in caught.value.detail


@pytest.mark.parametrize("kind", sorted(soundfile.available_formats().keys() - {"RAW", "SD2"}))
def test_audio_is_never_taken_for_something_else(tmp_path: pathlib.Path, kind: str) -> None:
    subtype = soundfile.default_subtype(kind)
    sounds = [np.random.default_rng(0).normal(0, 0.1, 4000), np.zeros(4000)]
    for index, samples in enumerate(sounds):
        path = tmp_path / str(index)
        soundfile.write(path, samples, 8000, format=kind, subtype=subtype)
        assert contents.describe(path) is None


@pytest.mark.timeout(20)
def test_many_comments_before_the_page_take_no_time(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_text("<!-- x -->\n" * 300 + "<p>404")
    with pytest.raises(DecodeError, match="no audio"):
        decode.decode(path)
    path.write_text("<!-- x -->\n" * 300 + "<html>404")
    with pytest.raises(DecodeError, match="it is an HTML page"):
        decode.decode(path)
