"""Table of all scripts in benchmarks/, from the first lines of their docstrings."""

from __future__ import annotations

import ast
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "benchmarks"


def scripts() -> dict[str, str]:
    """Return what each script measures, by its name."""
    return {
        path.stem: (ast.get_docstring(ast.parse(path.read_bytes())) or "").split("\n\n")[0]
        for path in sorted(FOLDER.glob("[a-z]*.py"))
    }


def scripts_table() -> str:
    """Return the scripts as a table in Markdown."""
    rows = [
        f"| `python -m benchmarks.{name}` | {' '.join(about.split()).replace('|', chr(92) + '|')} |"
        for name, about in scripts().items()
    ]
    return "\n".join(["| script | what it measures |", "|---|---|", *rows])
