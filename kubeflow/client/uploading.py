"""Uploading a compiled pipeline, so that Kubeflow's page can start, clone and schedule it."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from typing import Any

from components.common.errors import GenreflowError, UsageError
from components.common.escape import printable
from kubeflow.client.client import KubeflowClient, named
from kubeflow.client.package import Package
from kubeflow.client.run_request import MAX_NAME_CHARS, check_name
from kubeflow.compile.checks import SUFFIXES
from pipeline.places import PIPELINE_NAME


@dataclasses.dataclass(frozen=True)
class Upload:
    """Request to add a version to a pipeline.

    Attributes:
      package: the compiled pipeline.
      pipeline: name of the pipeline, which is created if it does not exist.
      version: name of the version; "" for one that is made of the file's content.
      description: of the version, and of a new pipeline; "" for none.
    """

    package: Package
    pipeline: str = PIPELINE_NAME
    version: str = ""
    description: str = ""

    @property
    def version_name(self) -> str:
        """Return the version's name; the same content always gives the same one."""
        if self.version:
            return self.version
        digest = hashlib.sha256(pathlib.Path(self.package.path).read_bytes()).hexdigest()
        return f"{PIPELINE_NAME}-{digest[:12]}"


@dataclasses.dataclass(frozen=True)
class Uploaded:
    """Version of a pipeline on the server.

    Attributes:
      pipeline_id: id of the pipeline.
      version_id: id of the version.
      version: name of the version.
      is_new: False if the server had this content before.
    """

    pipeline_id: str
    version_id: str
    version: str
    is_new: bool


def check(upload: Upload) -> None:
    """Check a request, which Kubeflow would otherwise refuse without a reason.

    Raises:
      UsageError: a name is invalid, or the file's name does not end as YAML files do.
    """
    check_name("--pipeline-name", upload.pipeline)
    if upload.version:  # the column is one character narrower than that of pipelines
        check_name("--version-name", upload.version, MAX_NAME_CHARS - 1)
    if not upload.package.path.endswith(SUFFIXES):
        raise UsageError(
            f"{upload.package.path}: Kubeflow takes only files whose name ends in "
            f"{' or '.join(SUFFIXES)}"
        )


def upload(client: KubeflowClient, request: Upload) -> Uploaded:
    """Add a version to a pipeline; create the pipeline if there is none of this name.

    A version without a name of its own is added once: the same file gives the version that exists.

    Raises:
      GenreflowError: Kubeflow is too old or refuses the version, cannot be reached, or has another
        version of this name.
    """
    client.check_version(request.package.min_version)
    name = request.version_name
    pipeline_id = _pipeline(client, request)
    pipelines = client.kfp.pipelines
    found = client.call(
        "pipeline",
        pipelines,
        "list_pipeline_versions",
        pipeline_id,
        filter=named(name),
    )
    for version in found.pipeline_versions or ():
        if version.display_name != name:
            continue
        if request.version:
            raise GenreflowError(
                f"{printable(client.access.host)}: pipeline {printable(request.pipeline)} has a "
                f"version {printable(name)} already; give another --version-name"
            )
        return Uploaded(pipeline_id, str(version.pipeline_version_id), name, is_new=False)
    response = client.call(
        "pipeline",
        client.kfp.pipeline_uploads,
        "upload_pipeline_version",
        request.package.path,
        name=name,
        pipelineid=pipeline_id,
        description=request.description,
    )
    made = client.with_id(response, "pipeline_version_id")
    return Uploaded(pipeline_id, str(made.pipeline_version_id), name, is_new=True)


def _pipeline(client: KubeflowClient, request: Upload) -> str:
    """Return the id of the pipeline; create it if it does not exist."""
    import kfp_server_api as api

    pipelines = client.kfp.pipelines
    scope: dict[str, Any] = {"namespace": client.namespace} if client.namespace else {}
    response = client.call(
        "namespace", pipelines, "list_pipelines", filter=named(request.pipeline), **scope
    )
    # Names are unique within a namespace.
    found = [one for one in response.pipelines or () if one.display_name == request.pipeline]
    if not found:
        body = api.V2beta1Pipeline(
            display_name=request.pipeline, description=request.description, **scope
        )
        found = [client.call("namespace", pipelines, "create_pipeline", body)]
    return str(client.with_id(found[0], "pipeline_id").pipeline_id)
