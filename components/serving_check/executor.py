"""Executor of ServingCheck: serve the candidate, send requests, write the blessing."""

from __future__ import annotations

import json
import os
import pathlib
import tempfile
from typing import Any

from absl import logging
from tfx.components.util import model_utils
from tfx.utils import path_utils

from components.artifacts import files as artifact_files
from components.artifacts.base_executor import Artifacts, ComponentExecutor, Parameters
from components.artifacts.names import SERVING_CHECK_JSON
from components.common import progress
from components.common.errors import DataError
from components.export.assets import ModelAssets, read_assets
from components.predictions import table
from components.predictions.selection import read_selection
from components.serving_check import candidate, server_process
from components.serving_check.check import SIGNATURES, check_server
from components.serving_check.client import ProbeClient
from components.serving_check.clips import KnownClips, read_test_clips
from components.serving_check.outcome import CheckFailed, ServingCheckResult
from components.serving_check.settings import ServingSettings

# Marker files, as TFX's own InfraValidator writes them.
MARKERS = {True: "INFRA_BLESSED", False: "INFRA_NOT_BLESSED"}


class Executor(ComponentExecutor):
    """Executor that writes the InfraBlessing with its `serving_check.json`."""

    def execute(self, inputs: Artifacts, outputs: Artifacts, parameters: Parameters) -> None:
        blessing = outputs.single("infra_blessing")
        settings = parameters.parse("serving", ServingSettings)
        if model_utils.is_model_blessed(inputs.single("blessing")):
            outcome = _check(
                path_utils.serving_model_dir(inputs.uri("model")),
                inputs.uri("predictions"),
                inputs.uri("examples"),
                settings,
                blessing.uri,
            )
        else:
            outcome = ServingCheckResult.of("skipped", "the gate did not bless the candidate")
        _write(blessing, outcome)


def _check(
    saved_model: str,
    predictions_uri: str,
    examples_uri: str,
    settings: ServingSettings,
    output_uri: str,
) -> ServingCheckResult:
    """Check the candidate on a server.

    A defect of the candidate or of its server is an outcome. Files of the run that cannot be
    read are errors.
    """
    name = read_selection(predictions_uri).candidate
    rows = table.read_table(predictions_uri)
    try:
        assets = read_assets(saved_model)
    except DataError as error:
        return ServingCheckResult.of("failed", f"the model's assets: {error}")
    try:
        clips = read_test_clips(rows, name, assets.genres, examples_uri, settings.examples)
    except CheckFailed as failure:
        return ServingCheckResult.of("failed", str(failure))
    # On the model's disk if possible, so that its files can be linked.
    beside = None if "://" in output_uri else output_uri
    with tempfile.TemporaryDirectory(prefix=".served-", dir=beside) as scratch:
        return _serve(saved_model, assets, clips, settings, pathlib.Path(scratch))


def _serve(
    saved_model: str,
    assets: ModelAssets,
    clips: KnownClips,
    settings: ServingSettings,
    scratch: pathlib.Path,
) -> ServingCheckResult:
    models = candidate.lay_out(saved_model, scratch)
    _report("starting a server", 0)
    try:
        with (
            server_process.running(
                models,
                scratch,
                engine=settings.engine,
                start_seconds=settings.start_seconds,
            ) as server,
            ProbeClient(
                server.host, server.port, server.rest_port, settings.request_seconds
            ) as client,
        ):
            checks = tuple(
                check_server(
                    client,
                    assets,
                    clips,
                    settings.tolerance,
                    lambda signature: _report(signature, SIGNATURES.index(signature)),
                )
            )
            # The cause of a failed request, if the server has died.
            died = server.exit_reason()
            engine = server.engine
    except CheckFailed as failure:
        return ServingCheckResult.of("failed", str(failure))
    failed = [check for check in checks if not check.passed]
    if failed:
        reason = f"{failed[0].signature}: {failed[0].text}" + (f" ({died})" if died else "")
        return ServingCheckResult.of("failed", reason, engine, checks)
    largest = max(check.largest_difference or 0.0 for check in checks)
    requests = sum(check.requests for check in checks)
    text = (
        f"{requests} requests to {len(checks)} signatures returned the expected responses; "
        f"probabilities differ by at most {largest:.1g} (serving.tolerance = "
        f"{settings.tolerance:g})"
    )
    return ServingCheckResult.of("passed", text, engine, checks)


def _report(detail: str, done: int) -> None:
    progress.report("progress", stage="serving", detail=detail, done=done, total=len(SIGNATURES))


def _write(blessing: Any, outcome: ServingCheckResult) -> None:
    """Write the property that the Pusher requires, `serving_check.json`, and TFX's marker file."""
    logging.info("ServingCheck %s: %s", outcome.outcome, outcome.text)
    blessing.set_int_custom_property("blessed", int(outcome.blessed))
    text = json.dumps(outcome.to_json(), indent=2)
    artifact_files.write_text(os.path.join(blessing.uri, SERVING_CHECK_JSON), text)
    artifact_files.write_text(os.path.join(blessing.uri, MARKERS[outcome.blessed]), "")
