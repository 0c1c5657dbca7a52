"""Exit statuses, and messages for errors that a user can fix."""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable
from typing import ParamSpec

import typer

P = ParamSpec("P")

EXIT_FAILED, EXIT_USAGE, EXIT_NOT_BLESSED, EXIT_INTERRUPTED = 1, 2, 3, 130


def command(work: Callable[P, int]) -> Callable[P, None]:
    """Decorate a function that returns its exit status, so that typer can run it as a command.

    Errors that a user can fix are printed without a traceback.
    """

    @functools.wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        raise typer.Exit(_status(functools.partial(work, *args, **kwargs)))

    return run


def _status(work: Callable[[], int]) -> int:
    from components.common.errors import GenreflowError, UsageError

    try:
        # SIGTERM shuts down in order too, with the worker and the scratch files.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        return work()
    except UsageError as error:
        _complain(str(error))
        return EXIT_USAGE
    except GenreflowError as error:
        _complain(str(error))
        return EXIT_FAILED
    except OSError as error:  # a path of the command line, or an output
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        typer.echo(
            "\ninterrupted; partial output is ignored: rerun the command to resume", err=True
        )
        return EXIT_INTERRUPTED


def _complain(message: str) -> None:
    from components.common.escape import printable

    lines = message.splitlines() or ["failed without an error message"]
    typer.echo("genreflow: " + "\n".join(printable(line) for line in lines), err=True)
