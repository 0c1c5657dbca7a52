"""The product's one console. Text is text there: no name or message can be markup.

rich reads markup in the strings that it is given ("[gate]" would vanish), and passes on control
characters. `PlainConsole` does neither, in print, in tables and in spinners. Styled text is made by
`line`, and a progress bar shows text by this module's `TextColumn`. No other module takes these
names from rich (tests/test_one_console.py). Import this module late: it imports rich.
"""

from __future__ import annotations

import sys
from typing import IO, Any, Literal, TypeAlias

from rich.console import Console, JustifyMethod, OverflowMethod
from rich.progress import ProgressColumn, Task
from rich.status import Status
from rich.style import Style
from rich.table import Column
from rich.text import Text

from components.common.escape import printable
from pipeline.display.terminal import has_colours, is_live

# Plain text, text and its style, or a line made before.
Piece: TypeAlias = "str | tuple[str, str] | Text"


def line(*pieces: Piece) -> Text:
    """Return one line of plain and styled pieces; unprintable characters are escaped."""
    whole = Text()
    for piece in pieces:
        if isinstance(piece, Text):
            whole.append_text(piece)
        else:
            text, style = piece if isinstance(piece, tuple) else (piece, "")
            whole.append(printable(text), style)
    return whole


class PlainConsole(Console):
    """Console that prints strings as they are, each as one line without control characters."""

    def __init__(
        self,
        file: IO[str] | None = None,
        *,
        stderr: bool = False,
        width: int | None = None,
        terminal: bool | None = None,
    ) -> None:
        """Open the console.

        Args:
          file: the stream; None for stdout.
          stderr: whether to write to stderr instead.
          width: characters in a line; None for the terminal's.
          terminal: whether the stream is a terminal, with colours and bars; None to find out by
            the rules of pipeline.display.terminal.
        """
        stream = file or (sys.stderr if stderr else sys.stdout)
        live = is_live(stream) if terminal is None else terminal
        coloured = has_colours(stream) if terminal is None else terminal
        # rich finds out how many colours a terminal has; a pipe gets those that all have.
        colours: Literal["auto", "standard"] = "auto" if live else "standard"
        super().__init__(
            file=file,
            stderr=stderr,
            width=width,
            force_terminal=live,
            color_system=colours if coloured else None,
            force_jupyter=False,  # rich would make a separate output of every line
        )

    def say(self, *pieces: Piece) -> None:
        """Print one line. Only the terminal wraps it, so that paths can be copied."""
        self.print(line(*pieces), soft_wrap=True)

    def print_uncut(self, table: Any) -> None:
        """Print a table at its full width, which a narrow terminal wraps: ids can be copied."""
        unbounded = self.options.update(width=10_000)
        self.width = max(self.width, self.measure(table, options=unbounded).maximum)
        self.print(table)

    def status(self, status: Any, **options: Any) -> Status:
        """Return a spinner with a text beside it."""
        return super().status(line(status), **options)

    def render_str(
        self,
        text: str,
        *,
        style: str | Style = "",
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        **_: Any,
    ) -> Text:
        """Return a string of print, or of a table's cell, header or title, as rich's text.

        The options left out ask for markup, emoji codes and highlighting.
        """
        return Text(printable(text), style, justify=justify, overflow=overflow)


class TextColumn(ProgressColumn):
    """Column of a progress bar with a text of its task."""

    def __init__(self, field: str, style: str = "", table_column: Column | None = None) -> None:
        """Choose the text.

        Args:
          field: name of the task's field.
          style: of the text.
          table_column: the column's layout.
        """
        self._field, self._style = field, style
        super().__init__(table_column)

    def render(self, task: Task) -> Text:
        """Return the task's text."""
        return line((task.fields[self._field], self._style))
