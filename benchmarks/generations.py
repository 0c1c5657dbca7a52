"""Compare what the generations of libraries make, and what each reads of the other's.

    python -m benchmarks.generations facts A B --output FACTS.json    with each generation
    python -m benchmarks.generations compare FACTS.json FACTS.json

A and B are work folders of `genreflow demo`, one of each generation. Copy A's corpus into B
(`cp -a A/corpus B/`) before its first run: encoders of MP3 differ between C libraries. `facts`
imports the libraries in separate processes for their times, and loads each folder's pushed model.
`compare` ends with status 1 unless the examples have the same bytes, results and reports have the
same form, and each model predicts the same in both generations.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import pathlib
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.shared import command

PACKAGES = (
    "tfx", "tensorflow", "keras", "apache-beam", "ml-metadata", "protobuf", "numpy", "pandas",
    "soundfile", "soxr", "librosa", "av",
)  # fmt: skip
IMPORTS = ("tensorflow", "tfx.v1")
REPEATS = 3
WINDOWS = 16
MAX_PREDICTION_DIFFERENCE = 1e-5


def examples_digests(work_dir: pathlib.Path) -> dict[str, str]:
    """Return the digest of the last run's example files by split and name."""
    outputs = work_dir / "pipeline" / "SpectrogramGen" / "examples"
    last = max(outputs.iterdir(), key=lambda folder: int(folder.name))
    return {
        f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in sorted(last.glob("Split-*/*"))
    }


def key_paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every key in JSON values; items of a list share one path."""
    if isinstance(value, dict):
        for name, content in value.items():
            yield f"{path}.{name}"
            yield from key_paths(content, f"{path}.{name}")
    elif isinstance(value, list):
        for content in value:
            yield from key_paths(content, f"{path}[]")


def headings(page: str) -> list[str]:
    """Return the headings of a report."""
    return re.findall(r"<h[1-3][^>]*>(.*?)</h[1-3]>", page, re.DOTALL)


def predictions(model_dir: pathlib.Path) -> list[list[float]]:
    """Return the probabilities of a model for windows of noise, the same for every generation."""
    from serving.model.local import LocalModel

    model = LocalModel(model_dir)
    levels = np.random.default_rng(0).integers(-16384, 16384, (WINDOWS, model.clip_samples))
    windows = levels.astype(np.float32) / np.float32(32768)
    return [[float(one) for one in row] for row in model.predict_windows(windows)]


def import_seconds(module: str) -> float:
    """Return the shortest time of a few imports, each in a process of its own."""
    found = []
    for _ in range(REPEATS):
        begun = time.monotonic()
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True, capture_output=True)
        found.append(time.monotonic() - begun)
    return round(min(found), 1)


def work_dir_facts(work_dir: pathlib.Path) -> dict[str, Any]:
    """Return the facts of a finished work folder, its pushed model's predictions included."""
    results = json.loads((work_dir / "results.json").read_text(encoding="utf-8"))
    page = (work_dir / "report" / "index.html").read_text(encoding="utf-8")
    return {
        "examples": examples_digests(work_dir),
        "keys": sorted(set(key_paths(results))),
        "headings": headings(page),
        "blessed": results["gate"]["blessed"],
        "rules": [rule["id"] for rule in results["gate"]["rules"]],
        "node_seconds": round(sum(node["seconds"] for node in results["nodes"].values())),
        "predictions": predictions(work_dir / "serving_models" / "genreflow"),
    }


def facts(work_dirs: list[pathlib.Path]) -> dict[str, Any]:
    """Return the facts of this generation and of work folders."""
    return {
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "import_seconds": {module: import_seconds(module) for module in IMPORTS},
        "work_dirs": {str(folder): work_dir_facts(folder) for folder in work_dirs},
    }


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """Return what was compared, what was found, and whether that is as it must be.

    Args:
      first: facts of both work folders with one generation.
      second: the same with the other.
    """
    rows = []
    for folder, read in first["work_dirs"].items():
        other = second["work_dirs"][folder]
        ours, theirs = np.array(read["predictions"]), np.array(other["predictions"])
        difference = float(np.abs(ours - theirs).max())
        found = f"probabilities of both generations differ by at most {difference:.1e}"
        rows.append((f"model of {folder}", found, difference <= MAX_PREDICTION_DIFFERENCE))
    one, two = first["work_dirs"].values()
    for name in ("examples", "keys", "headings", "rules", "blessed"):
        same = one[name] == two[name]
        size = f"{len(one[name])} " if not isinstance(one[name], bool) else ""
        rows.append((name, f"{size}the same" if same else _difference(one[name], two[name]), same))
    return rows


def _difference(one: Any, two: Any) -> str:
    if isinstance(one, dict):
        one, two = one.items(), two.items()
    if isinstance(one, bool):
        return f"{one} and {two}"
    return f"differ: {sorted(set(one) ^ set(two))[:4]}"


def _print_comparison(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Print the tables, and return whether everything is as it must be."""
    print("| | first | second |\n|---|---|---|")
    for name, version in first["versions"].items():
        print(f"| {name} | {version} | {second['versions'][name]} |")
    for module, seconds in first["import_seconds"].items():
        print(f"| import {module}, s | {seconds} | {second['import_seconds'][module]} |")
    # Each folder's times are of the generation that made it.
    made = [folder["node_seconds"] for folder in first["work_dirs"].values()]
    print(f"| all nodes of a run, s | {made[0]} | {made[1]} |")
    print("\n| compared | found | |\n|---|---|---|")
    rows = compare(first, second)
    for what, found, right in rows:
        print(f"| {what} | {found} | {'✓' if right else '✗'} |")
    return all(right for _, _, right in rows)


def main() -> None:
    parser = command.parser(__file__, __doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    collecting = actions.add_parser("facts")
    collecting.add_argument("work_dirs", nargs=2, type=pathlib.Path, metavar="WORK_DIR")
    collecting.add_argument("--output", required=True, type=pathlib.Path, metavar="FACTS.json")
    comparing = actions.add_parser("compare")
    comparing.add_argument("facts", nargs=2, type=pathlib.Path, metavar="FACTS.json")
    arguments = parser.parse_args()
    if arguments.action == "facts":
        made = json.dumps(facts(arguments.work_dirs), indent=1)
        arguments.output.write_text(made + "\n", encoding="utf-8")
        return
    first, second = (json.loads(path.read_text(encoding="utf-8")) for path in arguments.facts)
    if not _print_comparison(first, second):
        sys.exit(1)


if __name__ == "__main__":
    main()
