"""`genreflow run` in a separate process: interrupted, killed and rerun."""

from __future__ import annotations

import json
import pathlib
import signal
import subprocess
import time

import pytest

from tests.support.commands import QUICK, start

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def config(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "quick.toml"
    path.write_text(QUICK)
    return path


def _processes_of(work_dir: pathlib.Path) -> list[str]:
    """Return the command lines of live processes that name a folder."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(work_dir) in text:
            found.append(text)
    return found


def _wait_for(work_dir: pathlib.Path, words: str, process: subprocess.Popen[str]) -> None:
    """Wait until the run's event file contains some words."""
    for _ in range(3000):
        for path in (work_dir / "logs").glob("*.events.jsonl"):
            if words in path.read_text():
                return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    raise AssertionError(f"the run never reached {words}")


def test_an_interrupted_and_a_killed_run_leave_nothing_in_the_way_of_the_next(
    corpus: pathlib.Path, config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    work = tmp_path / "w"
    command = ("run", "-c", config, "-d", corpus, "-w", work, "--require-blessing")

    process = start(*command)
    _wait_for(work, '"SpectrogramGen"', process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "interrupted" in output
    assert "Traceback" not in output
    assert _processes_of(work) == []
    assert not (work / "results.json").exists()

    process = start(*command)
    _wait_for(work, '"Trainer.cnn_small"', process)
    process.kill()
    process.wait()
    for _ in range(200):
        if not _processes_of(work):
            break
        time.sleep(0.1)
    assert _processes_of(work) == []

    process = start(*command)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "SpectrogramGen" in output
    assert "cached" in output  # the killed run's audio stage is reused
    assert "Traceback" not in output
    results = json.loads((work / "results.json").read_text())
    (version,) = (work / "serving_models" / "genreflow").iterdir()
    assert version.name == results["pushed_version"]
    assert f"genreflow predict {corpus}" in output.replace("\n", "")

    # A rerun's candidate is already serving, which --require-blessing reports as status 3.
    process = start(*command)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 3, output
    assert "already_serving" in output
    assert len(list((work / "serving_models" / "genreflow").iterdir())) == 1
