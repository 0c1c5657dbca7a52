"""Command lines of the benchmarks."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from benchmarks import generations
from benchmarks.shared import clocks
from benchmarks.shared.cost_model import Constants, Machines, Prices, estimate
from tests.support import ROOT

NAMES = sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py"))
PROGRAM = f"""
import contextlib, io, runpy, sys
for name in {NAMES!r}:
    sys.argv = [name, "--help"]
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        runpy.run_module(f"benchmarks.{{name}}", run_name="__main__")
    usage = f"usage: python -m benchmarks.{{name}} "
    assert out.getvalue().startswith(usage), (name, out.getvalue()[:200])
print(sorted({{"tensorflow", "keras", "tfx", "apache_beam", "torch"}} & set(sys.modules)))
"""


def test_every_benchmark_prints_its_help_without_loading_anything_heavy() -> None:
    assert len(NAMES) > 20
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


# The clocks


def _spin(_: object = None) -> None:
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass


def _in_a_thread(_: object) -> None:
    thread = threading.Thread(target=_spin)
    thread.start()
    thread.join()


def _in_a_process(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("\n")
    child.stdin.flush()
    child.stdout.readline()


CHILD = """
import sys, time
for line in sys.stdin:
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    print(flush=True)
"""


@pytest.mark.parametrize("way", [_spin, _in_a_thread, _in_a_process])
def test_processor_time_counts_all_threads_and_processes(way: Callable[[object], None]) -> None:
    words = [sys.executable, "-c", CHILD]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        found = clocks.compare({"busy": way, "idle": lambda _: time.sleep(0.05)}, [child], 3)
        child.kill()
    assert 50 <= found["busy"].cpu_ms < 75
    assert found["busy"].wall_ms >= 50
    assert found["idle"].cpu_ms < 10
    assert found["idle"].wall_ms >= 50


def test_each_way_begins_as_often_as_the_others_and_gets_the_items_in_order() -> None:
    calls: list[tuple[str, int]] = []
    ways = {name: lambda item, name=name: calls.append((name, item)) for name in "abc"}
    clocks.compare(ways, [1, 2], repeats=2)
    assert [name for name, _ in calls[::3]] == ["a", "b", "c"] * 2
    for name in "abc":
        assert [item for one, item in calls if one == name] == [1, 2] * 3


def test_the_pipeline_of_tf_data_prepares_nothing_ahead() -> None:
    program = """
import sys, time
from benchmarks.audio_stage import one_thread
import tensorflow as tf
made = []
def read(number):
    made.append(int(number))
    return number
def elements(options):
    dataset = tf.data.Dataset.range(9).map(lambda n: tf.py_function(read, [n], tf.int64))
    return iter(dataset.with_options(options))
for options, ahead in ((one_thread(), False), (tf.data.Options(), True)):
    made.clear()
    taken = elements(options)
    next(taken)
    time.sleep(0.5)
    assert (len(made) > 1) == ahead, made
print("right")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "right", done.stderr[-2000:]


# The comparison of generations


def _facts(**changed: object) -> dict[str, object]:
    """Return facts of the work folders A and B, the latter with some facts changed."""
    made = {
        "examples": {"Split-train/part": "d1"},
        "keys": [".gate", ".gate.blessed"],
        "headings": ["Data"],
        "rules": ["floor"],
        "blessed": True,
        "predictions": [[0.25, 0.75]],
    }
    return {"work_dirs": {"A": made, "B": {**made, **changed}}}


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({}, set()),
        ({"examples": {"Split-train/part": "d2"}}, {"examples"}),
        ({"keys": [".gate"]}, {"keys"}),
        ({"headings": ["Data", "Models"]}, {"headings"}),
        ({"blessed": False}, {"blessed"}),
    ],
)
def test_work_folders_of_two_generations_are_compared(
    changed: dict[str, object], wrong: set[str]
) -> None:
    facts = _facts(**changed)
    assert {what for what, _, right in generations.compare(facts, facts) if not right} == wrong


@pytest.mark.parametrize(("difference", "right"), [(9e-6, True), (1.1e-5, False)])
def test_each_model_must_predict_the_same_in_both_generations(
    difference: float, right: bool
) -> None:
    rows = generations.compare(_facts(), _facts(predictions=[[0.25 + difference, 0.75]]))
    assert {what: found for what, _, found in rows}["model of B"] == right
    assert {what: found for what, _, found in rows}["model of A"]


def test_keys_of_lists_share_one_path() -> None:
    values = {"gate": {"rules": [{"id": "a"}, {"id": "b", "text": ""}]}, "empty": []}
    paths = set(generations.key_paths(values))
    assert paths == {".gate", ".gate.rules", ".gate.rules[].id", ".gate.rules[].text", ".empty"}


# The cost model

COSTS = Constants(
    start_seconds=10,
    serial_seconds=0.001,
    parallel_seconds=0.02,
    submitter_bytes=1000,
    worker_bytes=0,
    fetched_bytes=1e6,
    stored_bytes=1e5,
    reads=1,
    writes=0.1,
)


@pytest.mark.parametrize(
    ("tracks", "cores", "bandwidth", "seconds", "bottleneck"),
    [
        (100, 2, 1e9, 10 + 0.1 + 1, "start"),
        (10_000, 2, 1e9, 10 + 10 + 100, "workers"),
        (10_000, 2, 5e7, 10 + 10 + 200, "network"),
        (100_000, 200, 1e12, 10 + 100 + 10, "submitter"),
    ],
)
def test_a_job_takes_its_start_the_submitters_work_and_the_slower_of_cores_and_network(
    tracks: int, cores: int, bandwidth: float, seconds: float, bottleneck: str
) -> None:
    # The same cores and bandwidth in one machine and in two.
    for count in (1, 2):
        machines = Machines("m", count, cores // count, 3600 / count, bandwidth / count)
        found = estimate(tracks, COSTS, machines, Prices(0.01, 0.1, 1))
        assert found.seconds == pytest.approx(seconds)
        assert found.bottleneck == bottleneck
        assert found.machine_usd == pytest.approx(seconds)
        assert found.request_usd == pytest.approx(0.02 * tracks)
        assert found.storage_usd == pytest.approx(tracks / 1e4)
        assert found.submitter_bytes == 1000 * tracks
