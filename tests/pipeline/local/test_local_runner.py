"""Tests of the local runner, with workers that end in every possible way."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest

from components.models.settings import ModelSettings
from pipeline.config.schema import Config
from pipeline.graph.inputs import DataFacts
from pipeline.local import runner
from pipeline.work_dir import WorkDir
from tests.pipeline.finished import predicted_tracks, write_run

CONFIG = Config(models={"ffnn": ModelSettings()})
FACTS = DataFacts(genres=("a", "b"), manifest_digest="d", tracks=1, leaky=False)


@pytest.fixture
def work(tmp_path: pathlib.Path) -> WorkDir:
    folder = WorkDir.at(tmp_path / "w")
    folder.create()
    return folder


def _worker(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, code: str) -> None:
    """Replace the worker by a program, in which `request` is its request and `report` reports."""
    script = tmp_path / "worker.py"
    script.write_text(
        "import json, os, signal, subprocess, sys, time\n"
        "from components.common.progress import report\n"
        "request = json.load(open(sys.argv[1]))\n" + textwrap.dedent(code)
    )
    monkeypatch.setattr(runner, "WORKER", (sys.executable, str(script)))


def _run(work: WorkDir) -> tuple[Any, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    result = runner.run(CONFIG, FACTS, work, events.append)
    return result, [event for event in events if event["event"] != "tick"]


def test_events_arrive_in_order_and_results_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, work: WorkDir
) -> None:
    finished = write_run(
        tmp_path / "finished", ["Folk", "Pop"], predicted_tracks(["Folk", "Pop"], {"ffnn": [1, 0]})
    )
    monkeypatch.setenv("FINISHED", str(finished / "results.json"))
    _worker(
        monkeypatch,
        tmp_path,
        """
        report("node_started", node="A")
        print("noise"); print("more noise", file=sys.stderr)
        for i in range(500): report("progress", stage="audio", add=i)
        import shutil
        shutil.copy(os.environ["FINISHED"], request["work_dir"])
        assert list(request["config"]["models"]) == ["ffnn"]
        """,
    )
    results, events = _run(work)
    assert (results.run_id, results.candidate) == ("run-finished", "ffnn")
    assert [event["event"] for event in events] == ["node_started"] + ["progress"] * 500
    assert [event["add"] for event in events[1:]] == list(range(500))
    (log,) = work.logs.glob("*.log")
    assert log.read_text() == "noise\nmore noise\n"


def test_a_users_mistake_is_told_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, work: WorkDir
) -> None:
    _worker(
        monkeypatch,
        tmp_path,
        """
        report("failed", node="DataCheck", message="the genre is unknown", detail=None)
        sys.exit(1)
        """,
    )
    with pytest.raises(runner.RunFailed) as caught:
        _run(work)
    assert str(caught.value) == "DataCheck: the genre is unknown"


def test_a_defect_names_the_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, work: WorkDir
) -> None:
    _worker(
        monkeypatch,
        tmp_path,
        """
        report("failed", node="Ensembler", message=None, detail="KeyError: 'x'")
        sys.exit(1)
        """,
    )
    with pytest.raises(
        runner.RunFailed, match=r"Ensembler: KeyError: 'x'\nThis looks like a bug.*\.log"
    ):
        _run(work)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
def test_a_worker_that_is_killed_or_crashes_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, work: WorkDir, name: str
) -> None:
    _worker(monkeypatch, tmp_path, f"os.kill(os.getpid(), signal.{name})")
    with pytest.raises(runner.RunFailed, match=name):
        _run(work)


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = pathlib.Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def _wait_until_gone(pids: list[int]) -> bool:
    for _ in range(200):
        if all(_gone(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_an_interrupt_ends_the_worker_and_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, work: WorkDir
) -> None:
    _worker(
        monkeypatch,
        tmp_path,
        """
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        report("pids", pids=[os.getpid(), child.pid])
        time.sleep(600)
        """,
    )
    pids: list[int] = []

    def interrupt(event: dict[str, Any]) -> None:
        if event["event"] == "pids":
            pids.extend(event["pids"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(CONFIG, FACTS, work, interrupt)
    assert len(pids) == 2
    assert _wait_until_gone(pids)


def test_the_worker_ends_when_the_command_line_is_killed(tmp_path: pathlib.Path) -> None:
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', "
        "'import time\\nfrom components.common.parent import exit_at_end_of_input\\n"
        "exit_at_end_of_input()\\ntime.sleep(600)'], "
        "stdin=subprocess.PIPE, start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "import time; time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert _wait_until_gone([pid])


def test_old_logs_are_removed_and_new_ones_kept(work: WorkDir) -> None:
    for index in range(30):
        for suffix in ("log", "events.jsonl", "request.json"):
            (work.logs / f"2026-01-{index:02d}T00-00-00.000000.{suffix}").write_text("")
    runner._prune_logs(work.logs)
    left = sorted(path.name for path in work.logs.glob("*.log"))
    assert len(left) == runner.MAX_LOGS - 1
    assert left[-1].startswith("2026-01-29")
    assert len(list(work.logs.iterdir())) == 3 * len(left)


def test_requests_hold_the_whole_configuration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, work: WorkDir
) -> None:
    _worker(monkeypatch, tmp_path, "sys.exit(3)")
    with pytest.raises(runner.RunFailed, match="status 3"):
        _run(work)
    (path,) = work.logs.glob("*.request.json")
    request = json.loads(path.read_text())
    assert request["config"] == CONFIG.to_json()
    assert DataFacts.from_json(request["facts"]) == FACTS
