"""The genre in a file's tags, in each format of tags that mutagen knows."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Sequence
from typing import Any

# What mutagen raises for damaged files besides its own errors, as mutated files show.
_DAMAGE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error)


class TagError(Exception):
    """Error for a file whose tags cannot be read or written; the text says why."""


def read_genres(path: str) -> list[str] | None:
    """Return the genres in a file's tags; None if its format has no tags that can be written.

    Raises:
      TagError: the tags are damaged.
      OSError: the file cannot be read.
    """
    audio = _opened(path)
    if audio is None:
        return None
    with _told():
        return [str(genre) for genre in _texts(audio.tags)]


def read_artist(path: str) -> str:
    """Return the artist in a file's tags; "" if it has none, or no tags that can be read.

    Raises:
      OSError: the file cannot be read.
    """
    import mutagen
    from mutagen.id3 import ID3

    try:
        with _told():
            audio = mutagen.File(path, easy=True)
            tags = None if audio is None else audio.tags
            if tags is None:
                return ""
            found = tags.getall("TPE1") if isinstance(tags, ID3) else tags.get("artist")
            return " ".join(str(found[0]).split()) if found else ""
    except TagError:
        return ""


def write_genre(path: str, genre: str) -> None:
    """Write a genre into a file's tags, in place of any other; the other tags stay.

    Raises:
      TagError: the tags are damaged, or cannot be written.
      OSError: the file cannot be written.
    """
    from mutagen.id3 import ID3, TCON

    audio = _opened(path)
    if audio is None:
        raise TagError("its format has no tags that can be written")
    with _told():
        tags, options = audio.tags, {}
        if isinstance(tags, ID3):
            tags.setall("TCON", [TCON(encoding=3, text=[genre])])
            if tags.version < (2, 4, 0) and len(tags) > 1:  # players may know that version alone
                tags.update_to_v23()
                options = {"v2_version": 3}
        else:
            tags[_field(tags)] = [genre]
        audio.save(**options)


def _opened(path: str) -> Any:
    """Return mutagen's view of a file, with tags; None if it knows none of the format."""
    import mutagen

    with _told():
        try:
            audio = mutagen.File(path)
            if audio is not None and audio.tags is None:
                audio.add_tags()
            return audio
        except NotImplementedError:  # AAC
            return None
        except mutagen.MutagenError as error:
            if "doesn't support" in str(error):  # AC-3
                return None
            raise


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn mutagen's errors into TagError, or into the OSError that caused them."""
    import mutagen

    try:
        yield
    except mutagen.MutagenError as error:
        causes = (error.__cause__, error.__context__, *error.args)
        raise next(
            (cause for cause in causes if isinstance(cause, OSError)),
            TagError(f"its tags cannot be read or written ({error})"),
        ) from error
    except _DAMAGE as error:
        raise TagError(f"its tags are damaged ({type(error).__name__}: {error})") from error


def _texts(tags: Any) -> Sequence[Any]:
    from mutagen.id3 import ID3

    if isinstance(tags, ID3):
        return [genre for frame in tags.getall("TCON") for genre in frame.genres]
    found: Sequence[Any] = tags.get(_field(tags), [])
    return found


def _field(tags: Any) -> str:
    """Return the name of the genre in tags that are no ID3; Vorbis comments have the plain one."""
    from mutagen.apev2 import APEv2
    from mutagen.asf import ASFTags
    from mutagen.mp4 import MP4Tags

    names = {MP4Tags: "\xa9gen", ASFTags: "WM/Genre", APEv2: "Genre"}
    return next((name for kind, name in names.items() if isinstance(tags, kind)), "genre")
