"""The files that mended labels are written to: a manifest, its configuration, and the changes.

labels.csv    every song with its mended label; `dataset.kind = "manifest"` reads it
config.toml   the run's configuration, with that manifest as its data set
changes.csv   what was decided about which song, and on which evidence
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

from components.common.escape import printable_cell
from components.datasets.files.open import open_files
from components.datasets.track import SPLITS
from components.examples.tracks import ExampleTrack
from components.storage.uri import is_remote
from genreflow.exploring.marks import Mark
from pipeline.config.load import from_values
from pipeline.config.schema import Config

LABELS_CSV: Final = "labels.csv"
CONFIG_TOML: Final = "config.toml"
CHANGES_CSV: Final = "changes.csv"
MANIFEST_COLUMNS: Final = ("uri", "genre", "track_id", "artist_id", "split")
CHANGES_COLUMNS: Final = (
    "track_id", "decision", "genre_before", "genre_after", "split", "artist_id", "evidence", "uri",
)  # fmt: skip


def manifest_text(songs: Iterable[ExampleTrack], data_dir: str, manifest: str) -> tuple[str, int]:
    """Return the manifest, and the number of songs that a manifest cannot name.

    Those have paths that are not UTF-8, or that end in blanks. Paths are relative, so that the data
    folder can be moved, and begin with "./", so that none looks like a formula.

    Args:
      songs: the songs.
      data_dir: the data folder, a path or an s3:// URI.
      manifest: where the file will be, a path or a URI.
    """
    files = open_files(data_dir)
    inside = is_remote(files.root) == is_remote(manifest) and not files.leads_outside(manifest)
    base = os.path.dirname(files.relative(manifest)) if inside else ""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(MANIFEST_COLUMNS)
    left_out = 0
    for song in songs:
        path = os.path.relpath(files.relative(song.uri), base or ".")
        if not _can_be_named(path):
            left_out += 1
            continue
        writer.writerow([f"./{path}", song.genre, song.track_id, song.artist_id, song.split])
    return out.getvalue(), left_out


def changes_text(marks: Iterable[Mark]) -> str:
    """Return the list of decisions, harmless in a spreadsheet."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(CHANGES_COLUMNS)
    for mark in sorted(marks, key=lambda mark: mark.song.track_id):
        song = mark.song
        after = {"keep": song.genre, "relabel": mark.genre, "drop": ""}[mark.decision]
        row = (
            song.track_id, mark.decision, song.genre, after, song.split, song.artist_id,
            mark.evidence, song.uri,
        )  # fmt: skip
        writer.writerow([printable_cell(cell) for cell in row])
    return out.getvalue()


def mended_config(config: Config, genres: Iterable[str], manifest: str) -> Config:
    """Return a run's configuration with a manifest of all its songs as its data set.

    Every song keeps its split, so that results can be compared with the run's and nothing leaks.
    Under split.policy = "by_clip" the splits depend on the ids alone, and stay too.

    Args:
      config: the run's configuration.
      genres: its genres in label order, which stay.
      manifest: the manifest's path, or its path in the data folder.
    """
    changes: dict[str, Any] = {
        "dataset.kind": "manifest",
        "dataset.manifest": manifest,
        "dataset.synthetic": config.dataset.is_synthetic,
        "dataset.genres": list(genres),
        "dataset.max_tracks": 0,
    }
    if config.split.policy != "by_clip":
        changes["split.policy"] = "official"
    return from_values(config.to_json(), changes, "the mended labels")


def config_text(config: Config) -> str:
    """Return a configuration as TOML, which loads as the same configuration."""
    import tomli_w

    return tomli_w.dumps(_without_none(config.to_json()))


@dataclasses.dataclass(frozen=True)
class EmptyPart:
    """Part of the mended data without songs.

    Attributes:
      text: which it is, and what follows for the next run, as a sentence.
      stops: whether the next run would stop because of it (components.datasets.split.splits).
    """

    text: str
    stops: bool


_EMPTY: Final = {
    **{
        split: EmptyPart(f"No {split} song is left, so the next run would stop: undo a mark.", True)
        for split in ("train", "test")
    },
    "validation": EmptyPart(
        "No validation song is left. The next run takes some of the train songs for it.", False
    ),
}


def empty_parts(songs: Iterable[ExampleTrack], genres: Iterable[str]) -> list[EmptyPart]:
    """Return the splits without songs, and the genres without songs in a split.

    Args:
      songs: the mended songs. Those in several splits count for all.
      genres: the genres.
    """
    found = {
        (song.genre, split) for song in songs for split in ([song.split] if song.split else SPLITS)
    }
    filled = [split for split in SPLITS if any(part == split for _, part in found)]
    parts = [_EMPTY[split] for split in SPLITS if split not in filled]
    for genre in genres:
        empty = [split for split in filled if (genre, split) not in found]
        if "train" in empty:
            text = f"{genre} has no train song left, so the next run would stop: undo a mark."
            parts.append(EmptyPart(text, True))
        elif empty:
            text = (
                f"{genre} has no {' and no '.join(empty)} song left. The next run warns, and "
                "cannot say how well the genre is recognised there."
            )
            parts.append(EmptyPart(text, False))
    return parts


def _can_be_named(path: str) -> bool:
    """Return whether the reader of manifests finds the path: it strips cells, and reads UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return path == path.rstrip() and "\0" not in path


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }
