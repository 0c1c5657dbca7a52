"""Exit statuses, and messages for errors that a user can fix."""

from __future__ import annotations

import signal
from typing import Any

import typer

EXIT_FAILED, EXIT_USAGE, EXIT_NOT_BLESSED, EXIT_INTERRUPTED = 1, 2, 3, 130


def finish(command: Any, *args: Any, **kwargs: Any) -> None:
    """Run a command and exit with its status; print an error's message without a traceback."""
    from components.common.errors import GenreflowError, UsageError

    try:
        # SIGTERM shuts down in order too, with the worker and the scratch files.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        status = command(*args, **kwargs)
    except UsageError as error:
        _complain(str(error))
        raise typer.Exit(EXIT_USAGE) from None
    except GenreflowError as error:
        _complain(str(error))
        raise typer.Exit(EXIT_FAILED) from None
    except OSError as error:  # a path of the command line, or an output
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}")
        raise typer.Exit(EXIT_FAILED) from None
    except KeyboardInterrupt:
        typer.echo(
            "\ninterrupted; partial output is ignored: rerun the command to resume", err=True
        )
        raise typer.Exit(EXIT_INTERRUPTED) from None
    raise typer.Exit(status or 0)


def _complain(message: str) -> None:
    from components.common.escape import printable

    lines = message.splitlines() or ["failed without an error message"]
    typer.echo("genreflow: " + "\n".join(printable(line) for line in lines), err=True)
