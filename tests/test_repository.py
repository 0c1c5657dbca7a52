"""The repository itself: locks, packaging, scripts and file sizes."""

from __future__ import annotations

import pathlib
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support import ROOT

# A generation of TFX has its own locks; what its markers are asked for.
PYTHONS = {"1.16": ["3.10"], "1.21": ["3.11", "3.12", "3.13"]}
ENVIRONMENTS = [(name, python) for name, pythons in PYTHONS.items() for python in pythons]
LOCKS = [f"{name}/{kind}.lock" for name in PYTHONS for kind in ("dev", "runtime", "gpu")]
MAX_FILE_BYTES = 500_000


def entries(name: str) -> list[str]:
    """Return the lock's requirements, each with its continuation lines joined."""
    text = (ROOT / "requirements" / name).read_text("utf-8")
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def applies(requirement: Requirement, python: str) -> bool:
    if requirement.marker is None:
        return True
    return requirement.marker.evaluate(
        {"python_version": python, "python_full_version": f"{python}.1", "extra": ""}
    )


def versions(name: str, python: str) -> dict[str, Version]:
    """Return what a lock installs for a version of Python."""
    found = {}
    for entry in entries(name):
        requirement = Requirement(entry.split("--hash")[0])
        if not applies(requirement, python):
            continue
        (specifier,) = requirement.specifier
        assert specifier.operator == "=="
        assert canonicalize_name(requirement.name) not in found, requirement
        found[canonicalize_name(requirement.name)] = Version(specifier.version)
    return found


@pytest.fixture
def distribution(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the arguments that setup.py passes to setuptools."""
    arguments: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **keywords: arguments.update(keywords))
    runpy.run_path(str(ROOT / "setup.py"))
    return arguments


@pytest.mark.parametrize("name", [*LOCKS, "uv.txt"])
def test_every_locked_requirement_is_exact_and_has_hashes(name: str) -> None:
    assert entries(name)
    for entry in entries(name):
        requirement, *hashes = entry.split("--hash=")
        assert re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.+]+( ;.*)?", requirement.strip()), entry
        assert hashes, entry
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", found.strip()) for found in hashes), entry


@pytest.mark.parametrize("name", [*LOCKS, "uv.txt", *(f"{name}/pins.txt" for name in PYTHONS)])
def test_locks_hold_no_index_and_no_url(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text("utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--index|--extra-index|--find-links|--trusted)", text, re.M)


@pytest.mark.parametrize(
    ("kind", "extras"),
    [("dev", ["kubeflow", "av", "dev"]), ("runtime", ["kubeflow", "av"]), ("gpu", ["gpu"])],
)
@pytest.mark.parametrize(("generation", "python"), ENVIRONMENTS)
def test_locks_satisfy_setup(
    kind: str, extras: list[str], generation: str, python: str, distribution: dict[str, Any]
) -> None:
    locked = versions(f"{generation}/{kind}.lock", python)
    wanted = list(distribution["install_requires"])
    for extra in extras:
        wanted += distribution["extras_require"][extra]
    for requirement in map(Requirement, wanted):
        if applies(requirement, python):
            assert locked[canonicalize_name(requirement.name)] in requirement.specifier, requirement


@pytest.mark.parametrize(("generation", "python"), ENVIRONMENTS)
@pytest.mark.parametrize("kind", ["runtime", "gpu"])
def test_what_an_image_installs_is_what_was_tested(kind: str, generation: str, python: str) -> None:
    tested = versions(f"{generation}/dev.lock", python)
    for package, version in versions(f"{generation}/{kind}.lock", python).items():
        # The CUDA libraries come with the gpu extra alone.
        if not package.startswith("nvidia-"):
            assert tested[package] == version, package


@pytest.mark.parametrize("generation", list(PYTHONS))
def test_pins_are_what_the_lock_holds(generation: str) -> None:
    locked = versions(f"{generation}/dev.lock", PYTHONS[generation][-1])
    folder = ROOT / "requirements" / generation
    texts = [
        path.read_text("utf-8") for path in (folder / "pins.txt", *folder.glob("overrides.txt"))
    ]
    lines = "".join(texts).splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert len(pins) > 20
    for pin in pins:
        assert locked[canonicalize_name(pin.name)] in pin.specifier, pin


def test_the_distribution_takes_the_pythons_that_have_a_lock(distribution: dict[str, Any]) -> None:
    wanted = SpecifierSet(distribution["python_requires"])
    for python in ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14"):
        assert wanted.contains(f"{python}.1") == any(python in found for found in PYTHONS.values())
    assert any(
        f"{sys.version_info[0]}.{sys.version_info[1]}" in found for found in PYTHONS.values()
    )


def test_every_package_and_data_file_is_installed(distribution: dict[str, Any]) -> None:
    packages = set(distribution["packages"])
    for root in ("components", "configs", "genreflow", "kubeflow", "pipeline", "serving"):
        for path in (ROOT / root).rglob("*.py"):
            package = ".".join(path.relative_to(ROOT).parent.parts)
            assert package in packages, f"{path.relative_to(ROOT)}: no __init__.py beside it"
    data = distribution["package_data"]
    assert "*.toml" in data["configs"]
    for folder in (ROOT / "genreflow" / "web").rglob("static"):
        package = ".".join(folder.relative_to(ROOT).parent.parts)
        assert data[package] == ["templates/*", "static/*"], package


def test_setup_works_without_the_readme(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **keywords: arguments.update(keywords))
    (tmp_path / "setup.py").write_bytes((ROOT / "setup.py").read_bytes())
    runpy.run_path(str(tmp_path / "setup.py"))
    assert arguments["long_description"] == ""


def test_no_large_file_is_kept(requires_program: Callable[[str, str], str]) -> None:
    git = requires_program("git", "git")
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert len(paths) > 20
    large = [
        f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes"
        for path in paths
        if path.is_file() and path.stat().st_size > MAX_FILE_BYTES
    ]
    assert large == []


@pytest.mark.parametrize(
    "name", [".ci/run", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("scripts/*.sh"))]
)
def test_scripts_parse_and_can_be_run(name: str) -> None:
    path = ROOT / name
    assert path.stat().st_mode & 0o111
    shell = path.read_text("utf-8").splitlines()[0].removeprefix("#!")
    subprocess.run([shell, "-n", str(path)], check=True)


def test_the_setup_script_has_no_pitfalls_of_the_shell(
    requires_program: Callable[[str, str], str],
) -> None:
    shellcheck = requires_program("shellcheck", "shellcheck")
    command = [shellcheck, "--external-sources", "--check-sourced", "scripts/setup_env.sh"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout + done.stderr == ""


def test_the_guide_lists_every_reject_reason_as_it_is() -> None:
    from components.datasets.track import REJECT_REASONS

    text = (ROOT / "docs" / "guides" / "rejects.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| `([a-z_]+)` \| (.+) \|$", text, flags=re.MULTILINE))
    assert {k: v for k, v in listed.items() if k in REJECT_REASONS} == REJECT_REASONS


def test_the_audit_looks_up_each_version_once(tmp_path: pathlib.Path) -> None:
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    auditor = tmp_path / ".venv" / "bin" / "pip-audit"
    auditor.parent.mkdir(parents=True)
    # Writes its arguments and the files that they name, as requirements without hashes.
    auditor.write_text(
        "#!/bin/sh\n"
        'echo "run $*"\n'
        'for one; do [ ! -f "$one" ] || sed -n "s/==\\([^ ]*\\) .*/==\\1/p" "$one"; done\n'
        "exit 1\n"
    )
    auditor.chmod(0o755)
    done = subprocess.run(
        ["sh", str(tmp_path / "scripts" / "audit.sh"), "--progress-spinner=off"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    parts = done.stdout.split("Looking up the packages of TFX ")[1:]
    assert len(parts) == len(PYTHONS)
    for part, generation in zip(parts, PYTHONS, strict=True):
        name, call, *lines = part.splitlines()
        assert name == f"{generation} ..."
        assert "--strict" in call
        assert "--require-hashes" in call
        assert call.endswith(("CVE-2023-24816", "CVE-2026-25087"))
        wanted = [entry.split(" ")[0] for entry in entries(f"{generation}/dev.lock")]
        assert sorted(lines) == sorted(wanted)
    assert "CVE-2026-25087" not in parts[0]
    # Of Sphinx three versions are locked, for several Pythons; one file of each.
    assert parts[1].count("--requirement") == 3
