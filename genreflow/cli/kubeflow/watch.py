"""`genreflow kubeflow watch`: follow a run until it is over."""

from __future__ import annotations

from typing import Annotated

import typer

from genreflow.cli.exit import finish
from genreflow.cli.kubeflow.common import ConnectionOptions, connected
from genreflow.cli.kubeflow.options import (
    CaCertOption,
    HostOption,
    IntervalOption,
    NamespaceOption,
)


def watch(
    run_id: Annotated[
        str, typer.Argument(metavar="RUN_ID", help="As printed by submit and by runs.")
    ],
    interval: IntervalOption = 5.0,
    host: HostOption = "",
    namespace: NamespaceOption = "",
    ca_cert: CaCertOption = "",
) -> None:
    """Follow a run until it is over.

    Shows each step's state as it changes, and exits with the run's status. Ctrl-C stops only the
    watching.
    """
    finish(_watch, ConnectionOptions(host, namespace, ca_cert), run_id, interval_s=interval)


def _watch(options: ConnectionOptions, run_id: str, *, interval_s: float) -> int:
    """Follow a run until it is over; return 0 if it succeeded, else 1.

    Raises:
      UsageError: an option is invalid.
      GenreflowError: there is no such run, or Kubeflow cannot be reached.
    """
    access = options.access()
    from genreflow.cli.kubeflow import screen
    from kubeflow.client.run_request import check_run_id

    check_run_id(run_id)
    command = options.command("watch", run_id)
    with connected(access) as client:
        return screen.follow(client, run_id, command=command, interval_s=interval_s)
