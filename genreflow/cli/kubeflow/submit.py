"""`genreflow kubeflow submit`: start a run of a compiled pipeline."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Annotated

import typer

from genreflow.cli.exit import finish
from genreflow.cli.kubeflow.common import (
    ConnectionOptions,
    connected,
    print_fields,
    print_json,
    read_request,
)
from genreflow.cli.kubeflow.options import (
    CaCertOption,
    ExperimentOption,
    FileArgument,
    HostOption,
    IntervalOption,
    JsonOption,
    NamespaceOption,
    ParamOption,
    ServiceAccountOption,
)


def submit(
    file: FileArgument,
    params: ParamOption = None,
    experiment: ExperimentOption = "genreflow",
    run_name: Annotated[
        str, typer.Option("--run-name", metavar="NAME", help="[default: genreflow and the time].")
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
) -> None:
    """Start a run of a compiled pipeline.

    The token is read from KF_PIPELINES_TOKEN, or from the file that KF_PIPELINES_SA_TOKEN_PATH
    names. The file and the options are checked before anything is sent.
    """
    finish(
        _submit,
        ConnectionOptions(host, namespace, ca_cert),
        file,
        params=params or [],
        experiment=experiment,
        name=run_name,
        service_account=service_account,
        follow=follow,
        interval_s=interval,
        json_output=json_output,
    )


def _submit(
    options: ConnectionOptions,
    file: str,
    *,
    params: Sequence[str],
    experiment: str,
    name: str,
    service_account: str,
    follow: bool,
    interval_s: float,
    json_output: bool,
) -> int:
    """Start a run, print its id and page, and follow it if wanted; return the exit status.

    Raises:
      UsageError: the file, a parameter or an option is invalid; nothing was sent.
      GenreflowError: Kubeflow refuses the run, or cannot be reached.
    """
    from components.common.errors import UsageError

    if follow and json_output:
        raise UsageError("--watch and --json exclude each other; give one of them")
    access = options.access()
    name = name or f"genreflow-{datetime.datetime.now(datetime.timezone.utc):%Y%m%d-%H%M%S}"
    request = read_request(file, params, name, experiment, service_account)
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

        return screen.follow(client, run.run_id, command=watch_command, interval_s=interval_s)
