"""Starting, awaiting and stopping a server, with small programs in its place."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from components.serving_check import server_process
from components.serving_check.outcome import CheckFailed

READY = """
import json, os, subprocess, sys, time
path = sys.argv[sys.argv.index("--ready-file") + 1]
def ready():
    facts = {"engine": "stand-in", "host": "127.0.0.1", "port": 5, "rest_port": 6, "pid": 7}
    with open(path + ".tmp", "w") as file:
        json.dump(facts, file)
    os.rename(path + ".tmp", path)
"""


@pytest.fixture
def program(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Return a function that puts a program in the server's place."""

    def put(text: str) -> None:
        path = tmp_path / "program.py"
        path.write_text(READY + textwrap.dedent(text))
        monkeypatch.setattr(server_process, "SERVER", (sys.executable, str(path)))

    return put


def _running(tmp_path: pathlib.Path, start_seconds: float = 60.0):  # type: ignore[no-untyped-def]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return server_process.running(
        tmp_path / "models", scratch, engine="auto", start_seconds=start_seconds
    )


def _alive(pid: int) -> bool:
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _wait_until_gone(pid: int) -> None:
    for _ in range(300):
        if not _alive(pid):
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError(f"process {pid} lives on")


def test_a_server_that_serves_tells_where_and_is_ended(tmp_path: pathlib.Path, program) -> None:  # type: ignore[no-untyped-def]
    program("""
        print(os.getpid(), flush=True)
        ready()
        time.sleep(600)
    """)
    with _running(tmp_path) as server:
        assert (server.engine, server.host, server.port, server.rest_port) == (
            "stand-in", "127.0.0.1", 5, 6,
        )  # fmt: skip
        assert server.exit_reason() == ""
        pid = int((tmp_path / "scratch" / "server.log").read_text())
        assert _alive(pid)
    assert not _alive(pid)


def test_a_server_that_ends_before_it_serves_is_quoted(tmp_path: pathlib.Path, program) -> None:  # type: ignore[no-untyped-def]
    program(r"""
        for number in range(2000):
            print("line", number)
        print("models: no \x1b[31mmodel in it", file=sys.stderr)
        sys.exit(2)
    """)
    with pytest.raises(CheckFailed) as caught, _running(tmp_path):
        raise AssertionError("it served")
    reason = str(caught.value)
    assert "the server exited with status 2; its last output: " in reason
    assert reason.endswith("line 1999; models: no \\x1b[31mmodel in it")
    assert "line 5;" not in reason


def test_a_server_that_is_killed_or_says_nothing_is_told_so(
    tmp_path: pathlib.Path, program
) -> None:  # type: ignore[no-untyped-def]
    program("os.kill(os.getpid(), 9)")
    with (
        pytest.raises(CheckFailed, match="killed by SIGKILL, without any output"),
        _running(tmp_path),
    ):
        raise AssertionError("it served")


def test_a_server_that_never_serves_is_ended_in_time(tmp_path: pathlib.Path, program) -> None:  # type: ignore[no-untyped-def]
    program("""
        print(os.getpid(), flush=True)
        time.sleep(600)
    """)
    with (
        pytest.raises(
            CheckFailed, match=r"within 3 s \(serving.start_seconds\); its last output: \d+"
        ),
        _running(tmp_path, 3.0),
    ):
        raise AssertionError("it served")
    assert not _alive(int((tmp_path / "scratch" / "server.log").read_text()))


def test_a_server_that_will_not_end_and_what_it_started_are_ended(
    tmp_path: pathlib.Path,
    program,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_process, "STOP_SECONDS", 0.5)
    program("""
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(os.getpid(), child.pid, flush=True)
        ready()
        time.sleep(600)
    """)
    with pytest.raises(KeyError), _running(tmp_path):
        raise KeyError("whatever happens inside")
    for pid in (tmp_path / "scratch" / "server.log").read_text().split():
        _wait_until_gone(int(pid))


def test_how_a_server_ended_while_it_was_asked_is_known(tmp_path: pathlib.Path, program) -> None:  # type: ignore[no-untyped-def]
    program("""
        ready()
        print("out of memory", flush=True)
        sys.exit(9)
    """)
    with _running(tmp_path) as server:
        for _ in range(300):
            if server.exit_reason():
                break
            time.sleep(0.1)
        assert (
            server.exit_reason()
            == "the server exited with status 9; its last output: out of memory"
        )


def test_the_folder_of_a_model_is_meant_from_here_though_the_server_runs_elsewhere(
    tmp_path: pathlib.Path,
    program,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program("""
        print(sys.argv[sys.argv.index("--model-dir") + 1], flush=True)
        ready()
        time.sleep(600)
    """)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.chdir(tmp_path)
    with server_process.running(pathlib.Path("models"), scratch, engine="auto", start_seconds=60):
        printed = (scratch / "server.log").read_text()
    assert printed.strip() == str(tmp_path / "models")


def test_keys_and_gpus_are_not_handed_on(
    tmp_path: pathlib.Path,
    program,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GENREFLOW_API_KEY", "a secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    program("""
        names = ("GENREFLOW_API_KEY", "AWS_SECRET_ACCESS_KEY", "CUDA_VISIBLE_DEVICES",
                 "TF_ENABLE_ONEDNN_OPTS")
        print(json.dumps([os.environ.get(name) for name in names]), os.getcwd(), flush=True)
        import components.audio.params  # as from anywhere
        ready()
        time.sleep(600)
    """)
    with _running(tmp_path):
        printed = (tmp_path / "scratch" / "server.log").read_text()
    assert printed.strip() == f'[null, null, "-1", "0"] {tmp_path / "scratch"}'


def test_a_server_ends_with_whoever_started_it(tmp_path: pathlib.Path) -> None:
    """The starter is killed and cannot stop the server itself."""
    starter = f"""
import pathlib, sys, time
from components.serving_check import server_process
server_process.SERVER = (sys.executable, "-c", '''
import os, sys
print(os.getpid(), flush=True)
sys.stdin.buffer.read()
''')
scratch = pathlib.Path({str(tmp_path)!r})
with server_process.running(scratch, scratch, engine="auto", start_seconds=600):
    pass
"""
    process = subprocess.Popen([sys.executable, "-c", starter], cwd=server_process.ROOT)
    log = tmp_path / "server.log"
    for _ in range(300):
        if log.exists() and log.read_text().strip():
            break
        assert process.poll() is None
        time.sleep(0.1)
    pid = int(log.read_text())
    assert _alive(pid)
    process.kill()
    process.wait()
    _wait_until_gone(pid)
