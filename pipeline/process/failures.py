"""Causes of a failed run: the error in a chain that a user can fix."""

from __future__ import annotations

from components.common.errors import GenreflowError
from components.storage.errors import StorageError, scrubbed


def find_user_error(error: BaseException) -> GenreflowError | None:
    """Return the error in a chain that a user can fix; None if it looks like a bug."""
    return _user_error(error) or _storage_error(error)


def one_line(error: BaseException) -> str:
    """Return the type of the innermost cause, and the first line of its message."""
    while error.__cause__ is not None:
        error = error.__cause__
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first[:300]}"


def _user_error(error: BaseException | None) -> GenreflowError | None:
    """Return the first error of ours in the chain."""
    while error is not None:
        if isinstance(error, GenreflowError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _storage_error(error: BaseException | None) -> StorageError | None:
    """Return the StorageError for an object store's error in TensorFlow, Beam or botocore."""
    while error is not None:
        module = type(error).__module__
        text = str(error)
        by_tensorflow = module.startswith("tensorflow.") and "s3://" in text
        by_client = module.startswith(("botocore.", "apache_beam.io.aws."))
        # Beam passes on only the text of its workers' errors.
        by_beam = "S3ClientError" in text or ("BeamIOError" in text and "s3://" in text)
        if by_tensorflow or by_client or by_beam:
            lines = [line for line in text.splitlines() if line.strip()] or [type(error).__name__]
            return StorageError(f"the object store failed: {scrubbed(lines[-1])}")
        error = error.__cause__ or error.__context__
    return None
