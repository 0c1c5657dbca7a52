"""Preparation of a run to be explored: its songs' held-out probabilities and stored clips.

The work is done once for a run, in a process of its own, which ends with the memory that
TensorFlow takes, and is kept in the work folder.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from components.artifacts import files as artifact_files
from components.common import progress
from components.common.errors import DataError
from components.common.parent import exit_at_end_of_input
from components.storage.copies import local_copies
from components.storage.uri import is_remote
from genreflow.exploring.label_check.confident import LabelIssue, label_issues
from genreflow.exploring.label_check.held_out import Floats, combined, groups_of, out_of_fold
from genreflow.exploring.run import ExploredRun, explore
from genreflow.exploring.spectrograms import StoredClips
from pipeline.local.child import child_process, failure_text, follow, reporting_failure

VERSION: Final = 2  # of the file, and of what is computed
FOLDER: Final = "explore"
FILE_NAME: Final = "prepared.npz"
MODULE: Final = "genreflow.exploring.preparation"


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """Result for one run.

    Attributes:
      out_of_fold: probabilities of each song by a classifier that was fitted without its artist,
        `[songs, genres]`; NaN where there are none.
      clips: places of the spectrograms.
    """

    out_of_fold: Floats
    clips: StoredClips

    def honest(self, run: ExploredRun) -> Floats:
        """Return each song's held-out probabilities, `[songs, genres]`.

        They are the means of the out-of-fold ones and of the candidate's, where it was not trained
        on the song. Under split.policy = "by_clip" it was trained on clips of every song.
        """
        if run.results.leaky:
            return self.out_of_fold
        return combined(self.out_of_fold, run.probabilities[run.results.candidate])

    def issues(self, run: ExploredRun) -> list[LabelIssue]:
        """Return the songs whose labels are likely wrong, the likeliest first."""
        return label_issues(self.honest(run), run.labels)


def prepare(run: ExploredRun, on_progress: Callable[[Mapping[str, Any]], None]) -> Prepared:
    """Return the result for a run: the one that is kept, or a new one.

    Args:
      run: the run.
      on_progress: called with the events of the process that makes a new one.

    Raises:
      DataError: the examples cannot be read.
    """
    path = pathlib.Path(run.folder, FOLDER, FILE_NAME)
    kept = _load(path, run)
    if kept is not None:
        return kept
    with tempfile.TemporaryDirectory(prefix="genreflow-explore-") as scratch:
        log, events = pathlib.Path(scratch, "log"), pathlib.Path(scratch, "events.jsonl")
        events.touch()
        failure = None
        command = [sys.executable, "-m", MODULE, run.folder]
        with log.open("wb") as output, child_process(command, output, events) as process:
            for event in follow(process, events):
                if event["event"] == "failed":
                    failure = event
                on_progress(event)
        if process.returncode:
            last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-1:]
            text = failure_text(failure, process.returncode, log).split("\n")[0]
            raise DataError(text if failure else f"{text}: {''.join(last)}")
    kept = _load(path, run)
    if kept is None:
        raise DataError(f"{path}: was not written; is the disk full?")
    return kept


def make(folder: str) -> None:
    """Prepare the last run of a work folder, and keep the result there."""
    run = explore(folder)
    progress.report("preparing", stage="reading", done=0, total=len(run.songs))
    if not is_remote(run.examples):
        _make(run, run.examples)
        return
    with local_copies(pathlib.Path(run.folder, FOLDER, "copies")) as copies:
        _make(run, copies.fetch(run.examples.rstrip("/")))


def _make(run: ExploredRun, examples: str) -> None:
    from genreflow.exploring import examples_pass

    def read(songs: int) -> None:
        progress.report("preparing", stage="reading", done=songs, total=len(run.songs))

    def fitted(done: int, total: int) -> None:
        progress.report("preparing", stage="judging", done=done, total=total)

    found = examples_pass.read(examples, run.index, run.config.audio, read)
    groups = groups_of(
        [song.track_id for song in run.songs], [song.artist_id for song in run.songs]
    )
    probabilities = out_of_fold(found.features, run.labels, groups, len(run.genres), fitted)
    clips = found.clips
    target = os.path.join(run.folder, FOLDER, FILE_NAME)
    with artifact_files.written_file(target) as temporary, temporary.open("wb") as out:
        np.savez(
            out,
            key=np.array(_key(run)),
            out_of_fold=probabilities,
            files=np.array(json.dumps(clips.files)),
            song=clips.song,
            start_s=clips.start_s,
            clip_file=clips.file,
            offset=clips.offset,
        )


def _key(run: ExploredRun) -> str:
    return json.dumps([VERSION, run.results.run_id, len(run.songs), len(run.genres)])


def _load(path: pathlib.Path, run: ExploredRun) -> Prepared | None:
    """Return the kept result; None if there is none, or it is damaged or of another run."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["key"]) != _key(run):
                return None
            clips = StoredClips(
                tuple(json.loads(str(kept["files"]))),
                kept["song"],
                kept["start_s"],
                kept["clip_file"],
                kept["offset"],
            )
            return Prepared(kept["out_of_fold"], clips)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


if __name__ == "__main__":
    exit_at_end_of_input()  # the command line has ended
    sys.exit(reporting_failure(lambda: make(sys.argv[1])))
