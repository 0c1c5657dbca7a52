"""`genreflow models rollback`: an earlier version serves again."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated, Optional

import typer

from genreflow.cli.exit import command
from genreflow.cli.help import USE, shown
from genreflow.cli.messages import print_json
from genreflow.cli.models.common import (
    ApiKeyFileOption,
    CaCertOption,
    DestinationOption,
    ServerOption,
    ServerOptions,
    TlsOption,
    WorkDirOption,
    models_folder,
)
from genreflow.cli.options import JsonOption


@shown(
    USE,
    "genreflow models rollback --work-dir ./genreflow-demo",
    'genreflow models rollback 1795662103 --reason "misses jazz"',
    "genreflow models rollback 1795662103 --destination s3://bucket/models",
)
@command
def rollback(
    version: Annotated[
        Optional[int],  # noqa: UP045  typer reads the annotation at run time
        typer.Argument(
            metavar="VERSION", min=0, help="A version [default: what served before the newest]."
        ),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for the record and the report.")
    ] = "",
    work_dir: WorkDirOption = "",
    destination: DestinationOption = "",
    server: ServerOption = "",
    tls: TlsOption = False,
    ca_cert: CaCertOption = "",
    api_key_file: ApiKeyFileOption = "",
    json_output: JsonOption = False,
) -> int:
    """Let an earlier version serve again, as a copy with a new number.

    Servers serve the highest number, so they change to the copy by themselves, without a failed
    request. Nothing is deleted. Later runs do not push the replaced model again until "genreflow
    models allow", or a rollback to it. With --server, wait until that server serves the copy.
    """
    from components.versions.rollback import roll_back
    from components.versions.rolled_back import allow_command

    options = ServerOptions(server, tls, ca_cert, api_key_file)
    models = models_folder(work_dir, destination)
    options.states()  # a server that cannot be asked is an error before anything is changed
    done = roll_back(models, version, reason)
    if not json_output:
        print(
            f"version {done.version} is a copy of {done.copy_of}, and takes the place of "
            f"{done.rolled_back_from}"
        )
        if done.refused is not None:
            print(
                f"runs do not push the model of version {done.refused} again; to let them, type\n"
                f"{allow_command(models, done.refused)}"
            )
    if done.newer is not None:
        print(
            f"genreflow: version {done.newer} was pushed meanwhile and is newer, so servers serve "
            "that one; roll back again if it should not serve",
            file=sys.stderr,
        )
    elif server:
        options.wait_for(done.version, lambda text: print(text, file=sys.stderr))
    if json_output:
        print_json(dataclasses.asdict(done))
    elif server and done.newer is None:
        print(f"{server} serves version {done.version}")
    return 0
