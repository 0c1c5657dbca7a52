"""Routes of the page of `genreflow explore`."""

from __future__ import annotations

import pathlib
from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from components.common.escape import printable
from components.datasets.track import REJECT_REASONS, SPLITS
from genreflow.exploring import songs
from genreflow.exploring.explorer import Explorer
from genreflow.web.app import Page, render
from genreflow.web.errors import WebError
from genreflow.web.explore import views
from genreflow.web.explore.addresses import CONFUSION, LABELS, MARKS, REJECTS, ROOT, SONGS
from genreflow.web.explore.api import add_api, song_of

PAGE_ROWS = 50
# A person hardly listens to more in a row.
MAX_QUEUE = 1000
# Splits of whose songs the models predicted the genre.
_PREDICTED = ("validation", "test")

Text = Annotated[str, Query(max_length=200)]
Name = Annotated[str, Query(max_length=4096)]
PageNumber = Annotated[int, Query(ge=1, le=10**9)]


def make_page(explorer: Explorer, program: str) -> Page:
    """Return the page of one run.

    Args:
      explorer: the run.
      program: the command that starts Genreflow, for the lines that the page shows.
    """
    run = explorer.run
    router = APIRouter()
    candidate = run.results.candidate

    add_api(router, explorer)

    def show(request: Request, template: str, section: str, **values: Any) -> Response:
        hardest = views.address(SONGS, sort="loss", descending=True)
        sections = [
            ("overview", ROOT, "Overview"),
            ("songs", SONGS, "Songs"),
            ("confusion", CONFUSION, "Confusion"),
            ("hardest", hardest, "Hardest songs"),
            ("labels", LABELS, "Check labels"),
            ("marks", MARKS, "Marks"),
            ("rejects", REJECTS, "Left out"),
        ]
        return render(
            request,
            f"explore/{template}.html",
            sections=sections,
            section=section,
            run=run,
            candidate=candidate,
            genres=[printable(genre) for genre in run.genres],
            models=list(run.results.models),
            marked=len(explorer.marking.marks),
            work_dir=printable(run.folder),
            **values,
        )

    def model_of(name: str) -> str:
        if name and name not in run.results.models:
            raise WebError(404, f"the run has no model {printable(name)!r}")
        return name or candidate

    def split_of(name: str, known: tuple[str, ...] = SPLITS) -> str:
        if name and name not in known:
            raise WebError(404, f"there is no split {printable(name)!r} here")
        return name

    @router.get("")
    def overview(request: Request) -> Response:
        reasons = Counter(row.get("reason", "") for row in run.rejects)
        return show(
            request,
            "overview",
            "overview",
            splits=[*SPLITS, *([views.SEVERAL_SPLITS] if run.results.leaky else [])],
            counts=views.counts(explorer),
            issues=explorer.issues,
            sure=sum(issue.sure for issue in explorer.issues),
            accuracies=[
                (name, model.kind, model.validation.track_accuracy, model.test.track_accuracy)
                for name, model in run.results.models.items()
            ],
            reasons=[
                (printable(reason), REJECT_REASONS.get(reason, ""), number)
                for reason, number in reasons.most_common()
            ],
        )

    @router.get("/songs")
    def list_songs(
        request: Request,
        text: Text = "",
        split: Name = "",
        genre: Name = "",
        predicted: Name = "",
        model: Name = "",
        wrong: bool = False,
        sort: songs.Sort = "id",
        descending: bool = False,
        page: PageNumber = 1,
    ) -> Response:
        query = songs.Query(
            model=model_of(model),
            text=text.strip(),
            split=split_of(split),
            genre=genre,
            predicted=predicted,
            wrong=wrong,
            sort=sort,
            descending=descending,
            page=page,
        )
        found = explorer.songs.find(query)
        return show(
            request,
            "songs",
            "hardest" if sort == "loss" and descending else "songs",
            query=query,
            found=found,
            rows=[views.song_row(explorer, number, query.model) for number in found.songs],
            raw_genres=run.genres,
            splits=SPLITS,
            address=lambda **changes: views.of_query(query, **changes),
            songs_address=SONGS,
        )

    @router.get("/songs/{number}")
    def show_song(request: Request, number: int) -> Response:
        number = song_of(explorer, number)
        audio = explorer.audio(number)
        return show(
            request,
            "song",
            "songs",
            row=views.song_row(explorer, number, candidate),
            uri=printable(run.songs[number].uri),
            song=views.song_values(explorer, number),
            predictions=views.song_models(explorer, number),
            label=int(run.labels[number]),
            no_audio=audio if isinstance(audio, str) else "",
            evidence=printable(explorer.evidence(number)),
        )

    @router.get("/confusion")
    def confusion(request: Request, model: Name = "", split: Name = "test") -> Response:
        chosen, part = model_of(model), split_of(split, _PREDICTED)
        if run.results.leaky:
            part = ""
        return show(
            request,
            "confusion",
            "confusion",
            model=chosen,
            split=part,
            splits=() if run.results.leaky else _PREDICTED,
            rows=views.confusion(explorer, chosen, part),
        )

    @router.get("/labels")
    def labels(
        request: Request,
        split: Name = "",
        sure: bool = False,
        marked: bool = False,
        page: PageNumber = 1,
    ) -> Response:
        queue = explorer.queue(split_of(split), sure=sure, todo=not marked)
        pages = max(1, -(-len(queue) // PAGE_ROWS))
        page = min(page, pages)
        shown = queue[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
        return show(
            request,
            "labels",
            "labels",
            split=split,
            sure=sure,
            with_marked=marked,
            splits=SPLITS,
            total=len(queue),
            at=page,
            last=pages,
            rows=[(issue, views.song_row(explorer, issue.track, candidate)) for issue in shown],
            order=[issue.track for issue in queue[:MAX_QUEUE]],
            address=lambda number: views.address(
                LABELS, split=split, sure=sure, marked=marked, page=number
            ),
            next_lines=views.next_lines(explorer, program),
        )

    @router.get("/marks")
    def marks(request: Request, page: PageNumber = 1) -> Response:
        marking = explorer.marking
        ordered = sorted(marking.marks.values(), key=lambda mark: mark.song.track_id)
        pages = max(1, -(-len(ordered) // PAGE_ROWS))
        page = min(page, pages)
        return show(
            request,
            "marks",
            "marks",
            total=len(ordered),
            at=page,
            last=pages,
            address=lambda number: views.address(MARKS, page=number),
            rows=[
                {
                    "number": run.index.get(mark.song.track_id),
                    "track_id": printable(mark.song.track_id),
                    "raw_id": mark.song.track_id,
                    "label": printable(mark.song.genre),
                    "split": mark.song.split or views.SEVERAL_SPLITS,
                    "text": views.mark_text(mark),
                    "state": mark.state,
                    "evidence": printable(mark.evidence),
                }
                for mark in ordered[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
            ],
            changed=marking.changed(),
            empty=[(printable(part.text), part.stops) for part in marking.empty_parts()],
            left_out=marking.left_out,
            places=marking.places,
            next_lines=views.next_lines(explorer, program),
        )

    @router.get("/rejects")
    def rejects(
        request: Request, reason: Name = "", text: Text = "", page: PageNumber = 1
    ) -> Response:
        wanted = text.strip().casefold()
        chosen = [
            row
            for row in run.rejects
            if (not reason or row.get("reason") == reason)
            and (not wanted or wanted in " ".join(row.values()).casefold())
        ]
        pages = max(1, -(-len(chosen) // PAGE_ROWS))
        page = min(page, pages)
        return show(
            request,
            "rejects",
            "rejects",
            reason=reason,
            text=text,
            reasons=sorted({row.get("reason", "") for row in run.rejects}),
            explanations=REJECT_REASONS,
            total=len(chosen),
            at=page,
            last=pages,
            rows=[
                {key: printable(value) for key, value in row.items()}
                for row in chosen[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
            ],
            address=lambda number: views.address(REJECTS, reason=reason, text=text, page=number),
        )

    return Page("explore", "Explore", router, pathlib.Path(__file__).parent)
