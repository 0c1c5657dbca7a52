"""API of Kubeflow Pipelines 2 on a local port, scripted by a test.

It follows kfp_server_api's own description (REST paths, models and their documentation) and the
backend's behaviour: backend/api/v2beta1/*.proto and backend/src/apiserver/server in
kubeflow/pipelines. It is independent of the client under test.
"""

from __future__ import annotations

import dataclasses
import email
import http.server
import json
import re
import ssl
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.support.tls_files import TlsFiles

BASE = "/apis/v2beta1"
# google.rpc.Code, and the HTTP status that grpc-gateway makes of it.
INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, UNAUTHENTICATED = (
    (3, 400),
    (5, 404),
    (6, 409),
    (7, 403),
    (16, 401),
)
LOGIN_PAGE = "<!DOCTYPE html><html><body><form action='/dex/auth'>Log in</form></body></html>"


@dataclasses.dataclass(frozen=True)
class Request:
    """Request of a client."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclasses.dataclass(frozen=True)
class ApiResponse:
    """Response to a client.

    Attributes:
      content: JSON value, or text that is sent unchanged; None closes the connection.
      status: the HTTP status.
      content_type: the header of that name.
      location: target of a redirection, with a status of 3xx.
    """

    content: Any = None
    status: int = 200
    content_type: str = "application/json"
    location: str = ""


def failure(code: tuple[int, int], message: str) -> ApiResponse:
    """Return a failure as the backend words it (util.ToRpcStatus)."""
    details = [{"@type": "type.googleapis.com/google.rpc.Status", "message": message}]
    content = {"error": message, "code": code[0], "message": message, "details": details}
    return ApiResponse(content, code[1])


class KubeflowApi:
    """State and script of the API.

    Attributes:
      requests: the requests received, in order.
      version: version that it tells.
      behind_page: whether it is reached through the web page's server.
      runs: by id, the states that successive requests return; the last one is repeated.
      in_the_way: by the start of a path, responses that are sent instead, each once.
    """

    def __init__(self, *, multi_user: bool = False, token: str = "") -> None:
        self.multi_user = multi_user
        self.token = token
        self.version = "2.17.0"
        self.behind_page = False
        self.requests: list[Request] = []
        self.experiments: list[dict[str, Any]] = []
        self.schedules: list[dict[str, Any]] = []
        self.pipelines: list[dict[str, Any]] = []
        self.versions: list[dict[str, Any]] = []
        self.runs: dict[str, list[dict[str, Any]]] = {}
        self.in_the_way: dict[str, list[ApiResponse]] = {}
        self.url = ""
        self._lock = threading.Lock()

    def of(self, method: str, path: str) -> list[Request]:
        """Return the requests of a method to a path below the API's."""
        return [r for r in self.requests if (r.method, r.path) == (method, BASE + path)]

    def health(self) -> dict[str, Any]:
        """Return what healthz answers.

        The API's own response is written by hand (newHealthzResponse in
        backend/src/apiserver/main.go), and that of the web page's server is made of it
        (frontend/server/handlers/healthz.ts).
        """
        if not self.behind_page:
            return {
                "commit_sha": "0" * 40, "tag_name": self.version, "multi_user": self.multi_user,
                "pipeline_store": "database",
            }  # fmt: skip
        return {
            "buildDate": "", "frontendCommitHash": "0" * 40, "frontendTagName": "2.17.0",
            "apiServerReady": True, "apiServerCommitHash": "0" * 40,
            "apiServerTagName": self.version, "apiServerMultiUser": self.multi_user,
            "multi_user": self.multi_user, "pipelineStore": "database",
        }  # fmt: skip

    def answer(self, request: Request) -> ApiResponse:
        with self._lock:
            self.requests.append(request)
            for start, answers in self.in_the_way.items():
                if request.path.startswith(BASE + start) and answers:
                    return answers.pop(0)
            if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
                return failure(UNAUTHENTICATED, "Request header error: there is no user identity")
            return self._route(request)

    def _route(self, request: Request) -> ApiResponse:
        path = request.path.removeprefix(BASE)
        if path == "/healthz":
            return ApiResponse(self.health())
        if path == "/experiments":
            return self._experiments(request)
        if path == "/runs" and request.method == "POST":
            return self._create_run(request.body)
        if path == "/runs":
            return self._list_runs(request)
        if path == "/recurringruns" and request.method == "POST":
            return self._create_schedule(request.body)
        if path == "/pipelines":
            return self._pipelines(request)
        if path == "/pipelines/upload_version":
            return self._upload_version(request)
        if match := re.fullmatch(r"/pipelines/([^/:]+)/versions", path):
            return _listed(
                "pipeline_versions",
                [one for one in self.versions if one["pipeline_id"] == match[1]],
                request,
            )
        if match := re.fullmatch(r"/runs/([^/:]+)", path):
            states = self.runs.get(match[1])
            if not states:
                return failure(
                    NOT_FOUND,
                    f"Failed to get a run: ResourceNotFoundError: Run {match[1]} not found.",
                )
            return ApiResponse(states.pop(0) if len(states) > 1 else states[0])
        return ApiResponse("404 page not found\n", 404, "text/plain")

    def _namespace_problem(self, namespace: str) -> ApiResponse | None:
        if self.multi_user and not namespace:
            return failure(
                INVALID_ARGUMENT,
                "Invalid input error: In multi-user mode, namespace cannot be empty",
            )
        if not self.multi_user and namespace:
            return failure(
                INVALID_ARGUMENT,
                "Invalid input error: In single-user mode, namespace must be empty",
            )
        return None

    def _experiments(self, request: Request) -> ApiResponse:
        if request.method == "POST":
            namespace = request.body.get("namespace", "")
            if problem := self._namespace_problem(namespace):
                return problem
            made = {
                "experiment_id": str(uuid.uuid5(uuid.NAMESPACE_URL, request.body["display_name"])),
                "created_at": "2026-11-26T08:00:00Z",
                **request.body,
            }
            self.experiments.append(made)
            return ApiResponse(made)
        if problem := self._namespace_problem(request.query.get("namespace", "")):
            return problem
        [predicate] = json.loads(request.query["filter"])["predicates"]
        assert predicate["operation"] in ("EQUALS", 1)
        found = [
            one
            for one in self.experiments
            if one[predicate["key"]] == predicate["stringValue"]
            and one.get("namespace", "") == request.query.get("namespace", "")
        ]
        return ApiResponse({"experiments": found, "total_size": len(found)} if found else {})

    def _pipelines(self, request: Request) -> ApiResponse:
        if request.method == "GET":
            namespace = request.query.get("namespace", "")
            found = [one for one in self.pipelines if one.get("namespace", "") == namespace]
            return _listed("pipelines", found, request)
        if any(one["display_name"] == request.body["display_name"] for one in self.pipelines):
            return failure(ALREADY_EXISTS, "Already exist error: Failed to create a new pipeline.")
        made = {
            "pipeline_id": str(uuid.uuid5(uuid.NAMESPACE_URL, request.body["display_name"])),
            "created_at": at(0),
            **request.body,
        }
        self.pipelines.append(made)
        return ApiResponse(made)

    def _upload_version(self, request: Request) -> ApiResponse:
        """Answer as backend/src/apiserver/server/pipeline_upload_server.go does."""
        query, (file_name, content) = request.query, request.body
        known = [one["pipeline_id"] for one in self.pipelines]
        if query["pipelineid"] not in known or not re.search(r"\.(ya?ml|json)$", file_name):
            return _upload_failure(400)
        name = query.get("name") or file_name
        if any((one["pipeline_id"], one["display_name"]) == (query["pipelineid"], name)
               for one in self.versions):  # fmt: skip
            return _upload_failure(409)
        made = {
            "pipeline_id": query["pipelineid"],
            "pipeline_version_id": f"0a0a0a0a-1111-4222-8333-{len(self.versions):012d}",
            "display_name": name,
            "description": query.get("description", ""),
            "created_at": at(0),
        }
        self.versions.append({**made, "content": content})
        return ApiResponse(made)

    def _checked(self, body: Any) -> ApiResponse | None:
        known = [one["experiment_id"] for one in self.experiments]
        if body.get("experiment_id") not in known:
            return failure(NOT_FOUND, "ResourceNotFoundError: Experiment not found.")
        spec = body["pipeline_spec"]
        spec = spec.get("pipeline_spec", spec)
        inputs = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        for key, value in body.get("runtime_config", {}).get("parameters", {}).items():
            if key not in inputs or not isinstance(value, str):
                return failure(
                    INVALID_ARGUMENT, f"Invalid input error: Unrecognized input parameter: {key}"
                )
        return None

    def _create_run(self, body: Any) -> ApiResponse:
        if problem := self._checked(body):
            return problem
        run_id = f"6a2b8d1e-5f0c-4c7e-9d3a-{len(self.runs):012d}"
        made = {"run_id": run_id, "state": "PENDING", "created_at": "2026-11-26T08:00:00Z", **body}
        self.runs[run_id] = [made]
        return ApiResponse(made)

    def _list_runs(self, request: Request) -> ApiResponse:
        if "experiment_id" not in request.query and (
            problem := self._namespace_problem(request.query.get("namespace", ""))
        ):
            return problem
        wanted = request.query.get("experiment_id")
        found = [
            states[-1]
            for states in self.runs.values()
            if wanted in (None, states[-1].get("experiment_id"))
        ]
        assert request.query["sort_by"] == "created_at desc"
        found.sort(key=lambda run: run["created_at"], reverse=True)
        begin = int(request.query.get("page_token") or 0)
        end = begin + int(request.query["page_size"])
        if not found:
            return ApiResponse({})
        more = {"next_page_token": str(end)} if end < len(found) else {}
        return ApiResponse({"runs": found[begin:end], "total_size": len(found), **more})

    def _create_schedule(self, body: Any) -> ApiResponse:
        if problem := self._checked(body):
            return problem
        # cron.Parse of robfig/cron v1 also accepts five fields, and reads the first as seconds.
        if len(body["trigger"]["cron_schedule"]["cron"].split()) not in (1, 6):
            return failure(INVALID_ARGUMENT, "Schedule cron is not a supported format")
        made = {"recurring_run_id": "0f0f0f0f-1111-4222-8333-444444444444", **body}
        self.schedules.append(made)
        return ApiResponse(made)


def _listed(key: str, among: list[dict[str, Any]], request: Request) -> ApiResponse:
    """Return those of some objects that the request's filter leaves."""
    [predicate] = json.loads(request.query["filter"])["predicates"]
    assert predicate["operation"] == "EQUALS"
    found = [
        {name: value for name, value in one.items() if name != "content"}
        for one in among
        if one[predicate["key"]] == predicate["stringValue"]
    ]
    return ApiResponse({key: found, "total_size": len(found)} if found else {})


def _upload_failure(status: int) -> ApiResponse:
    text = "Failed to create a pipeline version"
    return ApiResponse({"error_message": text, "error_details": text}, status)


def _uploaded_file(content: bytes, content_type: str) -> tuple[str, bytes]:
    """Return the name and the content of the file in a form."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    [part] = email.message_from_bytes(head + content).get_payload()
    assert part.get_param("name", header="content-disposition") == "uploadfile"
    return part.get_filename(), part.get_payload(decode=True)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    api: KubeflowApi

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect, which tests do."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def _do(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("content-length") or 0)
        content = self.rfile.read(length)
        form = (self.headers.get("content-type") or "").startswith("multipart/form-data")
        answer = self.server.api.answer(
            Request(
                self.command,
                unquote(parts.path),
                {key: values[-1] for key, values in parse_qs(parts.query).items()},
                {key.lower(): value for key, value in self.headers.items()},
                _uploaded_file(content, self.headers["content-type"])
                if form
                else json.loads(content)
                if content
                else None,
            )
        )
        if answer.content is None:
            self.close_connection = True
            return
        is_text = isinstance(answer.content, (str, bytes))
        body = answer.content if is_text else json.dumps(answer.content)
        data = body if isinstance(body, bytes) else body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(data)))
        if answer.location:
            self.send_header("Location", answer.location)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _do  # noqa: N815  http.server's names

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def serve(api: KubeflowApi, tls: TlsFiles | None = None, port: int = 0) -> _Server:
    """Start a server on 127.0.0.1 and set `api.url`; its shutdown() ends it."""
    server = _Server(("127.0.0.1", port), _Handler)
    server.api = api
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.server_cert, tls.server_key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    api.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture
def kubeflow_api() -> Iterator[KubeflowApi]:
    """Run an empty API with a single user and no token."""
    api = KubeflowApi()
    server = serve(api)
    yield api
    server.shutdown()
    server.server_close()


# Runs in responses

WORKFLOW = "genreflow-x7k2p"
EXIT_HANDLER = f"{WORKFLOW}.root.exit-handler-1"


def at(seconds: float | None) -> str:
    """Return a time, in seconds after the run's creation; None gives the year 1, for "not yet"."""
    if seconds is None:
        return "0001-01-01T00:00:00Z"
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1795680000 + seconds))


def node_id(name: str) -> str:
    """Return the id that Argo gives to a node, of which the API tells only children's.

    It is the workflow's name with an FNV-1a hash of the node's full name (`NodeID` in
    workflow_types.go of argoproj/argo-workflows).
    """
    hashed = 2166136261
    for byte in name.encode():
        hashed = (hashed ^ byte) * 16777619 % 2**32
    return f"{WORKFLOW}-{hashed}"


def node(
    name: str,
    state: str,
    begun: float | None = 0,
    ended: float | None = None,
    children: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return one of Argo's nodes with the fields of the recorded runs, in kubeflow/recorded.

    Args:
      name: its display name.
      state: as the API names it; "" for one that it does not know, which it leaves out.
      begun: its start, as for at().
      ended: its end, as for at().
      children: full names of its children.
    """
    found: dict[str, Any] = {
        "run_id": "r", "display_name": name, "create_time": at(0), "start_time": at(begun),
        "end_time": at(ended),
    }  # fmt: skip
    if state:
        found["state"] = state
    if children:
        found["child_tasks"] = [{"pod_name": node_id(child)} for child in children]
    return found


def step_nodes(
    name: str, *attempts: tuple[str, float | None, float | None], after: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """Return the nodes of a step: its driver, itself, `executor`, and a pod for each attempt.

    Args:
      name: the step's name.
      *attempts: state, start and end of each attempt.
      after: full names of the nodes after it, which are also children of its last pod.
    """
    state, _, ended = attempts[-1]
    begun = attempts[0][1]
    shown = "RUNNING" if state == "PENDING" else state
    step = step_name(name)
    pods = [f"{step}.executor({number})" for number in range(len(attempts))]
    return [
        node(f"{name}-driver", "SUCCEEDED", begun, begun, (step,)),
        node(name, shown, begun, ended, (f"{step}.executor",)),
        node("executor", shown, begun, ended, (*pods, *after)),
        *(node(f"executor({number})", *attempt) for number, attempt in enumerate(attempts)),
    ]


def step_name(name: str) -> str:
    """Return the full name of a step's node."""
    return f"{EXIT_HANDLER}{'.onExit' if name == 'finish' else ''}.{name}"


def run(
    run_id: str,
    state: str,
    *nodes: list[dict[str, Any]],
    spec: Any = None,
    finished: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a run as GetRun does, with the nodes that Kubeflow adds."""
    drivers = tuple(
        step_name(name.removesuffix("-driver")) + "-driver"
        for step in nodes
        for one in step
        if (name := one["display_name"]).endswith("-driver")
    )
    root = f"{WORKFLOW}.root"
    own = [
        node(WORKFLOW, state, 0, finished, (f"{root}-driver",)),
        node("root-driver", "SUCCEEDED", 0, 1, (root,)),
        node("root", state, 1, finished, (f"{EXIT_HANDLER}-driver",)),
        node("exit-handler-1-driver", "SUCCEEDED", 2, 3, (EXIT_HANDLER,)),
        node("exit-handler-1", state, 3, finished, (*drivers, f"{EXIT_HANDLER}.onExit")),
        node("exit-handler-1.onExit", state, 3, finished),
    ]
    return {
        "run_id": run_id,
        "display_name": "genreflow-1",
        "state": state,
        "created_at": at(0),
        "finished_at": at(finished),
        **({"pipeline_spec": spec} if spec else {}),
        "run_details": {"task_details": [*own, *(one for step in nodes for one in step)]},
        **more,
    }
