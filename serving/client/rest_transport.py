"""Requests by TensorFlow Serving's REST: JSON over HTTP.

Some three times the bytes of gRPC, so for where only HTTP gets through.
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
from serving.client.transport import API_KEY_HEADER, MESSAGE_BYTES, Answer, ModelSpec, Tls

# HTTP statuses as TensorFlow Serving maps canonical codes to them, and common ones of
# whatever stands before a server.
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
    """Connections that are kept open, some for each thread."""

    def __init__(self, address: Address, *, tls: Tls | None, api_key: str | None) -> None:
        """Connects to nothing yet; `api_key` is sent with every request.

        Raises:
          SettingsError: a file of `tls` cannot be used.
        """
        self._address = address
        self._tls = tls or Tls()
        self._tls.check()
        self._headers = {API_KEY_HEADER: api_key} if api_key else {}
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._closed = False

    def predict(
        self,
        spec: ModelSpec,
        signature: str,
        inputs: Mapping[str, npt.NDArray[Any]],
        outputs: Sequence[str],
        timeout_s: float,
    ) -> Answer:
        """See Transport; all outputs come, and no version."""
        body = {
            "signature_name": signature,
            "inputs": {name: _values(array) for name, array in inputs.items()},
        }
        answer = self._ask("POST", f"{_path(spec)}:predict", timeout_s, _json(body))
        values = answer.get("outputs")
        if not isinstance(values, dict):
            raise CallFailed("BAD_ANSWER", "the answer has no outputs by name")
        return Answer({name: _array(name, values[name]) for name in outputs if name in values},
                      None)  # fmt: skip

    def states(self, name: str, timeout_s: float) -> list[tuple[int, str]]:
        """See Transport."""
        answer = self._ask("GET", _path(ModelSpec(name)), timeout_s)
        try:
            return [
                (int(one["version"]), str(one["state"])) for one in answer["model_version_status"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise CallFailed("BAD_ANSWER", "the answer is no status of a model") from error

    def close(self) -> None:
        """See Transport."""
        self._closed = True
        for session in self._sessions:
            session.close()

    def _ask(
        self, method: str, path: str, timeout_s: float, body: bytes | None = None
    ) -> dict[str, Any]:
        """The JSON object that a request is answered with."""
        deadline = time.monotonic() + timeout_s
        try:
            with self._session().request(
                method,
                f"{self._address.shown}{path}",
                data=body,
                headers={"Content-Type": "application/json"} if body else {},
                timeout=timeout_s,
                # Given here it holds; the session's own gives way to REQUESTS_CA_BUNDLE.
                verify=None if self._tls.ca_cert is None else str(self._tls.ca_cert),
                allow_redirects=False,  # the key would go along
                stream=True,
            ) as response:
                status = response.status_code
                content = _content(response, deadline)
        except requests.Timeout as error:
            # One that never connected is of the address, which waiting longer does not mend.
            slow = not isinstance(error, requests.ConnectTimeout)
            raise CallFailed("DEADLINE_EXCEEDED" if slow else "UNAVAILABLE", str(error)) from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise CallFailed("UNAVAILABLE", _reason(error)) from error
        except requests.RequestException as error:
            raise CallFailed("BAD_ANSWER", str(error)) from error
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError) as error:
            if status == 200:
                raise CallFailed("BAD_ANSWER", f"the answer is not JSON ({error})") from error
            answer = None
        if status != 200:
            told = answer.get("error") if isinstance(answer, dict) else None
            words = told if isinstance(told, str) else f"HTTP status {status}"
            raise CallFailed(_CODES.get(status, "UNKNOWN"), words)
        if not isinstance(answer, dict):
            raise CallFailed("BAD_ANSWER", "the answer is not a JSON object")
        return answer

    def _session(self) -> requests.Session:
        """This thread's; sessions are not to be shared."""
        found: requests.Session | None = getattr(self._local, "session", None)
        if found is None:
            found = self._local.session = _session(self._address, self._tls, self._headers)
            self._sessions.append(found)
        return found


def _session(address: Address, tls: Tls, headers: Mapping[str, str]) -> requests.Session:
    session = requests.Session()
    # A proxy that http_proxy names cannot reach this machine's own ports.
    session.trust_env = not address.is_loopback
    session.auth = _no_auth
    session.headers.update(headers)
    if tls.client_cert is not None:
        session.cert = (str(tls.client_cert), str(tls.client_key))
    return session


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """In place of passwords that ~/.netrc may have for the host: nobody asked to send them."""
    return request


def _content(response: requests.Response, deadline: float) -> bytes:
    """The body; in time, and not without end."""
    content = bytearray()
    for chunk in response.iter_content(_CHUNK_BYTES):
        content += chunk
        if len(content) > MESSAGE_BYTES:
            raise CallFailed("TOO_LARGE", f"the answer has more than {MESSAGE_BYTES} bytes")
        if time.monotonic() > deadline:
            raise CallFailed("DEADLINE_EXCEEDED", "the answer was still coming")
    return bytes(content)


def _path(spec: ModelSpec) -> str:
    path = f"/v1/models/{urllib.parse.quote(spec.name, safe='')}"
    if spec.version is not None:
        return f"{path}/versions/{spec.version}"
    if spec.label is not None:
        return f"{path}/labels/{urllib.parse.quote(spec.label, safe='')}"
    return path


def _values(array: npt.NDArray[Any]) -> Any:
    """Samples, with nine decimals, 180 dB below full scale: a float32's exact value has twice as
    many. Or bytes, in an object array."""
    if array.dtype.kind == "O":
        return [{"b64": base64.b64encode(value).decode()} for value in array]
    return array.astype(np.float64).round(9).tolist()


def _json(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _array(name: str, value: object) -> npt.NDArray[Any]:
    """An output's values: numbers, or texts as bytes in an object array."""
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise CallFailed("BAD_ANSWER", f"{name} is no array: {error}") from error
    if array.dtype.kind == "U":
        flat = [str(text).encode(errors="replace") for text in array.ravel().tolist()]
        texts = np.empty(len(flat), object)
        texts[:] = flat
        return texts.reshape(array.shape)
    if array.dtype.kind not in "fi":
        raise CallFailed("BAD_ANSWER", f"{name} is neither numbers nor texts")
    return array


def _reason(error: Exception) -> str:
    """The innermost cause, without the layers of the library around it."""
    while error.args and isinstance(inner := error.args[-1], Exception):
        error = inner
    found = getattr(error, "reason", None)
    return str(found if isinstance(found, Exception) else error)
