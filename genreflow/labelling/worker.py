"""Child process of `genreflow label`: `python -m genreflow.labelling.worker REQUEST`."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
from typing import Any

from components.common import progress
from components.common.dataclass_json import from_json
from components.common.parent import exit_at_end_of_input
from genreflow.labelling.stage import Job
from genreflow.labelling.tags import TagOptions
from pipeline.local.child import reporting_failure
from pipeline.process.libraries import configure_tensorflow, exit_at_once, quick_imports


def request_text(job: Job, beam_args: list[str]) -> str:
    """Return the text of a request file."""
    return json.dumps({"job": dataclasses.asdict(job), "beam_args": beam_args})


def main(path: str) -> int:
    """Run a request file and return the exit status."""
    request = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    return reporting_failure(lambda: _run(request["job"], request["beam_args"]))


def _run(values: dict[str, Any], beam_args: list[str]) -> None:
    tags = values.pop("tags")
    job = from_json(Job, {**values, "tags": from_json(TagOptions, tags) if tags else None})
    progress.report("importing")
    configure_tensorflow()
    with quick_imports():
        from genreflow.labelling import beam_stage
    progress.report("started")
    beam_stage.run(job, beam_args)


if __name__ == "__main__":
    exit_at_end_of_input(with_group=True)  # the command line has ended
    exit_at_once(main(sys.argv[1]))
