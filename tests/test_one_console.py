"""All styled output goes through pipeline/display/console.py, so no message can be markup."""

from __future__ import annotations

import ast
import io
import pathlib
from collections.abc import Iterator

from pipeline.display.console import PlainConsole
from tests.support import ROOT

OWNER = ROOT / "pipeline" / "display" / "console.py"
PRODUCT = ("components", "configs", "genreflow", "kubeflow", "pipeline", "serving")
# Names of rich that take no markup themselves: a PlainConsole renders the strings in them.
PLAIN = {
    "rich.console": {"Group"},
    "rich.live": {"Live"},
    "rich.progress": {
        "BarColumn", "Progress", "ProgressColumn", "SpinnerColumn", "Task", "TaskID",
        "TimeRemainingColumn",
    },
    "rich.table": {"Column", "Table"},
    "rich.text": {"Text"},
}  # fmt: skip


def _sources() -> Iterator[tuple[pathlib.Path, ast.Module]]:
    for folder in PRODUCT:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def _of_rich(tree: ast.Module) -> Iterator[str]:
    """Yield what a module takes from rich that may be markup, or is passed on as it is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] == "rich")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rich":
            allowed = PLAIN.get(node.module or "", set())
            yield from (f"{node.module}.{n.name}" for n in node.names if n.name not in allowed)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("from_markup", "from_ansi", "print_exception"):
                yield f".{node.func.attr}(...)"
        elif isinstance(node, ast.keyword) and node.arg in ("markup", "emoji", "highlight"):
            yield f"{node.arg}=..."


def test_one_module_opens_consoles() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, tree in _sources()
        for name in _of_rich(tree)
        if path != OWNER
    ]
    assert found == []


def test_pieces_of_text_are_given_to_the_module_that_escapes_them() -> None:
    """Text("...") takes no markup, but passes control characters on; `line` escapes them."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Text"
        and path != OWNER
    ]
    assert found == []


def test_one_module_makes_tables() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Table"
        and path.name != "tables.py"
    ]
    assert found == []


def _messages() -> set[str]:
    """Return each line with a bracket in any string of the product."""
    return {
        line
        for _, tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for line in node.value.splitlines()
        if "[" in line and line.isprintable()
    }


def test_every_message_with_brackets_is_printed_whole() -> None:
    messages = sorted(_messages())
    assert any("relax [gate] if this model" in text for text in messages)
    console = PlainConsole(io.StringIO(), width=80)
    for text in messages:
        console.say(text)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == messages
