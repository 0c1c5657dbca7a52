"""Tests of the [beam] table and Beam's flags."""

from __future__ import annotations

import pathlib
import tempfile

import pytest

from pipeline.config.beam import (
    IN_MEMORY,
    LOCAL_RUNNER,
    MIN_MULTI_PROCESSING_TRACKS,
    BeamSettings,
    pipeline_args,
)

FEW = list(IN_MEMORY)


def several(workers: int) -> list[str]:
    return [
        LOCAL_RUNNER,
        "--sdk_container_image=none",
        "--direct_running_mode=multi_processing",
        f"--direct_num_workers={workers}",
    ]


@pytest.mark.parametrize(
    ("tracks", "cores", "expected"),
    [
        (0, 8, FEW),
        (MIN_MULTI_PROCESSING_TRACKS - 1, 8, FEW),
        (MIN_MULTI_PROCESSING_TRACKS, 8, several(8)),
        (MIN_MULTI_PROCESSING_TRACKS, 1, FEW),
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
    assert pipeline_args(settings, tracks=10**6, cores=8) == FEW


def test_portable_passes_the_options_on() -> None:
    options = ("--job_endpoint=localhost:8099", "--environment_type=EXTERNAL")
    settings = BeamSettings(runner="portable", options=options)
    assert pipeline_args(settings, tracks=1) == [
        "--runner=PortableRunner",
        "--sdk_container_image=none",
        "--job_server_timeout=2592000",
        *options,
    ]


@pytest.mark.parametrize("options", [(), ("--job_endpoint",), ("--job_endpoints=localhost:1",)])
def test_portable_needs_the_address_of_a_job_service(options: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="no --job_endpoint, the address of the job service"):
        BeamSettings(runner="portable", options=options)


def test_an_image_of_the_users_counts_before_ours() -> None:
    from apache_beam.options.pipeline_options import PipelineOptions, WorkerOptions

    options = ("--job_endpoint=localhost:8099", "--sdk_container_image=registry/genreflow:1")
    flags = pipeline_args(BeamSettings(runner="portable", options=options), tracks=1)
    found = PipelineOptions(flags).view_as(WorkerOptions).sdk_container_image
    assert found == "registry/genreflow:1"


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


def test_tfx_packs_nothing_for_the_workers(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfx.utils import dependency_utils

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for settings in (
        BeamSettings(),
        BeamSettings(runner="multi_processing"),
        BeamSettings(runner="portable", options=("--job_endpoint=localhost:8099",)),
    ):
        flags = pipeline_args(settings, tracks=1)
        assert dependency_utils.make_beam_dependency_flags(flags) == flags
    assert list(tmp_path.iterdir()) == []
