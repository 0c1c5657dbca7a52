"""Security of all pages: headers of every response, and checks of every request.

Another site's script can make a browser send requests to this machine. Two checks keep it out:

- DNS rebinding: a name that another site points at 127.0.0.1 stays in the request's Host, so only
  known names are answered. IP addresses always are: no site can have one as its name.
- Requests that change or cost something (all but GET and HEAD) must come from a page of the same
  host, by their Origin. Programs such as curl send none and are answered.
"""

from __future__ import annotations

import ipaddress
import socket
import urllib.parse
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from components.common.escape import printable

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        # Songs are played from the user's own disk, as object URLs.
        "media-src 'self' blob:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        # No string ever becomes HTML or a script.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # "no-referrer" would make the Origin of forms null.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
}
_SAFE_METHODS = ("GET", "HEAD")
_MAX_QUOTED = 100


class Guard:
    """ASGI application that checks requests before another one, and adds headers to responses."""

    def __init__(self, app: ASGIApp, host_names: Iterable[str] = ()) -> None:
        """Wrap an application.

        Args:
          app: the application.
          host_names: names to answer to, besides localhost and this machine's own name.
        """
        self._app = app
        own = (socket.gethostname(), *host_names)
        self._names = frozenset(name.lower().rstrip(".") for name in own if name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # neither WebSockets nor a lifespan
            return
        headers = Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                response = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    response[name] = value
                response.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope["method"], headers)
        if refusal is not None:
            answer = PlainTextResponse(refusal + "\n", 403, {"Connection": "close"})
            await answer(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        """Return why a request is refused, or None."""
        host = headers.get("host", "")
        if not self._is_known(host):
            return (
                f"{_quoted(host)} is no name of this page. Open it by its address, such as "
                "http://127.0.0.1, or restart it with --allow-host NAME."
            )
        if method in _SAFE_METHODS:
            return None
        origin = headers.get("origin")
        if origin is None:
            site = headers.get("sec-fetch-site", "none")
            return None if site in ("same-origin", "none") else f"a request from a {site} page"
        if _authority(origin) != host.lower():
            return f"a request from another page, {_quoted(origin)}, is not answered"
        return None

    def _is_known(self, host: str) -> bool:
        try:
            name = urllib.parse.urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        name = name.rstrip(".")
        if name in self._names or name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _authority(origin: str) -> str | None:
    try:
        return urllib.parse.urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _quoted(text: str) -> str:
    return repr(printable(text[:_MAX_QUOTED]))
