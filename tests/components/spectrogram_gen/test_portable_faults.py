"""Faults of portable runners in the audio stage: parts that die or stop responding.

Each run ends in a sentence within a limit, or finishes; and the next run finishes with the bytes
of a run without faults. docs/guides/beam-workers.md has the table.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import pathlib
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from components.common.errors import GenreflowError
from components.datasets.settings import DatasetSettings
from pipeline.config.beam import IN_MEMORY
from tests.support import s3_server
from tests.support.audio_stage import (
    local_files,
    portable_args,
    run_stage,
    stored_files,
    upload_corpus,
)
from tests.support.beam_services import (
    IsolatedPool,
    Service,
    run_isolated_pool,
    run_job_service,
    run_prism,
    wait_until,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# The watchdog's limits, and what its end may take beyond: two polls, and the cancelling.
LIMIT_SECONDS = 12
END_SECONDS = LIMIT_SECONDS + 10 + 10 + 20

DIED = r"a worker of the Beam job at localhost:\d+ ended, or its connection did"
SILENT = r"no worker of the Beam job at localhost:\d+ has done anything for 12 seconds, after \d+"
NEVER = r"no worker of the Beam job at localhost:\d+ began within 12 seconds"
GONE = r"the job service at localhost:\d+ ended or cannot be reached any more"


@dataclasses.dataclass
class Stage:
    """Audio stage on a small corpus in a store that can be held up."""

    s3: Any
    bucket: str
    proxy: s3_server.Proxy
    dataset: DatasetSettings
    folder: pathlib.Path
    prism: str

    def __post_init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self._started = itertools.count()

    @contextlib.contextmanager
    def services(self, kind: str = "prism") -> Iterator[tuple[Service, IsolatedPool]]:
        """Run a job service and a pool."""
        folder = self.folder / f"services-{next(self._started)}"
        environment = s3_server.environment(self.proxy.endpoint)
        with contextlib.ExitStack() as stack:
            if kind == "prism":
                service = stack.enter_context(run_prism(self.prism, folder / "prism"))
            else:
                service = stack.enter_context(run_job_service(folder / "job-service"))
            hidden = self.folder / "hidden"
            hidden.mkdir(exist_ok=True)
            yield (
                service,
                stack.enter_context(run_isolated_pool(hidden, folder / "pool", environment)),
            )

    def hold(self) -> None:
        """Hold up the third file of examples until `go_on`."""
        numbers = itertools.count(1)

        def fault(method: str, path: str) -> s3_server.Fault:
            if method == "PUT" and "/Split-" in path and next(numbers) == 3:
                self.reached.set()
                self.go_on.wait(120)
            return None

        self.proxy.fault = fault

    def run(self, name: str, service: Service, pool: Service, limit: float = LIMIT_SECONDS) -> None:
        limits = (f"--genreflow_{what}_minutes={limit / 60}" for what in ("start", "stall"))
        run_stage(
            self.dataset,
            f"s3://{self.bucket}/{name}",
            [*portable_args(service, pool), *limits],
            self.folder / "tfx",
            shard_tracks=2,
        )

    def outcome(
        self, service: Service, pool: Service, meanwhile: Callable[[], object] = lambda: None
    ) -> tuple[str, float]:
        """Run in a thread; return the error's text, and the seconds after `meanwhile`."""
        ended: list[str] = []

        def work() -> None:
            try:
                self.run("faulty", service, pool)
                ended.append("finished")
            except GenreflowError as error:
                ended.append(str(error))
            except BaseException as error:
                ended.append(f"a bug: {type(error).__name__}: {error}")

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        meanwhile()
        since = time.monotonic()
        thread.join(END_SECONDS + 60)
        return (ended or ["still running"])[0], time.monotonic() - since

    def files(self, name: str) -> dict[str, bytes]:
        return stored_files(self.s3, f"s3://{self.bucket}/{name}")

    def check_next_run(self) -> None:
        """Run without faults, and compare with the direct runner."""
        self.proxy.fault = lambda method, path: None
        run_stage(
            self.dataset,
            str(self.folder / "direct"),
            IN_MEMORY,
            self.folder / "tfx",
            shard_tracks=2,
        )
        with self.services() as (service, pool):
            self.run("next", service, pool)
        assert self.files("next") == local_files(self.folder / "direct")


@pytest.fixture
def stage(
    s3: Any, bucket: str, s3_proxy: s3_server.Proxy, tmp_path: pathlib.Path, prism_program: str
) -> Iterator[Stage]:
    made = Stage(s3, bucket, s3_proxy, upload_corpus(s3, bucket), tmp_path, prism_program)
    yield made
    made.go_on.set()


@pytest.mark.parametrize(
    ("kind", "victim", "words", "seconds"),
    [
        ("prism", "worker", DIED, 15),
        ("prism", "pool", DIED, 15),
        ("prism", "service", GONE, 15),
        ("job_service", "worker", SILENT, END_SECONDS),
        ("job_service", "service", GONE, 15),
    ],
)
def test_a_kill_ends_the_run_in_a_sentence_and_the_next_one_finishes(
    stage: Stage, kind: str, victim: str, words: str, seconds: float
) -> None:
    stage.hold()
    with stage.services(kind) as (service, pool):

        def kill() -> None:
            assert stage.reached.wait(100)
            if victim == "worker":
                for pid in pool.workers():
                    os.kill(pid, signal.SIGKILL)
            else:
                {"pool": pool, "service": service}[victim].process.kill()

        text, took = stage.outcome(service, pool, kill)
        assert_sentence(text, words)
        assert took < seconds
        stage.go_on.set()
        # Workers of a job service that has gone end, too.
        wait_until(lambda: pool.process.poll() is not None or not pool.workers(), 30)
    # What is late leaves no result and no report of the job.
    assert not [name for name in stage.files("faulty") if ".results" in name]
    stage.check_next_run()


def test_a_pool_that_is_not_there_ends_the_run_in_a_sentence(stage: Stage) -> None:
    with stage.services() as (service, pool):
        text, took = stage.outcome(service, dataclasses.replace(pool, endpoint="localhost:1"))
    assert_sentence(text, GONE)  # Prism ends
    assert took < 15


def test_workers_that_never_start_end_the_run_in_a_sentence(stage: Stage) -> None:
    with stage.services() as (service, pool):
        os.kill(pool.process.pid, signal.SIGSTOP)
        try:
            text, took = stage.outcome(service, pool)
        finally:
            os.kill(pool.process.pid, signal.SIGCONT)
    assert_sentence(text, NEVER)
    assert took < END_SECONDS


def test_a_store_that_throttles_slows_a_run_down_and_one_that_always_does_ends_it(
    stage: Stage,
) -> None:
    with stage.services() as (service, pool):
        stage.proxy.fail(10_000, s3_server.SLOW_DOWN, method="PUT", path="/faulty/examples")
        with pytest.raises(GenreflowError, match="503 SlowDown after 6 attempts"):
            stage.run("faulty", service, pool, limit=300)
        assert stage.files("faulty") == {}
        numbers = itertools.count(1)
        stage.proxy.log.clear()
        stage.proxy.fault = lambda method, path: None if next(numbers) % 5 else s3_server.SLOW_DOWN
        stage.run("throttled", service, pool, limit=300)
        assert stage.proxy.faults() > 20
    stage.check_next_run()
    assert stage.files("throttled") == stage.files("next")


def assert_sentence(text: str, words: str) -> None:
    assert re.match(words, text), text
    assert "Traceback" not in text
    assert len(text.splitlines()) == 1
