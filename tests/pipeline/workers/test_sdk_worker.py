"""SDK workers: what they ask a runner for, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from apache_beam.portability.api import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    beam_runner_api_pb2,
    endpoints_pb2,
)
from google.protobuf import struct_pb2, text_format

from pipeline.workers import sdk_worker
from pipeline.workers.contract import Contract, WorkerError


class Provision(beam_provision_api_pb2_grpc.ProvisionServiceServicer):
    """Provision service that notes the ids of its callers."""

    def __init__(self) -> None:
        self.info = beam_provision_api_pb2.ProvisionInfo()
        self.callers: list[Any] = []
        self.endpoint = ""

    def GetProvisionInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.callers.append(dict(context.invocation_metadata())["worker_id"])
        return beam_provision_api_pb2.GetProvisionInfoResponse(info=self.info)


@pytest.fixture
def runner() -> Iterator[Provision]:
    service = Provision()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    beam_provision_api_pb2_grpc.add_ProvisionServiceServicer_to_server(service, server)
    service.endpoint = f"localhost:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield service
    server.stop(None)


def _artifact(name: str) -> Any:
    role = beam_runner_api_pb2.ArtifactStagingToRolePayload(staged_name=name)
    return beam_runner_api_pb2.ArtifactInformation(role_payload=role.SerializeToString())


def _url(variables: dict[str, str], service: str) -> str:
    descriptor = endpoints_pb2.ApiServiceDescriptor()
    text_format.Parse(variables[f"{service}_API_SERVICE_DESCRIPTOR"], descriptor)
    return descriptor.url


def test_the_provision_service_comes_before_the_flags(runner: Provision) -> None:
    options = struct_pb2.Struct()
    options["beam:option:runner:v1"] = "PortableRunner"
    runner.info.pipeline_options.CopyFrom(options)
    runner.info.control_endpoint.url = "runner:7"
    runner.info.runner_capabilities[:] = ["b", "a"]
    contract = Contract("w-1", runner.endpoint, "flag:1", "flag:2", "flag:3")
    variables = sdk_worker.environment(contract, sdk_worker.provision(contract))
    assert runner.callers == ["w-1"]
    assert variables["WORKER_ID"] == "w-1"
    assert json.loads(variables["PIPELINE_OPTIONS"]) == {"beam:option:runner:v1": "PortableRunner"}
    assert variables["RUNNER_CAPABILITIES"].split() == ["b", "a"]
    assert (_url(variables, "CONTROL"), _url(variables, "LOGGING")) == ("runner:7", "flag:2")
    assert "STATUS_API_SERVICE_DESCRIPTOR" not in variables


def test_a_runner_without_a_control_service_is_told(runner: Provision) -> None:
    contract = Contract("w-1", runner.endpoint)
    with pytest.raises(WorkerError, match="names no control endpoint"):
        sdk_worker.environment(contract, sdk_worker.provision(contract))


def test_a_provision_endpoint_where_nothing_listens_is_told() -> None:
    with pytest.raises(WorkerError, match=r"^localhost:1: no provision service .*UNAVAILABLE"):
        sdk_worker.run(Contract("w-1", "localhost:1"))


def test_a_job_that_wants_packages_installed_is_refused(runner: Provision) -> None:
    runner.info.dependencies.append(_artifact("submission_environment_dependencies.txt"))
    sdk_worker.check_dependencies(runner.info)
    runner.info.dependencies.extend([_artifact("requirements.txt"), _artifact("a.whl")])
    with pytest.raises(WorkerError, match=r"install a\.whl, requirements\.txt, but"):
        sdk_worker.run(Contract("w-1", runner.endpoint))


def test_siblings_get_processes_of_their_own_which_ask_for_nothing(
    runner: Provision, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Process:
        def __init__(self, message: dict[str, Any]) -> None:
            started.append(message)

        def wait(self) -> None:
            waited.append(self)

    started: list[dict[str, Any]] = []
    waited: list[Process] = []
    worked: list[dict[str, str]] = []
    runner.info.control_endpoint.url = "runner:7"
    runner.info.sibling_worker_ids[:] = ["w-2", "w-3"]
    monkeypatch.setattr(sdk_worker, "_start", Process)
    monkeypatch.setattr(sdk_worker, "_work", worked.append)
    monkeypatch.setenv("WORKER_ID", "")
    sdk_worker.run(Contract("w-1", runner.endpoint))
    assert runner.callers == ["w-1"]
    (own,) = worked
    assert own["WORKER_ID"] == "w-1"
    assert [message["variables"] for message in started] == [
        {**own, "WORKER_ID": "w-2"},
        {**own, "WORKER_ID": "w-3"},
    ]
    assert len(waited) == 2
