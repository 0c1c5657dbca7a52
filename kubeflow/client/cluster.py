"""Reading from the Kubernetes API, with the same access as kubectl."""

from __future__ import annotations

import json
from typing import Any

from components.common.errors import GenreflowError
from components.common.escape import printable

# Seconds to connect, and between two bytes of a response.
_TIMEOUT_SECONDS = (5, 15)
_MAX_TEXT_CHARS = 300


class NotAllowedError(GenreflowError):
    """Error for a request that Kubernetes does not allow this user."""


class NoAccessError(GenreflowError):
    """Error for a Kubernetes API that is not configured here, or cannot be reached."""


class MissingError(GenreflowError):
    """Error for an object that does not exist."""


def config_map(name: str, namespace: str, context: str = "") -> dict[str, str]:
    """Return the data of a ConfigMap. Imports kfp's client of Kubernetes, which takes a second.

    The access is the kubeconfig's (KUBECONFIG, ~/.kube/config), or in a pod its account's.

    Args:
      name: the ConfigMap's name.
      namespace: its namespace.
      context: the kubeconfig's context; "" for its current one.

    Raises:
      NoAccessError: there is no kubeconfig, or the API cannot be reached.
      NotAllowedError: this user may not read it.
      MissingError: it does not exist.
      GenreflowError: the API fails or sends something else.
    """
    import kubernetes
    import urllib3

    configuration = _configuration(context)
    host = printable(str(configuration.host))
    try:
        with kubernetes.client.ApiClient(configuration) as api:
            found = kubernetes.client.CoreV1Api(api).read_namespaced_config_map(
                name, namespace, _request_timeout=_TIMEOUT_SECONDS, _preload_content=False
            )
            return _data(found.data, host)
    except kubernetes.client.ApiException as error:
        raise _status_error(error, host, f"ConfigMap {name} in namespace {namespace}") from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        cause = getattr(error, "reason", None) or error
        raise NoAccessError(f"{host}: cannot be reached ({_line(cause)})") from None


def _configuration(context: str) -> Any:
    """Return the client's configuration, from the kubeconfig or the pod.

    Raises:
      NoAccessError: there is none, or it cannot be used.
    """
    import kubernetes
    import urllib3

    configuration = kubernetes.client.Configuration()
    try:
        try:
            kubernetes.config.load_kube_config(
                context=context or None, client_configuration=configuration
            )
        except kubernetes.config.ConfigException:
            if context:
                raise
            kubernetes.config.load_incluster_config(client_configuration=configuration)
    except kubernetes.config.ConfigException as error:
        where = f"context {printable(context)}: " if context else ""
        raise NoAccessError(
            f"no access to Kubernetes here: {where}{_line(error)}; kubectl needs the same "
            "(KUBECONFIG, or ~/.kube/config)"
        ) from None
    except Exception as error:  # a kubeconfig is read unchecked
        raise NoAccessError(f"the kubeconfig cannot be used: {_line(error)}") from None
    configuration.retries = urllib3.Retry(total=None, connect=1, read=0, redirect=0, other=0)
    return configuration


def _data(content: bytes, host: str) -> dict[str, str]:
    """Return the data of a ConfigMap that was sent as JSON."""
    try:
        found = json.loads(content)
        data = found.get("data") or {}
        if found.get("kind") == "ConfigMap" and isinstance(data, dict):
            return {str(key): str(value) for key, value in data.items()}
    except (ValueError, AttributeError, RecursionError):
        pass
    raise GenreflowError(f"{host}: the response is not from the API of Kubernetes")


def _status_error(error: Any, host: str, what: str) -> GenreflowError:
    """Return the error for a response with a status other than 200."""
    text = _reason(error.body)
    reason = f": {text}" if text else ""
    if error.status == 401:
        return NotAllowedError(
            f"{host} does not know this user (401){reason}; log in to the cluster again"
        )
    if error.status == 403:
        return NotAllowedError(f"this user may not read the {what} (403){reason}")
    if error.status == 404 and text:
        return MissingError(f"there is no {what} (404){reason}")
    return GenreflowError(f"{host} failed ({error.status}){reason}")


def _reason(body: Any) -> str:
    """Return the message of a Status object of Kubernetes; "" if the body is none."""
    try:
        content = json.loads(body or "")
        return _line(content["message"]) if content.get("kind") == "Status" else ""
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return ""


def _line(text: Any) -> str:
    words = " ".join(str(text).split()) or type(text).__name__
    return printable(words[:_MAX_TEXT_CHARS]).rstrip(".")
