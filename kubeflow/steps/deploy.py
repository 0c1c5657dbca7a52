"""Entry point of the step that announces a pushed version: to a Model Registry, and to KServe.

    python -m kubeflow.steps.deploy --run-id ID --pipeline-root ROOT --metadata URL \
        --version VERSION --model-uri URI [--model-registry URL] \
        [--inference-service NAME --ready-minutes 15] [--volume-claim CLAIM --volume PATH]

It exists only if [kubeflow] asks for it, and runs after the Pusher. Whatever fails here, the pushed
version stays; the step says so and writes it to ROOT/runs/ID/deployment.json, which the last step
reads. One of the two failing does not keep the other from being tried, and a retry does not repeat
what is done. Exit status: 0 done, or nothing was pushed; 1 failed; 2 a retry would not help.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from components.common.errors import GenreflowError, UsageError
from components.common.model_contract import MODEL_NAME
from components.storage.uri import join
from kubeflow.deploy import kubernetes_api, model_registry, version_folder
from kubeflow.deploy.inference_service import InferenceService
from kubeflow.deploy.json_api import JsonApi
from kubeflow.deploy.model_registry import PushedVersion
from kubeflow.steps import deployment, metadata_url, outputs, own_environment, prepared, scores
from kubeflow.steps.prepared import PreparedRun
from kubeflow.steps.step_log import EXIT_FAILED, report_error, say
from pipeline.graph import nodes
from pipeline.places import PIPELINE_NAME
from pipeline.process.libraries import exit_at_once

# The Model Registry's bearer token, if it wants one.
TOKEN_VARIABLE = "GENREFLOW_MODEL_REGISTRY_TOKEN"


def _register(given: argparse.Namespace, run: PreparedRun) -> str:
    """Register the version; return a line that says so."""
    from pipeline.results.collect import RunRecord

    url = metadata_url.parse(given.metadata)
    connection = metadata_url.connection_config(url, os.environ)
    metadata_url.check_reachable(url, connection)
    record = RunRecord(connection, PIPELINE_NAME, run.run_id)
    decision = scores.read_decision(record)
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            "the Model Registry's token, in the Secret that kubeflow.model_registry_secret names, "
            "is not one word of ASCII characters; create the Secret again"
        )
    api = JsonApi(
        "the Model Registry",
        given.model_registry.rstrip("/"),
        token=(lambda: token) if token else None,
    )
    pushed = PushedVersion(
        model=MODEL_NAME,
        version=given.version,
        uri=given.model_uri,
        texts={
            "run_id": run.run_id,
            "digest": decision.candidate_digest,
            "architecture": decision.candidate,
        },
        numbers=scores.of_node(nodes.EVALUATOR, record).numbers,
    )
    found = model_registry.register(api, pushed)
    return f"registered as {MODEL_NAME} {given.version} (id {found})"


def _serve(given: argparse.Namespace, run: PreparedRun) -> str:
    """Have KServe serve the version; return a line that says so."""
    api, namespace = kubernetes_api.connect(os.environ)
    service = InferenceService(api, namespace, given.inference_service)
    service.check()  # before anything is copied
    folder = version_folder.provide(run.models, given.version)
    uri = outputs.cluster_uri(folder, given.volume_claim, given.volume)
    changed = service.set_storage_uri(uri)
    say(f"{service}: storageUri {'set to' if changed else 'is already'} {uri}")
    service.wait(given.ready_minutes * 60, say)
    return f"{service} serves it from {uri}"


def deploy(given: argparse.Namespace, run: PreparedRun) -> int:
    """Register and serve a version as far as asked; return the step's exit status."""
    tasks: dict[str, tuple[str, Callable[[argparse.Namespace, PreparedRun], str]]] = {
        "registry": (given.model_registry, _register),
        "serving": (given.inference_service, _serve),
    }
    outcome: dict[str, Any] = {"version": given.version, "model_uri": given.model_uri}
    folder, status = prepared.run_folder(run.pipeline_root, run.run_id), 0
    asked = {name: function for name, (wanted, function) in tasks.items() if wanted}
    # A step that is killed leaves these words.
    outcome |= {name: {"ok": False, "text": "the step Deploy did not end"} for name in asked}
    for name, function in asked.items():
        deployment.write(folder, outcome)
        try:
            text = function(given, run)
            say(text)
            outcome[name] = {"ok": True, "text": text}
        except Exception as error:  # the version stays pushed, and the run says so
            failed = report_error(error)
            outcome[name] = {"ok": False, "text": deployment.one_line(error)}
            # A failure that a retry may mend decides.
            status = EXIT_FAILED if EXIT_FAILED in (status, failed) else failed
    deployment.write(folder, outcome)
    if status:
        say(f"version {given.version} stays pushed at {given.model_uri}")
    return status


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kubeflow.steps.deploy", description="Deploys a version.")
    parser.add_argument("--run-id", required=True, help="names the run in ML Metadata")
    parser.add_argument("--pipeline-root", required=True, help=prepared.ROOT_HELP)
    parser.add_argument("--metadata", required=True, help=metadata_url.HELP)
    parser.add_argument("--version", required=True, help='the pushed version; "" for none')
    parser.add_argument("--model-uri", required=True, help="the pushed version's folder")
    parser.add_argument("--model-registry", default="", help="URL of a Model Registry")
    parser.add_argument("--inference-service", default="", help="KServe's object to change")
    parser.add_argument("--ready-minutes", type=float, default=15.0, help="how long to wait for it")
    parser.add_argument("--volume-claim", default="", help="the volume's PersistentVolumeClaim")
    parser.add_argument("--volume", default="", help="mount point of the volume")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run the step and return its exit status."""
    own_environment.take_over()
    given = parse_arguments(arguments)
    if not given.version:
        say("nothing was pushed, so nothing is deployed")
        return 0
    try:
        prepared.check_shared_root(given.pipeline_root)
        folder = prepared.run_folder(given.pipeline_root, given.run_id)
        return deploy(given, prepared.read(join(folder, prepared.FILE)))
    except GenreflowError as error:
        return report_error(error)


if __name__ == "__main__":
    exit_at_once(main(sys.argv[1:]))
