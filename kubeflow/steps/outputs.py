"""Outputs of nodes that Kubeflow's own interface shows, compares and passes to other steps.

TFX's artifacts do not become Kubeflow's. A node's step describes its results in Kubeflow's terms:
a page, metrics, a confusion matrix, the pushed model, and parameters for steps after it.
"""

from __future__ import annotations

import collections
import json
import os
from collections.abc import Mapping, Sequence

from components.artifacts import files as artifact_files
from components.common.escape import printable
from kubeflow.steps import pages, scores
from kubeflow.steps.executor_output import ExecutorOutput
from kubeflow.steps.scores import Record
from pipeline.graph import nodes

PAGE, METRICS, CONFUSION, MODEL = "page", "metrics", "confusion", "model"
BLESSED, PUSHED_VERSION, MODEL_URI = "blessed", "pushed_version", "model_uri"
# The artifact class or parameter type of each output, by kfp.dsl's and Python's names.
KINDS = {
    PAGE: "HTML",
    METRICS: "Metrics",
    CONFUSION: "ClassificationMetrics",
    MODEL: "Model",
    BLESSED: "bool",
    PUSHED_VERSION: "str",
    MODEL_URI: "str",
}
# Outputs of a node's files, of which Kubeflow's launcher uploads the content.
FILES = (PAGE, MODEL)
_OUTPUTS = {
    "Trainer": (METRICS,),
    nodes.BASELINE_TRAINER: (METRICS,),
    nodes.ENSEMBLER: (METRICS, CONFUSION),
    nodes.EVALUATOR: (METRICS, CONFUSION),
    nodes.GENRE_GATE: (METRICS, BLESSED),
    nodes.PUSHER: (MODEL, PUSHED_VERSION, MODEL_URI),
}
# The launcher uploads an artifact whose URI has one of these schemes, and fails if the place is not
# in Kubeflow's own folder of the run (Config.KeyFromURI in backend/src/v2/objectstore/config.go,
# 2.14.0 to 2.17.0). It records other URIs as they are.
_LAUNCHERS_SCHEMES = ("gs://", "minio://", "s3://", "oci://")


def declared(node_id: str) -> tuple[str, ...]:
    """Return the names of a node's outputs, which are keys of KINDS."""
    own = _OUTPUTS.get(node_id) or _OUTPUTS.get(node_id.split(".", 1)[0], ())
    return ((PAGE,) if pages.has_page(node_id) else ()) + own


def of_step(node_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the outputs of a step by their names in Kubeflow: node id and key of KINDS.

    An output that several nodes of the step have is named after its node, such as
    "page_genregate". Only outputs of files may be such ones.
    """
    found = [(node, output) for node in node_ids for output in declared(node)]
    counts = collections.Counter(output for _, output in found)
    assert all(counts[output] == 1 or output in FILES for output in counts)
    return {
        output if counts[output] == 1 else f"{output}_{node.lower()}": (node, output)
        for node, output in found
    }


def write(
    node_id: str, record: Record, files: Mapping[str, str], output: ExecutorOutput, model_uri: str
) -> None:
    """Write a completed node's outputs, whether it ran or came from the cache.

    Args:
      node_id: the node's id.
      record: the run in ML Metadata.
      files: local path for each output of FILES that is wanted.
      output: gets the metadata of artifacts, and the parameters.
      model_uri: URI of the model's folder, as other pods of the cluster can read it.
    """
    wanted = declared(node_id)
    if PAGE in wanted and PAGE in files:
        pages.write(node_id, record.outputs(node_id), files[PAGE])
    if METRICS in wanted:
        found = scores.of_node(node_id, record)
        output.set_artifact(METRICS, found.numbers)
        if CONFUSION in wanted and found.matrix:
            output.set_artifact(CONFUSION, {"confusionMatrix": found.matrix})
        if BLESSED in wanted:
            output.set_parameter(BLESSED, bool(found.numbers["blessed"]))
    if MODEL in wanted:
        _write_model(record, files.get(MODEL, ""), output, model_uri)


def _write_model(record: Record, path: str, output: ExecutorOutput, models: str) -> None:
    version = pushed_version(record)
    uri = f"{models}/{version}" if version else ""
    output.set_parameter(PUSHED_VERSION, version)
    output.set_parameter(MODEL_URI, uri)
    if not version:
        output.set_artifact(MODEL, {"display_name": "nothing pushed"})
        return
    decision = scores.read_decision(record)
    described = {
        "model_uri": uri,
        "version": version,
        "digest": printable(decision.candidate_digest),
        "architecture": printable(decision.candidate),
    }
    output.set_artifact(MODEL, described, "" if uri.startswith(_LAUNCHERS_SCHEMES) else uri)
    if path:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        artifact_files.write_text(path, json.dumps(described, indent=2))


def pushed_version(record: Record) -> str:
    """Return the version that the run pushed; "" if it pushed none."""
    pushed = record.outputs(nodes.PUSHER).get("pushed_model")
    return str(pushed.custom_properties["pushed_version"].string_value) if pushed else ""


def cluster_uri(folder: str, claim: str, mount: str) -> str:
    """Return a folder as other pods can read it: pvc://CLAIM/PATH, as KServe writes it, or s3://...

    Args:
      folder: an s3:// URI, or a folder of the volume.
      claim: name of the volume's PersistentVolumeClaim; "" without a volume.
      mount: its mount point.
    """
    below = f"{mount.rstrip('/')}/"
    if claim and folder.startswith(below):
        return f"pvc://{claim}/{folder.removeprefix(below)}"
    return folder
