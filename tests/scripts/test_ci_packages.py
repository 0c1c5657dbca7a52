"""scripts/ci_packages.sh where Go is too old for Prism."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from tests.support import ROOT

SCRIPT = (ROOT / "scripts" / "ci_packages.sh").read_text("utf-8")
MODULES = dict(re.findall(r"^(grpcurl|kustomize|prism)=(\S+)$", SCRIPT, re.MULTILINE))


def _run(folder: pathlib.Path, go: str) -> tuple[str, list[str]]:
    """Run the script with a Go of this version where Prism alone is missing.

    Returns:
      The script's output, and what Go was asked to install.
    """
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "ci_packages.sh", folder / "scripts")
    tools = folder / ".tools"
    (tools / "node" / "node_modules").mkdir(parents=True)
    (tools / "go").mkdir()
    for lock in ("node/package-lock.json", "go/go.sum"):
        wanted = folder / "tests" / "conformance" / lock
        wanted.parent.mkdir(parents=True)
        for place in (wanted, tools / lock):
            place.write_text("{}")
    commands = folder / "commands"
    commands.mkdir()
    (tools / "bin").mkdir()
    for name in ("grpcurl", "kustomize"):
        (tools / name).write_text(MODULES[name])
        (tools / "bin" / name).touch(0o755)
    programs = re.search(r'^needed="(.*?)"', SCRIPT, re.MULTILINE | re.DOTALL)
    assert programs
    for entry in programs[1].split():
        (commands / entry.partition(":")[0]).touch(0o755)
    (commands / "go").write_text(
        f'#!/bin/sh\ncase $1 in env) echo {go} ;; *) echo "$@" >>{folder}/asked ;; esac\n'
    )
    done = subprocess.run(
        [folder / "scripts" / "ci_packages.sh"],
        env={**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    asked = folder / "asked"
    return done.stdout, asked.read_text().splitlines() if asked.exists() else []


@pytest.mark.parametrize("go", ["go1.19.8", "go1.20", ""])
def test_a_go_that_cannot_build_prism_is_named_before_it_tries(
    go: str, tmp_path: pathlib.Path
) -> None:
    output, asked = _run(tmp_path, go)
    assert asked == []
    assert "Prism could not be installed; the tests that need it will fail." in output
    assert f"Prism needs Go 1.26, or Go 1.21 and newer, which download it; {tmp_path}" in output
    assert f"is {go or 'older'}. Install it from https://go.dev/dl" in output
    assert not (tmp_path / ".tools" / "prism").exists()


@pytest.mark.parametrize("go", ["go1.21.0", "go1.26.8"])
def test_a_newer_go_builds_prism(go: str, tmp_path: pathlib.Path) -> None:
    output, asked = _run(tmp_path, go)
    assert asked == [f"install -trimpath {MODULES['prism']}"]
    assert output == "Building prism ...\n"
    assert (tmp_path / ".tools" / "prism").read_text().strip() == MODULES["prism"]
