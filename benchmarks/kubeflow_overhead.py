"""What it costs that each node is a step of its own: seconds beside the local runner's.

    python -m benchmarks.kubeflow_overhead [--config FILE_OR_NAME] [--data-dir DIR]

Runs a configuration (the demonstration by default) by `genreflow run`, and then compiled for
Kubeflow, each step's command line in a process of its own, one at a time, with ML Metadata in
SQLite, as the tests execute it. Prints, for each node, what it took in the local run's one
process, what its step took, and how much of that was importing. What a cluster adds (scheduling,
pulling the image) is not in it. The compiling is timed too.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from kubeflow.compile.names import step_names
from pipeline.config.load import shipped_config
from tests.support.kubeflow_backend import Backend, Run
from tests.support.kubeflow_volume import compile_for, show

ROOT = pathlib.Path(__file__).resolve().parents[1]


GENREFLOW = pathlib.Path(sys.executable).with_name("genreflow")
_IMPORTED = re.compile(r"imported in ([0-9.]+) s")


def _local(config: str, data_dir: str, folder: pathlib.Path) -> tuple[dict[str, float], float]:
    """Seconds of each node, and of the whole command."""
    begun = time.monotonic()
    command = ["demo"] if config == "demo" else ["run", "-c", config, "-d", data_dir]
    subprocess.run(
        [str(GENREFLOW), *command, "-w", str(folder)], check=True, stdout=subprocess.DEVNULL
    )
    seconds = time.monotonic() - begun
    nodes = json.loads((folder / "results.json").read_text(encoding="utf-8"))["nodes"]
    return {name: node["seconds"] for name, node in nodes.items()}, seconds


def _steps(config: str, data_dir: str, folder: pathlib.Path) -> tuple[Run, float, float]:
    """The run, its seconds, and those of compiling."""
    begun = time.monotonic()
    known = config if pathlib.Path(config).is_file() else shipped_config(config)
    compiled = compile_for(folder, pathlib.Path(known))
    compile_seconds = time.monotonic() - begun
    parameters = {"data_dir": data_dir} if data_dir else {}
    begun = time.monotonic()
    run = Backend(compiled, folder / "pages").run("benchmark", **parameters)
    if not run.succeeded:
        show(run)
        sys.exit("the executed run failed")
    return run, time.monotonic() - begun, compile_seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="demo")
    parser.add_argument("--data-dir", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        volume = pathlib.Path(scratch, "volume")
        volume.mkdir()
        local, local_seconds = _local(given.config, given.data_dir, pathlib.Path(scratch, "local"))
        run, steps_seconds, compile_seconds = _steps(given.config, given.data_dir, volume)
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
    print(f"{(steps_seconds - local_seconds) / count:.1f} s more for each; ", end="")
    print(f"compiled in {compile_seconds:.1f} s")


if __name__ == "__main__":
    main()
