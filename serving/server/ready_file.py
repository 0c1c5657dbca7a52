"""File that tells whoever started a server that it is ready (`--ready-file`)."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib

from serving.server.config.options import OptionError


class ReadyFile:
    """JSON file that exists only while a server takes requests.

    A context manager: entering it removes the file of an earlier server, leaving it removes
    this one's. Without a path it does nothing.
    """

    def __init__(self, path: str) -> None:
        self._path = pathlib.Path(path) if path else None

    def __enter__(self) -> ReadyFile:
        """Check the folder now, before models are loaded, which takes long.

        Raises:
          OptionError: the folder does not exist.
        """
        if self._path is not None and not self._path.parent.is_dir():
            raise OptionError(
                f"--ready-file {self._path}: there is no folder {self._path.parent}; create it"
            )
        self._remove()
        return self

    def __exit__(self, *exception: object) -> None:
        self._remove()

    def write(self, *, engine: str, host: str, port: int, rest_port: int, pid: int) -> None:
        """Write the file under a temporary name, then rename it.

        Raises:
          OptionError: the file cannot be written.
        """
        if self._path is None:
            return
        content = {
            "engine": engine,
            "host": host,
            "port": port,
            "rest_port": rest_port,
            "pid": pid,
        }
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
            temporary.replace(self._path)
        except OSError as error:
            raise OptionError(f"--ready-file {self._path}: {error.strerror}") from error

    def _remove(self) -> None:
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
