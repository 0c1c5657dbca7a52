"""`genreflow kubeflow watch`: follow a run until it is over."""

from __future__ import annotations

from typing import Annotated

import typer

from genreflow.cli.exit import command
from genreflow.cli.help import OTHER, shown
from genreflow.cli.kubeflow.common import ConnectionOptions, connected
from genreflow.cli.kubeflow.options import (
    CaCertOption,
    HostOption,
    IntervalOption,
    NamespaceOption,
)


@shown(
    OTHER,
    "genreflow kubeflow watch RUN_ID",
)
@command
def watch(
    run_id: Annotated[
        str, typer.Argument(metavar="RUN_ID", help="As printed by submit and by runs.")
    ],
    interval: IntervalOption = 5.0,
    host: HostOption = "",
    namespace: NamespaceOption = "",
    ca_cert: CaCertOption = "",
) -> int:
    """Follow a run until it is over.

    Shows each step's state as it changes, and exits with the run's status. Ctrl-C stops only the
    watching.
    """
    from genreflow.cli.kubeflow import screen
    from kubeflow.client.run_request import check_run_id

    options = ConnectionOptions(host, namespace, ca_cert)
    access = options.access()
    check_run_id(run_id)
    again = options.command("watch", run_id)
    with connected(access) as client:
        return screen.follow(client, run_id, command=again, interval_s=interval)
