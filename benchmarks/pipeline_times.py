"""Seconds of every node in a first run, in an unchanged rerun, and after one audio file changed.

    python -m benchmarks.pipeline_times [--set KEY=VALUE ...] [--output FILE]

The program runs `genreflow demo` three times in one work folder, each in a separate process, and
prints the times from results.json. The changed file only gets another modification time, as a run
without `dataset.strict` compares nothing but that and the size.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import tempfile
import time
from typing import Any

from benchmarks.shared import command


def _run(
    work_dir: pathlib.Path, overrides: list[str], output: str = os.devnull
) -> tuple[dict[str, Any], float]:
    """Run the demonstration. Return the nodes of results.json, and the command's seconds."""
    begun = time.monotonic()
    with open(output, "w", encoding="utf-8") as printed:
        subprocess.run(
            [command.GENREFLOW, "demo", "-w", work_dir, *overrides],
            check=True,
            stdout=printed,
            stderr=subprocess.STDOUT if output != os.devnull else None,
        )
    seconds = time.monotonic() - begun
    return json.loads((work_dir / "results.json").read_text(encoding="utf-8"))["nodes"], seconds


def _cell(node: dict[str, Any]) -> str:
    return "cached" if node["outcome"] == "cached" else f"{node['seconds']:.1f}"


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="passed to genreflow demo"
    )
    parser.add_argument(
        "--output", metavar="FILE", default=os.devnull, help="file for the first run's output"
    )
    arguments = parser.parse_args()
    overrides = [word for value in arguments.set for word in ("--set", value)]
    with tempfile.TemporaryDirectory() as folder:
        work_dir = pathlib.Path(folder, "work")
        runs = [_run(work_dir, overrides, arguments.output), _run(work_dir, overrides)]
        song = min((work_dir / "corpus" / "fma_small").rglob("*.mp3"))
        changed = song.stat().st_mtime_ns + 10**9
        os.utime(song, ns=(changed, changed))
        runs.append(_run(work_dir, overrides))
    print("| node | first run, s | again, s | one file changed, s |")
    print("|---|---|---|---|")
    for node in runs[0][0]:
        print(f"| {node} | {' | '.join(_cell(nodes[node]) for nodes, _ in runs)} |")
    print(f"| all, imports included | {' | '.join(f'{seconds:.0f}' for _, seconds in runs)} |")


if __name__ == "__main__":
    main()
