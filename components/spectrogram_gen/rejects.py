"""The list of tracks left out, as a file that people and programs can read."""

from __future__ import annotations

import collections
import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from components.artifacts import files as artifact_files
from components.artifacts.names import REJECT_SUMMARY_JSON, REJECTS_CSV
from components.common.errors import DataError
from components.common.escape import printable_cell
from components.datasets.track import Reject, Track

# Left out on purpose, by the configuration or for want of a label: no sign of bad input.
CHOSEN = frozenset({"no_genre", "unknown_genre", "no_split"})
COLUMNS = ("track_id", "genre", "reason", "detail", "uri")


def write_rejects(directory: str, rejects: Iterable[Reject], summary: dict[str, Any]) -> None:
    """Writes `rejects.csv` (one row a track) and `summary.json` into a folder."""
    write_csv(os.path.join(directory, REJECTS_CSV), rejects)
    artifact_files.write_text(
        os.path.join(directory, REJECT_SUMMARY_JSON), json.dumps(summary, indent=2) + "\n"
    )


def write_csv(path: str, rejects: Iterable[Reject]) -> None:
    """Writes the rows in the order given, all of them or no file.

    Names come from other people's metadata: `printable_cell` keeps them from acting in a
    terminal or a spreadsheet.
    """
    if os.path.isdir(path):
        raise DataError(f"{path}: is a folder; name a file for the tracks left out")
    if "://" not in path:
        os.stat(os.path.dirname(path) or ".")  # a folder that was mistyped is not made
    with (
        artifact_files.written_file(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as out,
    ):
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for reject in rejects:
            writer.writerow([printable_cell(getattr(reject, column)) for column in COLUMNS])


def duplicate_rejects(tracks: Iterable[Track], duplicates: Mapping[str, str]) -> Iterator[Reject]:
    """A reject for each track that repeats another one's audio.

    Args:
      tracks: all tracks.
      duplicates: repeating track's id to that of the one that is kept.
    """
    for track in tracks:
        if track.track_id in duplicates:
            detail = f"the same audio as {duplicates[track.track_id]}"
            yield Reject(track.track_id, track.uri, track.genre, "duplicate", detail)


def check_fraction(rejects: Iterable[Reject], listed: int, most: float) -> None:
    """Stops a run whose input is mostly bad.

    Args:
      rejects: all tracks left out.
      listed: how many tracks the metadata lists, these included.
      most: the largest share of bad tracks that a run accepts (dataset.max_reject_fraction);
        tracks left out on purpose (CHOSEN) are counted neither as bad nor as listed.

    Raises:
      DataError: more are bad; says how many, why, and what to do.
    """
    reasons = collections.Counter(reject.reason for reject in rejects)
    chosen = sum(reasons.pop(reason, 0) for reason in CHOSEN)
    bad, wanted = sum(reasons.values()), listed - chosen
    if bad > most * wanted:
        counts = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common())
        raise DataError(
            f"{bad} of {wanted} tracks cannot be used ({counts}); at most {most:.0%} may be "
            "left out (dataset.max_reject_fraction). `genreflow check-data --full --rejects "
            "FILE.csv` lists each with its reason"
        )
