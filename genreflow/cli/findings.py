"""Screen and exit status of the `doctor` commands."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from genreflow.cli.exit import EXIT_FAILED
from pipeline.prepare.finding import OK, PROBLEM, UNKNOWN, WARNING, Finding

if TYPE_CHECKING:
    from pipeline.display.console import PlainConsole

_STYLES = {OK: "green", WARNING: "yellow", PROBLEM: "red", UNKNOWN: "dim"}


def show(out: PlainConsole, finding: Finding) -> None:
    """Print a finding, and below it the command that mends it."""
    out.say(
        f"{finding.name:<10} ", (finding.outcome, _STYLES[finding.outcome]), f": {finding.text}"
    )
    if finding.command:
        out.say(f"           {finding.command}")
    out.file.flush()


def as_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return findings as JSON values: name, outcome, text and command of each."""
    return [dataclasses.asdict(finding) for finding in findings]


def status(findings: Iterable[Finding]) -> int:
    """Return the exit status: a failure if there is a problem."""
    return EXIT_FAILED if any(one.outcome == PROBLEM for one in findings) else 0
