"""All that the page about one run needs: songs, likely wrong labels, marks, files."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from genreflow.exploring.audio import AudioFile, SongAudio
from genreflow.exploring.audio_objects import AudioObject, AudioObjects
from genreflow.exploring.label_check.confident import LabelIssue
from genreflow.exploring.marking import Marking
from genreflow.exploring.preparation import Prepared
from genreflow.exploring.run import ExploredRun
from genreflow.exploring.songs import SongList
from genreflow.exploring.spectrograms import SongClips, read_clips


@dataclasses.dataclass(frozen=True)
class RankedIssue(LabelIssue):
    """Likely wrong label with its place in the list, from 1."""

    rank: int


class Explorer:
    """One finished run, ready to be looked at.

    Attributes:
      run: the run.
      prepared: its held-out probabilities and stored clips.
      songs: its songs, to be queried.
      marking: the marks.
      audio_objects: the audio of songs in an object store.
    """

    def __init__(self, run: ExploredRun, prepared: Prepared, marking: Marking) -> None:
        self.run, self.prepared, self.marking = run, prepared, marking
        self.songs = SongList(run)
        self.honest = prepared.honest(run)
        self.audio_objects = AudioObjects()
        self._audio = SongAudio(run.data_dir)

    @functools.cached_property
    def issues(self) -> tuple[RankedIssue, ...]:
        """The songs whose labels are likely wrong, the likeliest first."""
        return tuple(
            RankedIssue(**dataclasses.asdict(issue), rank=rank)
            for rank, issue in enumerate(self.prepared.issues(self.run), start=1)
        )

    @functools.cached_property
    def _issue_of(self) -> dict[int, RankedIssue]:
        return {issue.track: issue for issue in self.issues}

    def issue(self, song: int) -> RankedIssue | None:
        """Return a song's issue, or None if nothing speaks against its label."""
        return self._issue_of.get(song)

    def queue(self, split: str, *, sure: bool, todo: bool) -> Sequence[RankedIssue]:
        """Return the likely wrong labels of a split, the likeliest first.

        Args:
          split: its name; "" for all.
          sure: only those that confident learning counts as of another genre.
          todo: only songs without a mark.
        """
        run, marks = self.run, self.marking.marks
        return [
            issue
            for issue in self.issues
            if (not split or run.songs[issue.track].split == split)
            and (issue.sure or not sure)
            and not (todo and run.songs[issue.track].track_id in marks)
        ]

    def audio(self, song: int) -> AudioFile | AudioObject | str:
        """Return a song's file or object, or why it cannot be played, as a sentence."""
        return self._audio.find(self.run.songs[song].uri)

    def clips(self, song: int) -> SongClips | None:
        """Return a song's spectrograms; None where they are not at hand."""
        run = self.run
        return read_clips(self.prepared.clips, song, run.examples, run.config.audio)

    def sources(self, song: int) -> str:
        """Return the classifiers that a song's held-out probabilities come from, in words."""
        run = self.run
        candidate = run.results.candidate
        sources = []
        if _known(self.prepared.out_of_fold[song]):
            met = "artist" if run.songs[song].artist_id else "song"
            sources.append(f"a cross-validated classifier that never met this {met}")
        if not run.results.leaky and _known(run.probabilities[candidate][song]):
            sources.append(f"{candidate}, which was not trained on this song")
        return " and ".join(sources) or "no classifier that was not trained on it"

    def evidence(self, song: int) -> str:
        """Return what speaks against a song's label, as a sentence; "" if nothing does."""
        issue = self.issue(song)
        if issue is None:
            return ""
        genres = self.run.genres
        return (
            f"held-out probability of {genres[issue.suggested]} {issue.p_suggested:.3f}, of the "
            f"label {genres[issue.given]} {issue.p_given:.3f}, by {self.sources(song)}; "
            f"place {issue.rank} of {len(self.issues)}" + (", sure" if issue.sure else "")
        )


def _known(row: npt.NDArray[np.float32]) -> bool:
    return bool(np.isfinite(row).all())
