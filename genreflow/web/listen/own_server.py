"""A model server of the page's own, for `genreflow web --model-dir`."""

from __future__ import annotations

import pathlib
import tempfile
import threading
from collections.abc import Callable

from components.serving_check.outcome import CheckFailed
from components.serving_check.server_process import ServerUnderTest, running
from genreflow.web.errors import WebError
from genreflow.web.listen.facts import Evaluation, read_evaluation
from genreflow.web.listen.models import Choice
from serving.client.client import GenreClient
from serving.client.errors import UnreachableError

# TensorFlow's import, and the first runs of a large network on a slow machine.
START_SECONDS = 600.0
# Two versions can be compared; more would only take memory.
POLICY = "latest:2"
_RETRY_S = 2


class OwnServer:
    """Server of a model's folder, started in the background. A Backend, and a context manager."""

    default = Choice()

    def __init__(
        self,
        model_dir: pathlib.Path,
        connect: Callable[[str, Choice], GenreClient],
        on_event: Callable[[str], None],
    ) -> None:
        """Start nothing yet.

        Args:
          model_dir: the model's folder of versions, or one version.
          connect: connects to a version at an address.
          on_event: called with a line for the log when the server is ready or has failed.
        """
        self.address = ""
        self._model_dir, self._connect = model_dir, connect
        self._on_event = on_event
        self._server: ServerUnderTest | None = None
        self._failure = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="own server")

    def __enter__(self) -> OwnServer:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def problem(self) -> WebError | None:
        """See Backend."""
        if self._failure:
            return WebError(503, self._failure)
        if self._server is None:
            return WebError(503, "the model is loading; this takes some seconds",
                            retry_after_s=_RETRY_S)  # fmt: skip
        ended = self._server.exit_reason()
        return WebError(503, f"{ended}; restart `genreflow web`") if ended else None

    def connect(self, choice: Choice) -> GenreClient:
        """See Backend."""
        if not self.address:
            raise UnreachableError("the model is not loaded yet; retry")
        return self._connect(self.address, choice)

    def evaluation(self, version: int | None) -> Evaluation | None:
        """See Backend."""
        return None if version is None else read_evaluation(self._model_dir, version)

    def _run(self) -> None:
        with tempfile.TemporaryDirectory(prefix="genreflow-web-server-") as scratch:
            try:
                with running(
                    self._model_dir,
                    pathlib.Path(scratch),
                    engine="genreflow",
                    start_seconds=START_SECONDS,
                    options=("--policy", POLICY),
                    stop=self._stop,
                ) as server:
                    self.address = f"{server.host}:{server.port}"
                    self._server = server
                    self._on_event(f"the model is loaded; its server is at {self.address}")
                    self._stop.wait()
            except CheckFailed as error:
                if not self._stop.is_set():
                    self._failure = f"{self._model_dir}: {error}"
                    self._on_event(self._failure)
