"""Versions of Kubeflow Pipelines that can run the pipeline."""

from __future__ import annotations

import re

# Older releases refuse an exit handler that is given the state of the run.
MIN_VERSION = "2.14.0"
# Older releases refuse a file with an unknown field (kubernetes_executor_config.proto has
# security_context since 2.16.0).
SECURITY_CONTEXT_VERSION = "2.16.0"
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?!\d)", re.ASCII)


def is_version(text: str) -> bool:
    """Return whether a text begins as a version, which builds by hand do not have."""
    return _VERSION.match(text) is not None


def is_too_old(version: str, least: str = MIN_VERSION) -> bool:
    """Return whether a version is older than another; False if it is no version."""
    found, wanted = _VERSION.match(version), _VERSION.match(least)
    if found is None or wanted is None:
        return False
    return (int(found[1]), int(found[2])) < (int(wanted[1]), int(wanted[2]))
