"""Model server of a program's own, for experiments and notebooks."""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator

from components.common.errors import GenreflowError
from components.serving_check.outcome import CheckFailed
from components.serving_check.server_process import running

# TensorFlow's import, and the first runs of a large network on a slow machine.
START_SECONDS = 600.0


@contextlib.contextmanager
def local_server(model_dir: str | pathlib.Path) -> Iterator[str]:
    """Run a model server in a process of its own until the end of the block.

        with genreflow.local_server("genreflow-work/serving_models/genreflow") as address:
            with genreflow.GenreClient(address) as client:
                print(client.predict_file("song.mp3").probabilities)

    It listens on a free port of this machine alone, and uses no GPU. `genreflow serve` is the
    command for a server that stays.

    Args:
      model_dir: folder of one version, or of versions.

    Yields:
      The address of its gRPC port, such as "127.0.0.1:43210".

    Raises:
      GenreflowError: the server did not start; the message quotes its output.
    """
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="genreflow-server-"))
        try:
            server = stack.enter_context(
                running(
                    pathlib.Path(model_dir),
                    pathlib.Path(scratch),
                    engine="genreflow",
                    start_seconds=START_SECONDS,
                )
            )
        except CheckFailed as error:
            raise GenreflowError(f"{model_dir}: {error}") from error
        yield f"{server.host}:{server.port}"
