"""Rules about the sources that no linter has."""

from __future__ import annotations

import ast
import re

from tests.support import ROOT

FOLDERS = (
    "benchmarks", "components", "configs", "docs", "genreflow", "kubeflow", "pipeline", "serving",
    "tests",
)  # fmt: skip
CLAUSE = re.compile(r"(What|Where|Whether|Whose|How|That|Who|Of|Those|Which|When|If)\b")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def test_no_docstring_begins_with_a_clause() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}: {docstring.splitlines()[0]}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, DOCUMENTED)
        and (docstring := ast.get_docstring(node))
        and CLAUSE.match(docstring)
    ]
    assert not found, "\n".join(found)
