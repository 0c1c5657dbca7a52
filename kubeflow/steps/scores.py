"""Numbers of nodes as Kubeflow's metrics: the same that results.json and the report have."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from components.artifacts import files as artifact_files
from components.artifacts import typed_json
from components.artifacts.names import DECISION_JSON, HISTORY_JSON
from components.common.escape import printable
from components.gate.outcome import RecordedDecision
from components.predictions.interval import DECIMALS, ShareInterval
from components.predictions.selection import read_selection
from components.trainer.curves import kept_epoch
from pipeline.graph import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from components.predictions.split_metrics import SplitMetrics

# The interface draws each cell, and ML Metadata's server takes messages up to 4 MB.
MAX_MATRIX_GENRES = 100


class Record(Protocol):
    """The part of pipeline.results.collect.RunRecord that is read here."""

    def outputs(self, node: str) -> Mapping[str, Any]:
        """Return a node's output artifacts by key."""


@dataclasses.dataclass(frozen=True)
class NodeScores:
    """Numbers of a node.

    Attributes:
      numbers: by name; Kubeflow compares runs by them. Only numbers, because its plugins take
        everything else for 0 (FormatScalarMetricArtifacts in backend/src/v2/metadata/client.go).
      matrix: confusion matrix as kfp.dsl.ClassificationMetrics writes it, a row for each true
        genre; None if there is none, or if it is too large.
    """

    numbers: dict[str, float]
    matrix: dict[str, Any] | None = None


def of_node(node_id: str, record: Record) -> NodeScores:
    """Return the numbers of a completed node.

    Args:
      node_id: a node with metrics (kubeflow.steps.outputs).
      record: the run in ML Metadata.
    """
    return _SCORES[node_id.split(".", 1)[0]](node_id, record)


def read_decision(record: Record) -> RecordedDecision:
    """Return the gate's decision."""
    return typed_json.read(
        RecordedDecision, record.outputs(nodes.GENRE_GATE)["blessing"].uri, DECISION_JSON
    )


def _training(node_id: str, record: Record) -> NodeScores:
    """Return numbers of one training; its tracks are predicted later, by the Ensembler."""
    history = artifact_files.read_json(record.outputs(node_id)["model_run"].uri, HISTORY_JSON)
    epoch = history["epochs"][kept_epoch(history)]
    return NodeScores(
        {
            "validation_loss": epoch["val_loss"],
            "validation_clip_accuracy": epoch["val_accuracy"],
            "epochs": len(history["epochs"]),
            "parameters": history["parameters"],
            "train_seconds": history["train_seconds"],
        }
    )


def _baselines(node_id: str, record: Record) -> NodeScores:
    from components.predictions import table

    rows = table.read_table(record.outputs(node_id)["predictions"].uri)
    return NodeScores(_of_models(rows, table.genres_of(rows), "validation"))


def _validation(node_id: str, record: Record) -> NodeScores:
    return _predicted(record, "validation")


def _test(node_id: str, record: Record) -> NodeScores:
    return _predicted(record, "test")


def _predicted(record: Record, split: str) -> NodeScores:
    """Return the numbers of all models on a split, and the candidate's confusion matrix."""
    from components.predictions import table

    uri = record.outputs(nodes.ENSEMBLER)["predictions"].uri
    selection, rows = read_selection(uri), table.read_table(uri)
    candidate = _evaluate(rows, selection.candidate, selection.genres, split)
    return NodeScores(
        {**of_candidate(candidate, split), **_of_models(rows, selection.genres, split)},
        confusion_matrix(selection.genres, candidate.confusion),
    )


def of_candidate(metrics: SplitMetrics, split: str) -> dict[str, float]:
    """Return the numbers of the candidate on a split, with their 95 % intervals."""
    return {
        **_interval(f"{split}_track_accuracy", metrics.track_accuracy),
        **_interval(f"{split}_clip_accuracy", metrics.clip_accuracy),
        **_interval(f"{split}_macro_f1", metrics.macro_f1),
        f"{split}_tracks": metrics.tracks,
    }


def _of_models(rows: pd.DataFrame, genres: Sequence[str], split: str) -> dict[str, float]:
    """Return the accuracy by track, with its interval, and the macro F1 of each model."""
    found: dict[str, float] = {}
    for model in sorted(rows["model"].unique()):
        metrics = _evaluate(rows, model, genres, split)
        name = printable(str(model))
        found |= _interval(f"{split}_track_accuracy.{name}", metrics.track_accuracy)
        found[f"{split}_macro_f1.{name}"] = metrics.macro_f1.value
    return found


def _evaluate(rows: pd.DataFrame, model: str, genres: Sequence[str], split: str) -> SplitMetrics:
    from components.predictions import metrics

    part = rows[(rows["model"] == model) & (rows["split"] == split)]
    return metrics.evaluate(part, genres).rounded()


def _interval(name: str, share: ShareInterval) -> dict[str, float]:
    return {name: share.value, f"{name}.low": share.low, f"{name}.high": share.high}


def confusion_matrix(
    genres: Sequence[str], confusion: Sequence[Sequence[int]]
) -> dict[str, Any] | None:
    """Return a confusion matrix for Kubeflow; None if it has too many genres.

    Args:
      genres: in label order.
      confusion: number of tracks, `[true][predicted]`.
    """
    if len(genres) > MAX_MATRIX_GENRES:
        return None
    return {
        "annotationSpecs": [{"displayName": printable(genre)} for genre in genres],
        "rows": [{"row": list(row)} for row in confusion],
    }


def _gate(node_id: str, record: Record) -> NodeScores:
    decision = read_decision(record)
    numbers: dict[str, float] = {"blessed": int(decision.blessed)}
    for rule in decision.rules:
        if rule.value is not None:
            numbers[printable(rule.id)] = round(rule.value, DECIMALS)
        if rule.interval is not None:
            numbers[f"{printable(rule.id)}.low"] = round(rule.interval[0], DECIMALS)
            numbers[f"{printable(rule.id)}.high"] = round(rule.interval[1], DECIMALS)
    return NodeScores(numbers)


_SCORES: Mapping[str, Callable[[str, Record], NodeScores]] = {
    "Trainer": _training,
    nodes.BASELINE_TRAINER: _baselines,
    nodes.ENSEMBLER: _validation,
    nodes.EVALUATOR: _test,
    nodes.GENRE_GATE: _gate,
}
