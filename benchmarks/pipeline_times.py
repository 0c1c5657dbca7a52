"""Seconds of every node: a first run, the same again, and after one audio file changed.

    python -m benchmarks.pipeline_times [--set KEY=VALUE ...] [--output FILE]

Runs `genreflow demo` three times in one work folder, each in a process of its own, and
prints what results.json says of each. The file is changed in its modification time
alone, which is all that a run without `dataset.strict` looks at besides its size.
`--output` keeps what the first run printed.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

GENREFLOW = pathlib.Path(sys.executable).with_name("genreflow")


def _run(
    work_dir: pathlib.Path, overrides: list[str], output: str = os.devnull
) -> tuple[dict[str, Any], float]:
    begun = time.monotonic()
    with open(output, "w", encoding="utf-8") as printed:
        subprocess.run(
            [str(GENREFLOW), "demo", "-w", str(work_dir), *overrides],
            check=True,
            stdout=printed,
            stderr=subprocess.STDOUT if output != os.devnull else None,
        )
    seconds = time.monotonic() - begun
    return json.loads((work_dir / "results.json").read_text(encoding="utf-8"))["nodes"], seconds


def _cell(node: dict[str, Any]) -> str:
    return "cached" if node["outcome"] == "cached" else f"{node['seconds']:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--output", metavar="FILE", default=os.devnull)
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
