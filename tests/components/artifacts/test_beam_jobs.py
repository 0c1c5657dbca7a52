"""Beam jobs: progress, time limits, and failures in words, on Beam's own runners."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import grpc
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc, metrics_pb2

from components.artifacts import beam_jobs
from components.artifacts.beam_failures import BeamJobError, cause_of
from components.artifacts.beam_jobs import WatchOptions, run_job, run_unreported
from components.artifacts.worker_reports import WorkerReport
from components.common.errors import DataError
from pipeline.config.beam import BeamSettings, pipeline_args
from pipeline.config.beam_runners import Environment, PortableSettings
from tests.support.beam_services import Service, free_port, run_job_service

IN_MEMORY = pipeline_args(BeamSettings(runner="direct", workers=1), tracks=0)
PROCESSES = pipeline_args(BeamSettings(runner="direct", workers=2), tracks=0)


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
    time.sleep(600)  # longer than any limit of a test


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


# Threads of Beam that end with an exception when a process dies with which they speak.
DYING = r"(run_worker|read_grpc_client_inputs|beam_control_read)"
quiet_deaths = pytest.mark.filterwarnings(
    rf"ignore:Exception in thread {DYING}:pytest.PytestUnhandledThreadExceptionWarning"
)


@pytest.fixture
def threads_end() -> Iterator[None]:
    """Wait until such threads of the test have ended, so that no later test gets their warnings."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 10
    for thread in set(threading.enumerate()) - before:
        if re.match(DYING, thread.name):
            thread.join(max(0.0, deadline - time.monotonic()))


@quiet_deaths
@pytest.mark.usefixtures("threads_end")
def test_a_worker_process_that_is_killed_ends_the_job_at_once(tmp_path: pathlib.Path) -> None:
    hook = threading.excepthook
    with pytest.raises(BeamJobError, match=r"a worker process .* died .*code (137|-9)\b"):
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
    assert cause_of(text) == cause


def _portable(service: Service, environment: Environment = "loopback", **more: Any) -> list[str]:
    table = PortableSettings(endpoint=service.endpoint, environment=environment, **more)
    return pipeline_args(BeamSettings(runner="portable", portable=table), tracks=0)


def test_a_job_service_runs_a_job(tmp_path: pathlib.Path, job_service: Service) -> None:
    assert _run(_portable(job_service), tmp_path)[-1] == 6


def test_an_error_of_a_worker_elsewhere_is_one_line(
    tmp_path: pathlib.Path, job_service: Service
) -> None:
    with pytest.raises(BeamJobError) as caught:
        _run(_portable(job_service), tmp_path, _bug)
    assert str(caught.value) == (
        f"the Beam job at {job_service.endpoint} failed: ValueError: a bug. The log has its "
        "traceback"
    )


def test_a_worker_without_a_package_is_told_apart(
    tmp_path: pathlib.Path, job_service: Service
) -> None:
    with pytest.raises(BeamJobError, match=r"has not the packages .*no_such_package.*beam-worker"):
        _run(_portable(job_service), tmp_path, _need_package)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_never_begins_ends_the_job_within_the_limit(tmp_path: pathlib.Path) -> None:
    with socket.socket() as silent, run_job_service(tmp_path / "service") as service:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # accepts, and never answers
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        flags = _portable(service, "external", worker_address=address)
        with pytest.raises(BeamJobError, match=r"no worker of .* began within 6 seconds"):
            _run(flags, tmp_path, start=0.1)


@quiet_deaths
@pytest.mark.usefixtures("threads_end")
def test_a_job_service_that_dies_is_one_line(tmp_path: pathlib.Path) -> None:
    with run_job_service(tmp_path / "service") as service:

        def kill_and_wait() -> None:
            service.process.kill()
            _forever()

        with pytest.raises(BeamJobError, match=rf"job service at {service.endpoint} ended or can"):
            _run(_portable(service), tmp_path, kill_and_wait)


def test_a_job_is_cancelled_when_its_submitter_is_told_to_end(
    tmp_path: pathlib.Path, job_service: Service
) -> None:
    started = tmp_path / "started"
    before = signal.getsignal(signal.SIGTERM)

    def tell() -> None:
        while not started.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    def start_and_wait() -> None:
        started.touch()
        _forever()

    threading.Thread(target=tell, daemon=True).start()
    with pytest.raises(SystemExit) as caught:
        _run(_portable(job_service), tmp_path, start_and_wait)
    assert caught.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
    channel = grpc.insecure_channel(job_service.endpoint)
    jobs = beam_job_api_pb2_grpc.JobServiceStub(channel)
    states = [info.state for info in jobs.GetJobs(beam_job_api_pb2.GetJobsRequest()).job_info]
    assert beam_job_api_pb2.JobState.CANCELLED in states
    assert beam_job_api_pb2.JobState.RUNNING not in states


class _Metered:
    """Result of a job on a job service whose metrics change only at first."""

    _job_id = "1"

    def __init__(self, changes: int) -> None:
        self._job_service = self
        self._left = changes
        self.cancelled = threading.Event()

    def GetJobMetrics(self, request: Any, timeout: float) -> Any:  # noqa: N802
        self._left = max(0, self._left - 1)
        info = metrics_pb2.MonitoringInfo(payload=bytes([self._left]))
        metrics = beam_job_api_pb2.MetricResults(attempted=[info])
        return beam_job_api_pb2.GetJobMetricsResponse(metrics=metrics)

    def wait_until_finish(self) -> None:
        self.cancelled.wait(60)

    def cancel(self) -> None:
        self.cancelled.set()


@pytest.mark.parametrize(("changes", "seconds"), [(1, 1.5), (20, 3.0)])
def test_a_job_without_reports_is_over_when_its_metrics_stay(
    changes: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beam_jobs, "_METRICS_SECONDS", 0.1)
    pipeline = beam.Pipeline(argv=[*IN_MEMORY, f"--genreflow_stall_minutes={1 / 60}"])
    result = _Metered(changes)
    monkeypatch.setattr(pipeline, "run", lambda: result)
    begun = time.monotonic()
    with pytest.raises(BeamJobError, match=r"has done anything for 1 second; they may have died"):
        run_unreported(pipeline)
    assert seconds - 1 < time.monotonic() - begun < seconds + 5
    assert result.cancelled.is_set()


def test_a_job_service_that_is_not_there_is_one_line(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beam_jobs, "_CONNECT_SECONDS", 1.0)
    table = PortableSettings(endpoint=f"localhost:{free_port()}")
    flags = pipeline_args(BeamSettings(runner="portable", portable=table), tracks=0)
    with pytest.raises(BeamJobError, match=r"no job service answers at .*\(connection refused\)"):
        _run(flags, tmp_path)
