"""`genreflow beam-worker`: a worker of Beam's runners, or a pool that starts such workers."""

from __future__ import annotations

import signal
import sys
import time
from typing import Annotated, Any, NoReturn

import typer

from components.common.errors import UsageError
from genreflow.cli.exit import command
from genreflow.cli.help import CLUSTERS, shown
from genreflow.cli.messages import warn

_CONTRACT = "Of Beam's container contract; the runner gives it."


def _given(flag: str, metavar: str) -> Any:
    """Return an option that only runners give, to containers."""
    group = "Options that runners give to containers"
    return typer.Option(flag, metavar=metavar, help=_CONTRACT, rich_help_panel=group)


@shown(
    CLUSTERS,
    "genreflow beam-worker --pool 50000",
)
@command
def beam_worker(
    pool: Annotated[
        str,
        typer.Option(
            metavar="[HOST:]PORT",
            help="Start workers on request at this address (Beam's environment EXTERNAL); without "
            "HOST, on this machine's loopback interface.",
        ),
    ] = "",
    worker_id: Annotated[str, _given("--id", "ID")] = "",
    provision_endpoint: Annotated[
        str,
        _given("--provision_endpoint", "HOST:PORT"),
    ] = "",
    control_endpoint: Annotated[
        str,
        _given("--control_endpoint", "HOST:PORT"),
    ] = "",
    logging_endpoint: Annotated[
        str,
        _given("--logging_endpoint", "HOST:PORT"),
    ] = "",
    artifact_endpoint: Annotated[
        str,
        _given("--artifact_endpoint", "HOST:PORT"),
    ] = "",
    semi_persist_dir: Annotated[
        str, typer.Option("--semi_persist_dir", hidden=True, help="Not used.")
    ] = "",
) -> int:
    """Work for a Beam runner: as the entry of its worker containers, or as a pool of workers.

    Runners start containers with --id, --provision_endpoint and the other flags. A pool listens at
    --pool, without authentication: whoever reaches it runs code as this user.
    """
    from components.storage.client import check_endpoints

    check_endpoints()  # keys and endpoints of s3:// come from this process's environment
    if pool:
        if worker_id or provision_endpoint:
            raise UsageError(
                "--pool goes without --id and the endpoints, which runners give to workers"
            )
        _serve(pool)
    from pipeline.process.libraries import exit_at_once
    from pipeline.workers import sdk_worker
    from pipeline.workers.contract import Contract

    contract = Contract(
        id=worker_id,
        provision_endpoint=provision_endpoint,
        control_endpoint=control_endpoint,
        logging_endpoint=logging_endpoint,
        artifact_endpoint=artifact_endpoint,
    )
    # A runner that stops a worker has its results: there is nothing to shut down in order.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sdk_worker.run(contract)
    exit_at_once(0)


def _serve(text: str) -> NoReturn:
    from pipeline.process.libraries import exit_at_once, quick_imports
    from pipeline.workers.contract import parse_address

    address = parse_address(text)
    with quick_imports():
        from pipeline.workers import pool
    try:
        with pool.serving(address, _say) as bound:
            if not address.is_loopback:
                warn(
                    f"whoever reaches {bound} can run code as this user, as Beam's "
                    "workers authenticate nobody; let only the runner's machines connect "
                    "(firewall, network policy)"
                )
            print(f"workers on request at {bound} (Ctrl-C stops)", flush=True)
            while True:
                time.sleep(1)  # a signal that a thread of gRPC takes does not end a sleep
    except KeyboardInterrupt:
        _say("stopped")
        exit_at_once(0)  # the workers have ended: nothing of gRPC is left to shut down in order


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
