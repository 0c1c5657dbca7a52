"""`genreflow kubeflow runs`: list the latest runs."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genreflow.cli.exit import command
from genreflow.cli.help import OTHER, shown
from genreflow.cli.kubeflow.common import ConnectionOptions, connected
from genreflow.cli.kubeflow.options import CaCertOption, HostOption, NamespaceOption
from genreflow.cli.messages import print_json
from genreflow.cli.options import JsonOption

if TYPE_CHECKING:
    from rich.table import Table

    from kubeflow.client.access import Access
    from kubeflow.client.run_state import Run


@shown(
    OTHER,
    "genreflow kubeflow runs --limit 5",
    "genreflow kubeflow runs --json",
)
@command
def runs(
    experiment: Annotated[
        str, typer.Option("--experiment", metavar="NAME", help="Only runs of this experiment.")
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=1000, help="Maximum number of runs.")
    ] = 20,
    json_output: JsonOption = False,
    host: HostOption = "",
    namespace: NamespaceOption = "",
    ca_cert: CaCertOption = "",
) -> int:
    """List the latest runs."""
    access = ConnectionOptions(host, namespace, ca_cert).access()
    with connected(access) as client:
        found = client.runs(limit, experiment)
    if json_output:
        print_json([_as_json(run, access) for run in found])
    elif found:
        from pipeline.display.console import PlainConsole

        PlainConsole().print_uncut(_table(found))
    else:
        print("no runs yet")
    return 0


def _table(found: Sequence[Run]) -> Table:
    from genreflow.cli.kubeflow.screen import state_mark
    from kubeflow.client.watching import clock
    from pipeline.display.tables import bare

    columns = ("run", "state", "started", "took", "name")
    table = bare("left", "left", "left", "right", "left", headers=columns)
    now = datetime.datetime.now(datetime.timezone.utc)
    for run in found:
        took = ((run.finished or now) - run.created).total_seconds() if run.created else None
        table.add_row(
            run.run_id,
            state_mark(run.state),
            f"{run.created.astimezone():%Y-%m-%d %H:%M}" if run.created else "",
            "" if took is None or (run.is_over and not run.finished) else clock(took),
            run.name,
        )
    return table


def _as_json(run: Run, access: Access) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "name": run.name,
        "state": run.state,
        "created": run.created.isoformat() if run.created else None,
        "finished": run.finished.isoformat() if run.finished else None,
        "url": access.run_page(run.run_id),
    }
