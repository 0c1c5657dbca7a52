"""Local runner: starts the worker process and follows its events."""

from __future__ import annotations

import datetime
import json
import pathlib
import shutil
import sys
from collections.abc import Callable
from typing import Any

from components.common.errors import GenreflowError
from components.storage.copies import MIN_FREE_BYTES, local_copies
from pipeline.config.schema import Config
from pipeline.graph.inputs import DataFacts
from pipeline.local.child import child_process, failure_text, follow
from pipeline.results.results_file import read_results
from pipeline.results.schema import Results
from pipeline.work_dir import WorkDir

WORKER = (sys.executable, "-m", "pipeline.local.worker")
MAX_LOGS = 20

OnEvent = Callable[[dict[str, Any]], None]


class RunFailed(GenreflowError):  # noqa: N818  the command line exits with status 1
    """Error for a run that ended without results; the message says where and why.

    Attributes:
      log: the log that the message names; None if the message says everything.
    """

    def __init__(self, text: str, log: pathlib.Path | None = None) -> None:
        super().__init__(text)
        self.log = log


def run(config: Config, facts: DataFacts, work_dir: WorkDir, on_event: OnEvent) -> Results:
    """Run the whole graph in a worker process and return its results.

    Args:
      config: with `dataset.data_dir` set.
      facts: of the configuration's data.
      work_dir: created, and locked by the caller.
      on_event: called with every event, and with `{"event": "tick"}` in between.

    Raises:
      RunFailed: the worker ended without results.
      KeyboardInterrupt: raised after the worker and its children have ended.
    """
    run_id = datetime.datetime.now().strftime("%Y-%m-%dT%H-%M-%S.%f")
    events = work_dir.logs / f"{run_id}.events.jsonl"
    log = work_dir.logs / f"{run_id}.log"
    request = work_dir.logs / f"{run_id}.request.json"
    _prune_logs(work_dir.logs)
    request.write_text(
        json.dumps(
            {
                "work_dir": str(work_dir.root),
                "run_id": run_id,
                "config": config.to_json(),
                "facts": facts.to_json(),
            }
        ),
        encoding="utf-8",
    )
    events.touch()
    failure: dict[str, Any] | None = None
    with local_copies(work_dir.copies):  # the worker's, which may be killed
        with (
            log.open("wb") as output,
            child_process([*WORKER, str(request)], output, events) as process,
        ):
            for event in follow(process, events):
                if event["event"] == "failed":
                    failure = event
                on_event(event)
        free = shutil.disk_usage(work_dir.root).free
    if process.returncode == 0:
        return read_results(str(work_dir.root))
    text = failure_text(failure, process.returncode, log)
    if free < MIN_FREE_BYTES:
        text = (
            f"{work_dir.root}: the disk is full ({free / 1e6:.0f} MB free); free some space and "
            f"rerun.\n{text}"
        )
    raise RunFailed(text, log=None if failure and failure.get("message") else log)


def _prune_logs(folder: pathlib.Path) -> None:
    """Delete all but the last runs' logs."""
    runs = sorted({path.name.split(".log")[0] for path in folder.glob("*.log")})
    for run_id in runs[: -MAX_LOGS + 1]:
        for path in folder.glob(f"{run_id}.*"):
            path.unlink(missing_ok=True)
