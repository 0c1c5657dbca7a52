"""Command lines that are suggested to a user: whole lines, quoted for a shell."""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import sys
from collections.abc import Sequence

from components.common.errors import GenreflowError
from components.spectrogram_gen.reject_hint import LIST_REJECTS

# The file of a suggested line that lists rejects.
_REJECTS_FILE = "left_out.csv"


def program(name: str = "genreflow") -> str:
    """Return the shortest command that starts a program of this environment."""
    ours = sys.argv[0]
    if shutil.which(name) or os.path.basename(ours) != "genreflow":
        return name
    return os.path.join(os.path.dirname(ours), name)


def line_of(*words: str) -> str:
    """Return a command line of Genreflow.

    Args:
      *words: the command, its arguments and options.
    """
    return shlex.join([program(), *words])


@dataclasses.dataclass(frozen=True)
class Typed:
    """Options that a user has typed, and needs again in the next line.

    Attributes:
      config: the configuration.
      data_dir: the data folder; "" for the configuration's.
      overrides: settings, such as "training.epochs=3".
    """

    config: str
    data_dir: str = ""
    overrides: Sequence[str] = ()

    def line(self, command: str, *more: str) -> str:
        """Return a command line with the same configuration and data.

        Args:
          command: the command.
          *more: its other options.
        """
        words = ["--config", self.config]
        words += ["--data-dir", self.data_dir] if self.data_dir else []
        for override in self.overrides:
            words += ["--set", override]
        return line_of(command, *words, *more)

    def complete(self, error: GenreflowError) -> GenreflowError:
        """Return an error whose text has the whole line that lists the rejects, if it names it.

        Errors of the pipeline do not know what was typed.
        """
        text = str(error)
        if LIST_REJECTS in text:
            whole = self.line("check-data", "--full", "--rejects", _REJECTS_FILE)
            error.args = (text.replace(LIST_REJECTS, whole),)
        return error
