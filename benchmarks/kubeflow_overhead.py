"""Overhead of running each node as a Kubeflow step, compared with the local runner.

    python -m benchmarks.kubeflow_overhead [--config FILE_OR_NAME] [--data-dir DIR] [--merged]

The program runs a configuration (the demonstration by default) with `genreflow run`, and then
compiled for Kubeflow as the tests execute it: each step's command line in a separate process, one
at a time, with ML Metadata in SQLite. For each node it prints the seconds in the local run's single
process, the seconds of the step, and the share of imports in these. It also times the compilation.
A cluster's own overhead (scheduling, pulling the image) is not included.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from benchmarks.shared import command
from kubeflow.compile.node_steps import step_names
from pipeline.config.load import shipped_config
from tests.support.kubeflow_backend import Backend, Run
from tests.support.kubeflow_volume import compile_for, show

_IMPORTED = re.compile(r"imported in ([0-9.]+) s")


def _local(config: str, data_dir: str, folder: pathlib.Path) -> tuple[dict[str, float], float]:
    """Run locally. Return the seconds of each node, and of the whole command."""
    begun = time.monotonic()
    words = ["demo"] if config == "demo" else ["run", "-c", config, "-d", data_dir]
    subprocess.run([command.GENREFLOW, *words, "-w", folder], check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - begun
    nodes = json.loads((folder / "results.json").read_text(encoding="utf-8"))["nodes"]
    return {name: node["seconds"] for name, node in nodes.items()}, seconds


def _steps(
    config: str, data_dir: str, folder: pathlib.Path, merged: bool
) -> tuple[Run, float, float]:
    """Compile and run as steps. Return the run, its seconds, and those of the compilation."""
    begun = time.monotonic()
    known = config if pathlib.Path(config).is_file() else shipped_config(config)
    overrides = ["kubeflow.merge_small_steps=true"] if merged else []
    compiled = compile_for(folder, pathlib.Path(known), *overrides)
    compile_seconds = time.monotonic() - begun
    parameters = {"data_dir": data_dir} if data_dir else {}
    begun = time.monotonic()
    run = Backend(compiled, folder / "pages").run("benchmark", **parameters)
    if not run.succeeded:
        show(run)
        sys.exit("the run of the compiled pipeline failed; see its output above")
    return run, time.monotonic() - begun, compile_seconds


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--config", default="demo", help="file, or name of a shipped configuration")
    parser.add_argument("--data-dir", default="", help="folder of the data set")
    parser.add_argument("--merged", action="store_true", help="merge small nodes into one step")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        volume = pathlib.Path(scratch, "volume")
        volume.mkdir()
        local, local_seconds = _local(given.config, given.data_dir, pathlib.Path(scratch, "local"))
        run, steps_seconds, compile_seconds = _steps(
            given.config, given.data_dir, volume, given.merged
        )
    names = {step: node for node, step in step_names(local).items()}
    print("| node | local runner, s | step, s | of which imports, s |")
    print("|---|---|---|---|")
    imports = 0.0
    for attempt in run.attempts:
        node = names.get(attempt.task, attempt.task)
        here = f"{local[node]:.1f}" if node in local else "-"
        found = _IMPORTED.search(attempt.output)
        imports += float(found[1]) if found else 0.0
        shown = found[1] if found else "-"
        print(f"| {node} | {here} | {attempt.ended - attempt.begun:.1f} | {shown} |")
    print(f"| all | {local_seconds:.0f} | {steps_seconds:.0f} | {imports:.0f} |")
    count = len(run.attempts)
    print(f"\nratio {steps_seconds / local_seconds:.2f}; {count} steps; ", end="")
    print(f"overhead {(steps_seconds - local_seconds) / count:.1f} s a step; ", end="")
    print(f"compiled in {compile_seconds:.1f} s")


if __name__ == "__main__":
    main()
