"""What stops a run before any audio is read: the dataset itself cannot be used."""

from __future__ import annotations

from components.common.errors import UsageError


class DatasetError(UsageError, ValueError):
    """The dataset cannot be used as configured. The message tells users what, where, what to do."""


class SplitError(DatasetError):
    """The tracks cannot be split as configured. The message is for users."""
