"""Connection to the API of Kubeflow Pipelines, by kfp's client with its habits taken off."""

from __future__ import annotations

import json
import warnings
from typing import Any

from components.common.errors import GenreflowError, UsageError
from kubeflow.client.access import NAMESPACE_VARIABLE, Access
from kubeflow.client.client import NO_NAMESPACE, TIMEOUT_SECONDS, KubeflowClient
from kubeflow.client.errors import (
    client_exceptions,
    not_the_api,
    safe_line,
    to_genreflow_error,
)
from kubeflow.client.request_methods import request_method


def connect(access: Access) -> KubeflowClient:
    """Return a client that has reached the API once. Imports kfp, which takes some seconds.

    Raises:
      GenreflowError: the API cannot be reached, or refuses this user.
      UsageError: a namespace is needed, or kfp's own settings cannot be read.
    """
    import google.auth.exceptions
    import kfp
    import urllib3

    _check_settings(kfp.Client._LOCAL_KFP_CONTEXT)

    class QuietClient(kfp.Client):  # type: ignore[misc]  # kfp has no types
        """Client of kfp that checks the API's health once, and writes no settings.

        kfp's own would try five times, print a traceback each time, and leave a settings file in
        the home folder.
        """

        health: Any = None
        is_json = False
        version = ""

        def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
            ask = request_method(self._healthz_api, "get_healthz_with_http_info")
            self.health, _, headers = ask(_request_timeout=TIMEOUT_SECONDS)
            self.is_json = "json" in str(headers.get("content-type"))
            # The generated model has no field for it.
            self.version = _version_in(self._healthz_api.api_client.last_response.data)
            return self.health

        def set_user_namespace(self, namespace: str) -> None:
            self._context_setting["namespace"] = namespace.strip()

        def _load_config(self, *args: Any, **kwargs: Any) -> Any:
            config = super()._load_config(*args, **kwargs)
            # kfp's default would apply each time limit four times.
            config.retries = urllib3.Retry(
                total=None, connect=1, read=0, redirect=3, status=0, other=0
            )
            return config

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a notice that this client is for version 2
            client = QuietClient(
                host=access.host,
                namespace=access.namespace or NO_NAMESPACE,
                credentials=access.token,
                ssl_ca_cert=access.ca_cert or None,
            )
        if client.health is None:
            client.get_kfp_healthz()
    except google.auth.exceptions.GoogleAuthError as error:
        why = safe_line(error, access)
        raise GenreflowError(f"{access.host}: Google issued no token: {why}") from None
    except client_exceptions() as error:
        raise to_genreflow_error(error, access, "API of Kubeflow Pipelines 2") from None
    if not client.is_json:
        raise not_the_api(access)
    namespace = client.get_user_namespace() or ""
    if client.health.multi_user and not namespace:
        raise UsageError(
            f"{access.host} has many users: give your profile's namespace with --namespace (or "
            f"{NAMESPACE_VARIABLE})"
        )
    # With a single user everything runs in Kubeflow's own namespace, and requests must name none.
    named = namespace if client.health.multi_user else ""
    return KubeflowClient(access, client, named, client.version)


def _version_in(health: Any) -> str:
    """Return the version in a response of healthz, such as "2.17.0"; "" if it tells none.

    The API itself calls it `tag_name` (backend/src/apiserver/main.go), and the server of the web
    page `apiServerTagName` (frontend/server/handlers/healthz.ts).
    """
    try:
        values = json.loads(health)
        return str(values.get("tag_name") or values.get("apiServerTagName") or "")
    except (ValueError, TypeError, AttributeError, RecursionError):
        return ""


def _check_settings(path: str) -> None:
    """Check the settings file of kfp's client, which kfp itself reads unchecked.

    Raises:
      UsageError: the file cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            valid = "namespace" in json.load(file)
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, RecursionError):
        valid = False
    if not valid:
        raise UsageError(
            f"{path}: the settings of kfp's client cannot be read; repair or delete the file"
        )
