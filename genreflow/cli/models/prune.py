"""`genreflow models prune`: delete old versions."""

from __future__ import annotations

from typing import Annotated

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
    shown_size,
)
from genreflow.cli.options import JsonOption


@shown(
    USE,
    "genreflow models prune --keep 3 --server 127.0.0.1:8500 --yes",
)
@command
def prune(
    keep: Annotated[
        int, typer.Option("--keep", metavar="NUMBER", min=1, help="Newest versions to keep.")
    ],
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete; without it, only say what would be deleted.")
    ] = False,
    work_dir: WorkDirOption = "",
    destination: DestinationOption = "",
    server: ServerOption = "",
    tls: TlsOption = False,
    ca_cert: CaCertOption = "",
    api_key_file: ApiKeyFileOption = "",
    json_output: JsonOption = False,
) -> int:
    """Delete all but the newest versions.

    The newest complete version, versions with a label, and with --server those that it serves, are
    always kept.
    """
    from components.versions import pruning

    in_use = ServerOptions(server, tls, ca_cert, api_key_file).in_use()
    models = models_folder(work_dir, destination)
    plan = pruning.plan(models, keep, in_use)
    deleted = pruning.carry_out(models, plan) if yes else []
    if json_output:
        print_json(
            {
                "delete": [version.number for version in plan.delete],
                "kept": {str(number): reason for number, reason in plan.kept.items()},
                "deleted": deleted,
            }
        )
        return 0
    for version in plan.delete:
        said = "delete"
        if yes:
            said = "deleted" if version.number in deleted else "kept, as it came into use"
        print(f"{version.number}  {said} ({shown_size(version.size_bytes)})")
    for number, reason in sorted(plan.kept.items()):
        print(f"{number}  kept: {reason}")
    if not plan.delete:
        print("nothing to delete")
    elif not yes:
        print(f"nothing was deleted; add --yes to free {shown_size(plan.freed_bytes)}")
    return 0
