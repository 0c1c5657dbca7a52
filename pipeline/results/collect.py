"""Collecting a run's results from ML Metadata and the artifacts, after the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2

from components.artifacts import files as artifact_files
from components.artifacts import typed_json
from components.artifacts.names import (
    BASELINES_JSON,
    DATA_CHECK_JSON,
    DECISION_JSON,
    PUSH_REFUSED,
    REJECT_SUMMARY_JSON,
    SERVING_CHECK_JSON,
    TRIALS_JSON,
)
from components.data_check.outcome import CheckedData, DriftResult
from components.gate.outcome import Decision, RecordedDecision
from components.predictions import metrics, table
from components.predictions.selection import Selection, read_selection
from components.serving_check import outcome
from components.serving_check.outcome import ServingCheckResult
from components.spectrogram_gen.summary import DataSummary
from components.trainer.tuned import TUNABLE
from components.tuner.trials import TrialsFile
from pipeline.config.schema import Config
from pipeline.graph import nodes
from pipeline.results.schema import (
    SCHEMA_VERSION,
    Ensembles,
    ModelResults,
    NodeRun,
    PrincipalComponents,
    Results,
    TunedValues,
    TuningSummary,
)

RUN_CONTEXT = "pipeline_run"
NODE_CONTEXT = "node"
BLESSING = "ModelBlessing"


class RunRecord:
    """Record of one run in ML Metadata: each node's execution and outputs."""

    def __init__(self, connection: Any, pipeline_name: str, run_id: str) -> None:
        """Read the run.

        Raises:
          LookupError: the store has no such run.
        """
        self._store = metadata_store.MetadataStore(connection)
        run = self._store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
        if run is None:
            raise LookupError(f"no run {run_id} in the metadata store")
        prefix = f"{pipeline_name}."
        self.executions: dict[str, Any] = {}
        for execution in self._store.get_executions_by_context(run.id):
            for context in self._store.get_contexts_by_execution(execution.id):
                if self._type_name(context) == NODE_CONTEXT:
                    self.executions[context.name.removeprefix(prefix)] = execution

    def _type_name(self, context: Any) -> str:
        return context.type or self._store.get_context_types_by_id([context.type_id])[0].name

    def candidates_judged(self, test_digest: str) -> int:
        """Return the number of different candidates that were judged on the same test tracks.

        The gates of all runs of this work folder count. The more candidates there are, the
        less a good result means.
        """
        judged = {
            blessing.custom_properties["candidate_digest"].string_value
            for blessing in self._store.get_artifacts_by_type(BLESSING)
            if blessing.custom_properties["test_digest"].string_value == test_digest
        }
        return len(judged)

    def outputs(self, node: str) -> dict[str, Any]:
        """Return a node's output artifacts by key; {} for a node that did not run."""
        execution = self.executions.get(node)
        if execution is None:
            return {}
        kinds = metadata_store_pb2.Event
        events = [
            event
            for event in self._store.get_events_by_execution_ids([execution.id])
            if event.type == kinds.OUTPUT
        ]
        artifacts = {
            a.id: a for a in self._store.get_artifacts_by_id([e.artifact_id for e in events])
        }
        return {event.path.steps[0].key: artifacts[event.artifact_id] for event in events}


def collect(
    config: Config,
    record: RunRecord,
    *,
    run_id: str,
    genres: Sequence[str],
    node_runs: Mapping[str, NodeRun],
) -> Results:
    """Return the outcome of a run whose nodes all completed.

    Args:
      config: the run's configuration.
      record: the run in ML Metadata.
      run_id: its name there.
      genres: in label order.
      node_runs: executions by node id, as the runner saw them.

    Raises:
      DataError: a file of an artifact is missing or damaged.
    """
    rejects = record.outputs(nodes.SPECTROGRAM_GEN)["rejects"]
    summary = typed_json.read(DataSummary, rejects.uri, REJECT_SUMMARY_JSON)
    predictions = record.outputs(nodes.ENSEMBLER)["predictions"].uri
    selection = read_selection(predictions)
    blessing = record.outputs(nodes.GENRE_GATE)["blessing"]
    decision = typed_json.read(RecordedDecision, blessing.uri, DECISION_JSON)
    pushed = record.outputs(nodes.PUSHER).get("pushed_model")
    version = (pushed and pushed.custom_properties["pushed_version"].string_value) or None
    refused = (pushed and pushed.custom_properties[PUSH_REFUSED].string_value) or None
    return Results(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        config_digest=config.digest(),
        dataset=config.dataset.kind,
        genres=tuple(genres),
        synthetic=config.dataset.is_synthetic,
        leaky=summary.leaky,
        audio_hash=config.audio.digest(),
        counts=summary.counts,
        models=_models(record, selection, table.read_table(predictions), genres),
        candidate=selection.candidate,
        best_baseline=selection.best_baseline,
        ensembles=Ensembles(selection.members, selection.weights),
        pca=_principal_components(record),
        drift=_drift(record),
        gate=Decision(decision.blessed, decision.rules),
        serving_check=_serving_check(record),
        test_split_uses=record.candidates_judged(decision.test_digest),
        pushed_version=version,
        push_refused=refused,
        nodes=dict(node_runs),
    )


def _models(
    record: RunRecord, selection: Selection, predictions: pd.DataFrame, genres: Sequence[str]
) -> dict[str, ModelResults]:
    """Return the results of every model by name: networks, baselines, ensembles."""
    models = {}
    for name, kind in selection.kinds.items():
        rows = predictions[predictions["model"] == name]
        models[name] = ModelResults(
            kind=kind,
            parameters=selection.parameters[name],
            train_seconds=selection.train_seconds[name],
            tuning=_tuning(record, name),
            pretrained=selection.pretrained.get(name, {}).get("weights"),
            **{
                str(split): metrics.evaluate(part, genres).rounded()
                for split, part in rows.groupby("split")
            },
        )
    return models


def _drift(record: RunRecord) -> DriftResult:
    found = record.outputs(nodes.DATA_CHECK)["result"].uri
    return typed_json.read(CheckedData, found, DATA_CHECK_JSON).drift


def _serving_check(record: RunRecord) -> ServingCheckResult:
    outputs = record.outputs(nodes.SERVING_CHECK)
    if not outputs:
        return outcome.OFF
    return typed_json.read(ServingCheckResult, outputs["infra_blessing"].uri, SERVING_CHECK_JSON)


def _principal_components(record: RunRecord) -> PrincipalComponents | None:
    """Return how much of the spectrograms the baselines see; None without baselines."""
    outputs = record.outputs(nodes.BASELINE_TRAINER)
    if not outputs:
        return None
    pca = artifact_files.read_json(outputs["baselines"].uri, BASELINES_JSON)["pca"]
    return PrincipalComponents(pca["components"], pca["total"])


def _tuning(record: RunRecord, name: str) -> TuningSummary | None:
    """Return what a search chose for a network; None for a network that was not tuned."""
    outputs = record.outputs(nodes.tuner(name))
    if not outputs:
        return None
    found = typed_json.read(TrialsFile, outputs["results"].uri, TRIALS_JSON)
    best = found.best_trial
    assert best.val_loss is not None
    assert best.val_accuracy is not None
    values: dict[str, Any] = {
        name: TUNABLE[name].kind(value) for name, value in found.values.items()
    }
    return TuningSummary(
        values=TunedValues(**values),
        validation_loss=best.val_loss,
        validation_clip_accuracy=best.val_accuracy,
        best_trial=found.best,
        trials=len(found.trials),
        failed=sum(trial.outcome == "failed" for trial in found.trials),
        algorithm=found.algorithm,
        seconds=found.seconds,
    )
