"""Pages that commands open in a browser."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Optional

import typer

# Systems that always have a display; elsewhere a browser needs one of the variables.
ALWAYS_DISPLAY = ("darwin", "win32")
DISPLAY_VARIABLES = ("DISPLAY", "WAYLAND_DISPLAY")

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8600

HostOption = Annotated[
    str, typer.Option("--host", metavar="HOST", help="Address to listen on; 0.0.0.0 for all.")
]
PortOption = Annotated[
    int,
    typer.Option("--port", "-p", metavar="N", min=0, max=65535, help="Port; 0 for a free one."),
]
AllowHostOption = Annotated[
    Optional[list[str]],  # noqa: UP045  typer reads the annotation at run time
    typer.Option(
        "--allow-host",
        metavar="HOST",
        help="Name by which others open the page, such as that of a proxy; repeatable.",
    ),
]
OpenOption = Annotated[
    Optional[bool],  # noqa: UP045  typer reads the annotation at run time
    typer.Option(
        "--open/--no-open",
        help="Open it in a browser [default: at a terminal with a display].",
    ),
]


def open_page(url: str, wanted: bool | None) -> bool:
    """Open a page in a browser.

    Args:
      url: its address.
      wanted: whether to open it; None for: at a terminal with a display.

    Returns:
      False if it was asked for and no browser could be started.
    """
    import webbrowser

    if wanted or (wanted is None and sys.stdout.isatty() and has_display()):
        return webbrowser.open(url) or not wanted
    return True


def has_display() -> bool:
    """Return whether a browser could show a window here."""
    return sys.platform in ALWAYS_DISPLAY or any(
        os.environ.get(variable) for variable in DISPLAY_VARIABLES
    )
