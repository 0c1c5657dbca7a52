"""Tests of the [beam] table and Beam's flags."""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile

import pytest

from pipeline.config.beam import (
    IN_MEMORY,
    LOCAL_RUNNER,
    BeamSettings,
    local_processes,
    pipeline_args,
    stage_args,
)
from pipeline.config.beam_runners import (
    DataflowSettings,
    FlinkSettings,
    PortableSettings,
    SparkSettings,
)
from pipeline.config.load import ConfigError, load, shipped_config

FEW = list(IN_MEMORY)
PRISM = PortableSettings(endpoint="localhost:8073")
CLOUD = DataflowSettings(
    project="music", region="europe-west1", temp_location="gs://music/temp", image="registry/g:1"
)


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
        (1250, 2, FEW),  # 10 s saved and 10 s for the start
        (1251, 2, several(2)),
        (1000, 2, FEW),
        (1000, 8, several(8)),  # 14 s saved
        (10**7, 1, FEW),
    ],
)
def test_auto_is_several_processes_only_where_they_pay(
    tracks: int, cores: int, expected: list[str]
) -> None:
    assert pipeline_args(BeamSettings(), tracks=tracks, cores=cores) == expected


@pytest.mark.parametrize(
    ("workers", "cores", "expected"), [(3, 8, 3), (0, 8, 8), (1, 8, 1), (0, 1, 1)]
)
def test_direct_has_the_workers_that_are_set_whatever_the_size(
    workers: int, cores: int, expected: int
) -> None:
    settings = BeamSettings(runner="direct", workers=workers)
    for tracks in (1, 10**6):
        assert local_processes(settings, tracks=tracks, cores=cores) == expected
        flags = pipeline_args(settings, tracks=tracks, cores=cores)
        assert flags == (FEW if expected == 1 else several(expected))


def test_a_job_service_gets_its_endpoint_and_its_environment() -> None:
    settings = BeamSettings(runner="portable", portable=PRISM, options=("--experiments=x",))
    assert pipeline_args(settings, tracks=1) == [
        "--runner=PortableRunner",
        "--sdk_container_image=none",
        "--job_server_timeout=2592000",
        "--job_endpoint=localhost:8073",
        "--environment_type=LOOPBACK",
        "--experiments=x",
    ]


@pytest.mark.parametrize(
    ("environment", "key", "option"),
    [
        ("external", "worker_address", "pool:50000"),
        ("docker", "image", "pool:50000"),
        ("process", "command", '{"command": "pool:50000"}'),
    ],
)
def test_each_environment_needs_one_setting_and_gets_it(
    environment: str, key: str, option: str
) -> None:
    from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
    from apache_beam.transforms.environments import Environment

    given = {"endpoint": "localhost:1", "environment": environment}
    whole = PortableSettings(**given, **{key: "pool:50000"})  # type: ignore[arg-type]
    flags = pipeline_args(BeamSettings(runner="portable", portable=whole), tracks=1)
    assert flags[-2:] == [
        f"--environment_type={environment.upper()}",
        f"--environment_config={option}",
    ]
    made = Environment.from_options(PipelineOptions(flags).view_as(PortableOptions))
    assert "pool:50000" in vars(made).values()
    expected = f'needs beam.portable.{key}, which environment = "{environment}" needs'
    with pytest.raises(ValueError, match=expected):
        BeamSettings(runner="portable", portable=PortableSettings(**given))  # type: ignore[arg-type]


def test_only_what_differs_from_beams_defaults_becomes_a_flag() -> None:
    flink = FlinkSettings(endpoint="localhost:8099", parallelism=8, sdk_workers=0)
    assert flink.flags() == [
        "--job_endpoint=localhost:8099",
        "--sdk_worker_parallelism=0",
        "--parallelism=8",
        "--environment_type=LOOPBACK",
    ]
    spark = SparkSettings(master="spark://spark:7077")
    assert spark.flags() == ["--spark_master_url=spark://spark:7077", "--environment_type=LOOPBACK"]
    assert "--no_use_public_ips" not in CLOUD.flags()
    assert DataflowSettings(private_ips=True).flags() == ["--no_use_public_ips"]


def test_dataflow_gets_its_image_and_no_flag_of_a_job_service() -> None:
    assert pipeline_args(BeamSettings(runner="dataflow", dataflow=CLOUD), tracks=1) == [
        "--runner=DataflowRunner",
        "--project=music",
        "--region=europe-west1",
        "--temp_location=gs://music/temp",
        "--sdk_container_image=registry/g:1",
    ]


@pytest.mark.parametrize(
    ("runner", "missing"),
    [
        ("portable", "beam.portable.endpoint, the address of the job service"),
        ("flink", "beam.flink.endpoint, the address of Beam's job server for Flink"),
        ("spark", "beam.spark.endpoint, the address of Beam's job server for Spark"),
        ("dataflow", "beam.dataflow.project, the id of the Google Cloud project"),
    ],
)
def test_a_runner_needs_its_address(runner: str, missing: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(shipped_config("demo"), [f"beam.runner={runner}"])
    (line,) = str(caught.value).splitlines()
    assert f'[beam] runner = "{runner}" needs {missing}' in line
    assert f"set it under [beam.{runner}]" in line


@pytest.mark.parametrize("lacks", ["project", "region", "temp_location", "image"])
def test_dataflow_needs_a_project_a_region_a_bucket_and_an_image(lacks: str) -> None:
    table = dataclasses.replace(CLOUD, **{lacks: ""})
    with pytest.raises(ValueError, match=f"needs beam.dataflow.{lacks}, "):
        BeamSettings(runner="dataflow", dataflow=table)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("beam.portable.endpoint=http://x:1", 'endpoint = "http://x:1": must be HOST:PORT without'),
        ("beam.flink.endpoint=localhost", 'endpoint = "localhost": must be HOST:PORT without'),
        ("beam.spark.worker_address=h:70000", 'worker_address = "h:70000": must be HOST:PORT'),
        ("beam.portable.environment=LOOPBACK", 'must be one of "loopback", "external", "docker"'),
        ("beam.portable.endpont=x:1", "unknown key; did you mean beam.portable.endpoint?"),
        ("beam.flink.sdk_worker=2", "unknown key; did you mean beam.flink.sdk_workers?"),
        ("beam.flink.parallelism=-1", "must be a whole number from 0 to 32768"),
        ("beam.dataflow.temp_location=s3://b/t", "must be a folder in Google Cloud Storage"),
        ("beam.runner=in_memory", '"dataflow"; write runner = "direct" and workers = 1'),
        ("beam.runner=multi_processing", '"dataflow"; write runner = "direct"'),
        ("beam.stages=[audio, training]", '"audio", "statistics", "evaluator"'),
        ("beam.shared_folders=[mnt/music]", 'shared_folders holds "mnt/music", no absolute path'),
    ],
)
def test_a_wrong_setting_is_one_line_with_its_key(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(shipped_config("demo"), [override])
    (line,) = str(caught.value).splitlines()
    assert message in line
    assert f"--set {override}: " in line


@pytest.mark.parametrize("option", ["job_endpoint=x", "-x", "", "--runner=X", "--runner"])
def test_options_that_are_no_flags_or_contradict_the_table_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match="options holds"):
        BeamSettings(options=(option,))


@pytest.mark.parametrize(
    ("option", "setting"),
    [
        ("--job_endpoint=localhost:1", "beam.portable.endpoint"),
        ("--environment_config=x", "beam.portable.environment"),
        ("--parallelism=3", "beam.flink.parallelism"),
        ("--spark_master_url=local", "beam.spark.master"),
        ("--sdk_container_image=x", "beam.dataflow.image"),
        ("--direct_num_workers=3", "beam.workers"),
    ],
)
def test_a_flag_that_a_setting_produces_is_refused_with_the_setting(
    option: str, setting: str
) -> None:
    with pytest.raises(ValueError, match=f'options holds "{option}"; set {setting}$'):
        BeamSettings(options=(option,))


def test_the_setting_for_a_flag_is_that_of_the_chosen_runner() -> None:
    flink = FlinkSettings(endpoint="localhost:8099")
    with pytest.raises(ValueError, match=r"set beam\.flink\.artifact_endpoint"):
        BeamSettings(runner="flink", flink=flink, options=("--artifact_endpoint=localhost:1",))


def test_stages_that_are_not_named_stay_in_this_process() -> None:
    settings = BeamSettings(runner="portable", portable=PRISM, stages=("audio", "evaluator"))
    assert stage_args(settings, "audio", tracks=9) == pipeline_args(settings, tracks=9)
    assert stage_args(settings, "evaluator", tracks=9) == pipeline_args(settings, tracks=9)
    assert stage_args(settings, "statistics", tracks=9) == FEW
    assert stage_args(BeamSettings(), "statistics", tracks=10**6) == FEW


def test_beam_reads_the_flags_as_meant() -> None:
    from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions

    flags = pipeline_args(BeamSettings(runner="direct", workers=2), tracks=1)
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
        BeamSettings(runner="direct", workers=2),
        BeamSettings(runner="portable", portable=PRISM),
        BeamSettings(runner="dataflow", dataflow=CLOUD),
    ):
        flags = pipeline_args(settings, tracks=1)
        assert dependency_utils.make_beam_dependency_flags(flags) == flags
    assert list(tmp_path.iterdir()) == []


def test_limits_of_a_job_become_flags_if_they_are_not_the_usual_ones() -> None:
    flags = pipeline_args(BeamSettings(start_minutes=3, stall_minutes=45.5), tracks=1)
    assert flags[-2:] == ["--genreflow_start_minutes=3", "--genreflow_stall_minutes=45.5"]
