"""Executor of Pusher: add the candidate as a new version, with its record."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from absl import logging
from tfx.components.util import model_utils
from tfx.utils import io_utils, path_utils

from components.artifacts import files as artifact_files
from components.artifacts import typed_json
from components.artifacts.base_executor import Artifacts, ComponentExecutor, Parameters
from components.artifacts.names import (
    DECISION_JSON,
    PUSH_REFUSED,
    SERVING_CHECK_JSON,
    TRAINING_STATISTICS_PB,
)
from components.common.errors import GenreflowError
from components.common.model_contract import TRAINING_STATISTICS
from components.export.told_evaluation import write_evaluation
from components.gate.outcome import Decision, RecordedDecision
from components.predictions import metrics, table
from components.predictions.selection import read_selection
from components.serving_check.outcome import ServingCheckResult
from components.storage.uri import join
from components.versions import adding, labels, pruning, rolled_back
from components.versions.record import VersionRecord, utc


class Executor(ComponentExecutor):
    """Executor that pushes a candidate that both the gate and ServingCheck blessed.

    The model of a version that was rolled back from is refused here and not by the gate: only a
    push knows the destination, whose records change between runs, and the gate's decision may come
    from the cache.
    """

    def execute(self, inputs: Artifacts, outputs: Artifacts, parameters: Parameters) -> None:
        pushed = outputs.single("pushed_model")
        infra_blessing = inputs.optional("infra_blessing")
        if not model_utils.is_model_blessed(inputs.single("model_blessing")) or (
            infra_blessing and not model_utils.is_infra_validated(infra_blessing)
        ):
            pushed.set_int_custom_property("pushed", 0)
            return
        models = parameters["models"]
        saved_model = path_utils.serving_model_dir(inputs.uri("model"))
        labels.read_labels(models)  # before anything is pushed, in case the file is damaged
        if refused := rolled_back.refusal(models, rolled_back.identifiers(saved_model)):
            logging.warning("Not pushed: %s", refused)
            pushed.set_int_custom_property("pushed", 0)
            pushed.set_string_custom_property(PUSH_REFUSED, refused)
            return
        context = self._context
        record = _record(inputs, (context and context.pipeline_run_id) or "")
        songs = artifact_files.read_bytes(join(inputs.uri("data_check"), TRAINING_STATISTICS_PB))
        beside = {TRAINING_STATISTICS: songs}
        io_utils.copy_dir(saved_model, pushed.uri)
        if (told := record.evaluation) and not write_evaluation(pushed.uri, told.to_text()):
            logging.warning("An earlier version exported the model, so it tells no accuracy")
        number = adding.add_folder(
            models,
            pushed.uri,
            lambda number: dataclasses.replace(record, version=number).to_text(),
            beside=beside,
        )
        for name, content in beside.items():
            artifact_files.write_bytes(join(pushed.uri, name), content)
        pushed.set_int_custom_property("pushed", 1)
        pushed.set_string_custom_property("pushed_destination", join(models, str(number)))
        pushed.set_string_custom_property("pushed_version", str(number))
        logging.info("Pushed version %d to %s", number, models)
        _tidy(models, parameters["keep_versions"])


def _tidy(models: str, keep: int) -> None:
    """Let servers load the new version, and delete old ones; the push stays, whatever fails."""
    try:
        labels.refresh(models)
        if keep:
            deleted = pruning.carry_out(models, pruning.plan(models, keep))
            logging.info("Deleted versions %s of %s", deleted, models)
    except (GenreflowError, OSError) as error:
        logging.error("The version is pushed, but old ones could not be deleted: %s", error)


def _record(inputs: Artifacts, run_id: str) -> VersionRecord:
    """Return the facts about the candidate; its number is not known yet."""
    decision = typed_json.read(RecordedDecision, inputs.uri("model_blessing"), DECISION_JSON)
    infra_blessing: Any = inputs.optional("infra_blessing")
    predictions = inputs.uri("predictions")
    genres = read_selection(predictions).genres
    rows = table.read_table(predictions)
    chosen = (rows["model"] == decision.candidate) & (rows["split"] == table.TEST)
    return VersionRecord(
        version=0,
        pushed_at=utc(time.time()),
        run_id=run_id,
        model=decision.candidate,
        digest=decision.candidate_digest,
        test=metrics.evaluate(rows[chosen], genres).rounded(),
        gate=Decision(decision.blessed, decision.rules),
        serving_check=typed_json.read(ServingCheckResult, infra_blessing.uri, SERVING_CHECK_JSON)
        if infra_blessing
        else None,
    )
