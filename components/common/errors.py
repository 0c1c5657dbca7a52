"""The errors that a user can act on: their text alone is shown, never a traceback."""

from __future__ import annotations


class GenreflowError(Exception):
    """Something a user can mend. The message says what was wrong, where, and what to do."""


class UsageError(GenreflowError):
    """What was typed or configured cannot be done; nothing was started."""


class DataError(GenreflowError):
    """The input data, or what was made of it, cannot be used."""


class DatasetError(UsageError, ValueError):
    """A dataset that cannot be read as configured."""


class SplitError(DatasetError):
    """Tracks that cannot be split as configured."""


class DecoderUnavailableError(GenreflowError):
    """No process that decodes can be started: no track is to blame, the run has to end."""
