"""Client for the Kubernetes API from inside a pod, with the pod's own account."""

from __future__ import annotations

import pathlib
import ssl
from collections.abc import Mapping

from components.common.errors import GenreflowError
from kubeflow.deploy.json_api import JsonApi

ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"


def connect(environment: Mapping[str, str], folder: str = "") -> tuple[JsonApi, str]:
    """Return a client and the pod's namespace; nothing is sent.

    The token's file is read for each request, because Kubernetes renews it.

    Args:
      environment: variables of the pod.
      folder: where the account's token, namespace and certificates are; "" for Kubernetes' own.

    Raises:
      GenreflowError: this is not a pod with an account.
    """
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    account = pathlib.Path(folder or ACCOUNT_FOLDER)
    try:
        namespace = (account / "namespace").read_text(encoding="ascii").strip()
        context = ssl.create_default_context(cafile=str(account / "ca.crt"))
        (account / "token").read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise GenreflowError(
            f"{account}: no account of a pod ({error}); does the run's service account have "
            "automountServiceAccountToken: false?"
        ) from error
    if not host or not namespace:
        raise GenreflowError("KUBERNETES_SERVICE_HOST is not set; this is not a pod of a cluster")
    address = f"[{host}]" if ":" in host else host
    api = JsonApi(
        "the Kubernetes API",
        f"https://{address}:{port}",
        token=lambda: (account / "token").read_text(encoding="ascii").strip(),
        context=context,
        proxies=False,
    )
    return api, namespace
