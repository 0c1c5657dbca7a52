"""The repository itself: locks, packaging, scripts and file sizes."""

from __future__ import annotations

import pathlib
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support import ROOT

LOCKS = ["dev.lock", "runtime.lock", "gpu.lock", "uv.txt"]
MAX_FILE_BYTES = 500_000


def entries(name: str) -> list[str]:
    """Return the lock's requirements, each with its continuation lines joined."""
    text = (ROOT / "requirements" / name).read_text("utf-8")
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def versions(name: str) -> dict[str, Version]:
    found = {}
    for entry in entries(name):
        requirement = Requirement(entry.split("--hash")[0])
        (specifier,) = requirement.specifier
        assert specifier.operator == "=="
        found[canonicalize_name(requirement.name)] = Version(specifier.version)
    return found


@pytest.fixture
def distribution(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the arguments that setup.py passes to setuptools."""
    arguments: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **keywords: arguments.update(keywords))
    runpy.run_path(str(ROOT / "setup.py"))
    return arguments


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_requirement_is_exact_and_has_hashes(name: str) -> None:
    assert entries(name)
    for entry in entries(name):
        requirement, *hashes = entry.split("--hash=")
        assert re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.+]+( ;.*)?", requirement.strip()), entry
        assert hashes, entry
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", found.strip()) for found in hashes), entry


@pytest.mark.parametrize("name", [*LOCKS, "pins.txt"])
def test_locks_hold_no_index_and_no_url(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text("utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--index|--extra-index|--find-links|--trusted)", text, re.M)


@pytest.mark.parametrize(
    ("name", "extras"),
    [("dev.lock", ["kubeflow", "dev"]), ("runtime.lock", ["kubeflow"]), ("gpu.lock", ["gpu"])],
)
def test_locks_satisfy_setup(name: str, extras: list[str], distribution: dict[str, Any]) -> None:
    locked = versions(name)
    wanted = list(distribution["install_requires"])
    for extra in extras:
        wanted += distribution["extras_require"][extra]
    for requirement in map(Requirement, wanted):
        assert locked[canonicalize_name(requirement.name)] in requirement.specifier, requirement


@pytest.mark.parametrize("name", ["runtime.lock", "gpu.lock"])
def test_what_an_image_installs_is_what_was_tested(name: str) -> None:
    tested = versions("dev.lock")
    for package, version in versions(name).items():
        # The CUDA libraries come with the gpu extra alone.
        if not package.startswith("nvidia-"):
            assert tested[package] == version, package


def test_pins_are_what_the_lock_holds() -> None:
    locked = versions("dev.lock")
    lines = (ROOT / "requirements" / "pins.txt").read_text("utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert len(pins) > 20
    for pin in pins:
        assert locked[canonicalize_name(pin.name)] in pin.specifier, pin


def test_python_version_is_one_everywhere(distribution: dict[str, Any]) -> None:
    assert (ROOT / ".python-version").read_text("utf-8").strip() == "3.10"
    assert distribution["python_requires"] == ">=3.10,<3.11"
    assert sys.version_info[:2] == (3, 10)


def test_every_package_and_data_file_is_installed(distribution: dict[str, Any]) -> None:
    packages = set(distribution["packages"])
    for root in ("components", "configs", "kubeflow", "pipeline", "serving"):
        for path in (ROOT / root).rglob("*.py"):
            package = ".".join(path.relative_to(ROOT).parent.parts)
            assert package in packages, f"{path.relative_to(ROOT)}: no __init__.py beside it"
    assert "*.toml" in distribution["package_data"]["configs"]


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
    "name", [".ci/run", "scripts/setup_env.sh", "scripts/lock.sh", "scripts/ci_packages.sh"]
)
def test_scripts_parse_and_can_be_run(name: str) -> None:
    path = ROOT / name
    assert path.stat().st_mode & 0o111
    shell = path.read_text("utf-8").splitlines()[0].removeprefix("#!")
    subprocess.run([shell, "-n", str(path)], check=True)


def test_the_readme_lists_every_reject_reason_as_it_is() -> None:
    from components.datasets.track import REJECT_REASONS

    text = (ROOT / "README.md").read_text()
    listed = dict(re.findall(r"^\| `([a-z_]+)` \| (.+) \|$", text, flags=re.MULTILINE))
    assert {k: v for k, v in listed.items() if k in REJECT_REASONS} == REJECT_REASONS
