"""Kubernetes API on a local port: ConfigMaps, and refusals as the real one words them.

A response is an object, or a Status with message, reason, details and code (NewForbidden,
NewNotFound and NewUnauthorized in k8s.io/apimachinery/pkg/api/errors; the forbidden one's text is
from ForbiddenMessage in k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go).
"""

from __future__ import annotations

import dataclasses
import http.server
import json
import pathlib
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

TOKEN = "kubernetes-token"
_CONFIG_MAP = re.compile(r"/api/v1/namespaces/([^/]+)/configmaps/([^/]+)")


@dataclasses.dataclass
class KubernetesApi:
    """State of the API.

    Attributes:
      config_maps: data by namespace and name.
      allowed: whether the user of TOKEN may read ConfigMaps.
      page: sent instead of everything, unless "".
      requests: method and path of each request.
      url: address.
    """

    config_maps: dict[tuple[str, str], dict[str, str] | None] = dataclasses.field(
        default_factory=dict
    )
    allowed: bool = True
    page: str = ""
    requests: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, authorization: str) -> tuple[int, Any]:
        self.requests.append((method, path))
        if authorization != f"Bearer {TOKEN}":
            return _status(401, "Unauthorized", "Unauthorized")
        match = _CONFIG_MAP.fullmatch(path)
        if method != "GET" or not match:
            return _status(404, "NotFound", "the server could not find the requested resource")
        namespace, name = match.groups()
        details = {"name": name, "kind": "configmaps"}
        if not self.allowed:
            return _status(
                403,
                "Forbidden",
                f'configmaps "{name}" is forbidden: User "jane" cannot get resource "configmaps" '
                f'in API group "" in the namespace "{namespace}"',
                details,
            )
        if match.groups() not in self.config_maps:
            return _status(404, "NotFound", f'configmaps "{name}" not found', details)
        data = self.config_maps[namespace, name]
        return 200, {
            "kind": "ConfigMap",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": namespace},
            **({"data": data} if data else {}),  # a ConfigMap may have none
        }

    def kubeconfig(self, folder: pathlib.Path, token: str = TOKEN) -> pathlib.Path:
        """Write a kubeconfig with the contexts "here" and "other"; return its path."""
        path = folder / "kubeconfig"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [
                {"name": "here", "cluster": {"server": self.url}},
                {"name": "other", "cluster": {"server": "http://127.0.0.1:9"}},
            ],
            "users": [{"name": "jane", "user": {"token": token}}],
            "contexts": [
                {"name": name, "context": {"cluster": name, "user": "jane"}}
                for name in ("here", "other")
            ],
        }
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path


def _status(code: int, reason: str, message: str, details: Any = None) -> tuple[int, Any]:
    return code, {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
        **({"details": details} if details else {}),
    }  # fmt: skip


@pytest.fixture
def kubernetes_api() -> Iterator[KubernetesApi]:
    """Run an API without objects."""
    api = KubernetesApi()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = api.answer(
                self.command, self.path, self.headers.get("authorization", "")
            )
            data = (api.page or json.dumps(content)).encode()
            self.send_response(200 if api.page else status)
            self.send_header("Content-Type", "text/html" if api.page else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield api
    server.shutdown()
    server.server_close()
