"""Worker process that runs the graph: `python -m pipeline.local.worker REQUEST`.

The command line starts it and sends its output to the log. So the output of TFX and TensorFlow
does not reach the screen, a crash in native code is an exit status, and the display keeps running
while TFX is imported. The worker reports progress through the event file of
`components.common.progress`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from components.common import progress
from components.common.parent import exit_at_end_of_input
from pipeline.local.child import reporting_failure
from pipeline.process.libraries import exit_at_once, tfx_imports

if TYPE_CHECKING:
    from pipeline.results.schema import Results


@dataclasses.dataclass(frozen=True)
class Request:
    """Run to do. `config` and `facts` are JSON values of Config and DataFacts."""

    work_dir: str
    run_id: str
    config: dict[str, Any]
    facts: dict[str, Any]


def main(path: str) -> int:
    """Run a request file and return the exit status."""
    request = Request(**json.loads(pathlib.Path(path).read_text(encoding="utf-8")))
    return reporting_failure(lambda: run(request))


def run(request: Request) -> Results:
    """Run the graph in this process, write the results and return them.

    Raises:
      NodeFailed: a node failed; the exception's cause is the node's error.
    """
    import pydantic

    from components.storage.copies import Copies
    from components.trainer.checkpoints import CHECKPOINTS_VARIABLE
    from pipeline.config.schema import Config
    from pipeline.places import PIPELINE_NAME, Places, clip_store
    from pipeline.work_dir import WorkDir

    work_dir = WorkDir.at(request.work_dir)
    config = pydantic.TypeAdapter(Config).validate_json(json.dumps(request.config))
    given = Places.of(config.storage, work_dir)
    progress.report("importing")
    with tfx_imports():
        from tfx.orchestration import metadata

        from components.artifacts import tfx_files
        from components.trainer.history import CURVES_VARIABLE
        from pipeline.graph import inputs
        from pipeline.graph.build import compile_ir, create_pipeline
        from pipeline.process import node_runner
        from pipeline.results import collect, publish, results_file
        from pipeline.results.schema import NodeRun

    tfx_files.prepare(given.pipeline_root, given.models)
    facts = inputs.DataFacts.from_json(request.facts)
    places = inputs.GraphPlaces(
        pipeline_root=given.pipeline_root,
        models=given.models,
        clip_store=clip_store(config, given.pipeline_root, default=str(work_dir.clip_store)),
        window_store=str(work_dir.clip_store),
        schema_file=inputs.write_schema(config, facts.genres, str(work_dir.schemas)),
    )
    connection = metadata.sqlite_metadata_connection_config(str(work_dir.metadata))
    pipeline = create_pipeline(config, facts, places)
    pipeline.metadata_connection_config = connection
    ir = compile_ir(pipeline)

    _check_starting_weights(config, facts)
    node_runs: dict[str, NodeRun] = {}

    def on_event(event: str, **fields: Any) -> None:
        if event == "node_finished":
            node_runs[fields["node"]] = NodeRun(fields["outcome"], round(fields["seconds"], 3))
        progress.report(event, **fields)

    variables = {
        CHECKPOINTS_VARIABLE: str(work_dir.checkpoints),
        CURVES_VARIABLE: str(work_dir.curves),
    }
    with _environment(variables):
        copies = Copies(work_dir.copies)
        node_runner.run_all(ir, connection, request.run_id, on_event, copies)
    record = collect.RunRecord(connection, PIPELINE_NAME, request.run_id)
    results = collect.collect(
        config, record, run_id=request.run_id, genres=facts.genres, node_runs=node_runs
    )
    publish.put(config, record, results, work_dir)
    results_file.write_results(results, str(work_dir.root))
    progress.report("finished")
    return results


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set variables during a block, as tests call `run` in processes that live on."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _check_starting_weights(config: Any, facts: Any) -> None:
    """Build each network that has starting weights, and discard it.

    So weights that are missing, truncated or of another network end the run before the audio
    stage.

    Raises:
      components.models.weights.WeightsError: the weights cannot be used.
    """
    from components.models import registry

    for name, settings in config.models.items():
        if settings.weights != "none":
            progress.report("checking", detail=f"starting weights of {name}")
            registry.build(
                name,
                settings,
                n_mels=config.audio.n_mels,
                frames=config.audio.frames,
                genres=len(facts.genres),
                seed=config.training.seed,
            )


if __name__ == "__main__":
    exit_at_end_of_input()  # the command line has ended
    exit_at_once(main(sys.argv[1]))
