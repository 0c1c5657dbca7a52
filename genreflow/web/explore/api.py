"""Routes for the page's scripts and its player: songs, spectrograms, audio, marks."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse

from components.common.escape import printable
from genreflow.exploring.audio_objects import (
    AudioChangedError,
    AudioError,
    AudioObject,
    NoAudioError,
)
from genreflow.exploring.explorer import Explorer
from genreflow.exploring.marking import MarkConflictError, MarkNotSavedError
from genreflow.exploring.marks import DECISIONS, Mark
from genreflow.web.errors import WebError
from genreflow.web.explore import streaming, views

Name = Annotated[str, Query(max_length=4096)]


def song_of(explorer: Explorer, number: int) -> int:
    """Return the number of a song; raise WebError if the run has none of this number."""
    if not 0 <= number < len(explorer.run.songs):
        raise WebError(404, f"the run has no song {number}; look for it in the list of songs")
    return number


def add_api(router: APIRouter, explorer: Explorer) -> None:
    """Add the routes to the page's router."""
    run = explorer.run

    @router.get("/songs/{number}/audio")
    def play(number: int, request: Request) -> Response:
        audio = explorer.audio(song_of(explorer, number))
        if isinstance(audio, str):
            raise WebError(404, audio)
        if not isinstance(audio, AudioObject):
            return FileResponse(audio.path, media_type=audio.media_type)
        try:
            return streaming.respond(explorer.audio_objects, audio, request.headers)
        except NoAudioError as error:
            raise WebError(404, printable(str(error))) from error
        except AudioChangedError as error:
            raise WebError(409, printable(str(error))) from error
        except AudioError as error:
            raise WebError(502, printable(str(error))) from error

    @router.get("/api/songs/{number}")
    def describe(number: int) -> dict[str, Any]:
        return views.song_values(explorer, song_of(explorer, number))

    @router.get("/api/songs/{number}/spectrogram")
    def spectrogram(number: int) -> dict[str, Any]:
        clips = explorer.clips(song_of(explorer, number))
        if clips is None:
            raise WebError(404, "the spectrograms of this song are not at hand")
        return {
            "starts_s": clips.starts_s,
            "clip_seconds": run.config.audio.clip_seconds,
            "bands": clips.levels.shape[2],
            "levels": base64.b64encode(clips.levels.tobytes()).decode(),
        }

    @router.post("/api/songs/{number}/mark")
    def mark(number: int, decision: Name, genre: int = -1, seen: Name = "") -> dict[str, Any]:
        song = run.songs[song_of(explorer, number)]
        if decision == "undo":
            made = saved(lambda: explorer.marking.undo(song.track_id, seen=seen))
            return marked(made)
        if decision not in DECISIONS:
            raise WebError(422, f"decision: one of {', '.join(DECISIONS)} or undo")
        if decision == "relabel" and not 0 <= genre < len(run.genres):
            raise WebError(422, "genre: the number of one of the run's genres")
        name = run.genres[genre] if decision == "relabel" else ""
        made = saved(
            lambda: explorer.marking.mark(
                song.track_id, decision, name, evidence=explorer.evidence(number), seen=seen
            )
        )
        return marked(made)

    @router.post("/api/undo")
    def undo(track_id: Name, seen: Name = "") -> dict[str, Any]:
        """Undo the mark of any song, also of one that an earlier run dropped."""
        return marked(saved(lambda: explorer.marking.undo(track_id, seen=seen)))

    def saved(work: Callable[[], Mark | None]) -> Mark | None:
        try:
            return work()
        except MarkConflictError as error:
            raise WebError(409, printable(str(error))) from error
        except MarkNotSavedError as error:
            raise WebError(507, printable(str(error))) from error
        except KeyError as error:
            raise WebError(404, f"the run has no {printable(str(error))}") from error

    def marked(made: Mark | None) -> dict[str, Any]:
        return {
            "mark": made.state if made else "",
            "mark_text": views.mark_text(made),
            "marked": len(explorer.marking.marks),
            "changed": explorer.marking.changed(),
        }
