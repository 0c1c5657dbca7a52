"""Beam jobs of ours, from submission to their end: progress, time limits, and errors in words.

Beam's runners wait without a limit for workers that never come or that died, and report what
went wrong as a RuntimeError that holds a traceback of another process. The module imports Beam.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import signal
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_job_api_pb2

from components.artifacts import files
from components.artifacts.beam_failures import BeamJobError, in_words
from components.artifacts.job_limits import STALL_MINUTES, START_MINUTES
from components.artifacts.worker_reports import read_reports, seconds_between
from components.common.durations import duration_text
from components.common.endpoints import unreachable
from components.storage.errors import StorageError

_CONNECT_SECONDS = 30.0
# Less than the local runner waits for its worker process to end.
_CANCEL_SECONDS = 8.0
_METRICS_SECONDS = 2.0


class WatchOptions(PipelineOptions):  # type: ignore[misc]
    """Time limits of a job as flags of Beam, so that they reach every executor with the others."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--genreflow_start_minutes",
            type=float,
            default=START_MINUTES,
            help="limit of the time until the first worker begins",
        )
        parser.add_argument(
            "--genreflow_stall_minutes",
            type=float,
            default=STALL_MINUTES,
            help="limit of the time without a report of any worker",
        )


def run_job(
    pipeline: beam.Pipeline, reports: str, on_done: Callable[[int], None] = lambda done: None
) -> None:
    """Run a pipeline to its end.

    Its workers report by components.artifacts.worker_reports. The folder of the reports is
    emptied before and removed after the run.

    Args:
      pipeline: a pipeline with its transforms.
      reports: folder of the reports, which the workers see too.
      on_done: called with the sum of the reports when it has changed.

    Raises:
      BeamJobError: the job failed, or nothing came from its workers within the limits. It was
        cancelled, but workers that cannot be reached may go on for a while.
      StorageError: the reports cannot be read.
      KeyboardInterrupt, SystemExit: the user or SIGTERM ended the process; the job was cancelled.
    """
    files.remove_folder(reports)
    _follow(pipeline, lambda job: _read(reports), seconds_between(reports), on_done)
    with contextlib.suppress(StorageError):
        on_done(sum(read_reports(reports).values()))
    files.remove_folder(reports)


def run_unreported(pipeline: beam.Pipeline) -> None:
    """Run a pipeline to its end whose workers write no reports, such as TFX's.

    What is known of its workers are the job service's metrics; without any, only the submission has
    a time limit.

    Raises:
      BeamJobError: as run_job.
      KeyboardInterrupt, SystemExit: as run_job.
    """
    _follow(pipeline, _Job.metrics, _METRICS_SECONDS)


def _follow(
    pipeline: beam.Pipeline,
    signs: Callable[[_Job], dict[str, int] | None],
    seconds: float,
    on_done: Callable[[int], None] | None = None,
) -> None:
    """Run a pipeline to its end, or until its workers are silent for too long.

    Args:
      pipeline: the pipeline.
      signs: returns what the workers have done, or None if that cannot be read now.
      seconds: time between two looks.
      on_done: called with the sum of what is done; None if the signs are no numbers of items.
    """
    limits = pipeline.options.view_as(WatchOptions)
    endpoint = pipeline.options.view_as(PortableOptions).job_endpoint
    reason = unreachable(endpoint, _CONNECT_SECONDS) if endpoint else ""
    if reason:
        raise BeamJobError(
            f"no job service answers at {endpoint} ({reason}); start it, or see beam.runner"
        )
    with _temporary_files(), _exit_on_sigterm():
        job = _Job(pipeline, endpoint)
        watch = _Watch(
            60 * limits.genreflow_start_minutes,
            60 * limits.genreflow_stall_minutes,
            job.endpoint,
            counts=on_done is not None,
        )
        try:
            while not job.ended(seconds):
                found = signs(job)
                if found is not None and watch.notice(found) and on_done:
                    on_done(sum(found.values()))
                watch.check()
        except BaseException:
            job.cancel()
            raise
        finally:
            job.close()
    job.raise_error()


@contextlib.contextmanager
def _temporary_files() -> Iterator[None]:
    """Put this process's temporary files into a folder that is removed after a block.

    Beam leaves what it stages for workers: a list of packages, and a folder for their files.
    """
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(
        prefix="genreflow-beam-", ignore_cleanup_errors=True
    ) as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before


@contextlib.contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Let SIGTERM raise SystemExit in a block, so that a job elsewhere does not go on alone."""
    if threading.current_thread() is not threading.main_thread():  # only that one gets signals
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _read(reports: str) -> dict[str, int] | None:
    """Return the reports, or None if the store has trouble now; the workers tell of lasting one."""
    try:
        return read_reports(reports)
    except StorageError:
        return None


@dataclasses.dataclass
class _Watch:
    """Limits of a job's silence."""

    start_seconds: float
    stall_seconds: float
    endpoint: str
    counts: bool = True

    def __post_init__(self) -> None:
        self._last: dict[str, int] = {}
        self._since = time.monotonic()

    def notice(self, found: dict[str, int]) -> bool:
        """Note the reports; return whether there is anything new."""
        if found == self._last:
            return False
        self._last, self._since = found, time.monotonic()
        return True

    def check(self) -> None:
        """Raise BeamJobError if a limit has passed."""
        silent = time.monotonic() - self._since
        where = f" at {self.endpoint}" if self.endpoint else ""
        if not self._last and silent > self.start_seconds:
            raise BeamJobError(
                f"no worker of the Beam job{where} began within "
                f"{duration_text(self.start_seconds)}; see whether its workers run and can reach "
                "the job service, whose log says more. "
                "beam.start_minutes is the limit"
            )
        if self._last and silent > self.stall_seconds:
            done = f", after {sum(self._last.values())} items" if self.counts else ""
            raise BeamJobError(
                f"no worker of the Beam job{where} has done anything for "
                f"{duration_text(self.stall_seconds)}{done}; they "
                "may have died, often for lack of memory. Rerun: what is stored is not decoded "
                "again. beam.stall_minutes is the limit"
            )


class _Job:
    """Job that runs in a thread of its own, since Beam's waiting has no limit."""

    def __init__(self, pipeline: beam.Pipeline, endpoint: str | None) -> None:
        self.endpoint = endpoint or ""
        self._pipeline = pipeline
        self._result: Any = None
        self._error: BaseException | None = None
        self._end = threading.Event()
        self._hook = threading.excepthook
        threading.excepthook = self._on_thread_error
        threading.Thread(target=self._run, name="beam-job", daemon=True).start()

    def ended(self, seconds: float) -> bool:
        """Wait for the end, at most this long; return whether it has come."""
        return self._end.wait(seconds)

    def metrics(self) -> dict[str, int] | None:
        """Return a number that changes while workers do anything; nothing before submission.

        A job service without metrics says nothing, and the job counts as alive.
        """
        if self._result is None:
            return {}
        # The result's own metrics stay what they were when first asked for.
        service = getattr(self._result, "_job_service", None)
        content = b""
        if service is not None:
            request = beam_job_api_pb2.GetJobMetricsRequest(job_id=self._result._job_id)
            try:
                found = service.GetJobMetrics(request, timeout=_METRICS_SECONDS).metrics
            except grpc.RpcError:
                return None
            content = found.SerializeToString(deterministic=True)
        return {"changes": zlib.crc32(content) if content else time.monotonic_ns()}

    def cancel(self) -> None:
        """Ask the runner to cancel the job, and do not wait long for its answer."""

        def ask() -> None:
            with contextlib.suppress(Exception):
                self._result.cancel()

        if self._result is not None and not self._end.is_set():
            asking = threading.Thread(target=ask, name="beam-cancel", daemon=True)
            asking.start()
            asking.join(_CANCEL_SECONDS)

    def raise_error(self) -> None:
        """Raise what the job ended with, if it did not end well."""
        if self._error is not None:
            raise in_words(self._error, self.endpoint) from self._error

    def close(self) -> None:
        """Stop listening to other threads' errors."""
        threading.excepthook = self._hook

    def _on_thread_error(self, failed: threading.ExceptHookArgs) -> None:
        """Take the death of a local worker process, which Beam tells nobody, as the job's end."""
        if failed.thread is not None and failed.thread.name == "run_worker":
            self._error = BeamJobError(
                "a worker process of the Beam job died "
                f"({failed.exc_value}), often for lack of memory. Rerun: what is stored is not "
                "decoded again; fewer processes need less memory (beam.workers)"
            )
            self._end.set()
        self._hook(failed)

    def _run(self) -> None:
        try:
            # Not in `with self._pipeline`, which cannot be cancelled; its context is for Java.
            self._result = self._pipeline.run()
            self._result.wait_until_finish()
        except BaseException as error:
            self._error = self._error or error
        finally:
            self._end.set()
