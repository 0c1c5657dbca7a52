"""Executor of GenreGate: apply the rules and write the blessing that the Pusher requires."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx.utils import path_utils

from components.artifacts import files as artifact_files
from components.artifacts.base_executor import Artifacts, ComponentExecutor, Parameters
from components.artifacts.names import DECISION_JSON
from components.audio.decoding.limits import DecodeLimits
from components.common import progress
from components.common.dataclass_json import from_json
from components.common.errors import DataError
from components.ensemble.members import ALL
from components.export.assets import read_assets, read_identity, read_model_digest
from components.gate import rules, scores
from components.gate.against_serving import compare_with_serving
from components.gate.comparison import Comparison
from components.gate.decide import decide
from components.gate.hearing import Listening
from components.gate.inputs import check_one_run, read_baselines_hash
from components.gate.outcome import Decision
from components.gate.settings import GateSettings
from components.predictions import table
from components.predictions.predict import read_clips
from components.predictions.selection import read_selection

# Value of the parameter `serving` of a pipeline that cannot look up the serving model.
SERVING_UNKNOWN = "unknown"


class Executor(ComponentExecutor):
    """Executor that writes the ModelBlessing with its `decision.json`."""

    def execute(self, inputs: Artifacts, outputs: Artifacts, parameters: Parameters) -> None:
        model, examples = inputs.single("model"), inputs.single("examples")
        predictions_uri = inputs.uri("predictions")
        baselines = inputs.optional("baselines")
        serving = inputs.optional("serving_model")
        unknown = parameters.get("serving") == SERVING_UNKNOWN
        settings = parameters.parse("gate", GateSettings)
        genres = parameters.json("genres")

        listening = Listening(parameters["store"], _limits(parameters.json("decode_limits")))

        candidate = read_identity(path_utils.serving_model_dir(model.uri))
        selection = read_selection(predictions_uri)
        name = model.get_string_custom_property("architecture")
        check_one_run(selection, candidate, name, genres)
        others = {selection.best_baseline or "", ALL} & set(selection.kinds)
        found = scores.read_scores(
            table.read_table(predictions_uri),
            read_clips(examples.uri, table.TEST),
            genres,
            [name, *sorted(others)],
        )
        decision = decide(
            settings,
            genres,
            found,
            name,
            best_baseline=selection.best_baseline,
            against_serving=rules.UNKNOWN
            if unknown
            else _against_serving(serving, settings, found, name, model, examples.uri, listening),
            audio_hashes={
                "candidate": candidate.audio_hash,
                "examples": examples.get_string_custom_property("audio_hash"),
                "predictions": selection.audio_hash,
                **({"baselines": read_baselines_hash(baselines.uri)} if baselines else {}),
            },
            candidate_digest=candidate.digest,
            serving_digest=_digest(serving) if serving else None,
            serving_version=_version(serving) if serving else "",
            serving_known=not unknown,
        )
        _write(
            outputs.single("blessing"),
            model,
            decision,
            {
                "candidate": name,
                "candidate_digest": candidate.digest,
                "test_digest": scores.split_digest(found.track_ids),
            },
        )


def _against_serving(
    serving: Any,
    settings: GateSettings,
    found: scores.Scores,
    name: str,
    model: Any,
    examples_uri: str,
    listening: Listening,
) -> Comparison | str | None:
    if not serving:
        return None
    if not settings.holds_serving:
        return "not compared with the serving model"  # it would have to predict first
    candidate = path_utils.serving_model_dir(model.uri)
    return compare_with_serving(
        found,
        name,
        read_identity(candidate),
        saved_model=serving.uri,
        version=_version(serving),
        examples_uri=examples_uri,
        clip_seconds=read_assets(candidate).params.clip_seconds,
        listening=listening,
        resamples=settings.resamples,
        advance=_advance,
    )


def _limits(values: dict[str, Any] | None) -> DecodeLimits | None:
    return None if values is None else from_json(DecodeLimits, values)


def _version(serving: Any) -> str:
    return str(serving.get_string_custom_property("pushed_version"))


def _digest(serving: Any) -> str:
    """Return the serving model's digest; "" if it has no readable one."""
    try:
        return read_model_digest(serving.uri)
    except DataError:
        return ""


def _advance(add: int) -> None:
    progress.report("progress", stage="predict", detail="the serving model on test", add=add)


def _write(blessing: Any, model: Any, decision: Decision, facts: dict[str, str]) -> None:
    """Write the artifact's properties, `decision.json`, and TFX's marker file."""
    blessing.set_int_custom_property("blessed", int(decision.blessed))
    blessing.set_int_custom_property("current_model_id", model.id)
    blessing.set_string_custom_property("current_model", model.uri)
    # results.json counts the uses of a test split by these two.
    for key in ("test_digest", "candidate_digest"):
        blessing.set_string_custom_property(key, facts[key])
    text = json.dumps({**facts, **decision.to_json()}, indent=2)
    artifact_files.write_text(os.path.join(blessing.uri, DECISION_JSON), text)
    marker = "BLESSED" if decision.blessed else "NOT_BLESSED"
    artifact_files.write_text(os.path.join(blessing.uri, marker), "")
