"""Errors that a user can fix. The command line shows their text without a traceback."""

from __future__ import annotations


class GenreflowError(Exception):
    """Base of all errors that a user can fix; the text says what is wrong, where, what to do."""


class UsageError(GenreflowError):
    """Error in the command line or the configuration; nothing was started."""


class DataError(GenreflowError):
    """Error in the input data, or in files made from it."""


class DatasetError(UsageError, ValueError):
    """Error for a dataset that cannot be read as configured."""


class SplitError(DatasetError):
    """Error for tracks that cannot be split as configured."""


class DecoderUnavailableError(GenreflowError):
    """Error for a decoding process that cannot be started; it ends the run."""
