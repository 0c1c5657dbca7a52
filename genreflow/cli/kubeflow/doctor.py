"""`genreflow kubeflow doctor`: check a Kubeflow installation before the first run."""

from __future__ import annotations

from typing import Annotated

import typer

from genreflow.cli import findings
from genreflow.cli.exit import command
from genreflow.cli.help import OTHER, shown
from genreflow.cli.kubeflow.common import ConnectionOptions
from genreflow.cli.kubeflow.options import CaCertOption, HostOption, NamespaceOption
from genreflow.cli.messages import print_json
from genreflow.cli.options import JsonOption


@shown(
    OTHER,
    "genreflow kubeflow doctor --host https://kubeflow.example.org/pipeline",
)
@command
def doctor(
    json_output: JsonOption = False,
    host: HostOption = "",
    namespace: NamespaceOption = "",
    ca_cert: CaCertOption = "",
    kubeflow_namespace: Annotated[
        str,
        typer.Option(
            "--kubeflow-namespace", metavar="NAME", help="Namespace of Kubeflow Pipelines itself."
        ),
    ] = "kubeflow",
    context: Annotated[
        str,
        typer.Option(
            "--context",
            metavar="NAME",
            help="Context of the kubeconfig [default: its current one].",
        ),
    ] = "",
) -> int:
    """Check a Kubeflow installation before the first run. Changes nothing.

    Checks the API's version and your namespace, and what the workflow controller does with failed
    and finished steps. The latter is read from Kubernetes with the access that kubectl has; without
    it, the command to ask an administrator for is printed. Exits with 1 if the pipeline cannot run.
    """
    from genreflow.cli.quiet import quiet_stderr
    from kubeflow.client.access import check_namespace
    from pipeline.display.console import PlainConsole

    check_namespace("--kubeflow-namespace", kubeflow_namespace)
    access = ConnectionOptions(host, namespace, ca_cert).access()
    with quiet_stderr() as console, console.status("checking (kfp takes some seconds to start)"):
        from kubeflow.client import cluster, connecting, controller_config
        from kubeflow.client import doctor as checks

        found = [
            *checks.check_api(lambda: connecting.connect(access)),
            *checks.check_controller(
                lambda: cluster.config_map(controller_config.NAME, kubeflow_namespace, context),
                kubeflow_namespace,
            ),
        ]
    if json_output:
        print_json(findings.as_json(found))
    else:
        out = PlainConsole()
        for finding in found:
            findings.show(out, finding)
    return findings.status(found)
