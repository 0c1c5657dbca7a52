"""A digest of source code, so that a change to the code is a change of a node's inputs."""

from __future__ import annotations

import functools
import hashlib
import pathlib

_ROOT = pathlib.Path(__file__).parents[1]


@functools.cache
def code_digest(*packages: str) -> str:
    """16 hex digits over the Python sources of folders or files below components/.

    TFX's cache sees inputs and parameters but no code; components pass this as a
    parameter, e.g. `code_digest("spectrogram_gen", "audio", "examples")`.

    Raises:
      FileNotFoundError: a package has no sources (a typo would never change).
    """
    digest = hashlib.sha256()
    for package in sorted(packages):
        path = _ROOT / package
        sources = [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
        if not sources:
            raise FileNotFoundError(f"no Python sources in {path}")
        for source in sources:
            digest.update(f"{source.relative_to(_ROOT).as_posix()}\0".encode())
            digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()[:16]
