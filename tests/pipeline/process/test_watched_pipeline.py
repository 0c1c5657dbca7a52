"""Jobs of TFX's own executors end with the job, or with one line."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import pytest
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import executable_spec_pb2

from components.artifacts.base_executor import ExecutorMixin
from components.artifacts.beam_failures import BeamJobError
from components.storage.copies import Copies
from pipeline.config.beam import IN_MEMORY, BeamSettings, pipeline_args
from pipeline.config.beam_runners import PortableSettings
from pipeline.process import staging
from pipeline.process.watched_pipeline import WatchedPipeline, make_pipeline
from tests.support.beam_services import Service, run_job_service

PROCESSES = pipeline_args(BeamSettings(runner="direct", workers=2), tracks=0)


class OfTfx(BaseBeamExecutor):  # type: ignore[misc]
    """Executor that writes the type of its pipeline, as one of TFX's that is not ours."""

    def Do(self, inputs: Any, outputs: Any, properties: Any) -> None:  # noqa: N802
        name = type(self._make_beam_pipeline()).__name__
        pathlib.Path(properties["file"]).write_text(name)


class OfOurs(ExecutorMixin, OfTfx):
    """The same for one of ours, which watches its jobs itself."""

    def Do(self, inputs: Any, outputs: Any, properties: Any) -> None:  # noqa: N802
        OfTfx.Do(self, inputs, outputs, properties)

    def execute(self, inputs: Any, outputs: Any, parameters: Any) -> None:
        pass


def _flags(service: Service) -> list[str]:
    table = PortableSettings(endpoint=service.endpoint)
    return pipeline_args(BeamSettings(runner="portable", portable=table), tracks=0)


@pytest.mark.parametrize(
    ("name", "flags", "expected"),
    [
        ("OfTfx", IN_MEMORY, "Pipeline"),
        # TFX puts the flags of all nodes first.
        ("OfTfx", (*IN_MEMORY, *PROCESSES), "WatchedPipeline"),
        ("OfOurs", (*IN_MEMORY, *PROCESSES), "Pipeline"),
    ],
)
def test_the_launcher_gives_tfxs_executors_a_watched_pipeline(
    name: str, flags: Sequence[str], expected: str, tmp_path: pathlib.Path
) -> None:
    spec = executable_spec_pb2.BeamExecutableSpec()
    spec.python_executor_spec.class_path = f"{__name__}.{name}"
    for flag in flags:
        spec.beam_pipeline_args_placeholders.add().value.string_value = flag
    operator = staging.executor_operators(Copies(tmp_path))[type(spec)](executor_spec=spec)
    operator.run_executor(
        data_types.ExecutionInfo(
            execution_id=1,
            exec_properties={"file": str(tmp_path / "found")},
            execution_output_uri=str(tmp_path / "output"),
            tmp_dir=str(tmp_path),
        )
    )
    assert (tmp_path / "found").read_text() == expected


def _run(flags: Sequence[str], work: Any) -> None:
    with make_pipeline(flags) as pipeline:
        pipeline | beam.Create([3]) | beam.Map(work)


def test_a_job_runs_to_its_end(tmp_path: pathlib.Path, job_service: Service) -> None:
    def write(number: int) -> None:
        (tmp_path / "output").write_text(str(number))

    _run(_flags(job_service), write)
    assert (tmp_path / "output").read_text() == "3"


def test_a_failure_of_a_worker_is_one_line(job_service: Service) -> None:
    def refuse(number: int) -> int:
        raise ValueError(f"not {number}")

    with pytest.raises(BeamJobError, match=r"failed: ValueError: not 3\. The log has"):
        _run(_flags(job_service), refuse)


def test_an_error_in_the_block_starts_no_job() -> None:
    pipeline = WatchedPipeline(argv=PROCESSES)
    pipeline.run = None  # would fail
    with contextlib.suppress(KeyError), pipeline:
        raise KeyError


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_job_service_that_dies_is_one_line(tmp_path: pathlib.Path) -> None:
    with run_job_service(tmp_path / "service") as service:

        def kill(number: int) -> None:
            service.process.kill()

        with pytest.raises(BeamJobError, match=rf"job service at {service.endpoint} ended or can"):
            _run(_flags(service), kill)
