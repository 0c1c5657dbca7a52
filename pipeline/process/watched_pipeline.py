"""Pipelines of TFX's own executors, watched like those of ours. Imports Beam."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

from components.artifacts.beam_jobs import run_unreported
from pipeline.config.beam import IN_MEMORY


def make_pipeline(flags: Sequence[str]) -> beam.Pipeline:
    """Return a pipeline for Beam's flags; outside this process it is watched."""
    # Parsed, as TFX puts the flags of all nodes before a node's own, which win.
    options = PipelineOptions(list(flags))
    runner = options.view_as(StandardOptions).runner
    mode = options.view_as(DirectOptions).direct_running_mode
    within = {f"--runner={runner}", f"--direct_running_mode={mode}"} <= set(IN_MEMORY)
    return (beam.Pipeline if within else WatchedPipeline)(options=options)


class WatchedPipeline(beam.Pipeline):  # type: ignore[misc]
    """Pipeline whose `with` block ends with the job, or with an error that says why it failed."""

    def __enter__(self) -> WatchedPipeline:
        return self  # Beam's own context is for Java

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            run_unreported(self)
