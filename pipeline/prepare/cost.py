"""Estimate of what a run costs: disk space, and the time of its audio stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from components.common.durations import duration_text
from pipeline.config.beam import local_processes
from pipeline.config.schema import Config
from pipeline.prepare import disk_space


@dataclasses.dataclass(frozen=True)
class Cost:
    """Estimated cost of a run.

    Attributes:
      clips: number of clips.
      examples_bytes: size on disk of their examples.
      disk_bytes: size of everything that a first run writes, with the examples.
      workers: processes of the audio stage on this machine.
      seconds_per_track: time of the audio stage per track on one core, as measured on a few; None
        if none could be measured.
      audio_seconds: time of the audio stage; None if it is not known.
    """

    clips: int
    examples_bytes: int
    disk_bytes: int
    workers: int
    seconds_per_track: float | None
    audio_seconds: float | None


def estimate(
    config: Config, *, clips: int, usable: int, listed: int, seconds_per_track: float | None
) -> Cost:
    """Return the cost of a run.

    Args:
      config: its configuration.
      clips: number of clips (pipeline.prepare.clip_counts).
      usable: number of tracks that it decodes.
      listed: number of tracks that it lists.
      seconds_per_track: as measured (pipeline.prepare.survey).
    """
    workers = local_processes(config.beam, tracks=listed)
    return Cost(
        clips=clips,
        examples_bytes=disk_space.examples_bytes(clips, config.audio),
        disk_bytes=disk_space.run_bytes(clips, config.audio, config.models),
        workers=workers,
        seconds_per_track=seconds_per_track,
        audio_seconds=None if seconds_per_track is None else usable * seconds_per_track / workers,
    )


def sentences(cost: Cost) -> Iterator[str]:
    """Yield a line about the disk, and one about the time if it is known."""
    yield (
        f"disk: about {cost.disk_bytes / 1e9:.1f} GB, of which "
        f"{cost.examples_bytes / 1e6:.0f} MB are examples ({cost.clips} clips)"
    )
    if cost.audio_seconds is not None and cost.seconds_per_track is not None:
        yield (
            f"time: about {duration_text(cost.audio_seconds)} for the audio stage "
            f"({cost.seconds_per_track * 1000:.0f} ms per track, as measured on a few, with "
            f"{cost.workers} worker{'s' if cost.workers > 1 else ''}); training time depends on "
            "the networks"
        )
