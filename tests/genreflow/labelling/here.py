"""Beam's job of a labelling run in the test process, which imports TensorFlow and Beam once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from genreflow.labelling import run
from genreflow.labelling.stage import Job


def work_here(patch: pytest.MonkeyPatch) -> None:
    """Make runs do their work in this process from now on, instead of in a child.

    For tests that have seen a child do it. A failure is raised, not put in words.
    """
    patch.setattr(run, "_run_child", _run)


def _run(job: Job, beam_args: Sequence[str], on_event: run.OnEvent) -> str:
    from genreflow.labelling import beam_stage

    beam_stage.run(job, beam_args)
    return ""
