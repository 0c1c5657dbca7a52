"""Tests of the [beam] table and Beam's flags."""

from __future__ import annotations

import pytest

from pipeline.config.beam import (
    LOCAL_RUNNER,
    MIN_MULTI_PROCESSING_TRACKS,
    BeamSettings,
    pipeline_args,
)

IN_MEMORY = [LOCAL_RUNNER, "--direct_running_mode=in_memory"]


def several(workers: int) -> list[str]:
    return [
        LOCAL_RUNNER,
        "--direct_running_mode=multi_processing",
        f"--direct_num_workers={workers}",
    ]


@pytest.mark.parametrize(
    ("tracks", "cores", "expected"),
    [
        (0, 8, IN_MEMORY),
        (MIN_MULTI_PROCESSING_TRACKS - 1, 8, IN_MEMORY),
        (MIN_MULTI_PROCESSING_TRACKS, 8, several(8)),
        (MIN_MULTI_PROCESSING_TRACKS, 1, IN_MEMORY),
    ],
)
def test_auto_is_several_processes_only_where_they_pay(
    tracks: int, cores: int, expected: list[str]
) -> None:
    assert pipeline_args(BeamSettings(), tracks=tracks, cores=cores) == expected


def test_workers_are_taken_before_cores() -> None:
    settings = BeamSettings(runner="multi_processing", workers=3)
    assert pipeline_args(settings, tracks=1, cores=8) == several(3)


def test_a_chosen_runner_is_kept_whatever_the_size() -> None:
    settings = BeamSettings(runner="in_memory")
    assert pipeline_args(settings, tracks=10**6, cores=8) == IN_MEMORY


def test_portable_passes_the_options_on() -> None:
    options = ("--job_endpoint=localhost:8099", "--environment_type=EXTERNAL")
    settings = BeamSettings(runner="portable", options=options)
    assert pipeline_args(settings, tracks=1) == ["--runner=PortableRunner", *options]


@pytest.mark.parametrize("option", ["job_endpoint=x", "-x", "", "--runner=X", "--runner"])
def test_options_that_are_no_flags_or_contradict_the_table_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match="options holds"):
        BeamSettings(options=(option,))


def test_beam_reads_the_flags_as_meant() -> None:
    from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions

    flags = pipeline_args(BeamSettings(runner="multi_processing", workers=2), tracks=1)
    options = PipelineOptions(flags).view_as(DirectOptions)
    assert options.direct_running_mode == "multi_processing"
    assert options.direct_num_workers == 2
