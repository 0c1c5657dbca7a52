"""`genreflow kubeflow submit`: start a run of a compiled pipeline."""

from __future__ import annotations

import datetime
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
    IntervalOption,
    NamespaceOption,
    ParamOption,
    ServiceAccountOption,
)
from genreflow.cli.messages import print_fields, print_json
from genreflow.cli.options import JsonOption


@shown(
    OTHER,
    "genreflow kubeflow submit pipeline.yaml --host https://kubeflow.example.org/pipeline",
    "genreflow kubeflow submit pipeline.yaml -p data_dir=s3://bucket/music --watch",
)
@command
def submit(
    file: FileArgument,
    params: ParamOption = None,
    experiment: ExperimentOption = "genreflow",
    run_name: Annotated[
        str,
        typer.Option(
            "--run-name", metavar="NAME", help="Name of the run [default: genreflow and the time]."
        ),
    ] = "",
    service_account: ServiceAccountOption = "",
    follow: Annotated[
        bool, typer.Option("--watch", help="Follow the run and exit with its status.")
    ] = False,
    interval: IntervalOption = 5.0,
    json_output: JsonOption = False,
    host: HostOption = "",
    namespace: NamespaceOption = "",
    ca_cert: CaCertOption = "",
) -> int:
    """Start a run of a compiled pipeline.

    The token is read from KF_PIPELINES_TOKEN, or from the file that KF_PIPELINES_SA_TOKEN_PATH
    names. The file and the options are checked before anything is sent.
    """
    from components.common.errors import UsageError

    if follow and json_output:
        raise UsageError("--watch and --json exclude each other; give one of them")
    options = ConnectionOptions(host, namespace, ca_cert)
    access = options.access()
    name = run_name or f"genreflow-{datetime.datetime.now(datetime.timezone.utc):%Y%m%d-%H%M%S}"
    request = read_request(file, params or [], name, experiment, service_account)
    with connected(access) as client:
        run = client.submit(request)
        page = access.run_page(run.run_id)
        if json_output:
            print_json({"run_id": run.run_id, "name": name, "experiment": experiment, "url": page})
            return 0
        watch_command = options.command("watch", run.run_id)
        print_fields(
            {
                "submitted": f"{name} (experiment {experiment})",
                "run": run.run_id,
                "page": page,
                **({} if follow else {"next": watch_command}),
            }
        )
        if not follow:
            return 0
        from genreflow.cli.kubeflow import screen

        return screen.follow(client, run.run_id, command=watch_command, interval_s=interval)
