"""Where Kubeflow Pipelines answers, and as whom it is asked: options and environment, checked."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from components.common.errors import GenreflowError, UsageError

# kfp's own names, but for the token's, of which it knows only the file.
HOST_VARIABLE = "KF_PIPELINES_ENDPOINT"
INTERFACE_VARIABLE = "KF_PIPELINES_UI_ENDPOINT"
NAMESPACE_VARIABLE = "KF_PIPELINES_NAMESPACE"
TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"
TOKEN_FILE_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"

# What RFC 6750 lets a bearer token be made of.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
_MAX_TOKEN_BYTES = 16384
# RFC 1123 labels, which names of namespaces are.
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
# Services of the cluster that this runs in: what encrypts there is the cluster's own affair.
_IN_CLUSTER = (".svc", ".svc.cluster.local")


class Token:
    """A bearer token from a variable, or from a file that is read anew for every request, as the
    cluster renews it. Never printed. It is one of kfp's TokenCredentials by its only method."""

    def __init__(self, *, value: str = "", path: str = "") -> None:
        self.source = TOKEN_FILE_VARIABLE if path else TOKEN_VARIABLE
        self._path = path
        self._value = value

    def read(self) -> str:
        """The token.

        Raises:
          GenreflowError: the file cannot be read, or holds no token.
        """
        text = _file_text(self._path) if self._path else self._value
        where = f"{self.source}: {self._path}" if self._path else self.source
        token = text.strip()
        if not _TOKEN.fullmatch(token):
            raise GenreflowError(
                f"{where}: not a token: one word of letters, digits and ._~+/-= is needed, "
                "without 'Bearer' before it"
            )
        self._value = token
        return token

    def hide(self, text: str) -> str:
        """A text of somebody else, without the token."""
        return text.replace(self._value, "[token]") if self._value else text

    def refresh_api_key_hook(self, config: Any) -> None:
        """Puts the token into the client's configuration; called before each request."""
        config.api_key["authorization"] = self.read()


def _file_text(path: str) -> str:
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
    """`host`: a URL without a slash at its end. `interface`: the same of the pages that people
    look at. `namespace`: "" where none was named. `ca_cert`: PEM file, "" for the usual ones."""

    host: str
    interface: str
    namespace: str = ""
    token: Token | None = None
    ca_cert: str = ""

    def run_page(self, run_id: str) -> str:
        return f"{self.interface}/#/runs/details/{run_id}"

    def schedule_page(self, schedule_id: str) -> str:
        return f"{self.interface}/#/recurringrun/details/{schedule_id}"


def access_of(host: str, namespace: str, ca_cert: str, environ: Mapping[str, str]) -> Access:
    """What was typed, and of the rest what the environment says.

    Raises:
      UsageError: no host, or something that cannot be.
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
    if namespace and not _NAMESPACE.fullmatch(namespace):
        raise UsageError(f"{named_namespace} {namespace}: no name of a namespace of Kubernetes")
    if ca_cert and not host.startswith("https://"):
        raise UsageError(f"--ca-cert is of TLS, and {named} {host} has none")
    if ca_cert:
        _check_certificates(ca_cert)
    token = _token(environ)
    if token and not _is_safe(host):
        raise UsageError(
            f"{named} {host}: the token of {token.source} would go there unencrypted; use "
            "https://, or a port of this machine (kubectl port-forward)"
        )
    return Access(
        host, _url(interface, INTERFACE_VARIABLE) if interface else host, namespace, token, ca_cert
    )


def _check_certificates(path: str) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise UsageError(f"--ca-cert {path}: holds no certificate (PEM)") from None
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
    """A URL of http(s) that holds nothing secret, without a slash at its end."""
    if "@" in text:  # never repeated: what stands before it may be a password, with slashes too
        raise UsageError(f"{named}: no name and password in the URL; a token is given by "
                         f"{TOKEN_VARIABLE}")  # fmt: skip
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
        raise UsageError(f"{named} {text}: too much; leave away what begins with '?' or '#'")
    return text.rstrip("/#?")


def _is_url(text: str) -> bool:
    if not text.isascii() or re.search(r"[\s\\]", text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not close
        return False


def _is_local(host: str) -> bool:
    """Whether a host without a scheme is this machine, where a port is forwarded to."""
    return re.match(r"(localhost|127\.[0-9.]+|\[::1\])([:/]|$)", host) is not None


def _is_safe(host: str) -> bool:
    """Whether nobody between here and there can read along."""
    parts = urlsplit(host)
    name = (parts.hostname or "").rstrip(".")
    if parts.scheme == "https" or name == "localhost" or name.endswith(_IN_CLUSTER):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
