"""The page with a scripted model server, and songs to send."""

from __future__ import annotations

import contextlib
import io
import pathlib
import urllib.parse
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import soundfile

from genreflow.web.app import make_app
from genreflow.web.listen.models import Backend, Choice, Models, RemoteServer
from genreflow.web.listen.page import ListenPage
from genreflow.web.listen.receiving import NAME_HEADER, Limits
from serving.client.client import GenreClient
from tests.genreflow.web.shell import served
from tests.support.scripted_serving import Scripted

SONGS = "/listen/api/songs"
HOSTILE = "=1+1<img src=x onerror=alert(1)>\x1b[31m\u202egnp.mp3"


class Site:
    """A running page.

    Attributes:
      url: its address, with a slash at the end.
      log: its lines.
      folder: the private folder of its songs.
      page: the page.
    """

    def __init__(self, url: str, page: ListenPage, log: list[str]) -> None:
        self.url, self.page, self.log = url, page, log
        self.folder = page._folder
        self.client = httpx.Client(base_url=url, timeout=60)

    def send(self, content: bytes, name: str = "song.wav", *versions: str) -> httpx.Response:
        return self.client.post(
            SONGS,
            params=[("version", version) for version in versions],
            headers={NAME_HEADER: urllib.parse.quote(name)},
            content=content,
        )

    def is_empty(self) -> bool:
        return not list(self.folder.iterdir())


@contextlib.contextmanager
def site(backend: Backend, limits: Limits | None = None) -> Iterator[Site]:
    """Serve the page of a backend."""
    log: list[str] = []
    listen = ListenPage(Models(backend), limits or Limits(), log.append)
    with listen, served(make_app([listen.page], on_failure=log.append)) as url:
        opened = Site(url, listen, log)
        yield opened
        opened.client.close()


def backend_of(told: Scripted, **options: object) -> RemoteServer:
    """Return a backend for a scripted server."""

    def connect(choice: Choice) -> GenreClient:
        return GenreClient(
            f"127.0.0.1:{told.port}",
            model_version=choice.version,
            version_label=choice.label,
            timeout_s=5,
            **options,  # type: ignore[arg-type]
        )

    return RemoteServer(f"127.0.0.1:{told.port}", Choice(), connect)


def wav(seconds: float = 2.0, *, rate_hz: int = 22050, hertz: float = 1000.0) -> bytes:
    """Return a tone that fades in, as a WAV file."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    samples = 0.5 * np.sin(2 * np.pi * hertz * times) * np.minimum(1, times / seconds + 0.1)
    file = io.BytesIO()
    soundfile.write(file, samples.astype(np.float32), rate_hz, format="WAV", subtype="PCM_16")
    return file.getvalue()


def write_wav(path: pathlib.Path, seconds: float = 2.0, hertz: float = 1000.0) -> pathlib.Path:
    """Write such a file."""
    path.write_bytes(wav(seconds, hertz=hertz))
    return path


@pytest.fixture
def listening(scripted: Scripted) -> Iterator[Site]:
    """Serve the page with a scripted server."""
    with site(backend_of(scripted)) as opened:
        yield opened
