"""Errors that a page answers with, as HTML for people and as JSON for scripts."""

from __future__ import annotations


class WebError(Exception):
    """Error of one request. The message says what was wrong and what to do.

    Attributes:
      status: the HTTP status.
      message: for a person; may quote names from outside, so escape it where it is shown.
      retry_after_s: seconds after which the same request may succeed; None if it never will.
    """

    def __init__(self, status: int, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after_s = status, message, retry_after_s
