"""Genres written into the tags of audio files, never into the audio.

A file is copied beside itself, the copy gets the tag, and replaces the file if it decodes to the
same samples. Its modification time is chosen and noted before, so that no later run takes it for a
changed file, even if this one is killed.
"""

from __future__ import annotations

import collections
import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import stat
import time
from collections.abc import Mapping, Sequence

from components.artifacts import files
from components.audio.decoding.decode import DecodeError
from components.audio.decoding.decoder import Decoder
from components.audio.decoding.isolation import IsolatedDecoder
from components.audio.decoding.limits import DecodeLimits
from components.common.errors import UsageError
from components.storage.uri import is_remote
from genreflow.labelling.parts import State
from genreflow.labelling.table import Row
from genreflow.labelling.tag_formats import TagError, read_genres, write_genre

_MAX_EXAMPLES = 5
_SUFFIX = ".tag.json"
# Hidden, so that no listing takes it for a song.
_COPY_PREFIX = ".genreflow-"

# What is done with a file, and how a person reads it.
WRITTEN, WOULD_WRITE, SAME, HAS_GENRE, IMPROBABLE, NO_TAGS, CHANGED, FAILED = OUTCOMES = (
    "written", "would_write", "same", "has_genre", "improbable", "no_tags", "changed", "failed",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class TagOptions:
    """Options of writing tags.

    Attributes:
      min_probability: less probable genres are not written.
      overwrite: replace a genre that a file has.
      dry_run: only count what would be written.
    """

    min_probability: float
    overwrite: bool
    dry_run: bool


@dataclasses.dataclass(frozen=True)
class TagReport:
    """Report about the tags of some files.

    Attributes:
      outcomes: number of files by outcome, of OUTCOMES.
      examples: (uri, genre) of some files whose tag was or would be written.
      problems: (uri, what is wrong) of some that failed.
    """

    outcomes: dict[str, int] = dataclasses.field(default_factory=dict)
    examples: list[list[str]] = dataclasses.field(default_factory=list)
    problems: list[list[str]] = dataclasses.field(default_factory=list)

    def plus(self, other: TagReport) -> TagReport:
        """Return the report about both groups of files."""
        counts = collections.Counter(self.outcomes)
        counts.update(other.outcomes)
        return TagReport(
            dict(counts),
            (self.examples + other.examples)[:_MAX_EXAMPLES],
            (self.problems + other.problems)[:_MAX_EXAMPLES],
        )


def check_usable(data: str, *, dry_run: bool) -> None:
    """Check before a run that tags can be written.

    Args:
      data: the catalogue.
      dry_run: whether nothing is to be written.

    Raises:
      UsageError: mutagen is not installed, the catalogue is in an object store, or its folder
        cannot be written.
    """
    try:
        import mutagen  # noqa: F401
    except ImportError as error:
        raise UsageError(
            '--write-tags needs mutagen: pip install "mutagen>=1.47,<2" (the extra genreflow[tags])'
        ) from error
    if is_remote(data):
        raise UsageError(f"{data}: --write-tags writes local files only; leave it out")
    if dry_run or not os.path.isdir(data):
        return
    if _is_protected(pathlib.Path(data)):
        raise UsageError(
            f"{data}: --write-tags cannot write into this folder, which is read-only; make it "
            "writable (chmod u+w), or leave out --write-tags"
        )
    probe = pathlib.Path(data, f".genreflow-{secrets.token_hex(4)}")
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"{data}: --write-tags cannot write into this folder ({error.strerror}); make it "
            "writable, or leave out --write-tags"
        ) from error


def own_versions(folder: str) -> Mapping[str, set[str]]:
    """Return the file versions that attempts at a part may have given to files, by uri.

    Copies that a killed attempt left beside its files are deleted.

    Args:
      folder: the part's folder of pieces.
    """
    found: dict[str, set[str]] = collections.defaultdict(set)
    for path in files.matching(folder, f"*{_SUFFIX}"):
        uri, version, copy = json.loads(files.read_text(path))
        found[uri].add(version)
        if not copy.startswith(_COPY_PREFIX):
            continue  # not ours, whoever wrote it
        pathlib.Path(os.path.realpath(uri)).with_name(copy).unlink(missing_ok=True)
    return found


class Tagger:
    """Writer of the genres of one part's rows into the files."""

    def __init__(
        self, options: TagOptions, journal: str, limits: DecodeLimits | None = None
    ) -> None:
        """Initialize the writer.

        Args:
          options: what to write.
          journal: the folder for the notes that `own_versions` reads.
          limits: limits of decoding; None for the defaults.
        """
        self._options, self._journal = options, journal
        self._limits = limits or DecodeLimits()

    def write(self, rows: Sequence[Row]) -> tuple[list[Row], TagReport]:
        """Write the genres of rows into their files.

        Returns:
          The rows, with the new states of their files, and a report.
        """
        report = TagReport()
        written = []
        with IsolatedDecoder(self._limits) as decoder:
            for row in rows:
                if row.genre is not None:
                    row, one = self._one(row, decoder)
                    report = report.plus(one)
                written.append(row)
        return written, report

    def _one(self, row: Row, decoder: Decoder) -> tuple[Row, TagReport]:
        genre = row.genre or ""
        try:
            outcome, row = self._write(row, genre, decoder)
        except (TagError, OSError) as error:
            why = getattr(error, "strerror", None) or str(error)
            return row, TagReport({FAILED: 1}, problems=[[row.uri, why]])
        shown = [[row.uri, genre]] if outcome in (WRITTEN, WOULD_WRITE) else []
        return row, TagReport({outcome: 1}, shown)

    def _write(self, row: Row, genre: str, decoder: Decoder) -> tuple[str, Row]:
        options = self._options
        if row.probability is None or row.probability < options.min_probability:
            return IMPROBABLE, row
        if is_remote(row.uri):
            return NO_TAGS, row
        found = read_genres(row.uri)
        if found is None:
            return NO_TAGS, row
        if found == [genre]:
            return SAME, row
        if found and not options.overwrite:
            return HAS_GENRE, row
        path = pathlib.Path(os.path.realpath(row.uri))
        for place in (path.parent, path):
            if _is_protected(place):
                raise TagError(f"{place} is read-only; make it writable (chmod u+w)")
        if _state(path) != (row.size_bytes, row.file_version):
            return CHANGED, row
        if options.dry_run:
            return WOULD_WRITE, row
        copy = path.with_name(f"{_COPY_PREFIX}{secrets.token_hex(8)}{path.suffix}")
        modified_ns = _modification_time(path)
        note = hashlib.sha256(row.uri.encode()).hexdigest()[:32]
        files.write_text(
            os.path.join(self._journal, f"{note}-{copy.stem[-16:]}{_SUFFIX}"),
            json.dumps([row.uri, str(modified_ns), copy.name]),
        )
        try:
            _copy(path, copy)
            write_genre(str(copy), genre)
            _check_audio(path, copy, decoder)
            os.utime(copy, ns=(path.stat().st_atime_ns, modified_ns))
            with open(copy, "rb") as file:
                os.fsync(file.fileno())
            size, version = _state(copy)
            if _state(path) != (row.size_bytes, row.file_version):
                return CHANGED, row
            os.replace(copy, path)
        finally:
            copy.unlink(missing_ok=True)
        return WRITTEN, dataclasses.replace(row, size_bytes=size, file_version=version)


def _is_protected(path: pathlib.Path) -> bool:
    """Return whether nobody may write a file or into a folder. It counts for root, too."""
    return not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)


def _modification_time(path: pathlib.Path) -> int:
    """Return a new modification time for a file, in nanoseconds.

    It is chosen before the file is written, so that it can be noted before. Every file system can
    hold an even second.
    """
    now = int(time.time()) // 2 * 2 * 10**9
    return now if now != path.stat().st_mtime_ns else now - 2 * 10**9


def _copy(path: pathlib.Path, copy: pathlib.Path) -> None:
    shutil.copy2(path, copy)
    owner, made = path.stat(), copy.stat()
    if (owner.st_uid, owner.st_gid) == (made.st_uid, made.st_gid):
        return
    try:
        os.chown(copy, owner.st_uid, owner.st_gid)
    except PermissionError as error:
        raise TagError(
            "it belongs to another user or group, and would no longer with the tag; run this as "
            "its owner, or as root"
        ) from error


def _check_audio(path: pathlib.Path, copy: pathlib.Path, decoder: Decoder) -> None:
    try:
        same = decoder.digest(path) == decoder.digest(copy)
    except DecodeError as error:
        raise TagError(f"its audio could not be compared before and after ({error})") from error
    if not same:
        raise TagError("with the tag it would decode to other samples, so it was left as it is")


def _state(path: pathlib.Path) -> State:
    try:
        status = path.stat()
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None, ""
        raise
    return status.st_size, str(status.st_mtime_ns)
