"""The list of rejected tracks, as a file, and its limit."""

from __future__ import annotations

import collections
import csv
import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping

from components.artifacts import files
from components.artifacts.names import REJECT_SUMMARY_JSON, REJECTS_CSV
from components.common.errors import DataError, GenreflowError
from components.common.escape import printable_cell
from components.datasets.track import Reject, Track, file_id
from components.spectrogram_gen.reject_hint import LIST_REJECTS
from components.spectrogram_gen.summary import DataSummary

# Excluded by the configuration, for lack of a label, or because the song is there already,
# which is no sign of bad input.
EXCLUDED_ON_PURPOSE = frozenset({"no_genre", "unknown_genre", "no_split", "other_format"})
# Reasons that a busy machine or a slow disk can give; another try may succeed.
PASSING = ("timed_out", "too_large")
COLUMNS = ("track_id", "genre", "reason", "detail", "uri")


def write_rejects(directory: str, rejects: Iterable[Reject], summary: DataSummary) -> None:
    """Write `rejects.csv` (one row per track) and `summary.json` into a folder."""
    write_csv(os.path.join(directory, REJECTS_CSV), rejects)
    files.write_text(
        os.path.join(directory, REJECT_SUMMARY_JSON),
        json.dumps(dataclasses.asdict(summary), indent=2) + "\n",
    )


def write_csv(path: str, rejects: Iterable[Reject]) -> None:
    """Write the rows in the given order, atomically.

    Names come from untrusted metadata. `printable_cell` makes them harmless in a terminal or a
    spreadsheet.

    Raises:
      DataError: the path is a folder.
      OSError: the file cannot be written.
    """
    if os.path.isdir(path):
        raise DataError(f"{path}: is a folder; name a file for the rejected tracks")
    if "://" not in path:
        os.stat(os.path.dirname(path) or ".")  # raises for a mistyped folder instead of creating it
    with (
        files.written_file(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as out,
    ):
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for reject in rejects:
            writer.writerow([printable_cell(getattr(reject, column)) for column in COLUMNS])


def duplicate_rejects(tracks: Iterable[Track], duplicates: Mapping[str, str]) -> Iterator[Reject]:
    """Yield a reject for each file of the tracks that repeat another one's audio.

    Args:
      tracks: all tracks.
      duplicates: maps the id of each duplicate to the id of the track that is kept.
    """
    for track in tracks:
        if track.track_id in duplicates:
            detail = f"same audio as {duplicates[track.track_id]}"
            yield Reject(track.track_id, track.uri, track.genre, "duplicate", detail)
            for copy in track.copies:
                yield Reject(file_id(copy), copy.uri, copy.genre, "duplicate", detail)


def check_fraction(rejects: Iterable[Reject], listed: int, max_fraction: float) -> None:
    """Raise an error if too many tracks are rejected.

    Tracks that are EXCLUDED_ON_PURPOSE do not count, neither as rejected nor as listed.

    Args:
      rejects: all rejected tracks.
      listed: number of tracks that the metadata lists, rejects included.
      max_fraction: the largest accepted share of rejects (dataset.max_reject_fraction).

    Raises:
      DataError: too many tracks are rejected; the message has the counts by reason.
      GenreflowError: the same, but only because the machine was busy (PASSING).
    """
    reasons = collections.Counter(reject.reason for reject in rejects)
    excluded = sum(reasons.pop(reason, 0) for reason in EXCLUDED_ON_PURPOSE)
    bad, wanted = sum(reasons.values()), listed - excluded
    if bad > max_fraction * wanted:
        counts = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common())
        lasting = bad - sum(reasons[reason] for reason in PASSING)
        kind = DataError if lasting > max_fraction * wanted else GenreflowError
        raise kind(
            f"{bad} of {wanted} tracks cannot be used ({counts}); at most {max_fraction:.0%} may "
            "be rejected (dataset.max_reject_fraction). List each with its reason: "
            f"{LIST_REJECTS}"
        )
