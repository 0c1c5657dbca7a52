"""Figures of `genreflow web`: times in a browser, sizes, and memory under bad use.

    python -m benchmarks.web --model-dir genreflow-work/serving_models/genreflow [--song SONG.mp3]

Chromium opens the page several times, each time without a cache, and sends a song of 30 seconds
(noise and tones, unless one is given) until the result is drawn. Then the memory of the page's
process (RSS, without the model server and the decoding processes, which have limits of their own)
is sampled while a song of 200 MB is sent twice, 50 songs are sent at once, and 20 connections are
closed in the middle of a song.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

import numpy as np
import psutil
import soundfile

from benchmarks.shared import command
from tests.support.browser import Browser, Tab

OPENINGS, SONGS = 7, 7
RATE_HZ = 44_100
START_S = 300.0
SAMPLE_S = 0.01
HEADERS = {"genreflow-file-name": "song.wav"}
PATH = "/listen/api/songs"


@contextlib.contextmanager
def page(model_dir: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run `genreflow web` on a free port, and print when its first line came."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [command.GENREFLOW, "web", "--model-dir", model_dir, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        print(f"address printed after {time.perf_counter() - begun:.2f} s")
        yield process, int(line.rsplit(":", 1)[1].strip().strip("/"))
    finally:
        process.terminate()
        process.wait(60)


def wait_until_ready(port: int) -> None:
    """Wait until the model is loaded."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/listen/api/model")
        found = json.loads(connection.getresponse().read())
        if found["state"] == "ready":
            return
        if found["state"] == "unavailable":
            sys.exit(found["message"])
        time.sleep(0.2)
    sys.exit(f"the model was not loaded after {START_S:g} s")


def openings(browser: Browser, url: str) -> None:
    """Print when the page is painted and when its scripts have run, and its size."""
    times: dict[str, list[float]] = collections.defaultdict(list)
    size = 0
    for _ in range(OPENINGS):
        tab = browser.tab()
        tab.open(url)
        tab.wait("performance.getEntriesByName('first-contentful-paint').length")
        paint, scripts, size = tab.value(
            "[performance.getEntriesByName('first-contentful-paint')[0].startTime,"
            " performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd,"
            " [...performance.getEntriesByType('resource'),"
            "  ...performance.getEntriesByType('navigation')]"
            " .filter(one => !one.name.includes('/api/'))"
            " .reduce((sum, one) => sum + one.decodedBodySize, 0)]"
        )
        times["first paint"].append(paint)
        times["interactive"].append(scripts)
        tab.close()
    for name, values in times.items():
        print(f"{name}: {statistics.median(values):.0f} ms (worst {max(values):.0f} ms)")
    print(f"page and assets: {size / 1000:.0f} kB")


def songs(browser: Browser, url: str, song: pathlib.Path) -> None:
    """Print how long it takes from choosing a song until its result is drawn."""
    tab = browser.tab()
    tab.open(url)
    tab.wait("document.querySelector('#state').textContent.startsWith('model ready')")
    seconds = [_one_song(tab, song, number) for number in range(1, SONGS + 1)]
    print(
        f"song answered: {statistics.median(seconds[1:]):.2f} s (worst {max(seconds[1:]):.2f} s, "
        f"the first {seconds[0]:.2f} s)"
    )
    tab.close()


def _one_song(tab: Tab, song: pathlib.Path, number: int) -> float:
    tab.value(
        "new Promise(chosen => document.querySelector('#files').addEventListener('change', () => {"
        f" const wanted = {number}, begin = performance.now();"
        " new MutationObserver((_, observer) => {"
        "  if (document.querySelectorAll('.song .player').length < wanted) return;"
        "  observer.disconnect();"
        "  requestAnimationFrame(() => { window.took = performance.now() - begin; }); })"
        "  .observe(document.querySelector('#songs'), {childList: true, subtree: true});"
        " }, {once: true, capture: true}) || chosen())"
    )
    tab.value("window.took = 0")
    tab.choose_files("#files", [song])
    tab.wait("window.took")
    return float(tab.value("window.took")) / 1000


@contextlib.contextmanager
def watched(process: subprocess.Popen[str], what: str) -> Iterator[None]:
    """Print the memory of the process before, at its peak and after."""
    found, stop = psutil.Process(process.pid), threading.Event()
    before = found.memory_info().rss
    peaks = [before]

    def sample() -> None:
        while not stop.wait(SAMPLE_S):
            peaks.append(found.memory_info().rss)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    after = found.memory_info().rss
    print(
        f"{what}: {before / 1e6:.0f} MB before, {max(peaks) / 1e6:.0f} MB at most, "
        f"{after / 1e6:.0f} MB after"
    )


def send(port: int, path: pathlib.Path) -> int:
    """Send a song, and return the answer's status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    with path.open("rb") as body:
        connection.request("POST", PATH, body, {**HEADERS, "Content-Length": str(_size(path))})
        response = connection.getresponse()
        response.read()
    connection.close()
    return response.status


def close_midway(port: int, path: pathlib.Path) -> None:
    """Send half of a song, and close the connection."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {_size(path)}\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"{head}genreflow-file-name: song.wav\r\n\r\n".encode())
        connection.sendall(path.read_bytes()[: _size(path) // 2])


def memory(process: subprocess.Popen[str], port: int, scratch: pathlib.Path) -> None:
    """Print the memory of the page's process under bad use, and the answers."""
    large, small = scratch / "large.wav", scratch / "small.wav"
    write_song(large, 200e6 / (4 * RATE_HZ))
    write_song(small, 60)
    for attempt in ("a song of 200 MB", "the same again"):
        begun = time.perf_counter()
        with watched(process, attempt):
            status = send(port, large)
        print(f"  status {status} after {time.perf_counter() - begun:.1f} s")
    with (
        watched(process, "50 songs of 10 MB at once"),
        concurrent.futures.ThreadPoolExecutor(50) as threads,
    ):
        counts = collections.Counter(threads.map(lambda _: send(port, small), range(50)))
    print(f"  answers by status: {dict(sorted(counts.items()))}")
    with watched(process, "20 connections closed midway"):
        for _ in range(20):
            close_midway(port, small)
        time.sleep(2)
    print(f"  a song afterwards: status {send(port, small)}")


def write_song(path: pathlib.Path, seconds: float) -> None:
    """Write noise and tones in stereo, 16 bits."""
    rng = np.random.default_rng(1)
    times = np.arange(10 * RATE_HZ) / RATE_HZ
    block = 0.2 * rng.normal(size=(len(times), 2))
    block += 0.3 * np.sin(2 * np.pi * 440 * times)[:, np.newaxis]
    clipped = np.clip(block, -1, 1)
    with soundfile.SoundFile(path, "w", RATE_HZ, 2, "PCM_16") as file:
        for start in range(0, round(seconds), 10):
            file.write(clipped[: round((seconds - start) * RATE_HZ)])


def _size(path: pathlib.Path) -> int:
    return path.stat().st_size


def main() -> None:
    """Run the benchmark."""
    options = command.parser(__file__, __doc__)
    options.add_argument("--model-dir", required=True, help="a model's folder of versions")
    options.add_argument("--song", type=pathlib.Path, help="a song of 30 seconds")
    chosen = options.parse_args()
    chromium = shutil.which("chromium") or sys.exit("no chromium: apt install chromium")
    with tempfile.TemporaryDirectory() as folder, page(chosen.model_dir) as (process, port):
        scratch = pathlib.Path(folder)
        song = chosen.song or scratch / "song.wav"
        if not chosen.song:
            write_song(song, 30)
        wait_until_ready(port)
        with Browser(chromium, scratch / "profile") as browser:
            openings(browser, f"http://127.0.0.1:{port}/listen")
            songs(browser, f"http://127.0.0.1:{port}/listen", song)
        memory(process, port, scratch)


if __name__ == "__main__":
    main()
