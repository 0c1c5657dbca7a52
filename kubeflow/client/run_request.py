"""Requests to run a compiled pipeline, once or on a schedule, and checks of their names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from components.common.errors import UsageError
from components.common.escape import printable
from kubeflow.client.package import Package

EXPERIMENT = "genreflow"
# The narrowest name columns of Kubeflow's database, over its versions.
MAX_NAME_CHARS = 128
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,127}", re.ASCII)
# Names of service accounts are RFC 1123 subdomains.
_SERVICE_ACCOUNT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)


@dataclasses.dataclass(frozen=True)
class RunRequest:
    """Request for a run, or for the runs of a schedule.

    Attributes:
      package: the compiled pipeline.
      parameters: values of the run's parameters; the others keep their defaults.
      name: of the run, or of the schedule.
      experiment: name of the experiment, which is created if it does not exist.
      service_account: account that the steps run as; "" for Kubeflow's default.
    """

    package: Package
    parameters: Mapping[str, str]
    name: str
    experiment: str = EXPERIMENT
    service_account: str = ""


def check_names(name: str, experiment: str, service_account: str) -> None:
    """Check names, which Kubeflow would otherwise refuse or cut off.

    Raises:
      UsageError: a name is invalid.
    """
    check_name("--run-name", name)
    check_name("--experiment", experiment)
    if service_account and not _SERVICE_ACCOUNT.fullmatch(service_account):
        raise UsageError(
            f"--service-account {service_account}: not a valid name of a Kubernetes account"
        )


def check_name(option: str, text: str, max_chars: int = MAX_NAME_CHARS) -> None:
    """Check the name of a thing in Kubeflow's database.

    Raises:
      UsageError: it is empty, too long or has unprintable characters.
    """
    if not text.strip() or len(text) > max_chars or not text.isprintable():
        raise UsageError(
            f"{option} {printable(text[:max_chars])}: 1 to {max_chars} characters on one line are "
            "needed"
        )


def check_run_id(run_id: str) -> None:
    """Check that a text can be the id of a run.

    Raises:
      UsageError: it cannot.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise UsageError(
            f"{run_id}: not a run's id, which looks like 6a2b8d1e-5f0c-4c7e-9d3a-0b1c2d3e4f5a; "
            "genreflow kubeflow runs lists them"
        )
