"""Versions of Kubeflow Pipelines that can run the pipeline."""

from __future__ import annotations

import re

# Older releases refuse an exit handler that is given the state of the run.
MIN_VERSION = "2.14.0"
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?!\d)", re.ASCII)


def is_version(text: str) -> bool:
    """Return whether a text begins as a version, which builds by hand do not have."""
    return _VERSION.match(text) is not None


def is_too_old(version: str) -> bool:
    """Return whether a version is older than MIN_VERSION; False if it is no version."""
    found = _VERSION.match(version)
    least = tuple(int(part) for part in MIN_VERSION.split(".")[:2])
    return found is not None and (int(found[1]), int(found[2])) < least
