"""Beam jobs: progress, time limits, and failures in words, on Beam's own runners."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from components.artifacts.beam_jobs import BeamJobError, WatchOptions, _cause, run_job
from components.artifacts.worker_reports import WorkerReport
from components.common.errors import DataError
from pipeline.config.beam import BeamSettings, pipeline_args

IN_MEMORY = pipeline_args(BeamSettings(runner="in_memory"), tracks=0)
PROCESSES = pipeline_args(BeamSettings(runner="multi_processing", workers=2), tracks=0)


class _Work(beam.DoFn):  # type: ignore[misc]
    """DoFn that reports one item, does something, and reports another."""

    def __init__(self, folder: str, action: Any = None) -> None:
        self._folder = folder
        self._action = action

    def process(self, number: int) -> None:
        report = WorkerReport(self._folder, str(number))
        report.add()
        report.write()
        if self._action:
            self._action()
        report.add()
        report.write()


def _forever() -> None:
    time.sleep(3600)


def _refuse() -> None:
    raise DataError("the music is too loud")


def _bug() -> None:
    raise ValueError("a bug")


def _need_package() -> None:
    import no_such_package_of_genreflow  # type: ignore[import-not-found] # noqa: F401


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _run(flags: list[str], folder: pathlib.Path, action: Any = None, **limits: float) -> list[int]:
    reports, seen = str(folder / "reports"), []
    flags = [*flags, *(f"--genreflow_{name}_minutes={limit}" for name, limit in limits.items())]
    pipeline = beam.Pipeline(argv=flags)
    pipeline | beam.Create([1, 2, 3]) | beam.ParDo(_Work(reports, action))
    run_job(pipeline, reports, seen.append)
    return seen


def test_a_job_ends_with_all_of_its_items_and_leaves_no_reports(tmp_path: pathlib.Path) -> None:
    assert _run(IN_MEMORY, tmp_path)[-1] == 6
    assert not list(tmp_path.iterdir())


def test_progress_is_told_while_workers_work(tmp_path: pathlib.Path) -> None:
    seen: list[tuple[int, bool]] = []
    reports, middle = str(tmp_path / "reports"), tmp_path / "middle"

    def wait() -> None:
        deadline = time.monotonic() + 60
        while not middle.exists() and time.monotonic() < deadline:
            time.sleep(0.05)

    pipeline = beam.Pipeline(argv=IN_MEMORY)
    pipeline | beam.Create([1]) | beam.ParDo(_Work(reports, wait))

    def on_done(done: int) -> None:
        seen.append((done, middle.exists()))
        middle.touch()

    run_job(pipeline, reports, on_done)
    assert seen[0] == (1, False)
    assert seen[-1] == (2, True)


def test_the_reports_of_an_earlier_job_do_not_count(tmp_path: pathlib.Path) -> None:
    WorkerReport(str(tmp_path / "reports"), "old").add(100)
    assert max(_run(IN_MEMORY, tmp_path)) == 6


@pytest.mark.parametrize(("action", "kind"), [(_refuse, DataError), (_bug, ValueError)])
def test_errors_in_this_process_stay_what_they_are(
    tmp_path: pathlib.Path, action: Any, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        _run(IN_MEMORY, tmp_path, action)


def test_a_worker_that_does_nothing_ends_the_job_within_the_limit(tmp_path: pathlib.Path) -> None:
    begun = time.monotonic()
    with pytest.raises(BeamJobError, match=r"done anything for 3 seconds, after 1 items"):
        _run(IN_MEMORY, tmp_path, _forever, stall=0.05)
    assert time.monotonic() - begun < 60


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_process_that_is_killed_ends_the_job_at_once(tmp_path: pathlib.Path) -> None:
    hook = threading.excepthook
    with pytest.raises(
        BeamJobError, match=r"a worker process .* died .*code (137|-9)\b"
    ):
        _run(PROCESSES, tmp_path, _die)
    assert threading.excepthook is hook


def test_limits_have_defaults_and_reach_the_job_as_flags() -> None:
    limits = PipelineOptions([]).view_as(WatchOptions)
    assert (limits.genreflow_start_minutes, limits.genreflow_stall_minutes) == (20, 10)
    limits = PipelineOptions(["--genreflow_stall_minutes=90"]).view_as(WatchOptions)
    assert limits.genreflow_stall_minutes == 90


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("ValueError: it is 3 [while running 'x']", ("ValueError", "it is 3")),
        (
            "Traceback\n  File x\nModuleNotFoundError: No module named 'y'\n\nDuring handling",
            ("ModuleNotFoundError", "No module named 'y'"),
        ),
        ("a.b.c.StoreError: gone\n", ("StoreError", "gone")),
        ("bundle failed: rpc error", ("", "")),
    ],
)
def test_a_traceback_of_another_process_has_a_cause(text: str, cause: tuple[str, str]) -> None:
    assert _cause(text) == cause


@contextlib.contextmanager
def _job_service() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start Beam's Python job service."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    module = "apache_beam.runners.portability.local_job_service_main"
    process = subprocess.Popen(
        [sys.executable, "-m", module, "-p", str(port)], stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield process, f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _portable(endpoint: str, environment: str = "LOOPBACK", config: str = "") -> list[str]:
    options = [f"--job_endpoint={endpoint}", f"--environment_type={environment}"]
    if config:
        options.append(f"--environment_config={config}")
    return pipeline_args(BeamSettings(runner="portable", options=tuple(options)), tracks=0)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with _job_service() as (_, address):
        yield address


def test_a_job_service_runs_a_job(tmp_path: pathlib.Path, endpoint: str) -> None:
    assert _run(_portable(endpoint), tmp_path)[-1] == 6


def test_an_error_of_a_worker_elsewhere_is_one_line(tmp_path: pathlib.Path, endpoint: str) -> None:
    with pytest.raises(BeamJobError) as caught:
        _run(_portable(endpoint), tmp_path, _bug)
    assert str(caught.value) == (
        f"the Beam job at {endpoint} failed: ValueError: a bug. The log has its traceback"
    )


def test_a_worker_without_a_package_is_told_apart(tmp_path: pathlib.Path, endpoint: str) -> None:
    with pytest.raises(BeamJobError, match=r"has not the packages .*no_such_package.*beam-worker"):
        _run(_portable(endpoint), tmp_path, _need_package)


def test_a_worker_that_never_begins_ends_the_job_within_the_limit(tmp_path: pathlib.Path) -> None:
    with socket.socket() as silent, _job_service() as (_, address):
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # accepts, and never answers
        config = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(
            BeamJobError, match=r"no worker of .* began within 6 seconds"
        ):
            _run(_portable(address, "EXTERNAL", config), tmp_path, start=0.1)


def test_a_job_service_that_dies_is_one_line(tmp_path: pathlib.Path) -> None:
    with _job_service() as (process, address):
        threading.Timer(6, process.kill).start()
        with pytest.raises(BeamJobError, match=rf"the job service at {address} ended"):
            _run(_portable(address), tmp_path, _forever)


def test_a_job_service_that_is_not_there_is_one_line(tmp_path: pathlib.Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(BeamJobError, match=rf"the job service at {address} ended or cannot be"):
            _run(_portable(address), tmp_path)
