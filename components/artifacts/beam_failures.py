"""Failures of Beam's jobs in words."""

from __future__ import annotations

import re

from components.common.errors import GenreflowError

# The last line of a traceback: the error's type and text.
_ERROR_LINE = re.compile(
    r"^(?:\w+\.)*(\w*(?:Error|Exception|Exit|Interrupt|Missing|Warning)): ?(.*)"
)

# Prism's words for a worker that has gone.
_LOST_WORKER = "SDK worker disconnected"


class BeamJobError(GenreflowError):
    """Error for a Beam job that did not end well; the message says why."""


def in_words(error: BaseException, endpoint: str) -> BaseException:
    """Return a BeamJobError for what a job elsewhere ended with, or the error itself.

    Args:
      error: of a pipeline's run.
      endpoint: of the job service; "" for a job of this machine, whose errors say enough.
    """
    if not endpoint or isinstance(error, GenreflowError):
        return error
    grpc_code = getattr(error, "code", None)
    if callable(grpc_code):
        return BeamJobError(
            f"the job service at {endpoint} ended or cannot be reached any more "
            f"({grpc_code().name}). See its log, start it again and rerun"
        )
    if not isinstance(error, RuntimeError):
        return error
    text = str(error)
    name, message = cause_of(text)
    if name in ("ModuleNotFoundError", "ImportError"):
        return BeamJobError(
            f"a worker of the Beam job has not the packages that it needs ({message}). Workers "
            "need this version of Genreflow: start them by `genreflow beam-worker`, or from "
            "Genreflow's image"
        )
    if _LOST_WORKER in text:
        return BeamJobError(
            f"a worker of the Beam job at {endpoint} ended, or its connection did, often for lack "
            "of memory; the log of its pool or container says more. Rerun"
        )
    reason = f"{name}: {message}" if name else (text.strip().splitlines() or ["unknown"])[-1]
    return BeamJobError(
        f"the Beam job at {endpoint} failed: {reason[:500]}. The log has its traceback"
    )


def cause_of(text: str) -> tuple[str, str]:
    """Return the type and the text of the last error in a traceback, or two empty texts."""
    for line in reversed(text.splitlines()):
        found = _ERROR_LINE.match(line.strip())
        if found:
            return found[1], found[2].split(" [while running")[0]
    return "", ""
