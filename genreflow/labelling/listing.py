"""The listing of a run: the catalogue's files, in one file for each part of the table.

The files are spooled to the disk first, for the number of parts of a new table depends on their
number. Memory does not grow with it, and no message to a worker holds a list.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from components.artifacts import files
from components.storage import objects
from components.storage.client import CONNECTIONS
from components.storage.errors import ObjectMissing
from components.storage.uri import is_remote
from genreflow.labelling.parts import Listed
from genreflow.labelling.table import TableFolder, part_of

# Text of parts that is held before it is appended to their files.
_MAX_HELD_CHARACTERS = 16 << 20


@contextlib.contextmanager
def spooled(
    listed: Iterable[Listed], advance: Callable[[int], None]
) -> Iterator[tuple[IO[str], int]]:
    """Yield a temporary file with a line for each file of the catalogue, and their number.

    Args:
      listed: the catalogue's files.
      advance: called with the number of files so far.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", prefix="genreflow-listing-") as spool:
        count = 0
        for count, file in enumerate(listed, start=1):
            spool.write(_line(file))
            if not count % 1000:
                advance(count)
        advance(count)
        spool.flush()
        yield spool, count


def distribute(spool: IO[str], folder: TableFolder, parts: int) -> None:
    """Write the spooled lines into the listings of a table's parts, each of which gets one."""
    with tempfile.TemporaryDirectory(prefix="genreflow-listing-") as scratch:
        remote = is_remote(folder.root)
        target = pathlib.Path(scratch if remote else os.path.dirname(folder.listing(0)))
        target.mkdir(parents=True, exist_ok=True)
        names = [os.path.basename(folder.listing(index)) for index in range(parts)]
        for name in names:
            (target / name).write_bytes(b"")
        held: dict[int, list[str]] = {}
        size = 0
        spool.seek(0)
        for line in spool:
            uri, *_, detail = json.loads(line)
            held.setdefault(part_of(uri or detail, parts), []).append(line)
            size += len(line)
            if size > _MAX_HELD_CHARACTERS:
                _append(held, target, names)
                held, size = {}, 0
        _append(held, target, names)
        if remote:
            with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
                list(
                    pool.map(
                        lambda index: objects.upload(target / names[index], folder.listing(index)),
                        range(parts),
                    )
                )


def read_listing(folder: TableFolder, index: int) -> list[Listed] | None:
    """Return the files of one part; None if its listing is not there."""
    try:
        lines = files.read_text(folder.listing(index)).splitlines()
    except (FileNotFoundError, ObjectMissing):
        return None
    return [Listed(*json.loads(line)) for line in lines]


def _append(held: dict[int, list[str]], target: pathlib.Path, names: list[str]) -> None:
    for index, lines in held.items():
        with (target / names[index]).open("a", encoding="utf-8") as out:
            out.writelines(lines)


def _line(file: Listed) -> str:
    values = [file.uri, file.track_id, file.size_bytes, file.file_version, file.reason, file.detail]
    # In ASCII, so that no character in a name ends a line.
    return json.dumps(values) + "\n"
