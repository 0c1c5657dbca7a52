"""Time of the pages of `genreflow explore` for a run with many songs.

    python -m benchmarks.explore_pages [--songs 10000 100000] [--repeats 5]

The songs have random probabilities and no audio. A request goes through the application without a
network, as a browser's would; times are medians of processor time and of wall time, after a first
request of each page.
"""

from __future__ import annotations

import pathlib
import statistics
import tempfile
import time

from benchmarks.shared import command

PARTS = {
    "overview": "",
    "songs, searched and sorted": "/songs?text=77&sort=loss&descending=1",
    "songs, in the middle": "/songs?page=50",
    "confusion": "/confusion",
    "listening queue": "/labels",
}


def main() -> None:
    from fastapi.testclient import TestClient

    from genreflow.web.app import make_app
    from genreflow.web.explore.page import make_page
    from tests.genreflow.exploring.explored import explorer_of_many, write_explored

    parser = command.parser(__file__, __doc__)
    parser.add_argument("--songs", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    print("| songs | page | processor, ms | wall, ms | kB |")
    print("|---|---|---|---|---|")
    for songs in arguments.songs:
        with tempfile.TemporaryDirectory() as scratch:
            explorer = explorer_of_many(write_explored(pathlib.Path(scratch)), songs)
            client = TestClient(make_app([make_page(explorer, "genreflow")]), "http://127.0.0.1")
            for name, part in PARTS.items():
                client.get(f"/explore{part}").raise_for_status()
                times = []
                for _ in range(arguments.repeats):
                    begun = time.process_time(), time.perf_counter()
                    page = client.get(f"/explore{part}")
                    times.append((time.process_time() - begun[0], time.perf_counter() - begun[1]))
                cpu, wall = (
                    1000 * statistics.median(column) for column in zip(*times, strict=True)
                )
                size = len(page.content) / 1e3
                print(f"| {songs} | {name} | {cpu:.0f} | {wall:.0f} | {size:.0f} |", flush=True)


if __name__ == "__main__":
    main()
