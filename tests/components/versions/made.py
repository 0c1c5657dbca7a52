"""Versions of a model made of small files, on a disk or in an object store."""

from __future__ import annotations

import pathlib

from components.artifacts import files
from components.common.model_contract import SAVED_MODEL, VERSION_RECORD
from components.gate.outcome import Decision, RuleOutcome
from components.predictions.interval import ShareInterval
from components.predictions.split_metrics import SplitMetrics
from components.versions.record import VersionRecord

NAMES = (
    "assets/genres.json",
    "assets.extra/tf_serving_warmup_requests",
    "variables/variables.data-00000-of-00001",
    "variables/variables.index",
    SAVED_MODEL,
)


def record(number: int, **changes: object) -> VersionRecord:
    """Return a record with all facts."""
    share = ShareInterval(0.75, 0.5, 0.9)
    facts = {
        "version": number,
        "pushed_at": "2026-11-30T19:45:00Z",
        "run_id": f"run-{number}",
        "model": "crnn",
        "digest": f"digest-{number}",
        "test": SplitMetrics(share, share, share, {"Folk": 0.75}, [[3, 1], [0, 0]], 8, 4),
        "gate": Decision(True, (RuleOutcome("floor", "pass", 0.75, (0.5, 0.9), "good enough"),)),
    }
    return VersionRecord(**{**facts, **changes})  # type: ignore[arg-type]


def saved_model(folder: pathlib.Path, text: str = "model") -> pathlib.Path:
    """Write the files of a SavedModel that contain `text`; return the folder."""
    for name in NAMES:
        files.write_text(str(folder / name), f"{text} {name}")
    return folder


def version(models: str, number: int, *, without: str = "", recorded: bool = True) -> None:
    """Write a version as a push would, perhaps without one of its files or its record."""
    for name in NAMES:
        if name != without:
            files.write_text(f"{models}/{number}/{name}", f"{number} {name}")
    if recorded:
        files.write_text(f"{models}/{number}/{VERSION_RECORD}", record(number).to_text())
