"""Checks of Python and of the installed packages, against what Genreflow needs and its lock."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import pathlib
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pipeline.prepare.doctor.installing import install_command
from pipeline.prepare.finding import OK, PROBLEM, UNKNOWN, WARNING, Finding

PROJECT = "genreflow"
# A wheel has the locks in this folder; a copy of the repository has them in its own.
_IN_WHEEL = pathlib.Path(__file__).with_name("locks")
_REPOSITORY = pathlib.Path(__file__).parents[3]
_MAX_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Need:
    """Package that another one needs.

    Attributes:
      name: its name, normalised.
      requirement: what is asked of it.
      by: name of the package that needs it.
    """

    name: str
    requirement: Requirement
    by: str


def check_python() -> Finding:
    """Check the version of Python, and name the generation of TFX that goes with it."""
    version = platform.python_version()
    try:
        allowed = importlib.metadata.metadata(PROJECT)["Requires-Python"] or ""
    except importlib.metadata.PackageNotFoundError:
        return Finding("python", UNKNOWN, f"Python {version}; Genreflow itself is not installed")
    text = f"Python {version} ({sys.executable}), for TFX {generation()}"
    if SpecifierSet(allowed).contains(version, prereleases=True):
        return Finding("python", OK, text)
    wanted = f"Python {version} cannot be used, as Genreflow needs {allowed}; install another one"
    return Finding("python", PROBLEM, wanted, "make env PYTHON=python3.13")


def generation() -> str:
    """Return the generation of TFX that this Python takes (setup.py, by_python)."""
    return "1.16" if sys.version_info < (3, 11) else "1.21"


def check_packages(
    installed: Mapping[str, importlib.metadata.Distribution] | None = None,
    lock: pathlib.Path | None = None,
) -> list[Finding]:
    """Check that every needed package is installed, and compare versions with the lock.

    Args:
      installed: the installed packages by normalised name; None to look.
      lock: the lock; None for the one of this installation.
    """
    if installed is None:
        installed = installed_packages()
    if PROJECT not in installed:
        text = "Genreflow is not installed, so nothing says what it needs"
        return [Finding("packages", UNKNOWN, text, "make env")]
    needs = list(closure(installed))
    found = list(_missing(needs, installed))
    path = lock or find_lock()
    if path is None:
        text = "this installation has no lock, so versions were not compared with the tested ones"
        return [*found, Finding("packages", UNKNOWN, text)]
    tested = read_lock(path.read_text("utf-8"))
    needed = {PROJECT, *(need.name for need in needs)}
    return [*found, _compared(installed, tested, needed, str(path))]


def installed_packages() -> dict[str, importlib.metadata.Distribution]:
    """Return the installed packages by normalised name; of two of one name, the one in use."""
    found: dict[str, importlib.metadata.Distribution] = {}
    for one in importlib.metadata.distributions():
        name = one.metadata["Name"]
        if name:
            found.setdefault(canonicalize_name(name), one)
    return found


def closure(installed: Mapping[str, importlib.metadata.Distribution]) -> Iterator[Need]:
    """Yield what Genreflow needs without extras, directly and through other packages.

    Of a package that is missing, nothing is known to be needed.
    """
    seen: set[tuple[str, str]] = set()
    waiting = [(PROJECT, frozenset[str]())]
    while waiting:
        by, extras = waiting.pop()
        distribution = installed.get(by)
        for text in (distribution.requires if distribution else None) or ():
            need = Requirement(text)
            if need.marker and not any(
                need.marker.evaluate({"extra": extra}) for extra in ("", *extras)
            ):
                continue
            name = canonicalize_name(need.name)
            if (by, text) not in seen:
                seen.add((by, text))
                yield Need(name, need, by)
                waiting.append((name, frozenset(need.extras)))


def find_lock() -> pathlib.Path | None:
    """Return this generation's lock, of the wheel or of the repository; None without one."""
    for path in (
        _IN_WHEEL / f"{generation()}.lock",
        _REPOSITORY / "requirements" / generation() / "runtime.lock",
    ):
        if path.is_file():
            return path
    return None


def read_lock(text: str) -> dict[str, str]:
    """Return the versions of a lock by normalised name; only lines that hold for this Python."""
    versions: dict[str, str] = {}
    for line in text.splitlines():
        if line[:1].isalnum() and "==" in line:
            found = Requirement(line.rstrip("\\ "))
            if not found.marker or found.marker.evaluate():
                versions[canonicalize_name(found.name)] = str(found.specifier).removeprefix("==")
    return versions


def _missing(
    needs: Iterable[Need], installed: Mapping[str, importlib.metadata.Distribution]
) -> Iterator[Finding]:
    """Yield problems: packages that are missing, or outside the range that Genreflow names."""
    missing = {need.name: need for need in needs if need.name not in installed}
    if missing:
        names = [f"{need.name} (for {need.by})" for need in missing.values()]
        wanted = [str(need.requirement).partition(";")[0] for need in missing.values()]
        text = f"{len(missing)} packages are missing: {_shown(names)}"
        yield Finding("packages", PROBLEM, text, install_command(wanted))
    wrong = []
    for need in needs:
        # Ranges of other packages are overruled by the locks where they are too narrow.
        if need.by == PROJECT and need.name in installed:
            version = installed[need.name].version
            if not need.requirement.specifier.contains(version, prereleases=True):
                wrong.append((f"{need.name} {version}", need.requirement))
    if wrong:
        names = [f"{name} (needs {need.specifier})" for name, need in wrong]
        text = f"{len(wrong)} packages have versions that cannot be used: {_shown(names)}"
        fix = install_command([f"{need.name}{need.specifier}" for _, need in wrong])
        yield Finding("packages", PROBLEM, text, fix)


def _compared(
    installed: Mapping[str, importlib.metadata.Distribution],
    tested: Mapping[str, str],
    needed: set[str],
    path: str,
) -> Finding:
    """Return how the installed versions compare with the lock."""
    both = sorted(tested.keys() & installed.keys())
    other = [name for name in both if installed[name].version != tested[name]]
    if other:
        names = [f"{name} {installed[name].version} (tested: {tested[name]})" for name in other]
        text = f"{len(other)} of {len(both)} packages are not as tested: {_shown(names)}"
        fix = install_command([f"{name}=={tested[name]}" for name in other])
        return Finding("packages", WARNING, text, fix)
    text = f"{len(both)} packages, all as tested ({path})"
    absent = sorted(tested.keys() - installed.keys() - needed)
    if absent:
        text += f"; not installed, as optional: {_shown(absent)}"
    return Finding("packages", OK, text)


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    return ", ".join(names[:_MAX_SHOWN]) + more
