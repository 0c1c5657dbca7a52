"""SDK worker: runs Beam's own worker with this interpreter, as a runner's container would.

A pool starts it as `python -m pipeline.workers.sdk_worker`, with the contract as the first line of
standard input, whose end also ends the worker. Imports Beam within functions.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import subprocess
import sys
import threading
import traceback
from typing import Any

from components.common.errors import GenreflowError
from components.common.parent import exit_at_end_of_input
from pipeline.process.libraries import configure_tensorflow, exit_at_once, quick_imports
from pipeline.workers.contract import Contract, WorkerError

# For the answer of the provision service.
PROVISION_SECONDS = 60.0
# For the runner to take the last lines of the log.
LOG_SECONDS = 5.0

# Beam stages this list of the submitter's packages for information only.
_FOR_INFORMATION = "submission_environment_dependencies.txt"

COMMAND = (sys.executable, "-m", "pipeline.workers.sdk_worker")


def run(contract: Contract) -> None:
    """Work for a runner until it has no more work. Siblings get processes of their own.

    Raises:
      WorkerError: the runner cannot be reached, is lost, or asks for what this worker cannot do.
    """
    _import_beam(contract.id)
    info = provision(contract)
    check_dependencies(info)
    variables = environment(contract, info)
    # The runner knows them by their ids, but expects no questions from them.
    siblings = [
        _start({"variables": {**variables, "WORKER_ID": name}}) for name in info.sibling_worker_ids
    ]
    try:
        _work(variables)
    finally:
        for process in siblings:
            process.wait()


def start(contract: Contract, **options: Any) -> subprocess.Popen[bytes]:
    """Start a worker process, which ends with this process at the latest."""
    return _start({"contract": dataclasses.asdict(contract)}, **options)


def _start(message: dict[str, Any], **options: Any) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, **options)
    assert process.stdin is not None
    process.stdin.write(f"{json.dumps(message)}\n".encode())
    process.stdin.flush()
    return process


def _import_beam(worker_id: str) -> None:
    configure_tensorflow()
    # The channel of Beam's log handler takes it when its module is imported.
    os.environ["WORKER_ID"] = worker_id
    with quick_imports():
        import apache_beam  # noqa: F401


def provision(contract: Contract) -> Any:
    """Return the runner's ProvisionInfo for a worker.

    Raises:
      WorkerError: no provision service responds there.
    """
    import grpc
    from apache_beam.portability.api import beam_provision_api_pb2 as messages
    from apache_beam.portability.api import beam_provision_api_pb2_grpc as services

    with grpc.insecure_channel(contract.provision_endpoint) as channel:
        try:
            response = services.ProvisionServiceStub(channel).GetProvisionInfo(
                messages.GetProvisionInfoRequest(),
                metadata=[("worker_id", contract.id)],
                timeout=PROVISION_SECONDS,
            )
        except grpc.RpcError as error:
            raise WorkerError(
                f"{contract.provision_endpoint}: no provision service of Beam responds there "
                f"({_words(error)}); check --provision_endpoint, and that the runner still runs"
            ) from error
    return response.info


def check_dependencies(info: Any) -> None:
    """Raise WorkerError if a job wants packages or files that this worker would have to install."""
    from apache_beam.portability.api import beam_runner_api_pb2

    names = []
    for artifact in info.dependencies:
        role = beam_runner_api_pb2.ArtifactStagingToRolePayload()
        role.MergeFromString(artifact.role_payload)
        names.append(role.staged_name or artifact.role_urn)
    wanted = sorted(name for name in names if name != _FOR_INFORMATION)
    if wanted:
        raise WorkerError(
            f"the job asks its workers to install {', '.join(wanted)}, but this worker installs "
            "nothing, as it has all that it needs: remove --requirements_file, --setup_file, "
            "--extra_package and --save_main_session from the job's options"
        )


def environment(contract: Contract, info: Any) -> dict[str, str]:
    """Return the variables that Beam's worker expects of its container's boot program.

    Raises:
      WorkerError: the runner names no control service.
    """
    from apache_beam.portability.api import endpoints_pb2
    from google.protobuf import json_format, text_format

    def descriptor(given: Any, fallback: str) -> str:
        url = given.url or fallback
        return text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url))

    if not (info.control_endpoint.url or contract.control_endpoint):
        raise WorkerError(
            f"{contract.provision_endpoint}: the runner names no control endpoint, and there is no "
            "--control_endpoint"
        )
    found = {
        "WORKER_ID": contract.id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
        "CONTROL_API_SERVICE_DESCRIPTOR": descriptor(
            info.control_endpoint, contract.control_endpoint
        ),
    }
    if info.logging_endpoint.url or contract.logging_endpoint:
        found["LOGGING_API_SERVICE_DESCRIPTOR"] = descriptor(
            info.logging_endpoint, contract.logging_endpoint
        )
    if info.status_endpoint.url:
        found["STATUS_API_SERVICE_DESCRIPTOR"] = descriptor(info.status_endpoint, "")
    return found


def _work(variables: dict[str, str]) -> None:
    import grpc
    from apache_beam.runners.worker import sdk_worker_main

    # As a dict, since the options may be too long for a variable that processes inherit.
    try:
        log_handler, harness, _ = sdk_worker_main.create_harness(variables)
    except grpc.FutureTimeoutError as error:
        where = variables["CONTROL_API_SERVICE_DESCRIPTOR"].strip()
        raise WorkerError(f"{where}: the runner's control service does not respond") from error
    try:
        harness.run()
    except grpc.RpcError as error:
        # Work in progress ends with this process; nobody waits for it.
        raise WorkerError(f"lost the runner ({_words(error)})") from error
    except Exception:
        logging.getLogger(__name__).critical("the worker failed", exc_info=True)
        raise
    finally:
        if log_handler and not isinstance(sys.exc_info()[1], WorkerError):
            # It waits without a limit for the runner to take the last lines.
            closing = threading.Thread(target=log_handler.close, daemon=True)
            closing.start()
            closing.join(LOG_SECONDS)


def _words(error: Any) -> str:
    """Return the code and the first line of the details of a gRPC error."""
    details = (error.details() or "").splitlines() or [""]
    return f"{error.code().name}: {details[0][:300]}"


def main() -> int:
    """Run the worker that standard input describes, and return the exit status."""
    line = sys.stdin.readline()
    exit_at_end_of_input()
    try:
        message = json.loads(line)
        if "variables" in message:
            _import_beam(message["variables"]["WORKER_ID"])
            _work(message["variables"])
        else:
            run(Contract(**message["contract"]))
    except GenreflowError as error:
        print(f"genreflow beam-worker: {error}", file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    exit_at_once(main())
