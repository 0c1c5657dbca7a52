"""The two kinds of tables on the screen: with a title and lines, and bare columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.table import Table
from rich.text import Text


def titled(title: str | Text, *columns: str, left: Collection[str] = ()) -> Table:
    """Return an empty table with a title, lines and headers.

    Args:
      title: above the table.
      *columns: the headers; numbers stand right in their columns.
      left: headers of columns of text, which stand left.
    """
    table = Table(title=title, title_justify="left")
    if isinstance(title, Text):
        table.title_style = ""
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right")
    return table


def bare(*justify: str, headers: Sequence[str] = ()) -> Table:
    """Return an empty table without lines.

    Args:
      *justify: "left" or "right", for each column.
      headers: the columns' headers; none for a table without them.
    """
    table = Table(box=None, show_header=bool(headers), pad_edge=not headers)
    table.padding = (0, 2, 0, 0) if headers else (0, 2)
    for name, side in zip(headers or [""] * len(justify), justify, strict=True):
        right = side == "right"
        table.add_column(name, justify="right" if right else "left", no_wrap=bool(headers))
    return table
