"""Exit statuses of all commands, and how a command ends."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import ParamSpec

import typer

from genreflow.cli.messages import complain

P = ParamSpec("P")

EXIT_FAILED, EXIT_USAGE, EXIT_NOT_BLESSED, EXIT_INTERRUPTED = 1, 2, 3, 130

# Shown by `genreflow --help` and in docs/reference/command-line.md. No command has another one.
EXIT_STATUSES: dict[int, str] = {
    0: "Done.",
    EXIT_FAILED: "It failed, or was only partly done: a file cannot be read, a check found a "
    "problem, a server does not answer. The message says which.",
    EXIT_USAGE: "The command line, the configuration or the data cannot be used. Nothing was "
    "started.",
    EXIT_NOT_BLESSED: "run --require-blessing: the run finished, but its model was not pushed.",
    EXIT_INTERRUPTED: "Interrupted by Ctrl-C or SIGTERM.",
}


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
        status = work()
        sys.stdout.flush()
        return status
    except UsageError as error:
        complain(str(error))
        return EXIT_USAGE
    except GenreflowError as error:
        complain(str(error))
        return EXIT_FAILED
    except BrokenPipeError:  # such as `genreflow ... | head -1`
        # Python flushes stdout at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except OSError as error:  # a path of the command line, or an output
        where = f"{error.filename}: " if error.filename else ""
        complain(f"{where}{error.strerror or error}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        typer.echo(err=True)  # after the terminal's ^C
        complain("interrupted; half-written output is ignored: rerun the command to resume")
        return EXIT_INTERRUPTED
