"""Settings of the [beam] table, and the pipeline flags that Beam gets."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from annotated_types import Ge, Le

from components.common.resources import usable_cores

# For fewer tracks, worker processes cost more than they save: each of them imports TensorFlow,
# and decoding takes about 50 ms per track on one core.
MIN_MULTI_PROCESSING_TRACKS = 2000

# Names the runner by its class, for what Beam takes "DirectRunner" to be differs between versions.
LOCAL_RUNNER = "--runner=pipeline.process.beam_runner.LocalRunner"

# Any name keeps TFX from packing itself for the workers, which takes 8 seconds and leaves 44 MB in
# the temporary folder for each node. Workers have the image that they run in, or this machine's
# packages; an image that `options` names comes later and counts.
_NO_PACKAGES = "--sdk_container_image=none"

# In seconds: Beam's default of one minute is the deadline of the whole job at some job services.
_JOB_SERVICE_SECONDS = 30 * 24 * 3600

# Flags of Beam within one process, for what is too small for more.
IN_MEMORY = (LOCAL_RUNNER, _NO_PACKAGES, "--direct_running_mode=in_memory")

# Flags that other settings of this table produce.
_OWN_FLAGS = ("--runner", "--direct_running_mode", "--direct_num_workers")


@dataclasses.dataclass(frozen=True)
class BeamSettings:
    """Settings of the [beam] table.

    Attributes:
      runner: "in_memory" is one process; "multi_processing" several on this machine; "portable"
        submits to the job service (Flink, Spark, ...) that `options` name; "auto" chooses one
        of the first two by the number of tracks.
      workers: processes of "multi_processing"; 0 is one per core.
      options: further Beam flags, such as "--job_endpoint=localhost:8099".
      shard_tracks: tracks per TFRecord shard, which is also the unit of parallel work.
    """

    runner: Literal["auto", "in_memory", "multi_processing", "portable"] = "auto"
    workers: Annotated[int, Ge(0), Le(1024)] = 0
    options: tuple[str, ...] = ()
    shard_tracks: Annotated[int, Ge(1), Le(100000)] = 64

    def __post_init__(self) -> None:
        for option in self.options:
            if not option.startswith("--"):
                raise ValueError(f'options holds "{option}"; Beam flags start with "--"')
            if option.split("=", 1)[0] in _OWN_FLAGS:
                raise ValueError(f'options holds "{option}"; set beam.runner and beam.workers')
        if self.runner == "portable" and not any(
            option.startswith("--job_endpoint=") for option in self.options
        ):
            raise ValueError(
                'runner is "portable", but options has no --job_endpoint, the address of the job '
                'service; add it, as in options = ["--job_endpoint=localhost:8099"]'
            )


def pipeline_args(settings: BeamSettings, *, tracks: int, cores: int | None = None) -> list[str]:
    """Return Beam's flags for a run.

    Args:
      settings: the [beam] table.
      tracks: number of tracks that the run reads; decides what "auto" means.
      cores: CPU cores; None counts those that this process may use.
    """
    workers = settings.workers or cores or usable_cores()
    runner = settings.runner
    if runner == "auto":
        large = tracks >= MIN_MULTI_PROCESSING_TRACKS and workers > 1
        runner = "multi_processing" if large else "in_memory"
    if runner == "portable":
        timeout = f"--job_server_timeout={_JOB_SERVICE_SECONDS}"
        return ["--runner=PortableRunner", _NO_PACKAGES, timeout, *settings.options]
    if runner == "in_memory":
        return [*IN_MEMORY, *settings.options]
    mode = ["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"]
    return [LOCAL_RUNNER, _NO_PACKAGES, *mode, *settings.options]
