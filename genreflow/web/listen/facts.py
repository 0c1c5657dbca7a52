"""Facts about a version of a model, for people: its data, its accuracy, its card."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from components.common.errors import DataError
from components.common.model_evaluation import ModelEvaluation
from components.gate.outcome import Decision
from components.report import card as report_card
from components.versions.record import read_record
from serving.model.description import ModelDescription

# Far more than any card of ours has.
_MAX_ROWS, _MAX_CHARACTERS = 300, 2000


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Results of a version on its run's test split, and the gate's decision.

    Attributes:
      accuracy, low, high: share of tracks whose genre is predicted, with its 95 % interval; None
        if they are not known.
      tracks: number of test tracks.
      pushed_at: time of the push; "" if unknown.
      run: the run that made it; "" if unknown.
      decision: the gate's decision in words; "" if unknown.
      rules: (name, outcome, reason) of each rule of the gate.
      copy_of: the earlier version that this one is a copy of, by a rollback; None for no copy.
      problem: why the stored results cannot be read; "" if they can.
    """

    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    tracks: int = 0
    pushed_at: str = ""
    run: str = ""
    decision: str = ""
    rules: tuple[tuple[str, str, str], ...] = ()
    copy_of: int | None = None
    problem: str = ""


def read_evaluation(models: pathlib.Path, version: int) -> Evaluation | None:
    """Return the results that are stored with a pushed version, or None if it has none.

    Args:
      models: folder of a model's versions, or of this version alone.
      version: the version's number.
    """
    folder = models / str(version)
    try:
        record = read_record(str(folder if folder.is_dir() else models))
    except DataError as error:
        return Evaluation(problem=str(error))
    if record is None:
        return None
    accuracy = record.test.track_accuracy if record.test else None
    return Evaluation(
        accuracy=accuracy.value if accuracy else None,
        low=accuracy.low if accuracy else None,
        high=accuracy.high if accuracy else None,
        tracks=record.test.tracks if record.test else 0,
        pushed_at=record.pushed_at,
        run=record.run_id,
        copy_of=record.rollback.copy_of if record.rollback else None,
        decision=_decision(record.gate),
        rules=tuple((one.id, one.outcome, one.text) for one in record.gate.rules)
        if record.gate
        else (),
    )


def _told(described: ModelDescription) -> Evaluation | None:
    """Return the results that a model itself tells, or None if it tells none."""
    if described.evaluation_problem:
        return Evaluation(problem=described.evaluation_problem)
    told = described.evaluation
    if told is None:
        return None
    return Evaluation(
        accuracy=told.accuracy,
        low=told.low,
        high=told.high,
        tracks=told.tracks,
        decision=_decision(told),
        rules=tuple((one.id, one.outcome, one.text) for one in told.rules),
    )


def _decision(gate: Decision | ModelEvaluation | None) -> str:
    if gate is None:
        return ""
    counts = collections.Counter(rule.outcome for rule in gate.rules)
    shown = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
    decided = "blessed" if gate.blessed else "not blessed"
    return f"{decided} (rules: {shown})" if shown else decided


def model_facts(described: ModelDescription, evaluation: Evaluation | None) -> dict[str, Any]:
    """Return the facts as JSON values.

    A card comes from the server, which may be any program: what is not as ours is left out.

    Args:
      described: the model's description of itself.
      evaluation: results that are stored with the version; None if they are not known here, and
        the model's own word counts.
    """
    card = described.model_card
    evaluation = evaluation or _told(described)
    members = _mapping(card.get("members"))
    first = _mapping(next(iter(members.values()), None)) if members else card
    data = _mapping(first.get("data"))
    return {
        "version": described.version,
        "genres": list(described.genres),
        "window_s": round(described.clip_samples / described.sample_rate_hz, 3),
        "sample_rate_hz": described.sample_rate_hz,
        "architecture": _text(card.get("architecture")),
        "trained_on": _trained_on(card, first, data),
        "is_synthetic": bool(card.get("synthetic")),
        "evaluation": evaluation and dataclasses.asdict(evaluation),
        "card": _card(card, members, data, described),
    }


def _trained_on(card: Mapping[str, Any], first: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """Return what the model was trained on in words; "" if the card does not tell."""
    dataset = _mapping(data.get("dataset"))
    if not dataset:
        return "synthetic data" if card.get("synthetic") else ""
    name = report_card.dataset_name({"dataset": dataset})
    counts = [
        count for count in _mapping(first.get("train_clips_per_genre")).values()
        if isinstance(count, int)
    ]  # fmt: skip
    return f"{name}: {sum(counts):,} clips of {len(counts)} genres" if counts else name


def _card(
    card: Mapping[str, Any],
    members: Mapping[str, Any],
    data: Mapping[str, Any],
    described: ModelDescription,
) -> dict[str, Any] | None:
    """Return the card as rows and sentences; None for one that is not as ours."""
    parameters = card.get("parameters")
    try:
        made = report_card.make(
            card,
            data,
            candidate=_text(card.get("architecture")),
            members=sorted(members),
            parameters=parameters if isinstance(parameters, int) else None,
            clip_seconds=described.clip_samples / described.sample_rate_hz,
            leaky=False,
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return {
        "rows": _rows(made.rows),
        "settings": _rows(made.settings),
        "licence": made.licence,
        "limits": made.limits,
        "intended": report_card.INTENDED_USE,
        "not_intended": report_card.NOT_INTENDED,
    }


def _rows(rows: list[tuple[str, str]]) -> list[list[str]]:
    return [[_text(name), _text(value)] for name, value in rows[:_MAX_ROWS]]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return str(value)[:_MAX_CHARACTERS] if value is not None else ""
