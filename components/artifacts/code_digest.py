"""Digests of source code, derived from imports.

A change to a node's code reruns that node, and Beam's workers refuse a job of other code.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import pathlib
import socket
from collections.abc import Iterator, Mapping, Sequence

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The components, of which nodes are made, import none of the others.
PACKAGES = ("components", "genreflow", "kubeflow", "pipeline", "serving")


@functools.cache
def code_digest(module: str, *instead: tuple[str, tuple[str, ...]]) -> str:
    """Return 16 hex digits over the sources that a module may execute.

    TFX's cache compares inputs and parameters but no code, so each component passes this
    digest of its executor's module as a parameter.

    Args:
      module: the module's dotted name, such as "components.gate.executor".
      *instead: pairs of a module that is a table of others, such as a registry, and the
        modules of that table that this node uses. Without a pair all of them count.

    Raises:
      ModuleNotFoundError: there is no such module (a typo would never change).
    """
    digest = hashlib.sha256()
    for name in sorted(modules_of(module, dict(instead))):
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(_source(ROOT, name).read_bytes()).digest())
    return digest.hexdigest()[:16]


def other_code(module: str, submitted: str) -> str:
    """Return what is wrong if a Beam job was submitted with other code than this worker's, or "".

    Args:
      module: of the job's DoFn.
      submitted: its digest where the job was submitted.
    """
    here = code_digest(module)
    if here == submitted:
        return ""
    return (
        f"a worker of Beam on {socket.gethostname()} has other code of Genreflow ({here}) than the "
        f"machine that submitted the job ({submitted}), and might write something else. Start its "
        "workers, or their image, from the same version"
    )


def modules_of(module: str, instead: Mapping[str, Sequence[str]] | None = None) -> set[str]:
    """Return the modules of ours that a module may execute, itself included.

    Imports inside functions count. So does every string that is the name of a module, because
    registries and subprocesses name modules in this way. Imports that only type checkers see
    do not count.

    Args:
      module: the module's dotted name.
      instead: as for code_digest.

    Raises:
      ModuleNotFoundError: there is no such module.
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if name.count("."):
            waiting.append(name.rpartition(".")[0])  # importing it executes its package
        imported, named = _references(ROOT, name)
        waiting += imported
        waiting += (instead or {}).get(name, named)
    return found


def _references(root: pathlib.Path, module: str) -> tuple[set[str], set[str]]:
    """Return the modules that a module imports, and those that its strings name."""
    imported, members, named = _mentioned(_source(root, module).read_bytes())
    found = {*imported, *(name for name in members if _find(root, name))}
    return found, {name for name in named if _find(root, name)} - found - {module}


@functools.cache
def _mentioned(source: bytes) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Return names of ours in a source: imported ones, members of these, and strings."""
    imported: set[str] = set()
    members: set[str] = set()
    named: set[str] = set()
    for node in _executed(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names if _is_ours(alias.name)}
        elif isinstance(node, ast.ImportFrom) and node.module and _is_ours(node.module):
            imported.add(node.module)
            members |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # Our packages alone, such as "components", are common words.
            named |= {text for text in (node.value,) if "." in text and _is_ours(text)}
    return frozenset(imported), frozenset(members), frozenset(named)


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a tree's nodes without the bodies of `if TYPE_CHECKING:`."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _executed(other)
        else:
            yield from _executed(child)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in PACKAGES


def _find(root: pathlib.Path, module: str) -> pathlib.Path | None:
    if not all(part.isidentifier() for part in module.split(".")):
        return None
    path = root.joinpath(*module.split("."))
    for source in (path.with_suffix(".py"), path / "__init__.py"):
        if source.is_file():
            return source
    return None


def _source(root: pathlib.Path, module: str) -> pathlib.Path:
    found = _find(root, module)
    if found is None:
        raise ModuleNotFoundError(f"{module}: no such module in {root}", name=module)
    return found
