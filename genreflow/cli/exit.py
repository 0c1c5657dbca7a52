"""How a command ends: its exit status, and one line for what a user can mend."""

from __future__ import annotations

import signal
from typing import Any

import typer

EXIT_FAILED, EXIT_USAGE, EXIT_NOT_BLESSED, EXIT_INTERRUPTED = 1, 2, 3, 130


def finish(command: Any, *args: Any, **kwargs: Any) -> None:
    """Runs a command and turns its end into an exit status; no traceback for users."""
    from components.common.errors import GenreflowError, UsageError

    try:
        # A terminated run is stopped in order too, its worker and its scratch files with it.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        status = command(*args, **kwargs)
    except UsageError as error:
        _complain(str(error))
        raise typer.Exit(EXIT_USAGE) from None
    except GenreflowError as error:
        _complain(str(error))
        raise typer.Exit(EXIT_FAILED) from None
    except OSError as error:  # what was named on the command line, or where output goes
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}")
        raise typer.Exit(EXIT_FAILED) from None
    except KeyboardInterrupt:
        typer.echo("\ninterrupted; nothing half-made is used: type it again to go on", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    raise typer.Exit(status or 0)


def _complain(message: str) -> None:
    from components.common.escape import printable

    lines = message.splitlines() or ["failed without a word"]
    typer.echo("genreflow: " + "\n".join(printable(line) for line in lines), err=True)
