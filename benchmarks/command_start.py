"""Time until the command line answers, where it only has to say something.

    python -m benchmarks.command_start [--repeats 9]

Commands alternate, and times are medians and the fastest, beside an empty Python program's. The
limit of `genreflow --help` is 0.5 s.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from benchmarks.shared import command

COMMANDS = {
    "an empty Python program": [sys.executable, "-c", ""],
    "genreflow --help": [str(command.GENREFLOW), "--help"],
    "genreflow run --help": [str(command.GENREFLOW), "run", "--help"],
    "genreflow models --help": [str(command.GENREFLOW), "models", "--help"],
    "a misspelt command": [str(command.GENREFLOW), "rnu"],
    "completion of a command (bash)": [str(command.GENREFLOW)],
}
_COMPLETION = {
    "_GENREFLOW_COMPLETE": "complete_bash",
    "COMP_WORDS": "genreflow r",
    "COMP_CWORD": "1",
}


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats + 1):  # the first round fills the caches
        for name, words in COMMANDS.items():
            environment = dict(os.environ, **(_COMPLETION if len(words) == 1 else {}))
            begun = time.perf_counter()
            subprocess.run(words, env=environment, capture_output=True, check=False)
            seconds[name].append(time.perf_counter() - begun)
    print("| | median, s | fastest, s |")
    print("|---|---|---|")
    for name, times in seconds.items():
        print(f"| {name} | {statistics.median(times[1:]):.2f} | {min(times[1:]):.2f} |")


if __name__ == "__main__":
    main()
