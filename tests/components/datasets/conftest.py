"""Small datasets on disk. The readers open no audio, so files of one byte are enough."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Callable, Mapping, Sequence

import pytest

from components.datasets.corpus import read_tracks
from components.datasets.settings import DatasetSettings
from components.datasets.track import Note, Reject, Track

FMA_COLUMNS = (
    ("album", "title"),
    ("artist", "id"),
    ("artist", "name"),
    ("set", "split"),
    ("set", "subset"),
    ("track", "genre_top"),
    ("track", "title"),
)


@pytest.fixture
def touch(tmp_path: pathlib.Path) -> Callable[..., pathlib.Path]:
    """Return a function that writes a file below tmp_path, of one byte by default."""

    def make(relative: str, content: bytes = b"x") -> pathlib.Path:
        path = tmp_path / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return make


@pytest.fixture
def read(
    tmp_path: pathlib.Path,
) -> Callable[..., tuple[list[Track], list[Reject]]]:
    """Return a function that reads tmp_path with given settings: (tracks, rejects) in order."""

    def run(**settings: object) -> tuple[list[Track], list[Reject]]:
        items = list(read_tracks(DatasetSettings(**settings), str(tmp_path)))
        return (
            [item for item in items if isinstance(item, Track)],
            [item for item in items if isinstance(item, Reject)],
        )

    return run


@pytest.fixture
def notes(tmp_path: pathlib.Path) -> Callable[..., list[str]]:
    """Return a function that reads tmp_path with given settings, and returns the notes."""

    def run(**settings: object) -> list[str]:
        items = read_tracks(DatasetSettings(**settings), str(tmp_path))
        return [item.text for item in items if isinstance(item, Note)]

    return run


@pytest.fixture
def write_fma(tmp_path: pathlib.Path) -> Callable[..., pathlib.Path]:
    """Return a function that writes fma_metadata/tracks.csv with FMA's three header lines.

    A row is {"id": ..., (group, name): ...}; missing cells are blank.
    """

    def write(
        rows: Sequence[Mapping[object, str]],
        columns: Sequence[tuple[str, str]] = FMA_COLUMNS,
    ) -> pathlib.Path:
        path = tmp_path / "fma_metadata" / "tracks.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["", *(group for group, _ in columns)])
            writer.writerow(["", *(name for _, name in columns)])
            writer.writerow(["track_id", *("" for _ in columns)])
            for row in rows:
                writer.writerow([row["id"], *(row.get(column, "") for column in columns)])
        return path

    return write
