"""scripts/next.sh: the copy of the tree, and the way to the other generation's system."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable

import pytest

from tests.support import ROOT

# What the script and git need of a system.
PROGRAMS = (
    "cat", "dirname", "find", "git", "id", "mkdir", "printf", "rm", "sh", "sort", "tar", "tail",
    "sed", "env",
)  # fmt: skip


@pytest.fixture
def tree(tmp_path: pathlib.Path, requires_program: Callable[[str, str], str]) -> pathlib.Path:
    """Return a git working tree with the script, a changed, a deleted and an ignored file."""
    git = requires_program("git", "git")
    tree = tmp_path / "tree"
    (tree / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "next.sh", tree / "scripts" / "next.sh")
    (tree / ".gitignore").write_text(".tools/\n.venv/\nignored\n")
    for name in ("changed", "deleted", "name with blanks"):
        (tree / name).write_text("committed")
    for command in (["init", "-q"], ["add", "."]):
        subprocess.run([git, *command], cwd=tree, check=True)
    (tree / "changed").write_text("changed")
    (tree / "new").write_text("new")
    (tree / "ignored").write_text("ignored")
    (tree / "deleted").unlink()
    return tree


def _next(tree: pathlib.Path, glibc: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run the script where `getconf` tells a version of glibc and little else is there."""
    programs = tree.parent / "bin"
    programs.mkdir(exist_ok=True)
    for name in PROGRAMS:
        found = shutil.which(name)
        if found and not (programs / name).exists():
            (programs / name).symlink_to(found)
    (programs / "getconf").write_text(f"#!/bin/sh\necho glibc {glibc}\n")
    (programs / "getconf").chmod(0o755)
    return subprocess.run(
        ["sh", str(tree / "scripts" / "next.sh"), *command],
        capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": str(programs), "HOME": str(tree.parent), "PYTHON": "/of/this/venv"},
    )  # fmt: skip


def test_where_glibc_is_2_39_the_tree_is_copied_for_tfx_1_16(tree: pathlib.Path) -> None:
    copy = tree / ".tools" / "next" / "tree"
    show = 'echo "$GENERATION ${PYTHON:-none}"; cat changed "name with blanks"'
    done = _next(tree, "2.39", "sh", "-c", show)
    assert (done.returncode, done.stdout) == (0, "1.16 none\nchangedcommitted"), done.stderr
    assert sorted(os.listdir(copy)) == [
        ".git", ".gitignore", "changed", "name with blanks", "new", "scripts",
    ]  # fmt: skip

    # Once more: what is gone here is gone there, but .venv stays.
    (copy / ".venv").mkdir()
    (copy / ".venv" / "kept").write_text("")
    (tree / "new").unlink()
    assert _next(tree, "2.41", "sh", "-c", "exit 3").returncode == 3
    assert not (copy / "new").exists()
    assert (copy / ".venv" / "kept").exists()


def test_an_older_glibc_needs_mmdebstrap_and_names_its_package(tree: pathlib.Path) -> None:
    done = _next(tree, "2.36", "true")
    assert done.returncode == 2
    assert "install the package mmdebstrap" in done.stderr


def test_a_command_is_asked_for(tree: pathlib.Path) -> None:
    done = _next(tree, "2.39")
    assert (done.returncode, done.stderr.strip()) == (
        2, "scripts/next.sh: usage: scripts/next.sh COMMAND...",
    )  # fmt: skip
