"""Address and credentials of Kubeflow Pipelines, from options and variables, checked."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from components.common.errors import GenreflowError, UsageError

# kfp's own names, except for the token itself: kfp knows only a token file.
HOST_VARIABLE = "KF_PIPELINES_ENDPOINT"
INTERFACE_VARIABLE = "KF_PIPELINES_UI_ENDPOINT"
NAMESPACE_VARIABLE = "KF_PIPELINES_NAMESPACE"
TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"
TOKEN_FILE_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"

# Characters of a bearer token, by RFC 6750.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
_MAX_TOKEN_BYTES = 16384
# Names of namespaces are RFC 1123 labels.
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
# Services inside the cluster: encryption there is up to the cluster.
_IN_CLUSTER = (".svc", ".svc.cluster.local")


class Token:
    """Bearer token from a variable or a file. Never printed.

    The file is read again for every request, because the cluster renews it. The method
    refresh_api_key_hook makes this one of kfp's TokenCredentials.
    """

    def __init__(self, *, value: str = "", path: str = "") -> None:
        self.source = TOKEN_FILE_VARIABLE if path else TOKEN_VARIABLE
        self._path = path
        self._value = value

    def read(self) -> str:
        """Return the token.

        Raises:
          GenreflowError: the file cannot be read, or contains no valid token.
        """
        text = _file_text(self._path) if self._path else self._value
        where = f"{self.source}: {self._path}" if self._path else self.source
        token = text.strip()
        if not _TOKEN.fullmatch(token):
            raise GenreflowError(
                f"{where}: not a valid token; it must be one word of letters, digits and "
                "._~+/-=, without 'Bearer' before it"
            )
        self._value = token
        return token

    def hide(self, text: str) -> str:
        """Return a text with the token replaced by "[token]"."""
        return text.replace(self._value, "[token]") if self._value else text

    def refresh_api_key_hook(self, config: Any) -> None:
        """Set the token in kfp's configuration. kfp calls this before each request."""
        config.api_key["authorization"] = self.read()


def _file_text(path: str) -> str:
    """Return a token file's text; "" if it is too long for a token."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_TOKEN_BYTES + 1)
    except OSError as error:
        raise GenreflowError(f"{TOKEN_FILE_VARIABLE}: {path}: {error.strerror or error}") from error
    if len(content) > _MAX_TOKEN_BYTES:
        return ""
    return content.decode("ascii", errors="replace")


@dataclasses.dataclass(frozen=True)
class Access:
    """Address and credentials of one Kubeflow Pipelines.

    Attributes:
      host: URL of the API, without a trailing slash.
      interface: URL of the web interface, without a trailing slash.
      namespace: "" if none was given.
      token: sent with every request; None for none.
      ca_cert: path of a PEM file; "" for the system's certificates.
    """

    host: str
    interface: str
    namespace: str = ""
    token: Token | None = None
    ca_cert: str = ""

    def run_page(self, run_id: str) -> str:
        """Return the URL of a run's page in the web interface."""
        return f"{self.interface}/#/runs/details/{run_id}"

    def schedule_page(self, schedule_id: str) -> str:
        """Return the URL of a schedule's page in the web interface."""
        return f"{self.interface}/#/recurringrun/details/{schedule_id}"

    def pipeline_page(self, pipeline_id: str, version_id: str) -> str:
        """Return the URL of the page of a pipeline's version in the web interface."""
        return f"{self.interface}/#/pipelines/details/{pipeline_id}/version/{version_id}"


def access_of(host: str, namespace: str, ca_cert: str, environ: Mapping[str, str]) -> Access:
    """Return the address and credentials that options and environment give; options win.

    Args:
      host: value of --host; "" if not given.
      namespace: value of --namespace; "" if not given.
      ca_cert: value of --ca-cert; "" if not given.
      environ: environment variables.

    Raises:
      UsageError: there is no host, or a value is invalid.
    """
    named = "--host" if host else HOST_VARIABLE
    host = host or environ.get(HOST_VARIABLE, "").strip()
    if not host:
        raise UsageError(
            f"no host: give --host (or {HOST_VARIABLE}), such as "
            "https://kubeflow.example.org/pipeline, or http://localhost:8080 with "
            "kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80"
        )
    host = _url(host, named)
    interface = environ.get(INTERFACE_VARIABLE, "").strip()
    named_namespace = "--namespace" if namespace else NAMESPACE_VARIABLE
    namespace = namespace or environ.get(NAMESPACE_VARIABLE, "").strip()
    if namespace:
        check_namespace(named_namespace, namespace)
    if ca_cert and not host.startswith("https://"):
        raise UsageError(f"--ca-cert is for https:// only, and {named} is {host}")
    if ca_cert:
        _check_certificates(ca_cert)
    token = _token(environ)
    if token and not _is_safe(host):
        raise UsageError(
            f"{named} {host}: the token of {token.source} would be sent unencrypted; use "
            "https://, or a local port (kubectl port-forward)"
        )
    return Access(
        host, _url(interface, INTERFACE_VARIABLE) if interface else host, namespace, token, ca_cert
    )


def check_namespace(named: str, text: str) -> None:
    """Check the name of a namespace.

    Args:
      named: the option or variable, for the message.
      text: the name.

    Raises:
      UsageError: Kubernetes would refuse it.
    """
    if not _NAMESPACE.fullmatch(text):
        raise UsageError(f"{named} {text}: not a valid name of a Kubernetes namespace")


def _check_certificates(path: str) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise UsageError(f"--ca-cert {path}: contains no PEM certificate") from None
    except OSError as error:
        raise UsageError(f"--ca-cert {path}: {error.strerror or error}") from error


def _token(environ: Mapping[str, str]) -> Token | None:
    path = environ.get(TOKEN_FILE_VARIABLE, "").strip()
    value = environ.get(TOKEN_VARIABLE, "").strip()
    if value:
        token = Token(value=value)
    elif path:
        token = Token(path=path)
    else:
        return None
    try:
        token.read()
    except GenreflowError as error:
        raise UsageError(str(error)) from error
    return token


def _url(text: str, named: str) -> str:
    """Return an http(s) URL without its trailing slash.

    Raises:
      UsageError: it is no such URL, or it may contain a password.
    """
    if "@" in text:  # never repeat the text: it may contain a password
        raise UsageError(
            f"{named}: a URL with a name or password is not allowed; set {TOKEN_VARIABLE} to a "
            "token instead"
        )
    if not _is_url(text):
        meant = f"http{'' if _is_local(text) else 's'}://{text}"
        hint = (
            f"; did you mean {meant}?"
            if "://" not in text and _is_url(meant)
            else " such as https://kubeflow.example.org/pipeline"
        )
        raise UsageError(f"{named} {text}: not a URL{hint}")
    parts = urlsplit(text)
    if parts.query or parts.fragment:
        raise UsageError(f"{named} {text}: remove the part that begins with '?' or '#'")
    return text.rstrip("/#?")


def _is_url(text: str) -> bool:
    if not text.isascii() or re.search(r"[\s\\]", text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is not a number, or brackets do not match
        return False


def _is_local(host: str) -> bool:
    """Return whether a host without a scheme is this machine, as with a forwarded port."""
    return re.match(r"(localhost|127\.[0-9.]+|\[::1\])([:/]|$)", host) is not None


def _is_safe(host: str) -> bool:
    """Return whether a token can be sent to a host without being read on the way."""
    parts = urlsplit(host)
    name = (parts.hostname or "").rstrip(".")
    if parts.scheme == "https" or name == "localhost" or name.endswith(_IN_CLUSTER):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
