"""Pages and clients for tests of the shell."""

from __future__ import annotations

import pathlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import APIRouter, Request, Response
from fastapi.testclient import TestClient
from starlette.types import ASGIApp

from genreflow.web import runner
from genreflow.web.app import Page, render
from genreflow.web.errors import WebError

BASE = "http://127.0.0.1:8600"


def client(app: ASGIApp) -> TestClient:
    """Return a client that behaves as a browser of this machine."""
    return TestClient(app, base_url=BASE, raise_server_exceptions=False, follow_redirects=False)


def toy_page(folder: pathlib.Path, name: str = "toy") -> Page:
    """Return a page whose template shows a text, and which fails in several ways."""
    (folder / "templates").mkdir(parents=True, exist_ok=True)
    (folder / "static").mkdir(exist_ok=True)
    (folder / "templates" / "page.html").write_text(
        '{% extends "base.html" %}{% block main %}<h1>Toy</h1><p id="text">{{ text }}</p>'
        "<script src=\"{{ asset('" + name + '/page.js\') }}" type="module"></script>{% endblock %}'
    )
    (folder / "static" / "page.js").write_text(
        'import { printable } from "../dom.js";\ndocument.title = printable("a\\u202eb");\n'
    )
    router = APIRouter()

    @router.get("")
    async def show(request: Request, text: str = "") -> Response:
        return render(request, f"{name}/page.html", text=text)

    @router.get("/busy")
    @router.post("/api/busy")
    async def busy() -> Response:
        raise WebError(503, "busy with <b>others</b>; retry", retry_after_s=7)

    @router.get("/api/broken")
    async def broken() -> Response:
        raise RuntimeError("secret")

    @router.get("/api/number")
    async def number(value: int) -> int:
        return value

    return Page(name, f"Toy {name}", router, folder)


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve an application on a free port, and yield its address."""
    import uvicorn

    listener = runner.listen("127.0.0.1", 0)
    server = uvicorn.Server(runner.config(app))
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
    thread.start()
    try:
        yield runner.address("127.0.0.1", listener)
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: object, seconds: float = 30.0) -> None:
    """Wait until a function returns true."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "never true"
        time.sleep(0.02)
