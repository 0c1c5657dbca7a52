"""Entry point of the step that looks into the cache before steps with GPUs.

    python -m kubeflow.steps.lookup --pipeline-ir ROOT/runs/ID/pipeline.json --pipeline-root ROOT \
        --metadata URL --executor-input JSON --steps JSON

It takes the nodes of these steps from the cache, as their own steps would, and tells Kubeflow which
resources each step is to ask for: a step whose nodes are all complete by then asks for no GPU, and
only shows their results. A node that is not in the cache leaves no trace in ML Metadata.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Mapping, Sequence

from components.storage.copies import local_copies
from kubeflow.steps import (
    executor_output,
    metadata_url,
    opened_graph,
    own_environment,
    prepared,
)
from kubeflow.steps.executor_output import ExecutorOutput
from kubeflow.steps.opened_graph import OpenedGraph
from kubeflow.steps.step_log import report_error, say
from pipeline.process.libraries import exit_at_once

Parameters = Mapping[str, "str | dict[str, str]"]


@dataclasses.dataclass(frozen=True)
class LookedUp:
    """Step that the lookup is for.

    Attributes:
      node_ids: ids of its nodes, in the order in which they run.
      usual: output parameters of the lookup by name: the resources of the step if it has work.
      cached: those if the cache has all of its nodes.
    """

    node_ids: Sequence[str]
    usual: Parameters
    cached: Parameters


def to_json(steps: Sequence[LookedUp]) -> str:
    """Return the argument --steps."""
    return json.dumps([dataclasses.asdict(step) for step in steps], sort_keys=True)


def from_json(text: str) -> list[LookedUp]:
    """Return the steps of the argument --steps."""
    return [LookedUp(**step) for step in json.loads(text)]


def take_from_cache(graph: OpenedGraph, node_ids: Sequence[str]) -> bool:
    """Complete nodes from the cache, up to the first one that it lacks.

    Later nodes may depend on earlier ones, so each is completed before the next is looked up.

    Returns:
      Whether all nodes are complete.
    """
    for node_id in node_ids:
        if not graph.has_cached_outputs(node_id):
            say("not in the cache; its step asks for a GPU", node_id=node_id)
            return False
        with local_copies() as copies:
            graph.run(node_id, copies)
        say("taken from the cache", node_id=node_id)
    return True


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kubeflow.steps.lookup", description="Looks up nodes.")
    parser.add_argument("--pipeline-ir", required=True, help="path of the run's pipeline.json")
    parser.add_argument("--pipeline-root", required=True, help=prepared.ROOT_HELP)
    parser.add_argument("--metadata", required=True, help=metadata_url.HELP)
    parser.add_argument("--executor-input", required=True, help="the launcher's ExecutorInput")
    parser.add_argument("--steps", required=True, help="steps and their resources, as JSON")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run the step and return its exit status. All messages go to its log."""
    own_environment.take_over()
    given = parse_arguments(arguments)
    begun = time.monotonic()
    try:
        url = metadata_url.parse(given.metadata)
        pipeline = prepared.read_for_step(given.pipeline_ir, given.pipeline_root)
        path = executor_output.output_file(given.executor_input)
        output = ExecutorOutput()
        steps = from_json(given.steps)
        graph = opened_graph.open_graph(pipeline, url, steps[0].node_ids[0])
        for step in steps:
            cached = take_from_cache(graph, step.node_ids)
            for name, value in (step.cached if cached else step.usual).items():
                output.set_parameter(name, value)
        output.write(path)
    except Exception as error:  # users look into the step's log
        return report_error(error)
    say(f"looked up, {time.monotonic() - begun:.1f} s")
    return 0


if __name__ == "__main__":
    exit_at_once(main(sys.argv[1:]))
