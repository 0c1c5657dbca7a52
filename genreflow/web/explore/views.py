"""Views of a run for templates and scripts. All text from outside is printable."""

from __future__ import annotations

import dataclasses
import shlex
import urllib.parse
from typing import Any

import numpy as np

from components.common.escape import printable
from components.datasets.track import SPLITS
from genreflow.exploring.explorer import Explorer
from genreflow.exploring.marks import Mark
from genreflow.exploring.songs import Query
from genreflow.web.explore.addresses import SONGS

SEVERAL_SPLITS = "several"
# Steps of shading in the confusion matrix.
_SHADES = 9


@dataclasses.dataclass(frozen=True)
class SongRow:
    """One row of a table of songs.

    Attributes:
      number: index of the song.
      track_id, artist, genre, split: of the song.
      predicted: genre that the model predicts; "" if it predicts none, as of the training split.
      confidence: its probability; None without a prediction.
      loss: cross-entropy; None without a prediction.
      mark: how the song is marked, in words; "" if it is not.
    """

    number: int
    track_id: str
    artist: str
    genre: str
    split: str
    predicted: str
    confidence: float | None
    loss: float | None
    mark: str


def song_row(explorer: Explorer, number: int, model: str) -> SongRow:
    """Return the row of a song, with the predictions of a model."""
    run = explorer.run
    song = run.songs[number]
    predicted = int(run.predicted(model)[number])
    known = predicted >= 0
    return SongRow(
        number=number,
        track_id=printable(song.track_id),
        artist=printable(song.artist_id),
        genre=printable(song.genre),
        split=song.split or SEVERAL_SPLITS,
        predicted=printable(run.genres[predicted]) if known else "",
        confidence=float(run.probabilities[model][number, predicted]) if known else None,
        loss=float(run.losses(model)[number]) if known else None,
        mark=mark_text(explorer.marking.marks.get(song.track_id)),
    )


def mark_text(mark: Mark | None) -> str:
    """Return a mark in words."""
    if mark is None:
        return ""
    if mark.decision == "relabel":
        return f"relabel to {printable(mark.genre)}"
    return {"keep": "label kept", "drop": "drop"}[mark.decision]


def song_values(explorer: Explorer, number: int) -> dict[str, Any]:
    """Return all about a song that the listening queue shows, as JSON values."""
    run = explorer.run
    song = run.songs[number]
    issue = explorer.issue(number)
    honest = explorer.honest[number]
    known = bool(np.isfinite(honest).all())
    audio = explorer.audio(number)
    mark = explorer.marking.marks.get(song.track_id)
    order = np.argsort(-honest, kind="stable").tolist() if known else []
    return {
        "number": number,
        "track_id": printable(song.track_id),
        "artist": printable(song.artist_id),
        "split": song.split or SEVERAL_SPLITS,
        "label": int(run.labels[number]),
        "suggested": issue.suggested if issue else None,
        "sure": bool(issue and issue.sure),
        "rank": issue.rank if issue else None,
        "probabilities": [[genre, round(float(honest[genre]), 4)] for genre in order],
        "sources": printable(explorer.sources(number)),
        "no_audio": audio if isinstance(audio, str) else "",
        "mark": mark.state if mark else "",
        "mark_text": mark_text(mark),
    }


def song_models(explorer: Explorer, number: int) -> list[dict[str, Any]]:
    """Return the predictions of every model for a song; those that predict it only."""
    run = explorer.run
    found = []
    for name, model in run.results.models.items():
        row = run.probabilities[name][number]
        if np.isfinite(row).all():
            found.append(
                {
                    "name": name,
                    "kind": model.kind,
                    "candidate": name == run.results.candidate,
                    "predicted": int(row.argmax()),
                    "probabilities": [float(p) for p in row],
                }
            )
    return found


@dataclasses.dataclass(frozen=True)
class Cell:
    """Cell of the confusion matrix; `address` leads to its songs, and is "" if there are none."""

    songs: int
    text: str
    address: str
    shade: int
    right: bool


def confusion(explorer: Explorer, model: str, split: str) -> list[list[Cell]]:
    """Return the confusion matrix, `[true][predicted]`."""
    run = explorer.run
    counts = run.confusion(model, split)
    names = [printable(genre) for genre in run.genres]
    rows = []
    for true, row in enumerate(counts.tolist()):
        total = max(1, sum(row))
        rows.append(
            [
                Cell(
                    songs=songs,
                    text=(
                        f"{songs} {'song' if songs == 1 else 'songs'} labelled {names[true]}, "
                        f"predicted as {names[predicted]}"
                    ),
                    address=address(
                        SONGS,
                        model=model,
                        split=split,
                        genre=run.genres[true],
                        predicted=run.genres[predicted],
                    )
                    if songs
                    else "",
                    shade=-(-songs * _SHADES // total) if songs else 0,
                    right=true == predicted,
                )
                for predicted, songs in enumerate(row)
            ]
        )
    return rows


def address(path: str, **parameters: Any) -> str:
    """Return an address with a query; parameters that are empty, false or None are left out."""
    given = {key: value for key, value in parameters.items() if value not in ("", False, None)}
    text = urllib.parse.urlencode(
        {key: 1 if value is True else value for key, value in given.items()}
    )
    return f"{path}?{text}" if text else path


def of_query(query: Query, **changes: Any) -> str:
    """Return the address of the songs that a query chooses, with changes to it."""
    changed = dataclasses.asdict(dataclasses.replace(query, **changes))
    if changed["page"] == 1:
        del changed["page"]
    if changed["sort"] == "id":
        del changed["sort"]
    return address(SONGS, **changed)


def counts(explorer: Explorer) -> list[tuple[str, list[int], int]]:
    """Return for each genre its songs by split, and their sum; the last row is of all genres."""
    table = explorer.run.counts()
    if not explorer.run.results.leaky:
        table = table[:, : len(SPLITS)]
    rows = [
        (printable(genre), row, sum(row))
        for genre, row in zip(explorer.run.genres, table.tolist(), strict=True)
    ]
    return [*rows, ("all", table.sum(axis=0).tolist(), int(table.sum()))]


def next_lines(explorer: Explorer, program: str) -> list[str]:
    """Return the lines to type for a run with the mended labels; none if none has changed.

    Args:
      explorer: the run.
      program: the command that starts Genreflow.
    """
    marking = explorer.marking
    if not marking.changed():
        return []
    lines = []
    if marking.upload:
        lines.append(["aws", "s3", "cp", marking.places.labels, marking.upload])
    run = [program, "run", "--config", marking.places.config, "--work-dir", explorer.run.folder]
    return [printable(shlex.join(line)) for line in (*lines, run)]
