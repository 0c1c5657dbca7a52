"""Marking of songs: one owner of the marks, which saves each at once."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import stat
import threading
from collections.abc import Iterator, Mapping

from components.artifacts import files as artifact_files
from components.common.errors import DataError, UsageError
from components.examples.tracks import ExampleTrack
from components.storage.uri import checked_place, is_remote
from genreflow.exploring.marks import Decision, Mark, as_text, mended, read_marks
from genreflow.exploring.mended_files import (
    CHANGES_CSV,
    CONFIG_TOML,
    LABELS_CSV,
    EmptyPart,
    changes_text,
    config_text,
    empty_parts,
    manifest_text,
    mended_config,
)
from genreflow.exploring.preparation import FOLDER
from genreflow.exploring.run import ExploredRun
from pipeline.results.results_file import FILE_NAME as RESULTS_JSON

MARKS_JSON = "marks.json"


class MarkConflictError(Exception):
    """Error for a song whose mark has changed since it was shown, in another tab."""


class MarkNotSavedError(Exception):
    """Error for a mark that could not be saved; nothing has changed."""


@dataclasses.dataclass(frozen=True)
class MendedPlaces:
    """Paths of the files that marks are saved to.

    Attributes:
      marks: the marks themselves.
      labels: the manifest, a path or an s3:// URI.
      changes: the list of decisions.
      config: the configuration of the next run.
    """

    marks: str
    labels: str
    changes: str
    config: str

    @classmethod
    def of(cls, work_dir: str, output: str = "") -> MendedPlaces:
        """Return the places in a work folder; `output` names another one for the manifest.

        Raises:
          UsageError: the output is a folder.
        """
        folder = os.path.join(work_dir, FOLDER)
        labels = checked_place(output, "--output") if output else os.path.join(folder, LABELS_CSV)
        if not is_remote(labels):
            labels = os.path.abspath(os.path.expanduser(labels))
            if os.path.isdir(labels):
                raise UsageError(
                    f"{labels}: is a folder; name a file with --output, such as labels.csv"
                )
            if output and not os.path.isdir(os.path.dirname(labels)):
                raise UsageError(
                    f"{os.path.dirname(labels)}: no such folder; make it, or name another --output"
                )
        return cls(
            marks=os.path.join(folder, MARKS_JSON),
            labels=labels,
            changes=os.path.join(folder, CHANGES_CSV),
            config=os.path.join(folder, CONFIG_TOML),
        )


class Marking:
    """Marks of a run's songs. Its methods may be called from several threads.

    Attributes:
      places: the files.
      left_out: number of songs that the manifest cannot name (mended_files.manifest_text).
    """

    def __init__(self, run: ExploredRun, places: MendedPlaces) -> None:
        """Read the marks that were made before.

        Raises:
          DataError: the marks' file is damaged, or of another version.
        """
        self.places = places
        self.left_out = 0
        self._run = run
        self._lock = threading.Lock()
        self._marks: Mapping[str, Mark] = read_marks(places.marks)
        self._results = os.path.join(run.folder, RESULTS_JSON)
        self._results_state = _state(self._results)

    @property
    def marks(self) -> Mapping[str, Mark]:
        """All marks by track id; never changed in place."""
        return self._marks

    def mark(
        self, track_id: str, decision: Decision, genre: str, *, evidence: str, seen: str
    ) -> Mark:
        """Mark a song, and save.

        Args:
          track_id: the song's id.
          decision: the decision.
          genre: the new genre if it is relabelled, else "".
          evidence: see Mark.
          seen: state of the song's mark that the person saw; "" for none.

        Raises:
          KeyError: the run has no such song, or no such genre.
          MarkConflictError: the song was marked since.
          MarkNotSavedError: a file cannot be written.
        """
        with self._lock:
            before = self._current(track_id, seen)
            song = before.song if before else self._run.songs[self._run.index[track_id]]
            if decision == "relabel" and genre not in self._run.genres:
                raise KeyError(genre)
            made = Mark(song, decision, genre if decision == "relabel" else "", evidence)
            self._save({**self._marks, track_id: made})
            return made

    def undo(self, track_id: str, *, seen: str) -> Mark | None:
        """Remove a song's mark, and save; raise as `mark` does.

        Returns:
          None; or the mark that takes its place if an earlier run dropped the song: it is kept.
        """
        with self._lock:
            before = self._current(track_id, seen)
            marks = dict(self._marks)
            made = None
            if before is not None:
                if track_id in self._run.index:
                    del marks[track_id]
                else:
                    made = dataclasses.replace(before, decision="keep", genre="")
                    marks[track_id] = made
                self._save(marks)
            return made

    def songs(self) -> list[ExampleTrack]:
        """Return the songs of the next run: the run's, with the marks applied."""
        return list(mended(self._run.songs, self._marks))

    def empty_parts(self) -> list[EmptyPart]:
        """Return the parts that the next run would find without songs; none if nothing changes."""
        if not self.changed():
            return []
        return empty_parts(self.songs(), self._run.genres)

    def changed(self) -> int:
        """Return the number of songs whose label or presence differs from the run's."""
        run, marks = self._run, self._marks
        return sum(
            1
            for track_id, mark in marks.items()
            if (track_id not in run.index and mark.decision != "drop")
            or (
                track_id in run.index
                and (
                    mark.decision == "drop"
                    or mark.genre not in ("", run.songs[run.index[track_id]].genre)
                )
            )
        )

    def _current(self, track_id: str, seen: str) -> Mark | None:
        before = self._marks.get(track_id)
        if before is None and track_id not in self._run.index:
            raise KeyError(track_id)
        state = before.state if before else ""
        if state != seen:
            raise MarkConflictError(f"marked in another window since: {state or 'undone'}")
        return before

    def _save(self, marks: Mapping[str, Mark]) -> None:
        """Write all files, or none, and then hold the marks."""
        run, places = self._run, self.places
        state = _state(self._results)
        if state is None:
            raise MarkNotSavedError(
                f"{self._results}: is not there any more, so the mark is not saved; put the work "
                "folder back if it was moved or deleted"
            )
        if state != self._results_state:
            raise MarkNotSavedError(
                f"{run.folder}: another run has finished here since, so the mark is not saved; "
                "restart genreflow explore, which shows that run and keeps earlier marks"
            )
        text, left_out = manifest_text(mended(run.songs, marks), run.data_dir, places.labels)
        config = mended_config(run.config, run.genres, self.manifest_setting)
        contents = {
            places.labels: text,
            places.changes: changes_text(marks.values()),
            places.config: config_text(config),
            places.marks: as_text(marks.values()),
        }
        try:
            with contextlib.ExitStack() as stack:
                for path, content in contents.items():
                    _check_writable(path)
                    temporary = stack.enter_context(artifact_files.written_file(path))
                    temporary.write_text(content, encoding="utf-8")
        except OSError as error:
            name = error.filename or places.labels
            raise MarkNotSavedError(
                f"{name}: cannot be written ({error.strerror or error}), so the mark is not saved; "
                "close the program that has it open, make it writable, or restart with "
                "--output FILE"
            ) from error
        self.left_out = left_out
        self._marks = marks

    @property
    def manifest_setting(self) -> str:
        """The value of dataset.manifest: the file, or its name in a data folder elsewhere."""
        labels = self.places.labels
        if is_remote(self._run.data_dir):
            prefix = f"{self._run.data_dir.rstrip('/')}/"
            return labels.removeprefix(prefix) if labels.startswith(prefix) else LABELS_CSV
        return labels

    @property
    def upload(self) -> str:
        """The URI that the manifest must be copied to before the next run; "" if it need not."""
        data_dir = self._run.data_dir
        if is_remote(data_dir) and not is_remote(self.places.labels):
            return f"{data_dir.rstrip('/')}/{LABELS_CSV}"
        return ""


def _state(path: str) -> tuple[int, int] | None:
    """Return what changes when a file is replaced; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _check_writable(path: str) -> None:
    """Raise PermissionError for a file that someone made read-only; renaming would replace it."""
    if is_remote(path):
        return
    with contextlib.suppress(FileNotFoundError):
        if not os.stat(path).st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(13, "it is read-only", path)


@contextlib.contextmanager
def only_marker(work_dir: str) -> Iterator[None]:
    """Hold the marks of a work folder for this process.

    Raises:
      DataError: another process has them, or the folder cannot be written.
    """
    import filelock

    folder = pathlib.Path(work_dir, FOLDER)
    try:
        folder.mkdir(exist_ok=True)
        lock = filelock.FileLock(folder / ".lock")
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise DataError(
            f"{work_dir}: another genreflow explore has its marks; use its page, or end it"
        ) from error
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror}), so nothing could be marked; make it "
            "writable, or copy the work folder"
        ) from error
    try:
        yield
    finally:
        lock.release()
