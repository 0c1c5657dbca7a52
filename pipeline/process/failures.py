"""What ended a run, in words: the cause that a user can mend, found in a chain of errors."""

from __future__ import annotations

from components.common.errors import GenreflowError
from components.storage.errors import StorageError, scrubbed


def mendable(error: BaseException) -> GenreflowError | None:
    """The error whose text tells a user what to do; None for what looks like a defect."""
    return _user_error(error) or _storage_error(error)


def one_line(error: BaseException) -> str:
    """The innermost cause: its type and the first line of its message."""
    while error.__cause__ is not None:
        error = error.__cause__
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first[:300]}"


def _user_error(error: BaseException | None) -> GenreflowError | None:
    """The cause that a user can mend, wherever in the chain it is."""
    while error is not None:
        if isinstance(error, GenreflowError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _storage_error(error: BaseException | None) -> StorageError | None:
    """What an object store did to TensorFlow, Beam or botocore, in words; None otherwise."""
    while error is not None:
        module = type(error).__module__
        text = str(error)
        by_tensorflow = module.startswith("tensorflow.") and "s3://" in text
        by_client = module.startswith(("botocore.", "apache_beam.io.aws."))
        # Beam hands on the text of what its workers raise.
        by_beam = "S3ClientError" in text or ("BeamIOError" in text and "s3://" in text)
        if by_tensorflow or by_client or by_beam:
            lines = [line for line in text.splitlines() if line.strip()] or [type(error).__name__]
            return StorageError(f"the object store failed: {scrubbed(lines[-1])}")
        error = error.__cause__ or error.__context__
    return None
