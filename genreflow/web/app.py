"""Factory of the web application: the shell around pages, one of which each module adds.

A page is a `Page`. Its folder holds `templates/` and `static/`:

    router = APIRouter()

    @router.get("")                              # /explore
    async def show(request: Request) -> Response:
        return render(request, "explore/page.html", songs=songs)

    @router.get("/api/songs")                    # /explore/api/songs
    async def list_songs() -> list[Song]: ...

    page = Page("explore", "Explore", router, pathlib.Path(__file__).parent)
    app = make_app([page])
    runner.serve(app, ...)

- The navigation has one entry for each page, in order; "/" leads to the first.
- A template extends "base.html" (blocks `title`, `head`, `main`) and is named by its page's name:
  `templates/page.html` of the folder is "explore/page.html". `asset("explore/page.js")` is the
  address of a file in its `static/`, `asset("base.css")` of one in the shell's. "macros.html" has
  shared pieces. All values are escaped; the content security policy allows no script and no style
  in HTML (`style=` neither: use classes, SVG attributes, or CSSOM in a script).
- Scripts are ES modules. "dom.js" and "picture.js" of the shell can be imported relatively:
  `import { element } from "../dom.js"`.
- Raise `WebError(status, message)` for a user's mistake: HTML for people, and `{"error": message}`
  below "/api/".
- A page closes its own resources; the application has no lifespan.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jinja2
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from components.common.escape import printable
from genreflow.web.assets import Assets
from genreflow.web.errors import WebError
from genreflow.web.security import Guard

FOLDER = pathlib.Path(__file__).parent
_TITLES = {
    403: "Not allowed",
    404: "There is no such page",
    405: "This address does not take such a request",
    413: "Too large",
    429: "Too many requests",
    500: "The page failed",
    503: "Busy, or not ready yet",
}


@dataclasses.dataclass(frozen=True)
class Page:
    """A page of the application, with all its addresses.

    Attributes:
      name: the beginning of its addresses, "/name", and of the names of its templates and assets.
      title: its entry in the navigation.
      router: its routes, whose paths begin after "/name".
      folder: holds `templates/` and `static/`.
    """

    name: str
    title: str
    router: APIRouter
    folder: pathlib.Path

    @property
    def path(self) -> str:
        """Return the address of the page."""
        return f"/{self.name}"


def make_app(
    pages: Sequence[Page],
    *,
    host_names: Sequence[str] = (),
    on_failure: Callable[[str], None] = lambda text: None,
) -> ASGIApp:
    """Return the application.

    Args:
      pages: the pages, in the order of the navigation.
      host_names: names in addresses that the application answers to, besides localhost, this
        machine's own name and IP addresses (genreflow.web.security).
      on_failure: called with a line for the log when a request fails by an error in the code.
    """
    assets = Assets(
        {"": FOLDER / "static", **{f"{page.name}/": page.folder / "static" for page in pages}},
        {"viridis.js": _viridis()},
    )
    app = FastAPI(
        title="Genreflow", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    app.state.environment = _environment(pages, assets)

    async def home() -> Response:
        return RedirectResponse(pages[0].path)

    async def static(request: Request, digest: str, name: str) -> Response:
        return assets.respond(request, digest, name)

    async def on_exception(request: Request, error: Exception) -> Response:
        on_failure(f"{request.method} {request.url.path} failed: {type(error).__name__}: {error}")
        return _error(request, WebError(500, "an error in the program; its log says more"))

    app.get("/")(home)
    app.get("/static/{digest}/{name:path}")(static)
    for page in pages:
        app.include_router(page.router, prefix=page.path)
    app.add_exception_handler(WebError, _on_web_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(Exception, on_exception)
    return Guard(app, host_names)


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page.

    Args:
      request: the request that it answers; decides which entry of the navigation is current.
      template: the template's name, such as "explore/page.html".
      status: the HTTP status.
      **values: for the template.
    """
    environment: jinja2.Environment = request.app.state.environment
    html = environment.get_template(template).render(path=request.url.path, **values)
    return HTMLResponse(html, status)


def _environment(pages: Sequence[Page], assets: Assets) -> jinja2.Environment:
    own = {page.name: jinja2.FileSystemLoader(page.folder / "templates") for page in pages}
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.FileSystemLoader(FOLDER / "templates"), jinja2.PrefixLoader(own)]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(pages=pages, asset=assets.url)
    return environment


def _viridis() -> bytes:
    """Return the module with the colour map of spectrograms, whose one table is Python's."""
    from components.audio.spectrogram.colours import VIRIDIS

    return (
        "// 256 colours, red green blue in hex digits, from the quietest to the loudest.\n"
        f'export const VIRIDIS = "{VIRIDIS.tobytes().hex()}";\n'
    ).encode()


def _error(request: Request, error: WebError) -> Response:
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    response: Response
    if "/api/" in request.url.path or "text/html" not in request.headers.get("accept", ""):
        response = JSONResponse({"error": error.message}, error.status)
    else:
        title = _TITLES.get(error.status, "This did not work")
        response = render(request, "error.html", error.status, title=title, message=error.message)
    response.headers.update(headers)
    return response


async def _on_web_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, WebError)
    return _error(request, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    messages = {404: "nothing is at this address; start again from the first page"}
    message = messages.get(error.status_code, str(error.detail))
    return _error(request, WebError(error.status_code, message))


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place, *path = map(str, first["loc"])
    name = ".".join(path)
    if place in ("query", "path"):  # somebody typed or cut an address
        given = str(first["input"])[:40]
        return _error(request, WebError(422, printable(f"{name} in the address cannot be {given}")))
    return _error(request, WebError(422, f"{name or place}: {first['msg']}"))
