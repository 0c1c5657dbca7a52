"""Marks: what a person decided about songs' labels after listening. Kept in the work folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

from components.artifacts import files as artifact_files
from components.artifacts import typed_json
from components.common.errors import DataError
from components.examples.tracks import ExampleTrack

VERSION: Final = 1
Decision = Literal["keep", "relabel", "drop"]
DECISIONS: tuple[Decision, ...] = ("keep", "relabel", "drop")


@dataclasses.dataclass(frozen=True)
class Mark:
    """Decision about one song.

    Attributes:
      song: the song as it was in the run when it was marked.
      decision: "keep" its label, "relabel" it, or "drop" the song.
      genre: the new genre; "" unless it is relabelled.
      evidence: what spoke against the label, as a sentence; "" if nothing did.
    """

    song: ExampleTrack
    decision: Decision
    genre: str
    evidence: str

    @property
    def state(self) -> str:
        """The decision as one text, by which two marks of a song are compared."""
        return f"{self.decision} {self.genre}".strip()


@dataclasses.dataclass(frozen=True)
class MarksFile:
    """Content of the marks' file: a mark for each song, sorted by track id."""

    version: int
    marks: tuple[Mark, ...]


def as_text(marks: Iterable[Mark]) -> str:
    """Return the text of the marks' file."""
    ordered = sorted(marks, key=lambda mark: mark.song.track_id)
    return json.dumps(dataclasses.asdict(MarksFile(VERSION, tuple(ordered))), indent=1) + "\n"


def read_marks(path: str) -> dict[str, Mark]:
    """Read the marks' file; return the marks by track id, none if there is no file.

    Raises:
      DataError: the file is damaged, or of another version.
    """
    remedy = "repair it, or move it away to begin without marks"
    try:
        values = json.loads(artifact_files.read_text(path))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is damaged, not JSON ({error}); {remedy}") from error
    version = values.get("version") if isinstance(values, dict) else None
    if version != VERSION:
        raise DataError(
            f"{path}: has version {version!r}, but this genreflow reads {VERSION}; {remedy}"
        )
    try:
        marks = typed_json.parse(MarksFile, values).marks
    except ValueError as error:
        raise DataError(f"{path}: is damaged, {error}; {remedy}") from error
    return {mark.song.track_id: mark for mark in marks}


def mended(songs: Iterable[ExampleTrack], marks: Mapping[str, Mark]) -> Iterator[ExampleTrack]:
    """Yield the songs of a run with the marks applied, sorted by track id.

    A song that an earlier run dropped, and whose mark was undone since, is among them again.

    Args:
      songs: the run's songs.
      marks: by track id.
    """
    by_id = {song.track_id: song for song in songs}
    for track_id, made in marks.items():
        by_id.setdefault(track_id, made.song)
    for track_id in sorted(by_id):
        mark = marks.get(track_id)
        if mark is None or mark.decision == "keep":
            yield by_id[track_id]
        elif mark.decision == "relabel":
            yield dataclasses.replace(by_id[track_id], genre=mark.genre)
