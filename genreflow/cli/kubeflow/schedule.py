"""`genreflow kubeflow schedule`: start runs of a compiled pipeline at given times."""

from __future__ import annotations

from typing import Annotated

import typer

from genreflow.cli.exit import command
from genreflow.cli.help import OTHER, shown
from genreflow.cli.kubeflow.common import (
    ConnectionOptions,
    connected,
    read_request,
)
from genreflow.cli.kubeflow.options import (
    CaCertOption,
    ExperimentOption,
    FileArgument,
    HostOption,
    NamespaceOption,
    ParamOption,
    ServiceAccountOption,
)
from genreflow.cli.messages import print_fields, print_json
from genreflow.cli.options import JsonOption


@shown(
    OTHER,
    "genreflow kubeflow schedule pipeline.yaml --cron '0 0 3 * * *'",
)
@command
def schedule(
    file: FileArgument,
    cron: Annotated[
        str,
        typer.Option(
            "--cron",
            metavar="WHEN",
            help="In UTC: second minute hour day month weekday, such as '0 0 3 * * *'; or five "
            "fields, without seconds; or @hourly, @daily, @weekly, @monthly, @yearly.",
        ),
    ],
    params: ParamOption = None,
    experiment: ExperimentOption = "genreflow",
    name: Annotated[
        str, typer.Option("--run-name", metavar="NAME", help="Name of the schedule and its runs.")
    ] = "genreflow",
    service_account: ServiceAccountOption = "",
    json_output: JsonOption = False,
    host: HostOption = "",
    namespace: NamespaceOption = "",
    ca_cert: CaCertOption = "",
) -> int:
    """Start runs on a schedule, one at a time.

    The token is read as for submit.
    """
    from kubeflow.client.cron import six_fields

    options = ConnectionOptions(host, namespace, ca_cert)
    access = options.access()
    fields = six_fields(cron)
    request = read_request(file, params or [], name, experiment, service_account)
    with connected(access) as client:
        schedule_id = client.schedule(request, fields)
    page = access.schedule_page(schedule_id)
    if json_output:
        print_json({"recurring_run_id": schedule_id, "name": name, "cron": fields, "url": page})
        return 0
    print_fields(
        {
            "scheduled": f"{name} (experiment {experiment})",
            "when": f"{fields}  (UTC, unless the cluster has another time zone)",
            "id": schedule_id,
            "page": f"{page}  (stop it there too)",
            "next": options.command("runs", "--experiment", experiment),
        }
    )
    return 0
