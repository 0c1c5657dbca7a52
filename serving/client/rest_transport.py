"""Transport by TensorFlow Serving's REST API: JSON over HTTP.

Messages are about three times as large as with gRPC, so use it where only HTTP gets through.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import requests

from serving.client.address import Address
from serving.client.errors import CallFailed
from serving.client.transport import MAX_MESSAGE_BYTES, ModelSpec, Response, Tls
from serving.protocol.names import API_KEY_HEADER

# Canonical codes of HTTP statuses, by TensorFlow Serving's mapping, plus statuses that proxies
# commonly send.
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    413: "TOO_LARGE",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_CHUNK_BYTES = 1 << 16


class RestTransport:
    """Transport with persistent connections, separate for each thread."""

    def __init__(self, address: Address, *, tls: Tls | None, api_key: str | None) -> None:
        """Check the files, without connecting yet.

        Args:
          address: the server.
          tls: files for an encrypted connection; None for the system's authorities.
          api_key: key to send with every request, or None.

        Raises:
          SettingsError: a file of `tls` cannot be used.
        """
        self._address = address
        self._tls = tls or Tls()
        self._tls.check()
        self._headers = {API_KEY_HEADER: api_key} if api_key else {}
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    def predict(
        self,
        spec: ModelSpec,
        signature: str,
        inputs: Mapping[str, npt.NDArray[Any]],
        outputs: Sequence[str],
        timeout_s: float,
    ) -> Response:
        """See Transport. The server sends all outputs, and no version."""
        body = {
            "signature_name": signature,
            "inputs": {name: _values(array) for name, array in inputs.items()},
        }
        document = self._request("POST", f"{_path(spec)}:predict", timeout_s, _json(body))
        values = document.get("outputs")
        if not isinstance(values, dict):
            raise CallFailed("BAD_RESPONSE", "the response has no outputs by name")
        names = [name for name in outputs or values if name in values]
        return Response({name: _array(name, values[name]) for name in names}, None)

    def states(self, name: str, timeout_s: float) -> list[tuple[int, str]]:
        """See Transport."""
        document = self._request("GET", _path(ModelSpec(name)), timeout_s)
        try:
            return [
                (int(one["version"]), str(one["state"])) for one in document["model_version_status"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise CallFailed("BAD_RESPONSE", "the response is not a model's status") from error

    def close(self) -> None:
        """See Transport."""
        for session in self._sessions:
            session.close()

    def _request(
        self, method: str, path: str, timeout_s: float, body: bytes | None = None
    ) -> dict[str, Any]:
        """Send a request, and return the JSON object of its response."""
        deadline = time.monotonic() + timeout_s
        try:
            with self._session().request(
                method,
                f"{self._address.shown}{path}",
                data=body,
                headers={"Content-Type": "application/json"} if body else {},
                timeout=timeout_s,
                # REQUESTS_CA_BUNDLE would override the session's own setting.
                verify=None if self._tls.ca_cert is None else str(self._tls.ca_cert),
                allow_redirects=False,  # they would carry the key elsewhere
                stream=True,
            ) as response:
                status = response.status_code
                content = _content(response, deadline)
        except requests.Timeout as error:
            # If no connection was made, the address is at fault, and more time would not help.
            slow = not isinstance(error, requests.ConnectTimeout)
            raise CallFailed("DEADLINE_EXCEEDED" if slow else "UNAVAILABLE", str(error)) from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise CallFailed("UNAVAILABLE", _reason(error)) from error
        except requests.RequestException as error:
            raise CallFailed("BAD_RESPONSE", str(error)) from error
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            if status == 200:
                raise CallFailed("BAD_RESPONSE", f"the response is not JSON ({error})") from error
            document = None
        if status != 200:
            message = document.get("error") if isinstance(document, dict) else None
            detail = message if isinstance(message, str) else f"HTTP status {status}"
            raise CallFailed(_CODES.get(status, "UNKNOWN"), detail)
        if not isinstance(document, dict):
            raise CallFailed("BAD_RESPONSE", "the response is not a JSON object")
        return document

    def _session(self) -> requests.Session:
        """Return this thread's session; sessions are not thread-safe."""
        found: requests.Session | None = getattr(self._local, "session", None)
        if found is None:
            found = self._local.session = _session(self._address, self._tls, self._headers)
            self._sessions.append(found)
        return found


def _session(address: Address, tls: Tls, headers: Mapping[str, str]) -> requests.Session:
    session = requests.Session()
    # A proxy from http_proxy cannot reach this machine's own ports.
    session.trust_env = not address.is_loopback
    session.auth = _no_auth
    session.headers.update(headers)
    if tls.client_cert is not None:
        session.cert = (str(tls.client_cert), str(tls.client_key))
    return session


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave a request as it is, so that no password from ~/.netrc is sent."""
    return request


def _content(response: requests.Response, deadline: float) -> bytes:
    """Read the body, within the deadline and the size limit."""
    content = bytearray()
    for chunk in response.iter_content(_CHUNK_BYTES):
        content += chunk
        if len(content) > MAX_MESSAGE_BYTES:
            raise CallFailed("TOO_LARGE", f"the response is larger than {MAX_MESSAGE_BYTES} bytes")
        if time.monotonic() > deadline:
            raise CallFailed("DEADLINE_EXCEEDED", "the response was not complete in time")
    return bytes(content)


def _path(spec: ModelSpec) -> str:
    path = f"/v1/models/{urllib.parse.quote(spec.name, safe='')}"
    if spec.version is not None:
        return f"{path}/versions/{spec.version}"
    if spec.label is not None:
        return f"{path}/labels/{urllib.parse.quote(spec.label, safe='')}"
    return path


def _values(array: npt.NDArray[Any]) -> Any:
    """Return an input for JSON: numbers, or for an object array bytes.

    Samples get nine decimals, which is 180 dB below full scale. The exact value of a float32
    has twice as many.
    """
    if array.dtype.kind == "O":
        return [{"b64": base64.b64encode(value).decode()} for value in array]
    return array.astype(np.float64).round(9).tolist()


def _json(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _array(name: str, value: object) -> npt.NDArray[Any]:
    """Return an output as an array: numbers, or strings as bytes in an object array."""
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise CallFailed("BAD_RESPONSE", f"{name} is not an array: {error}") from error
    if array.dtype.kind == "U":
        flat = [str(text).encode(errors="replace") for text in array.ravel().tolist()]
        texts = np.empty(len(flat), object)
        texts[:] = flat
        return texts.reshape(array.shape)
    if array.dtype.kind not in "fi":
        raise CallFailed("BAD_RESPONSE", f"{name} is neither numbers nor strings")
    return array


def _reason(error: Exception) -> str:
    """Return the innermost cause of a library's error."""
    while error.args and isinstance(inner := error.args[-1], Exception):
        error = inner
    found = getattr(error, "reason", None)
    return str(found if isinstance(found, Exception) else error)
