"""`genreflow kubeflow submit|schedule|runs|watch`: what they do and print."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from components.common.errors import UsageError
from components.common.escape import printable
from genreflow.cli.kubeflow import watch as cli_kubeflow_watch
from genreflow.cli.quiet import quiet_stderr
from pipeline.display.text import escaped

if TYPE_CHECKING:
    from kubeflow.client.access import Access
    from kubeflow.client.client import Client, Order
    from kubeflow.client.run_state import Run


@dataclasses.dataclass(frozen=True)
class Where:
    """What was typed of a Kubeflow; empty where it was not."""

    host: str = ""
    namespace: str = ""
    ca_cert: str = ""

    def access(self) -> Access:
        """With what the environment says.

        Raises:
          UsageError: no host, or something that cannot be.
        """
        from kubeflow.client.access import access_of

        return access_of(self.host, self.namespace, self.ca_cert, os.environ)

    def command(self, *words: str) -> str:
        """A command of `genreflow kubeflow` with the same options, as it can be typed."""
        options = {"--host": self.host, "--namespace": self.namespace, "--ca-cert": self.ca_cert}
        typed = [word for name, value in options.items() if value for word in (name, value)]
        return shlex.join(["genreflow", "kubeflow", *words, *typed])


@contextlib.contextmanager
def connected(access: Access) -> Iterator[Client]:
    """A client; what libraries say about it stays off the screen meanwhile."""
    with quiet_stderr() as console:
        with console.status("asking Kubeflow (its client starts in some seconds)"):
            from kubeflow.client import client

            found = client.connect(access)
        yield found


def submit(
    where: Where,
    file: str,
    *,
    params: Sequence[str],
    experiment: str,
    name: str,
    service_account: str,
    watch_it: bool,
    interval_s: float,
    json_output: bool,
) -> int:
    """Starts a run, says where it is, and follows it if that is wanted; returns the exit status.

    Raises:
      UsageError: the file, a parameter or an option cannot be; nothing was sent.
      GenreflowError: Kubeflow refuses, or cannot be reached.
    """
    if watch_it and json_output:
        raise UsageError("--watch and --json: one of the two; what is followed is for people")
    access = where.access()
    name = name or f"genreflow-{datetime.datetime.now(datetime.timezone.utc):%Y%m%d-%H%M%S}"
    order = _order(file, params, name, experiment, service_account)
    with connected(access) as client:
        run = client.submit(order)
        page = access.run_page(run.run_id)
        if json_output:
            _print_json({"run_id": run.run_id, "name": name, "experiment": experiment, "url": page})
            return 0
        again = where.command("watch", run.run_id)
        _print_lines(
            {
                "submitted": f"{name}, of experiment {experiment}",
                "run": run.run_id,
                "look": page,
                **({} if watch_it else {"next": again}),
            }
        )
        if not watch_it:
            return 0
        return cli_kubeflow_watch.watch(client, run.run_id, again=again, interval_s=interval_s)


def schedule(
    where: Where,
    file: str,
    *,
    cron: str,
    params: Sequence[str],
    experiment: str,
    name: str,
    service_account: str,
    json_output: bool,
) -> int:
    """Makes a recurring run, and says where it is; returns 0.

    Raises:
      UsageError: the file, a parameter or an option cannot be; nothing was sent.
      GenreflowError: Kubeflow refuses, or cannot be reached.
    """
    from kubeflow.client.cron import six_fields

    access = where.access()
    fields = six_fields(cron)
    order = _order(file, params, name, experiment, service_account)
    with connected(access) as client:
        schedule_id = client.schedule(order, fields)
    page = access.schedule_page(schedule_id)
    if json_output:
        _print_json({"recurring_run_id": schedule_id, "name": name, "cron": fields, "url": page})
        return 0
    _print_lines(
        {
            "scheduled": f"{name}, of experiment {experiment}",
            "when": f"{fields}  (in UTC, unless the cluster was told another time zone)",
            "id": schedule_id,
            "look": f"{page}  (stop it there too)",
            "next": where.command("runs", "--experiment", experiment),
        }
    )
    return 0


def runs(where: Where, *, limit: int, experiment: str, json_output: bool) -> int:
    """Lists the latest runs; returns 0.

    Raises:
      UsageError: an option cannot be.
      GenreflowError: Kubeflow refuses, or cannot be reached.
    """
    access = where.access()
    with connected(access) as client:
        found = client.runs(limit, experiment)
    if json_output:
        _print_json([_as_json(run, access) for run in found])
        return 0
    if not found:
        print("no runs yet")
        return 0
    _print_whole(_table(found))
    return 0


def watch(where: Where, run_id: str, *, interval_s: float) -> int:
    """Follows a run to its end; returns 0 where it went well, else 1.

    Raises:
      UsageError: an option cannot be.
      GenreflowError: no such run, or Kubeflow cannot be reached.
    """
    access = where.access()
    from kubeflow.client.client import check_run_id

    check_run_id(run_id)
    with connected(access) as client:
        return cli_kubeflow_watch.watch(
            client, run_id, again=where.command("watch", run_id), interval_s=interval_s
        )


def _order(
    file: str, params: Sequence[str], name: str, experiment: str, service_account: str
) -> Order:
    """Whatever can be known to be wrong is told before anybody is asked."""
    from kubeflow.client import client, package, run_checks

    client.check_names(name, experiment, service_account)
    with quiet_stderr() as console, console.status(f"reading {escaped(file)}"):
        read = package.read(file)
    values = package.parameters(read, params)
    run_checks.check(read, values)
    return client.Order(read, values, name, experiment, service_account)


def _table(found: Sequence[Run]) -> Table:
    from kubeflow.client.watching import clock

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("run", "state", "started", "took", "name"):
        table.add_column(column, justify="right" if column == "took" else "left", no_wrap=True)
    now = datetime.datetime.now(datetime.timezone.utc)
    for run in found:
        took = ((run.finished or now) - run.created).total_seconds() if run.created else None
        table.add_row(
            escaped(run.run_id),
            cli_kubeflow_watch.state_mark(run.state),
            f"{run.created.astimezone():%Y-%m-%d %H:%M}" if run.created else "",
            "" if took is None or (run.is_over and not run.finished) else clock(took),
            escaped(run.name),
        )
    return table


def _print_whole(table: Table) -> None:
    """Nothing is cut off: ids are there to be copied, and a narrow terminal wraps lines itself."""
    out = Console(highlight=False)
    unbounded = out.options.update(width=10_000)
    out.width = max(out.width, out.measure(table, options=unbounded).maximum)
    out.print(table)


def _as_json(run: Run, access: Access) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "name": run.name,
        "state": run.state,
        "created": run.created.isoformat() if run.created else None,
        "finished": run.finished.isoformat() if run.finished else None,
        "url": access.run_page(run.run_id),
    }


def _print_json(content: Any) -> None:
    print(json.dumps(content, indent=2))


def _print_lines(lines: dict[str, str]) -> None:
    for name, text in lines.items():
        print(f"{name:<10} {printable(text)}")
