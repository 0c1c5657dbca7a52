"""Files that no decoder takes for audio: what they are by their bytes, and what to do about them.

Downloads fail in a way that nobody sees: an error page or a pointer has the song's name.
"""

from __future__ import annotations

import pathlib
import re

from components.audio.decoding import formats
from components.audio.decoding.tags import skip_id3v2

_HEAD_BYTES = 4096

_AGAIN = "download the song again"
# Text, by a pattern of its beginning, the first match counts.
_TEXTS: tuple[tuple[str, str, str], ...] = (
    (r"version https://git-lfs\.github\.com/", "a Git LFS pointer", "run git lfs pull to fetch it"),
    (r"(\.\./)*(\.git|/)/?annex/objects/", "a git-annex pointer", "run git annex get to fetch it"),
    (r"(<!--(?:(?!-->).)*-->\s*)*<(!doctype html|html|head|body)\b", "an HTML page", _AGAIN),
    (r"<\?xml|<[a-z][\w:.-]*[\s>]", "XML text", f"if it is a server's error message, {_AGAIN}"),
    (r"[\[{]\s*(\"|[\[{\]}]|-?\d)", "JSON text", f"if it is a server's error message, {_AGAIN}"),
    (r"#EXTM3U|\[playlist\]", "a playlist", "use the files that it names"),
)
_UNPACK, _PICTURE = "unpack it", "it may be the song's cover"
# Anything else, by bytes at an offset.
_SIGNATURES: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"PK\3\4", "a ZIP archive", _UNPACK),
    (0, b"PK\5\6", "an empty ZIP archive", _AGAIN),
    (0, b"\x1f\x8b", "a gzip file", _UNPACK),
    (0, b"BZh", "a bzip2 file", _UNPACK),
    (0, b"\xfd7zXZ\0", "an xz file", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!\x1a\7", "a RAR archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"%PDF-", "a PDF document", _AGAIN),
    (0, b"\xff\xd8\xff", "a JPEG picture", _PICTURE),
    (0, b"\x89PNG\r\n", "a PNG picture", _PICTURE),
    (0, b"GIF8", "a GIF picture", _PICTURE),
    (8, b"WEBP", "a WebP picture", _PICTURE),
    (0, b"SQLite format 3\0", "an SQLite database", _AGAIN),
    (0, b"\x7fELF", "a program", _AGAIN),
    (0, b"MZ", "a program", _AGAIN),
)
# Audio and video that nothing here decodes; the extension gives the advice.
_OTHER_AUDIO: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"MThd", "MIDI", ".mid"),
    (8, b"RMID", "MIDI", ".rmi"),
    (0, b"Extended Module: ", "a tracker module", ".xm"),
    (0, b"IMPM", "a tracker module", ".it"),
    (44, b"SCRM", "a tracker module", ".s3m"),
    (1080, b"M.K.", "a tracker module", ".mod"),
    (0, b"OFR ", "OptimFROG", ".ofr"),
    (0, b"ajkg", "Shorten", ".shn"),
    (0, b".RMF", "RealAudio", ".rm"),
    (0, b".ra\xfd", "RealAudio", ".ra"),
    (0, b"\x7f\xfe\x80\x01", "DTS", ".dts"),
    (4, b"\xf8\x72\x6f\xba", "Dolby TrueHD", ".thd"),
    (0, b"EA3", "ATRAC", ".oma"),
    (8, b"QLCM", "QCELP", ".qcp"),
    (8, b"AVI ", "an AVI video", ".avi"),
    (0, b"FLV\1", "a Flash video", ".flv"),
    (0, b"\0\0\1\xba", "an MPEG video", ".mpg"),
    (0, b"CTENFDAM", "an encrypted download", ".ncm"),
    (8, b"aax ", "an Audible book", ".aax"),
    (4, b"\x57\x90\x75\x36", "an Audible book", ".aa"),
)

# By the mark at the start of a text.
_ENCODINGS = {
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
    b"\xef\xbb\xbf": "utf-8",
    b"": "utf-8",
}


def describe(path: pathlib.Path) -> str | None:
    """Return what a file is instead of audio, and what to do; None if it may be audio.

    Raises:
      OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        begin = skip_id3v2(file)
        head = file.read(_HEAD_BYTES)
        zeros = not head.strip(b"\0") and not any(
            block.strip(b"\0") for block in iter(lambda: file.read(1 << 20), b"")
        )
    if begin and not head:
        return f"it has tags and no audio behind them, as after a broken download; {_AGAIN}"
    if zeros:
        return f"it has nothing but zero bytes, as after a broken download or copy; {_AGAIN}"
    for at, signature, name, extension in _OTHER_AUDIO:
        if head[at : at + len(signature)] == signature:
            return f"it is {name}, which is not read; {formats.advice(extension)}"
    for at, signature, name, remedy in _SIGNATURES:
        if head[at : at + len(signature)] == signature:
            return f"it is {name} and no audio; {remedy}"
    if (text := _text(head)) is None:
        return None
    for pattern, name, remedy in _TEXTS:
        if re.match(pattern, text.lstrip(), re.IGNORECASE | re.DOTALL):
            return f"it is {name} and no audio; {remedy}"
    return f"it is text and no audio; if it is a server's error message, {_AGAIN}"


def unrecognised(path: pathlib.Path) -> str:
    """Return the sentence about a file that no decoder recognises.

    Raises:
      OSError: the file cannot be read.
    """
    return describe(path) or (
        "its content is no known audio format; it may be damaged or encrypted. If a player plays "
        f"it, {formats.advice(formats.extension_of(str(path)) or '.audio')}"
    )


def _text(head: bytes) -> str | None:
    """Return the head of a file as text, or None if it is none."""
    mark = next((mark for mark in _ENCODINGS if head.startswith(mark)), b"")
    # A character may be cut at the end.
    text = head.removeprefix(mark).decode(_ENCODINGS[mark], "replace").rstrip("\ufffd")
    is_text = all(one.isprintable() or one.isspace() for one in text) and "\ufffd" not in text
    return text if text and is_text else None
