"""`genreflow kubeflow upload`: add a compiled pipeline to Kubeflow's list of pipelines."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from genreflow.cli.exit import command
from genreflow.cli.help import OTHER, shown
from genreflow.cli.kubeflow.common import (
    ConnectionOptions,
    connected,
    read_package,
)
from genreflow.cli.kubeflow.options import (
    CaCertOption,
    FileArgument,
    HostOption,
    NamespaceOption,
)
from genreflow.cli.messages import print_fields, print_json
from genreflow.cli.options import JsonOption


@shown(
    OTHER,
    "genreflow kubeflow upload pipeline.yaml --pipeline-name genreflow",
)
@command
def upload(
    file: FileArgument,
    pipeline_name: Annotated[
        str,
        typer.Option("--pipeline-name", metavar="NAME", help="Name of the pipeline."),
    ] = "genreflow",
    version_name: Annotated[
        str,
        typer.Option(
            "--version-name",
            metavar="NAME",
            help="Name of the version [default: made of the file's content].",
        ),
    ] = "",
    description: Annotated[
        str, typer.Option("--description", metavar="TEXT", help="Description of the version.")
    ] = "",
    json_output: JsonOption = False,
    host: HostOption = "",
    namespace: NamespaceOption = "",
    ca_cert: CaCertOption = "",
) -> int:
    """Add a compiled pipeline to Kubeflow's list of pipelines.

    It becomes a version of a pipeline, which is created if there is none of this name. Runs can
    then be started, cloned and scheduled from Kubeflow's page. The same file is not added twice
    unless you name the versions; a name that exists is refused. The token is read as for submit.
    """
    access = ConnectionOptions(host, namespace, ca_cert).access()
    pipeline = read_package(file)
    from kubeflow.client import uploading

    request = uploading.Upload(pipeline, pipeline_name, version_name, description)
    uploading.check(request)
    with connected(access) as client:
        done = uploading.upload(client, request)
    page = access.pipeline_page(done.pipeline_id, done.version_id)
    if json_output:
        print_json({**dataclasses.asdict(done), "pipeline": pipeline_name, "url": page})
        return 0
    print_fields(
        {
            "uploaded" if done.is_new else "unchanged": f"{pipeline_name}, version {done.version}",
            "id": done.version_id,
            "page": page,
        }
    )
    return 0
