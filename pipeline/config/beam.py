"""The [beam] table: what runs the Beam stages, as Beam's own pipeline flags."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from annotated_types import Ge, Le

from components.common.cpu import usable_cores

# Below this many tracks starting worker processes, each of which imports TensorFlow,
# costs more than they save: decoding takes about 50 ms a track on one core.
MULTI_PROCESSING_FROM_TRACKS = 2000

# Flags that the other settings of this table write; twice would be a contradiction.
_OWN_FLAGS = ("--runner", "--direct_running_mode", "--direct_num_workers")


@dataclasses.dataclass(frozen=True)
class BeamSettings:
    """How Beam runs.

    `runner`: "in_memory" is one process; "multi_processing" is several on this machine;
    "portable" submits to a job service (Flink, Spark, ...) that `options` name; "auto"
    is one of the first two by the number of tracks.
    `workers`: processes of "multi_processing"; 0 is one per core.
    `options`: further Beam flags, such as "--job_endpoint=localhost:8099".
    `shard_tracks`: tracks per TFRecord shard, which is also the unit of parallel work.
    """

    runner: Literal["auto", "in_memory", "multi_processing", "portable"] = "auto"
    workers: Annotated[int, Ge(0), Le(1024)] = 0
    options: tuple[str, ...] = ()
    shard_tracks: Annotated[int, Ge(1), Le(100000)] = 64

    def __post_init__(self) -> None:
        for option in self.options:
            if not option.startswith("--"):
                raise ValueError(f'options holds "{option}"; a Beam flag starts with "--"')
            if option.split("=", 1)[0] in _OWN_FLAGS:
                raise ValueError(f'options holds "{option}"; set beam.runner and beam.workers')


def pipeline_args(settings: BeamSettings, *, tracks: int, cores: int | None = None) -> list[str]:
    """Beam's flags for a run over `tracks` tracks.

    Args:
      settings: the [beam] table.
      tracks: how many tracks the run reads; decides what "auto" means.
      cores: processor cores; None is what this process may use.
    """
    workers = settings.workers or cores or usable_cores()
    runner = settings.runner
    if runner == "auto":
        large = tracks >= MULTI_PROCESSING_FROM_TRACKS and workers > 1
        runner = "multi_processing" if large else "in_memory"
    if runner == "portable":
        return ["--runner=PortableRunner", *settings.options]
    mode = [f"--direct_running_mode={runner}"]
    if runner == "multi_processing":
        mode.append(f"--direct_num_workers={workers}")
    return ["--runner=DirectRunner", *mode, *settings.options]
