"""Text that rich would change or obey, and consoles that keep what is printed."""

from __future__ import annotations

import io
import re

from pipeline.display.console import PlainConsole

# Tags, unbalanced and escaped brackets, an emoji code, and what is highlighted.
NASTY = "[gate] [/] [bold]x[/bold] [[w]] \\[z] [red :smile: 'a' 5 http://x"
# A sequence that colours, and a bell.
ACTIVE = "\x1b[31mred\x07"


def kept_console(*, terminal: bool = False) -> PlainConsole:
    """Return a wide console that keeps what is printed."""
    return PlainConsole(io.StringIO(), width=1000, terminal=terminal)


def printed(console: PlainConsole) -> str:
    """Return what was printed, without the sequences that colour it and move the cursor."""
    assert isinstance(console.file, io.StringIO)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())
    assert "\x1b" not in text
    assert "\x07" not in text
    return text
