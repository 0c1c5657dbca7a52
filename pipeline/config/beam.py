"""Settings of the [beam] table, and the pipeline flags that Beam gets."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from components.artifacts.job_limits import STALL_MINUTES, START_MINUTES
from components.common.resources import usable_cores
from pipeline.config.beam_runners import (
    DataflowSettings,
    FlinkSettings,
    PortableSettings,
    RunnerTable,
    SparkSettings,
)

# benchmarks.growth, on idle cores: a track takes so long on one, and the start of worker processes,
# each of which imports TensorFlow, so long altogether.
_TRACK_SECONDS = 0.016
_START_SECONDS = 10.0

# Names the runner by its class, for what Beam takes "DirectRunner" to be differs between versions.
LOCAL_RUNNER = "--runner=pipeline.process.beam_runner.LocalRunner"

# Any name keeps TFX from packing itself for the workers, which takes 8 seconds and leaves 44 MB in
# the temporary folder for each node. Workers have the image that they run in, or this machine's
# packages.
NO_PACKAGES = "--sdk_container_image=none"

# In seconds: Beam's default of one minute is the deadline of the whole job at some job services.
_JOB_SERVICE_SECONDS = 30 * 24 * 3600

# Flags of Beam within one process, for what is too small for more.
IN_MEMORY = (LOCAL_RUNNER, NO_PACKAGES, "--direct_running_mode=in_memory")

Runner = Literal["auto", "direct", "portable", "flink", "spark", "dataflow"]
Stage = Literal["audio", "statistics", "evaluator"]

# Beam's names of the runners outside this process, and their tables.
_REMOTE: dict[str, tuple[str, type[RunnerTable]]] = {
    "portable": ("PortableRunner", PortableSettings),
    "flink": ("FlinkRunner", FlinkSettings),
    "spark": ("SparkRunner", SparkSettings),
    "dataflow": ("DataflowRunner", DataflowSettings),
}

# Flags that settings of this table produce, and these settings.
_OWN_FLAGS = {
    "--runner": "beam.runner",
    "--direct_running_mode": "beam.runner and beam.workers",
    "--direct_num_workers": "beam.workers",
    "--genreflow_start_minutes": "beam.start_minutes",
    "--genreflow_stall_minutes": "beam.stall_minutes",
}
_ENVIRONMENT_FLAGS = (
    "--environment_type", "--environment_config", "--environment_option", "--environment_options",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class BeamSettings:
    """Settings of the [beam] table.

    Attributes:
      runner: "direct" is this machine; "auto" the same, with the number of processes chosen by the
        number of tracks; "portable" any job service of Beam's; "flink", "spark" and "dataflow"
        these.
      workers: processes on this machine, 1 for the run's own; 0 is one per core.
      stages: what runs on the runner: "audio" (SpectrogramGen), "statistics" (StatisticsGen) and
        "evaluator" (Evaluator). The others run in the node's own process.
      shared_folders: folders that workers on other machines see under the same path.
      start_minutes: limit of the time until the runner's first worker begins.
      stall_minutes: limit of the time in which no worker does anything.
      options: further flags of Beam, such as "--experiments=NAME".
      shard_tracks: tracks per TFRecord shard, which is also the unit of parallel work; a corpus of
        more than 4,096 shards gets larger ones.
    """

    runner: Runner = "auto"
    workers: Annotated[int, Ge(0), Le(1024)] = 0
    stages: tuple[Stage, ...] = ("audio",)
    shared_folders: tuple[str, ...] = ()
    start_minutes: Annotated[float, Gt(0), Le(1440)] = START_MINUTES
    stall_minutes: Annotated[float, Gt(0), Le(1440)] = STALL_MINUTES
    options: tuple[str, ...] = ()
    shard_tracks: Annotated[int, Ge(1), Le(100000)] = 64
    portable: PortableSettings = dataclasses.field(default_factory=PortableSettings)
    flink: FlinkSettings = dataclasses.field(default_factory=FlinkSettings)
    spark: SparkSettings = dataclasses.field(default_factory=SparkSettings)
    dataflow: DataflowSettings = dataclasses.field(default_factory=DataflowSettings)

    def __post_init__(self) -> None:
        for option in self.options:
            if not option.startswith("--"):
                raise ValueError(f'options holds "{option}"; Beam flags start with "--"')
            setting = self._setting_of(option.split("=", 1)[0])
            if setting:
                raise ValueError(f'options holds "{option}"; set {setting}')
        for folder in self.shared_folders:
            if not os.path.isabs(folder):
                raise ValueError(f"shared_folders holds {json.dumps(folder)}, no absolute path")
        table = self.runner_table
        for missing in table.missing() if table else ():
            raise ValueError(
                f'runner = "{self.runner}" needs beam.{self.runner}.{missing}; set it under '
                f"[beam.{self.runner}]"
            )

    @property
    def runner_table(self) -> RunnerTable | None:
        """The table of the chosen runner; None for this machine."""
        return getattr(self, self.runner) if self.runner in _REMOTE else None

    def runs_elsewhere(self, stage: Stage) -> bool:
        """Return whether a stage's workers may be on other machines."""
        return self.runner_table is not None and stage in self.stages

    def _setting_of(self, flag: str) -> str:
        """Return the setting that produces a flag, or ""."""
        chosen = [self.runner] if self.runner in _REMOTE else []
        for name in (*chosen, *_REMOTE):
            flags = _REMOTE[name][1].own_flags()
            if flag in flags:
                return f"beam.{name}.{flags[flag]}"
            if flag in _ENVIRONMENT_FLAGS and name != "dataflow":
                return f"beam.{name}.environment"
        return _OWN_FLAGS.get(flag, "")


def local_processes(settings: BeamSettings, *, tracks: int, cores: int | None = None) -> int:
    """Return how many processes of this machine "auto" and "direct" use; 1 is the run's own.

    Args:
      settings: the [beam] table.
      tracks: number of tracks that the run reads; decides what "auto" means.
      cores: CPU cores; None counts those that this process may use.
    """
    processes = settings.workers or cores or usable_cores()
    saved = tracks * _TRACK_SECONDS * (1 - 1 / processes)
    return 1 if settings.runner == "auto" and saved <= _START_SECONDS else processes


def pipeline_args(settings: BeamSettings, *, tracks: int, cores: int | None = None) -> list[str]:
    """Return Beam's flags for a job on the chosen runner.

    Args:
      settings: the [beam] table.
      tracks: number of tracks that the job reads; decides what "auto" means.
      cores: CPU cores; None counts those that this process may use.
    """
    table = settings.runner_table
    limits = [("start", settings.start_minutes, START_MINUTES)]
    limits.append(("stall", settings.stall_minutes, STALL_MINUTES))
    further = [
        *(f"--genreflow_{name}_minutes={value}" for name, value, usual in limits if value != usual),
        *settings.options,
    ]
    if table is not None:
        runner = f"--runner={_REMOTE[settings.runner][0]}"
        return [runner, *_submission_flags(table), *table.flags(), *further]
    processes = local_processes(settings, tracks=tracks, cores=cores)
    if processes == 1:
        return [*IN_MEMORY, *further]
    mode = ["--direct_running_mode=multi_processing", f"--direct_num_workers={processes}"]
    return [LOCAL_RUNNER, NO_PACKAGES, *mode, *further]


def stage_args(settings: BeamSettings, stage: Stage, *, tracks: int) -> list[str]:
    """Return Beam's flags for a stage of the pipeline: the runner's, or those of this process."""
    if stage in settings.stages:
        return pipeline_args(settings, tracks=tracks)
    return list(IN_MEMORY)


def _submission_flags(table: RunnerTable) -> list[str]:
    """Return the flags of every job service; Dataflow is none, and has an image of its own."""
    if isinstance(table, DataflowSettings):
        return []
    return [NO_PACKAGES, f"--job_server_timeout={_JOB_SERVICE_SECONDS}"]
