"""Search, filters, order and pages of a run's songs, for a hundred thousand of them."""

from __future__ import annotations

import dataclasses
import os
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from genreflow.exploring.run import ExploredRun

PAGE_SONGS: Final = 50
Sort = Literal["id", "genre", "artist", "predicted", "confidence", "loss"]
SORTS: tuple[Sort, ...] = ("id", "genre", "artist", "predicted", "confidence", "loss")


@dataclasses.dataclass(frozen=True)
class Query:
    """Choice of songs. An empty text is no filter.

    Attributes:
      model: model whose predictions are filtered, sorted and shown.
      text: part of an id, an artist or a file name, in any case.
      split: "train", "validation" or "test".
      genre: the label.
      predicted: the genre that the model predicts.
      wrong: only songs that the model predicts another genre for than the label.
      sort: the order; "confidence" is the predicted genre's probability.
      descending: whether the order is reversed; songs without a value stay last.
      page: number of the page, from 1.
    """

    model: str
    text: str = ""
    split: str = ""
    genre: str = ""
    predicted: str = ""
    wrong: bool = False
    sort: Sort = "id"
    descending: bool = False
    page: int = 1


@dataclasses.dataclass(frozen=True)
class SongPage:
    """One page of the songs that a query chooses.

    Attributes:
      songs: indices of the page's songs.
      total: number of songs on all pages.
      page: number of this page, from 1: the last one if the query's is beyond it.
      pages: number of pages, at least 1.
    """

    songs: tuple[int, ...]
    total: int
    page: int
    pages: int


class SongList:
    """Songs of a run, ready to be queried."""

    def __init__(self, run: ExploredRun) -> None:
        self._run = run
        self._texts = [
            f"{song.track_id}\0{song.artist_id}\0{os.path.basename(song.uri)}".casefold()
            for song in run.songs
        ]
        self._artists = _ranks([song.artist_id.casefold() for song in run.songs])

    def find(self, query: Query) -> SongPage:
        """Return a page of the songs that a query chooses."""
        chosen = self.choose(query)
        pages = max(1, -(-len(chosen) // PAGE_SONGS))
        page = min(max(query.page, 1), pages)
        shown = chosen[(page - 1) * PAGE_SONGS : page * PAGE_SONGS]
        return SongPage(tuple(shown.tolist()), len(chosen), page, pages)

    def choose(self, query: Query) -> npt.NDArray[np.int64]:
        """Return the indices of all songs that a query chooses, in its order."""
        run = self._run
        mask = np.ones(len(run.songs), bool)
        predicted = run.predicted(query.model)
        if query.split:
            mask &= run.splits == query.split
        if query.genre:
            mask &= run.labels == self._label(query.genre)
        if query.predicted:
            mask &= predicted == self._label(query.predicted)
        if query.wrong:
            mask &= (predicted >= 0) & (predicted != run.labels)
        if query.text:
            wanted = query.text.casefold()
            mask &= np.fromiter((wanted in text for text in self._texts), bool, len(mask))
        found = np.flatnonzero(mask)
        values = self._values(query)[found]
        # Sorted by id already, which breaks ties.
        order = np.argsort(-values if query.descending else values, kind="stable")
        return found[order]

    def _label(self, genre: str) -> int:
        return self._run.genres.index(genre) if genre in self._run.genres else -2

    def _values(self, query: Query) -> npt.NDArray[np.float64]:
        """Return the numbers to sort by; NaN sorts last in both directions."""
        run = self._run
        if query.sort == "genre":
            return run.labels.astype(float)
        if query.sort == "artist":
            return self._artists
        if query.sort == "predicted":
            predicted = run.predicted(query.model)
            return np.where(predicted < 0, np.nan, predicted)
        if query.sort == "confidence":
            return run.probabilities[query.model].max(axis=1).astype(float)
        if query.sort == "loss":
            return run.losses(query.model)
        return np.arange(len(run.songs), dtype=float)


def _ranks(texts: list[str]) -> npt.NDArray[np.float64]:
    """Return each text's place in their order; NaN for an empty one."""
    places = {text: place for place, text in enumerate(sorted(set(texts)))}
    return np.array([places[text] if text else np.nan for text in texts], float)
