"""Checks of a Kubeflow installation: what it will do otherwise than the pipeline asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from components.common.errors import GenreflowError
from components.common.escape import printable
from kubeflow.client import controller_config, versions
from kubeflow.client.client import KubeflowClient
from kubeflow.client.cluster import MissingError, NoAccessError, NotAllowedError
from kubeflow.client.watching import clock
from pipeline.prepare.finding import OK, PROBLEM, UNKNOWN, WARNING, Finding


def check_api(connect: Callable[[], KubeflowClient]) -> list[Finding]:
    """Check the API of Kubeflow Pipelines: reachable, new enough, and open to this user.

    Args:
      connect: returns a connected client.
    """
    try:
        client = connect()
    except GenreflowError as error:
        return [Finding("api", PROBLEM, str(error))]
    return [Finding("api", OK, f"{printable(client.access.host)} responds"), _version(client),
            _namespace(client)]  # fmt: skip


def _version(client: KubeflowClient) -> Finding:
    name, version = "version", printable(client.version)
    if versions.is_too_old(client.version):
        return Finding(
            name,
            PROBLEM,
            f"Kubeflow Pipelines {version} cannot run the pipeline, which needs "
            f"{versions.MIN_VERSION} or newer; have it upgraded",
        )
    if not versions.is_version(client.version):
        return Finding(
            name,
            UNKNOWN,
            f"Kubeflow Pipelines tells no version{f' but {version!r}' if version else ''}; the "
            f"pipeline needs {versions.MIN_VERSION} or newer",
        )
    return Finding(name, OK, f"Kubeflow Pipelines {version}")


def _namespace(client: KubeflowClient) -> Finding:
    try:
        client.runs(1)
    except GenreflowError as error:
        return Finding("namespace", PROBLEM, str(error))
    many = f"you may list runs in {client.namespace}"
    return Finding("namespace", OK, many if client.namespace else "one for all users (no profiles)")


def check_controller(read: Callable[[], Mapping[str, str]], namespace: str) -> list[Finding]:
    """Check the settings of Argo's workflow controller.

    Args:
      read: returns the data of its ConfigMap.
      namespace: the ConfigMap's namespace.
    """
    try:
        config = controller_config.parse(read())
    except (NotAllowedError, NoAccessError) as error:
        return [_unread(error, namespace, "ask an administrator for the output of the command")]
    except MissingError as error:
        todo = "is Kubeflow in another namespace (--kubeflow-namespace)?"
        return [_unread(error, namespace, todo)]
    except GenreflowError as error:
        return [_unread(error, namespace, "look at it with the command")]
    return [_retries(config, namespace), _lifetime(config)]


def _unread(error: GenreflowError, namespace: str, todo: str) -> Finding:
    return Finding(
        "retries",
        UNKNOWN,
        f"{error}; {todo}: under workflowDefaults, a retryPolicy of OnError means that steps that "
        "fail are not retried",
        controller_config.read_command(namespace),
    )


def _retries(config: controller_config.ControllerConfig, namespace: str) -> Finding:
    name, policy = "retries", printable(config.retry_policy)
    if not config.retries_failures:
        return Finding(
            name,
            WARNING,
            f"failed steps are NOT retried: the workflow controller's defaults have retryPolicy "
            f"{policy}, which overrules kubeflow.retries (the default of Kubeflow Pipelines "
            "2.17); the command removes the default for all pipelines of this cluster",
            controller_config.patch_command(config, namespace),
        )
    if config.retry_expression:
        return Finding(
            name,
            WARNING,
            "failed steps are retried only if the workflow controller's default condition holds: "
            f"{printable(config.retry_expression)}",
        )
    return Finding(name, OK, "failed steps are retried as kubeflow.retries says")


def _lifetime(config: controller_config.ControllerConfig) -> Finding:
    if config.pod_gc:
        return Finding(
            "lifetime",
            WARNING,
            f"pods and their logs are deleted early (podGC: {printable(config.pod_gc)}), so "
            "kubectl logs may not find a failed step's; the results in the pipeline root stay",
        )
    if config.kept_seconds is None:
        return Finding(
            "lifetime",
            OK,
            "the workflow controller deletes no pods; Kubeflow's persistence agent does, with "
            "their logs, by default a day after the end of a run",
        )
    return Finding(
        "lifetime",
        WARNING,
        f"pods and their logs are deleted {clock(config.kept_seconds)} after the end of a run, so "
        "kubectl logs finds them only until then; the results in the pipeline root stay",
    )
