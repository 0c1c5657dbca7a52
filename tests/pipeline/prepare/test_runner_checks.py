"""Tests of the checks of Beam's runner before a run."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.server
import pathlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from components.common.errors import UsageError
from pipeline.config.beam import BeamSettings
from pipeline.config.beam_runners import DataflowSettings, FlinkSettings, PortableSettings
from pipeline.prepare import runner_checks
from pipeline.prepare.runner_checks import check_places, check_runner, check_seen

# A host's name that is another machine, without a look-up.
ELSEWHERE = "192.0.2.1"


@pytest.fixture(scope="module")
def job_service() -> Iterator[str]:
    """Yield the endpoint of a job service that knows one flag of its own."""
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    class Service(beam_job_api_pb2_grpc.JobServiceServicer):  # type: ignore[misc]
        def DescribePipelineOptions(self, request: Any, context: Any) -> Any:  # noqa: N802
            option = beam_job_api_pb2.PipelineOptionDescriptor(name="state_backend")
            return beam_job_api_pb2.DescribePipelineOptionsResponse(options=[option])

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    beam_job_api_pb2_grpc.add_JobServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"localhost:{port}"
    server.stop(None)


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_checks, "CONNECT_SECONDS", 0.3)


@contextlib.contextmanager
def _closed_port() -> Iterator[str]:
    """Yield an endpoint that is taken, and where nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def _portable(endpoint: str, **given: Any) -> BeamSettings:
    options = given.pop("options", ())
    table = PortableSettings(endpoint=endpoint, **given)
    return BeamSettings(runner="portable", portable=table, options=options)


def test_a_job_service_that_answers_is_taken(job_service: str) -> None:
    check_runner(_portable(job_service, options=("--experiments=x", "--no_auth")))


def test_an_endpoint_where_nothing_listens_is_named() -> None:
    with _closed_port() as endpoint:
        expected = f'^beam.portable.endpoint = "{endpoint}": nothing listens there '
        with pytest.raises(UsageError, match=expected):
            check_runner(_portable(endpoint))


def test_a_cluster_where_nothing_listens_is_named() -> None:
    with _closed_port() as address:
        flink = FlinkSettings(master=f"http://{address}")
        with pytest.raises(UsageError, match=f'^beam.flink.master = "http://{address}": nothing'):
            check_runner(BeamSettings(runner="flink", flink=flink))


def test_a_server_that_is_no_job_service_is_told() -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with contextlib.closing(server.socket), pytest.raises(UsageError) as caught:
        check_runner(_portable(f"localhost:{server.server_port}"))
    server.shutdown()
    assert "listens, but is no job service of Beam's" in str(caught.value)


def test_a_pool_that_is_not_started_is_told(job_service: str) -> None:
    with _closed_port() as pool:
        settings = _portable(job_service, environment="external", worker_address=pool)
        with pytest.raises(UsageError, match="start the workers first: genreflow beam-worker"):
            check_runner(settings)
        # Flink looks for it on each of its machines.
        flink = FlinkSettings(endpoint=job_service, environment="external", worker_address=pool)
        check_runner(BeamSettings(runner="flink", flink=flink))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--experimets=x", "--experimets is no flag of Beam's; did you mean --experiments?"),
        ("--job_end", "--job_end is no flag of Beam's"),  # argparse would complete it
        ("--job_port=many", "argument --job_port: invalid int value: 'many'"),
        ("--state_backends=x", "did you mean --state_backend?"),
    ],
)
def test_a_flag_that_beam_does_not_know_or_parse_is_named(
    option: str, message: str, job_service: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        check_runner(_portable(job_service, options=(option,)))
    assert message in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_flags_of_our_own_settings_are_known(job_service: str) -> None:
    table = PortableSettings(endpoint=job_service)
    check_runner(BeamSettings(runner="portable", portable=table, start_minutes=3, stall_minutes=4))


def test_flags_of_the_job_service_are_known(job_service: str) -> None:
    check_runner(_portable(job_service, options=("--state_backend=rocksdb",)))
    with pytest.raises(UsageError, match="--state_backend is no flag of Beam's"):
        check_runner(BeamSettings(options=("--state_backend=rocksdb",)))


def test_loopback_workers_cannot_be_reached_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_checks, "_check_listening", lambda *given: None)
    with pytest.raises(UsageError, match='environment = "loopback" runs the workers'):
        check_runner(_portable(f"{ELSEWHERE}:8099"))


def test_a_job_server_of_our_own_needs_java_and_its_jar(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    flink = FlinkSettings(master="[local]")
    with pytest.raises(UsageError, match="there is no `java` on the PATH"):
        check_runner(BeamSettings(runner="flink", flink=flink))
    uploads = ("--flink_submit_uber_jar",)
    check_runner(BeamSettings(runner="flink", flink=flink, options=uploads))
    missing = FlinkSettings(master="[local]", job_server_jar="/no/such.jar")
    with pytest.raises(UsageError, match='jar": no such file'):
        check_runner(BeamSettings(runner="flink", flink=missing))


def test_dataflow_needs_credentials(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    table = DataflowSettings("music", "europe-west1", "gs://music/temp", image="registry/g:1")
    with pytest.raises(UsageError, match="no credentials of Google Cloud"):
        check_runner(BeamSettings(runner="dataflow", dataflow=table))


def _remote(**given: Any) -> BeamSettings:
    docker = PortableSettings(endpoint=f"{ELSEWHERE}:8099", environment="docker", image="g:1")
    return BeamSettings(runner="portable", portable=docker, **given)


def _problems(settings: BeamSettings, artifacts: str, audio: str) -> list[str]:
    try:
        check_places(settings, artifacts=artifacts, copies="/work/copies", audio=[audio])
    except UsageError as error:
        return [line.split(":", 1)[0] for line in str(error).splitlines()]
    return []


@pytest.mark.parametrize(
    ("artifacts", "audio", "shared", "stages", "unseen"),
    [
        ("s3://b/p", "s3://b/a.mp3", (), ("audio",), []),
        ("/work/pipeline", "s3://b/a.mp3", (), ("audio",), ["/work/pipeline"]),
        ("s3://b/p", "/data/a.mp3", (), ("audio",), ["/data/a.mp3"]),
        ("/work/pipeline", "/data/a.mp3", (), ("audio",), ["/work/pipeline", "/data/a.mp3"]),
        ("/mnt/p", "/mnt/a.mp3", ("/mnt/",), ("audio",), []),
        ("/mnt2/p", "/mnt/a.mp3", ("/mnt",), ("audio",), ["/mnt2/p"]),
        ("/mnt/../p", "/mnt/a.mp3", ("/mnt",), ("audio",), ["/mnt/../p"]),
        # Statistics do not read the audio.
        ("/mnt/p", "/data/a.mp3", ("/mnt",), ("statistics",), []),
        # TFDV and TFMA work on local copies of what is in s3://.
        ("s3://b/p", "s3://b/a.mp3", (), ("audio", "evaluator"), ["/work/copies"]),
        ("s3://b/p", "s3://b/a.mp3", ("/work",), ("statistics", "evaluator"), []),
    ],
)
def test_folders_that_workers_do_not_see_are_named(
    artifacts: str, audio: str, shared: tuple[str, ...], stages: tuple[Any, ...], unseen: list[str]
) -> None:
    settings = _remote(shared_folders=shared, stages=stages)
    assert _problems(settings, artifacts, audio) == [name.split(":", 1)[0] for name in unseen]


@pytest.mark.parametrize(
    ("host", "environment", "seen"),
    [
        ("localhost", "loopback", True),
        ("localhost", "process", True),
        ("localhost", "docker", False),
        ("localhost", "external", False),
        (ELSEWHERE, "process", False),
    ],
)
def test_workers_in_processes_of_this_machine_see_its_folders(
    host: str, environment: Any, seen: bool
) -> None:
    table = PortableSettings(
        endpoint=f"{host}:1", environment=environment,
        image="g:1", command="genreflow", worker_address="localhost:2",
    )  # fmt: skip
    settings = BeamSettings(runner="portable", portable=table)
    assert (_problems(settings, "/work/pipeline", "/data/a.mp3") == []) == seen


def test_this_machine_sees_its_folders() -> None:
    assert _problems(BeamSettings(), "/work/pipeline", "/data/a.mp3") == []


def test_places_that_workers_elsewhere_do_not_see_are_named_by_their_options() -> None:
    table = PortableSettings(
        endpoint="127.0.0.1:1", environment="external", worker_address="pool:50000"
    )
    settings = BeamSettings(runner="portable", portable=table, shared_folders=("/mnt",))
    places = {"--output": "labels.parquet", "--data-dir": "s3://b/music", "--model-dir": "/mnt/m"}
    with pytest.raises(UsageError, match=r"^--output labels.parquet: .* choose a place in s3://"):
        check_seen(settings, places)
    del places["--output"]
    check_seen(settings, places)
    check_seen(BeamSettings(), {"--output": "labels.parquet"})
