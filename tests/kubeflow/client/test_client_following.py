"""Following a run: its changes as lines, retries, and the end."""

from __future__ import annotations

import datetime
import os
import pathlib
import subprocess
from collections.abc import Sequence

import pytest

from components.common.errors import GenreflowError
from kubeflow.client import watching
from kubeflow.client.errors import UnavailableError
from kubeflow.client.run_state import Run, RunStep

CREATED = datetime.datetime(2026, 11, 26, 8, tzinfo=datetime.timezone.utc)


def later(seconds: float) -> datetime.datetime:
    return CREATED + datetime.timedelta(seconds=seconds)


# Lines


def one(state: str, *steps: RunStep, finished: datetime.datetime | None = None) -> Run:
    return Run("1", "n", state, CREATED, finished, steps)


def lines(before: Run | None, after: Run, now: float) -> list[str]:
    return [watching.line(change) for change in watching.changes(before, after, later(now))]


def test_the_first_look_says_what_has_happened_until_then_in_its_order() -> None:
    after = one(
        "running",
        RunStep("B", "running", later(40)),
        RunStep("A", "succeeded", later(1), later(31)),
        RunStep("C", "waiting"),
    )
    assert lines(None, after, 90) == [
        "    0:00  run: running",
        "    0:31  A: succeeded after 0:30",
        "    0:40  B: running",
    ]


def test_only_what_changed_is_said() -> None:
    before = one("running", RunStep("A", "running", later(1)), RunStep("B", "waiting"))
    assert lines(before, before, 50) == []
    after = one(
        "running", RunStep("A", "succeeded", later(1), later(3700)), RunStep("B", "starting")
    )
    assert lines(before, after, 3705) == [
        " 1:01:40  A: succeeded after 1:01:39",
        " 1:01:45  B: starting",
    ]


def test_another_attempt_is_a_change_the_first_one_is_none() -> None:
    before = one("running", RunStep("A", "running", later(1), attempts=0))
    first = one("running", RunStep("A", "running", later(1), attempts=1))
    second = one("running", RunStep("A", "running", later(1), attempts=2))
    assert lines(before, first, 50) == []
    assert lines(first, second, 50) == ["    0:50  A: running (attempt 2)"]


def test_the_end_comes_last() -> None:
    before = one("running", RunStep("A", "running", later(1)), RunStep("B", "waiting"))
    after = one("failed", RunStep("A", "failed", later(1), later(9)), RunStep("B", "not run"),
                finished=later(8))  # fmt: skip
    assert lines(before, after, 20) == [
        "    0:09  A: failed after 0:08",
        "    0:20  B: not run",
        "    0:08  run: failed",
    ]


def test_no_time_is_before_the_run() -> None:
    assert lines(None, one("pending"), -50) == ["    0:00  run: pending"]
    assert lines(None, Run("1", "n", "pending"), 50) == ["    0:00  run: pending"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3599.6, "1:00:00"), (-5, "0:00")],
)
def test_durations_are_read_as_on_a_clock(seconds: float, text: str) -> None:
    assert watching.clock(seconds) == text


def test_a_log_is_that_of_the_pod_or_of_all_of_the_run() -> None:
    found = one("failed")
    assert watching.log_command(found, RunStep("A", "failed", pod="w-42"), "mine") == (
        'kubectl logs -n mine -c main "$(kubectl get pods -n mine -l pipeline/runid=1 -o name | '
        'grep -e -42$)"'
    )
    assert watching.log_command(found, RunStep("A", "failed"), "mine") == (
        "kubectl logs -n mine -l pipeline/runid=1 -c main --prefix --tail 50"
    )


def test_a_pods_id_or_a_namespace_that_is_a_command_is_none_when_it_is_typed() -> None:
    step = RunStep("A", "failed", pod="w-$(rm -rf ~);")
    assert watching.log_command(one("failed"), step, "$(mine)") == (
        "kubectl logs -n '$(mine)' -l pipeline/runid=1 -c main --prefix --tail 50"
    )


def test_the_log_command_finds_the_pod(tmp_path: pathlib.Path) -> None:
    """Run it in a shell, with a kubectl that knows the pods of a run."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        "get) printf 'pod/genreflow-8pdrl-retry-system-container-impl-%s\\n' 142 42 427;;\n"
        '*) echo "$@";;\n'
        "esac\n"
    )
    kubectl.chmod(0o755)
    command = watching.log_command(one("failed"), RunStep("A", "failed", pod="w-42"), "mine")
    done = subprocess.run(
        command,
        shell=True,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert done.stdout == (
        "logs -n mine -c main pod/genreflow-8pdrl-retry-system-container-impl-42\n"
    )


# Following


class Script:
    """States that a run goes through, with a clock that only sleeping moves."""

    def __init__(self, looks: Sequence[Run | Exception]) -> None:
        self.looks = list(looks)
        self.now = 0.0
        self.shown: list[tuple[str | None, str]] = []
        self.complaints: list[str] = []

    def look(self) -> Run:
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(found, Exception):
            raise found
        return found

    def follow(self) -> Run:
        def sleep(seconds: float) -> None:
            self.now += seconds

        return watching.follow(
            self.look,
            lambda before, run: self.shown.append((before and before.state, run.state)),
            self.complaints.append,
            sleep=sleep,
            monotonic=lambda: self.now,
            interval_s=5,
            patience_s=60,
        )


def test_it_looks_until_the_run_is_over() -> None:
    script = Script([one("pending"), one("running"), one("running"), one("succeeded")])
    assert script.follow().state == "succeeded"
    assert script.shown == [
        (None, "pending"), ("pending", "running"), ("running", "running"), ("running", "succeeded"),
    ]  # fmt: skip
    assert script.now == 15


def test_a_run_that_is_over_needs_one_look() -> None:
    script = Script([one("failed")])
    assert script.follow().state == "failed"
    assert script.now == 0


def test_failures_of_the_network_pass_and_are_told_once() -> None:
    gone = UnavailableError("http://h: nothing listens there")
    script = Script([one("running"), gone, gone, one("running"), gone, one("succeeded")])
    assert script.follow().state == "succeeded"
    assert script.complaints == [
        "http://h: nothing listens there; retrying for 1:00",
        "responding again after 0:10",
        "http://h: nothing listens there; retrying for 1:00",
        "responding again after 0:05",
    ]
    assert script.shown[1] == ("running", "running")


def test_patience_ends() -> None:
    script = Script([one("running"), UnavailableError("http://h: the request timed out")])
    with pytest.raises(GenreflowError, match="the request timed out; gave up after 1:00"):
        script.follow()
    assert script.now == 5 + 60
    assert len(script.complaints) == 1


def test_other_failures_end_it_at_once() -> None:
    script = Script([one("running"), GenreflowError("refuses the token")])
    with pytest.raises(GenreflowError, match="refuses the token"):
        script.follow()
    assert script.complaints == []
