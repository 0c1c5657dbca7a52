"""Entry point of a run's first step, which reads the corpus and compiles the pipeline for it.

    python -m kubeflow.steps.prepare --config JSON --run-id ID --pipeline-root ROOT --metadata URL \
        [--data-dir DIR] [--overrides JSON] [--push-destination DIR]

The graph depends on the data (its genres, and the digest that caching compares), so this step
runs in the cluster, where the data is. It writes ROOT/runs/ID/pipeline.json, which all other steps
read. It fails early for problems that would otherwise appear hours later: a data folder without
tracks, a batch larger than the train split, a metadata store that does not respond.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.common.errors import GenreflowError, UsageError
from components.common.model_contract import MODEL_NAME
from components.common.version_files import PUSH_FOLDER
from components.storage.uri import checked_place, is_remote, join
from kubeflow.steps import metadata_url, own_environment, prepared
from kubeflow.steps.prepared import PreparedRun
from kubeflow.steps.step_log import report_error, say
from pipeline.config.schema import Config
from pipeline.places import clip_store
from pipeline.process.libraries import exit_at_once

if TYPE_CHECKING:
    from pipeline.graph.inputs import DataFacts

CORPUS = "corpus"


def prepare(
    config: Config,
    *,
    run_id: str,
    pipeline_root: str,
    metadata: str,
    models: str,
    volume: str = "",
) -> str:
    """Read the corpus and write pipeline.json; return its path.

    Args:
      config: the configuration; `dataset.data_dir` is set unless the data is synthetic.
      run_id: the run's name in ML Metadata, never used before.
      pipeline_root: a folder on a shared volume, or an s3:// URI.
      metadata: URL of ML Metadata.
      models: folder of the model's versions.
      volume: mount point of a volume, on which a missing root is created; "" for none.

    Raises:
      GenreflowError: the run cannot start.
    """
    from pipeline.config.load import with_data_dir
    from pipeline.prepare import preflight, runner_checks
    from pipeline.prepare.preflight import checked_facts, load_checked_corpus

    prepared.check_shared_root(pipeline_root, volume)
    url = metadata_url.parse(metadata)
    connection = metadata_url.connection_config(url, os.environ)
    metadata_url.check_reachable(url, connection)
    preflight.check_weights(config)
    runner_checks.check_runner(config.beam)
    if config.dataset.kind == "synthetic" and not config.dataset.data_dir:
        config = with_data_dir(config, _synthetic_corpus(pipeline_root))
    corpus = load_checked_corpus(config)
    runner_checks.check_places(
        config.beam, artifacts=pipeline_root, copies=tempfile.gettempdir(), audio=corpus.uris
    )
    facts = checked_facts(config, corpus)
    say(
        f"{len(corpus.tracks)} tracks of {len(corpus.genres)} genres, {len(corpus.rejects)} "
        "tracks rejected before decoding (importing TFX takes some 20 s)"
    )
    ir = _compile(config, facts, pipeline_root, models)
    return prepared.write(
        PreparedRun(
            run_id=run_id,
            pipeline_root=pipeline_root,
            models=models,
            config=config.to_json(),
            facts=facts.to_json(),
            nodes=[node.pipeline_node.node_info.id for node in ir.nodes],
            ir=base64.b64encode(ir.SerializeToString(deterministic=True)).decode(),
        ),
        prepared.run_folder(pipeline_root, run_id),
    )


def _compile(config: Config, facts: DataFacts, pipeline_root: str, models: str) -> Any:
    """Return TFX's intermediate representation of the run."""
    from pipeline.process.libraries import configure_tensorflow, tfx_imports

    configure_tensorflow()
    with tfx_imports():
        from components.artifacts import tfx_files
        from pipeline.graph import build as graph
        from pipeline.graph import inputs

    tfx_files.prepare(pipeline_root, models)
    # A volume keeps decoded clips between runs; a bucket would be slower than decoding again.
    cache = "" if is_remote(pipeline_root) else join(pipeline_root, "cache")
    places = inputs.GraphPlaces(
        pipeline_root=pipeline_root,
        models=models,
        clip_store=clip_store(config, pipeline_root, default=cache),
        window_store=cache,
        schema_file=inputs.write_schema(config, facts.genres, join(pipeline_root, "schemas")),
    )
    return graph.compile_ir(graph.create_pipeline(config, facts, places))


def _synthetic_corpus(pipeline_root: str) -> str:
    """Generate the demonstration's songs on the volume, unless they exist; return their folder."""
    if is_remote(pipeline_root):
        raise UsageError(
            'dataset.kind = "synthetic": the songs are made on a volume that all steps share; '
            "set kubeflow.volume_claim and put the pipeline root on it, or give a data folder"
        )
    from components.synthesis import write_corpus

    corpus = join(pipeline_root, CORPUS)
    say(f"generating the demonstration's songs in {corpus}, which takes a minute")
    write_corpus(corpus)
    return corpus


def effective_config(given: str, overrides: str, data_dir: str) -> Config:
    """Return the compiled-in configuration with this run's changes.

    Args:
      given: Config.to_json() as text.
      overrides: a JSON object of keys and values, such as {"training.epochs": 3}; "" for none.
      data_dir: replaces `dataset.data_dir` unless "".

    Raises:
      UsageError: an argument is invalid; one line for each problem.
    """
    from pipeline.config.load import from_values, with_data_dir

    values = _json_object(given, "--config")
    changes = _json_object(overrides or "{}", "the run's parameter overrides")
    return with_data_dir(from_values(values, changes), data_dir)


def _json_object(text: str, name: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{name}: not JSON ({error})") from error
    if not isinstance(values, dict):
        raise UsageError(f'{name}: a JSON object is needed, such as {{"training.epochs": 3}}')
    return values


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kubeflow.steps.prepare", description="Prepares a run.")
    parser.add_argument("--config", required=True, help="configuration as JSON")
    parser.add_argument("--run-id", required=True, help="names the run in ML Metadata")
    parser.add_argument("--pipeline-root", required=True, help=prepared.ROOT_HELP)
    parser.add_argument("--metadata", required=True, help=metadata_url.HELP)
    parser.add_argument("--volume", default="", help="mount point of the volume, if there is one")
    parser.add_argument("--data-dir", default="", help="replaces dataset.data_dir")
    parser.add_argument("--overrides", default="", help="JSON object of settings")
    parser.add_argument("--push-destination", default="", help="parent of the model's folder")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run the step and return its exit status."""
    own_environment.take_over()
    given = parse_arguments(arguments)
    try:
        config = effective_config(given.config, given.overrides, given.data_dir)
        destination = (
            given.push_destination
            or config.storage.push_destination
            or join(given.pipeline_root, PUSH_FOLDER)
        )
        path = prepare(
            config,
            run_id=given.run_id,
            pipeline_root=checked_place(given.pipeline_root, "--pipeline-root"),
            metadata=given.metadata,
            volume=given.volume,
            models=join(checked_place(destination, "--push-destination"), MODEL_NAME),
        )
    except GenreflowError as error:
        return report_error(error)
    say(f"prepared {path}")
    return 0


if __name__ == "__main__":
    exit_at_once(main(sys.argv[1:]))
