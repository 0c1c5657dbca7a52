"""Client for a JSON API over HTTP: one request, one response, and errors in words."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from components.common.errors import GenreflowError
from components.common.escape import printable

_SECONDS = 30.0
_MAX_BYTES = 8 * 2**20
_MAX_TEXT_CHARS = 300


class ApiError(GenreflowError):
    """Error for a request that was refused, or that got no usable response.

    Attributes:
      status: HTTP status; 0 if there was no response.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class JsonApi:
    """Client for one JSON API. Follows no redirect, because those lead to login pages."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        token: Callable[[], str] | None = None,
        context: ssl.SSLContext | None = None,
        proxies: bool = True,
    ) -> None:
        """Initialize the client; nothing is sent.

        Args:
          name: the API's name, for messages.
          url: its address, without a trailing slash.
          token: returns the bearer token before each request; None for none.
          context: settings of TLS; None for the system's certificates.
          proxies: whether the environment's proxies apply.
        """
        self.name, self.url, self._token = name, url, token
        handlers: list[urllib.request.BaseHandler] = [
            _NoRedirects(),
            urllib.request.HTTPSHandler(context=context),
        ]
        if not proxies:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Send a request and return the response, a JSON object.

        Raises:
          ApiError: no response, a status other than 2xx, or a response that is not JSON.
        """
        address = f"{self.url}{path}"
        if query:
            address += f"?{urllib.parse.urlencode(query)}"
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
        if self._token:
            headers["Authorization"] = f"Bearer {self._token()}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=_SECONDS) as response:
                content = response.read(_MAX_BYTES)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise ApiError(
                f"{self.name} ({printable(self.url)}) does not respond: {_line(str(reason))}"
            ) from error
        values = _parsed(content)
        if values is None:
            raise ApiError(
                f"{self.name} ({printable(self.url)}): the response is not JSON; is the address "
                "right, and is there no login page before it?"
            )
        return values

    def _refused(self, error: urllib.error.HTTPError) -> ApiError:
        try:
            values = _parsed(error.read(_MAX_BYTES)) or {}
        except (OSError, http.client.HTTPException):
            values = {}
        reason = _line(str(values.get("message") or error.reason or ""))
        return ApiError(
            f"{self.name} ({printable(self.url)}) answered {error.code}: {reason}", error.code
        )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Handler that makes an error of each redirect."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _parsed(content: bytes) -> dict[str, Any] | None:
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _line(text: str) -> str:
    words = " ".join(text.split())
    return printable(words[:_MAX_TEXT_CHARS]).rstrip(".")
