"""The listing of a run: the catalogue's files, in one file for each part of the table.

The files are spooled to the disk first, for the number of parts of a new table depends on their
number. Memory does not grow with it, and no message to a worker holds a list.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any

from components.artifacts import files
from components.storage import objects
from components.storage.client import CONNECTIONS
from components.storage.errors import ObjectMissing
from components.storage.uri import is_remote, parse
from genreflow.labelling.parts import Listed
from genreflow.labelling.table import TableFolder, part_of

# Text of parts that is held before it is appended to their files.
_MAX_HELD_CHARACTERS = 16 << 20
# Objects that are listed to find one; beyond, asking for each of them costs less.
MAX_LISTED_PER_UNKNOWN = 100
_STATE_VALUES = 3


@dataclasses.dataclass
class Spool:
    """Catalogue's files on the disk, a line each.

    Attributes:
      lines: the file of the lines.
      count: their number.
      unknown: number of objects whose state is not known, as a manifest names them.
      prefixes: what all of these have in common, by bucket.
    """

    lines: IO[str]
    count: int = 0
    unknown: int = 0
    prefixes: dict[str, str] = dataclasses.field(default_factory=dict)

    def add(self, file: Listed) -> None:
        self.lines.write(_line(dataclasses.astuple(file)))
        self.count += 1
        if not file.reason and not file.file_version and is_remote(file.uri):
            self.unknown += 1
            bucket = parse(file.uri).bucket
            known = self.prefixes.get(bucket, file.uri)
            self.prefixes[bucket] = _common(known, file.uri)


@contextlib.contextmanager
def spooled(listed: Iterable[Listed], advance: Callable[[int], None]) -> Iterator[Spool]:
    """Yield a catalogue's files on the disk, for the time of the block.

    Args:
      listed: the catalogue's files.
      advance: called with the number of files so far.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", prefix="genreflow-listing-") as lines:
        spool = Spool(lines)
        for file in listed:
            spool.add(file)
            if not spool.count % 1000:
                advance(spool.count)
        advance(spool.count)
        yield spool


def distribute(spool: Spool, folder: TableFolder, parts: int) -> None:
    """Write the lines into the listings of a table's parts, each of which gets one.

    Objects of unknown state are looked up by listing what has their common prefix, a thousand a
    request. A worker asks for the rest one by one.

    Raises:
      StorageError: the object store cannot be read or written.
    """
    with tempfile.TemporaryDirectory(prefix="genreflow-listing-") as scratch:
        remote = is_remote(folder.root)
        target = pathlib.Path(scratch if remote else os.path.dirname(folder.listing(0)))
        target.mkdir(parents=True, exist_ok=True)
        names = [os.path.basename(folder.listing(index)) for index in range(parts)]
        for name in names:
            (target / name).write_bytes(b"")
        held: dict[int, list[str]] = {}
        size = 0
        spool.lines.seek(0)
        for line in itertools.chain(spool.lines, map(_line, _states(spool))):
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
    records = [json.loads(line) for line in lines]
    states = {record[0]: record[1:] for record in records if len(record) == _STATE_VALUES}
    listed = (Listed(*record) for record in records if len(record) != _STATE_VALUES)
    return [_with_state(file, states.get(file.uri)) for file in listed]


def _states(spool: Spool) -> Iterator[tuple[str, int, str]]:
    """Yield uri, size and ETag of objects, among them most of those of unknown state."""
    left = MAX_LISTED_PER_UNKNOWN * spool.unknown
    for prefix in spool.prefixes.values():
        # Of one object, or of several whose names have nothing in common, it is no folder.
        for item in objects.list_objects(prefix[: prefix.rindex("/") + 1]):
            if not left:
                return
            left -= 1
            yield item.uri, item.state.size_bytes, item.state.etag


def _with_state(file: Listed, state: list[Any] | None) -> Listed:
    if state is None or file.reason or file.file_version:
        return file
    size, etag = state
    if not size:
        return dataclasses.replace(file, reason="empty_file", detail="0 bytes")
    return dataclasses.replace(file, size_bytes=size, file_version=etag)


def _common(one: str, other: str) -> str:
    """Return what two texts have in common at their start."""
    equal = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return one[: sum(1 for _ in equal)]


def _append(held: dict[int, list[str]], target: pathlib.Path, names: list[str]) -> None:
    for index, lines in held.items():
        with (target / names[index]).open("a", encoding="utf-8") as out:
            out.writelines(lines)


def _line(values: Sequence[Any]) -> str:
    # In ASCII, so that no character in a name ends a line.
    return json.dumps(values) + "\n"
