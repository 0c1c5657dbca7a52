"""Data sets of every kind on disk, made from the same rows, for tests that cover all kinds."""

from __future__ import annotations

import csv
import os
import pathlib
import random
from collections.abc import Callable, Sequence

from components.datasets.settings import DatasetSettings
from components.datasets.track import Track

FMA_HEADER = (
    ("", "artist", "set", "set", "track"),
    ("", "id", "split", "subset", "genre_top"),
    ("track_id", "", "", "", ""),
)
FMA_SPLITS = {"train": "training", "validation": "validation", "test": "test", None: ""}
MODIFIED_NS = 1_700_000_000_000_000_000


def lay_out(
    kind: str,
    rows: Sequence[Track],
    root: pathlib.Path,
    content: Callable[[Track], bytes] = lambda row: b"x",
    order: random.Random | None = None,
) -> DatasetSettings:
    """Write a data set, and return settings that read it.

    Args:
      kind: of DatasetSettings.
      rows: tracks with whole numbers as `track_id`. `uri` is the file's path in a manifest; if it
        is "", the path is made of the id. The kinds gtzan and folder have no metadata and lose
        artists and splits; split_folders loses artists.
      root: the data folder, which must not exist.
      content: returns the content of a row's file.
      order: shuffles the rows of the metadata and the order in which files are written.
    """
    written = list(rows)
    if order:
        order.shuffle(written)
    for row in written:
        path = root / path_of(kind, row)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(row))
        os.utime(path, ns=(MODIFIED_NS, MODIFIED_NS))
    if kind in ("fma", "synthetic"):
        cells = [
            [r.track_id, r.artist_id, FMA_SPLITS[r.split_hint], "small", r.genre] for r in written
        ]
        write_csv(root / "fma_metadata" / "tracks.csv", [*FMA_HEADER, *cells])
    if kind == "manifest":
        header = ["uri", "genre", "track_id", "artist_id", "split"]
        cells = [
            [path_of(kind, r), r.genre, r.track_id, r.artist_id, r.split_hint] for r in written
        ]
        write_csv(root / "manifest.csv", [header, *cells])
    return DatasetSettings(kind=kind, data_dir=str(root))


def path_of(kind: str, row: Track) -> str:
    """Return the path of a row's file in the data folder."""
    number = f"{int(row.track_id):06d}"
    if kind in ("fma", "synthetic"):
        return f"fma_small/{number[:3]}/{number}.mp3"
    if kind == "gtzan":
        return f"{row.genre}/{number}.wav"
    if kind == "folder":
        return f"{row.genre}/{row.artist_id or 'various'}/{number}.mp3"
    if kind == "split_folders":
        return f"{row.split_hint or 'unsplit'}/{row.genre}/{number}.ogg"
    return row.uri or f"audio/{number}.wav"


def id_of(kind: str, row: Track) -> str:
    """Return the track id that the data set's reader gives to a row."""
    if kind in ("gtzan", "folder", "split_folders"):
        return os.path.splitext(path_of(kind, row))[0]
    return row.track_id


def write_csv(path: pathlib.Path, rows: Sequence[Sequence[str | None]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows(rows)
