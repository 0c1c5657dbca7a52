"""The list of tracks left out, as a file that people and programs can read."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable
from typing import Any

from components.datasets.track import Reject
from components.inert import inert_cell

COLUMNS = ("track_id", "genre", "reason", "detail", "uri")


def write_rejects(directory: str, rejects: Iterable[Reject], summary: dict[str, Any]) -> None:
    """Writes `rejects.csv` (one row a track) and `summary.json` into a folder."""
    write_csv(os.path.join(directory, "rejects.csv"), rejects)
    path = os.path.join(directory, "summary.json")
    temporary = path + ".tmp"
    with open(temporary, "w", encoding="utf-8") as out:
        json.dump(summary, out, indent=2)
        out.write("\n")
    os.replace(temporary, path)


def write_csv(path: str, rejects: Iterable[Reject]) -> None:
    """Writes the rows in the order given, to a temporary name and then renamed.

    Names come from other people's metadata: `inert_cell` keeps them from acting in a
    terminal or a spreadsheet.
    """
    temporary = path + ".tmp"
    with open(temporary, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for reject in rejects:
            writer.writerow([inert_cell(getattr(reject, column)) for column in COLUMNS])
    os.replace(temporary, path)
