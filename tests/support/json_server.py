"""A loopback server for JSON APIs, whose answers a class gives."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
import urllib.parse
from typing import Any

Answer = tuple[int, Any]


class JsonServer:
    """Server on 127.0.0.1 that passes each request to answer() and records it.

    Attributes:
      url: its address.
      requests: (method, path with query, body) of each request, in order.
      raw: a (status, content type, body) to send in place of every answer; None for none.
    """

    def __init__(self, certificate: tuple[str, str] | None = None) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self.raw: tuple[int, str, bytes] | None = None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _handle(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                content = self.rfile.read(length)
                body = json.loads(content) if content else None
                outer.requests.append((self.command, self.path, body))
                if outer.raw:
                    status, kind, data = outer.raw
                else:
                    parts = urllib.parse.urlsplit(self.path)
                    query = dict(urllib.parse.parse_qsl(parts.query))
                    status, values = outer.answer(
                        self.command, parts.path, query, body, dict(self.headers.items())
                    )
                    kind, data = "application/json", json.dumps(values).encode()
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", "http://127.0.0.1:9/login")
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = _handle  # noqa: N815  the base class's names

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        scheme = "http"
        if certificate:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(
        self, method: str, path: str, query: dict[str, str], body: Any, headers: dict[str, str]
    ) -> Answer:
        """Return status and JSON values for a request."""
        raise NotImplementedError

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
