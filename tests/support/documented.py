"""Keys of commands' JSON, as docs/reference/command-line.md lists them."""

from __future__ import annotations

import re

from tests.support import ROOT

COMMAND_LINE = (ROOT / "docs" / "reference" / "command-line.md").read_text("utf-8")


def documented_keys(command: str) -> set[str]:
    """Return the keys at the top of a command's JSON."""
    section = COMMAND_LINE.partition("## JSON\n")[2]
    (row,) = re.findall(rf"^\|[^|]*`{command}`[^|]*\| (.*) \|$", section, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", re.sub(r"\([^()]*\)", "", row)))
