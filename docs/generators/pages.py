"""Places in pages for generated text: `<!-- generated: settings -->`, on a line of its own."""

from __future__ import annotations

import re
from collections.abc import Callable

from docs.generators import benchmark_scripts, commands, python_api, settings

PLACE = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)

GENERATORS: dict[str, Callable[[], str]] = {
    "benchmarks": benchmark_scripts.scripts_table,
    "commands": commands.commands_page,
    "python": python_api.python_page,
    "settings": settings.settings_page,
}


def filled(text: str) -> str:
    """Return a page's Markdown with its places filled.

    Raises:
      KeyError: a place names no generator.
    """
    return PLACE.sub(lambda found: GENERATORS[found[1]](), text)
