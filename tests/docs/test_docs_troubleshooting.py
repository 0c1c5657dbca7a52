"""docs/troubleshooting.md quotes messages as the code has them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from components.gate import rules
from tests.support import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)
SOURCES = ("components", "genreflow", "kubeflow", "pipeline", "serving")
VALUE = "\0"


def _text(node: ast.expr) -> str:
    """Return a string of the source, adjacent ones joined, with VALUE for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return VALUE


def _strings() -> Iterator[str]:
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp)):
                    yield _text(node)


@pytest.fixture(scope="module")
def strings() -> list[str]:
    return [text for text in _strings() if len(text) > 20]


RULE_NAMES = {
    "absolute_floor",
    "beats_baseline",
    "genre_recall",
    "holds_serving",
    "already_serving",
}


@pytest.mark.parametrize("message", [one for one in QUOTED if one not in RULE_NAMES])
def test_a_quoted_message_is_in_the_source(message: str, strings: list[str]) -> None:
    # "..." is a value or the rest of the message.
    parts = re.split(r"\.{3,}", message)
    pattern = re.compile(r"[\s\S]*".join(map(re.escape, parts)))
    longest = max(parts, key=len)
    assert any(pattern.search(text) for text in strings if longest in text), message


def test_there_are_messages_of_every_kind() -> None:
    assert len(QUOTED) > 35
    assert len(set(QUOTED)) == len(QUOTED)


def test_the_rules_are_the_gates() -> None:
    quoted = {one for one in QUOTED if one in RULE_NAMES}
    assert quoted == RULE_NAMES
    assert all(callable(getattr(rules, name)) for name in quoted)
