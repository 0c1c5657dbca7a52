"""Addresses of the page of `genreflow web`."""

from __future__ import annotations

import asyncio
import pathlib
import tempfile
import threading
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from components.audio.decoding.formats import readable_extensions
from genreflow.web.app import Page, render
from genreflow.web.errors import WebError
from genreflow.web.listen.analysis import Analyser, Cancelled, Job
from genreflow.web.listen.answers import CSV_COLUMNS
from genreflow.web.listen.models import Choice, Models
from genreflow.web.listen.receiving import (
    NAME_HEADER,
    Limits,
    Places,
    file_name,
    private_file,
    receive,
)

NAME = "listen"
# The status of a request whose client has gone; nobody reads it.
_CLIENT_CLOSED = 499
MAX_CHOICES = 2
# All that page.js imports; the browser loads them at once, not one level after another.
MODULES = (
    *("dom.js", "picture.js", "viridis.js"),
    *(
        f"{NAME}/{module}.js"
        for module in (
            *("compare", "download", "model", "names", "player", "recorder", "song", "tables"),
        )
    ),
)


class ListenPage:
    """The page and what it needs: a private folder, threads and processes. A context manager.

    Attributes:
      page: for genreflow.web.app.make_app.
    """

    def __init__(self, models: Models, limits: Limits, on_event: Callable[[str], None]) -> None:
        """Start nothing yet.

        Args:
          models: the models to ask.
          limits: limits of the songs.
          on_event: called with a line for the log for each song, from any thread; names in it may
            hold anything.
        """
        self._models, self._limits, self._on_event = models, limits, on_event
        self._places = Places(limits)
        self._analyser = Analyser(models, limits)
        self._status_lock = threading.Lock()
        router = APIRouter()
        router.get("")(self._show)
        router.get("/api/model")(self._model)
        router.post("/api/songs")(self._song)
        self.page = Page(NAME, "Listen", router, pathlib.Path(__file__).parent)

    def __enter__(self) -> ListenPage:
        self._scratch = tempfile.TemporaryDirectory(prefix="genreflow-web-")  # mode 0700
        self._folder = pathlib.Path(self._scratch.name)
        self._analyser.warm_up()
        return self

    def __exit__(self, *exception: object) -> None:
        self._analyser.close()
        self._scratch.cleanup()

    async def _show(self, request: Request) -> Response:
        limits = self._limits
        return render(
            request,
            f"{NAME}/page.html",
            limits=limits,
            extensions=readable_extensions(),
            name_header=NAME_HEADER,
            csv_columns=",".join(CSV_COLUMNS),
            modules=MODULES,
        )

    def _model(self) -> dict[str, Any]:
        with self._status_lock:  # many pages ask a slow server once at a time
            return self._models.status()

    async def _song(
        self, request: Request, version: Annotated[list[str] | None, Query()] = None
    ) -> Response:
        """Return what the model hears in the song that is the request's body."""
        name = file_name(request)
        client = request.client.host if request.client else ""
        try:
            with self._places.take(client), private_file(self._folder, name) as (descriptor, path):
                choices = self._choices(version or [""])
                size = await receive(request, descriptor, self._limits)
                job = Job(path, name, choices)
                found = await self._analysed(request, job)
        except WebError as error:
            self._on_event(f"{name}: {error.status}: {error.message}")
            raise
        except (ClientDisconnect, Cancelled):
            self._on_event(f"{name}: given up by the page")
            return Response(status_code=_CLIENT_CLOSED)
        self._on_event(_line(name, size, found))
        return JSONResponse(found)

    def _choices(self, texts: list[str]) -> list[Choice]:
        if len(texts) > MAX_CHOICES:
            raise WebError(400, f"at most {MAX_CHOICES} versions can be compared")
        return list(dict.fromkeys(map(self._models.choice, texts)))

    async def _analysed(self, request: Request, job: Job) -> dict[str, Any]:
        """Wait for the analysis, and cancel it as soon as the client goes away."""
        future = asyncio.wrap_future(self._analyser.submit(job))
        # How a cancelled song ends is of no interest, and asyncio would log it.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            both: set[asyncio.Future[Any]] = {future, gone}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                raise Cancelled
            return future.result()
        finally:
            job.cancelled.set()  # of no effect on one that is done
            gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _line(name: str, size: int, found: dict[str, Any]) -> str:
    answers = []
    for one in found["answers"]:
        genre, probability = next(iter(one["probabilities"].items()))
        version = one["model"]["version"]
        by = "" if version is None else f" by version {version}"
        answers.append(f"{genre} {probability:.1%}{by}")
    return (
        f"{name}: {', '.join(answers)}; {found['seconds']:.1f} s of audio, {size / 1e6:.1f} MB, in "
        f"{found['elapsed_s']:.2f} s"
    )
