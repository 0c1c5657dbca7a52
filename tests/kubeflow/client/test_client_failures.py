"""Failures between the command line and Kubeflow, and their messages."""

from __future__ import annotations

import pathlib
import socket
from collections.abc import Callable, Iterator

import pytest
from click.testing import Result
from typer.testing import CliRunner

from genreflow.cli.app import app
from kubeflow.client import connecting
from kubeflow.client.client import KubeflowClient
from tests.support.kubeflow_api import (
    LOGIN_PAGE,
    PERMISSION_DENIED,
    UNAUTHENTICATED,
    ApiResponse,
    KubeflowApi,
    failure,
    serve,
)
from tests.support.tls_files import TlsFiles, write_tls_files

TOKEN = "eyJhbGciOi.JSUzI1NiJ9.secret-signature"


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    """Remove Kubeflow's variables; return the path of kfp's own settings, a missing file."""
    import kfp

    for name in ("ENDPOINT", "UI_ENDPOINT", "NAMESPACE", "TOKEN", "SA_TOKEN_PATH"):
        monkeypatch.delenv(f"KF_PIPELINES_{name}", raising=False)
    path = tmp_path / "context.json"
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(path))
    return path


def typed(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["kubeflow", *map(str, arguments)])
    assert "Traceback" not in result.output
    assert TOKEN not in result.output
    assert result.stdout == ""
    assert result.stderr.startswith("genreflow: ")
    assert len(result.stderr.splitlines()) <= 2
    return result


@pytest.fixture
def listening() -> Iterator[int]:
    """Yield a port that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_nothing_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    result = typed("runs", "--host", f"http://127.0.0.1:{port}")
    assert result.exit_code == 1
    assert (
        f"http://127.0.0.1:{port}: nothing listens there (connection refused); is kubectl "
        "port-forward running?" in result.stderr
    )


def test_no_machine_has_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    result = typed("runs", "--host", "https://kubeflow.example.org")
    assert result.exit_code == 1
    assert "https://kubeflow.example.org: unknown host name; check the address" in result.stderr


def test_nobody_answers_in_time(listening: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "TIMEOUT_SECONDS", (0.2, 0.2))
    result = typed("runs", "--host", f"http://127.0.0.1:{listening}")
    assert result.exit_code == 1
    assert f"http://127.0.0.1:{listening}: the request timed out" in result.stderr


def test_an_answer_that_breaks_off(kubeflow_api: KubeflowApi) -> None:
    kubeflow_api.in_the_way["/healthz"] = [ApiResponse(None)] * 3
    result = typed("runs", "--host", kubeflow_api.url)
    assert result.exit_code == 1
    assert f"{kubeflow_api.url}: cannot be reached" in result.stderr


def test_tls_where_there_is_none(kubeflow_api: KubeflowApi) -> None:
    host = kubeflow_api.url.replace("http://", "https://")
    result = typed("runs", "--host", host)
    assert result.exit_code == 1
    assert f"{host}: TLS failed" in result.stderr
    assert "should the address begin with http://?" in result.stderr


def test_tls_that_fails_in_the_midst(
    kubeflow_api: KubeflowApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The generated client turns this into its own error, and then raises another one."""
    import urllib3

    def broken(*_: object, **__: object) -> None:
        raise urllib3.exceptions.SSLError("[SSL: BAD_RECORD_MAC] bad record mac (_ssl.c:1000)")

    monkeypatch.setattr(urllib3.PoolManager, "request", broken)
    result = typed("runs", "--host", kubeflow_api.url)
    assert result.exit_code == 1
    assert f"{kubeflow_api.url}: TLS failed (bad record mac)" in result.stderr


def test_a_certificate_has_to_be_trusted(
    tls_files: TlsFiles, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KF_PIPELINES_TOKEN", TOKEN)
    api = KubeflowApi(token=TOKEN)
    server = serve(api, tls_files)
    others = tmp_path / "others"
    others.mkdir()
    try:
        for options in ([], ["--ca-cert", write_tls_files(others).ca]):
            result = typed("runs", "--host", api.url, *options)
            assert result.exit_code == 1
            assert f"{api.url}: its certificate is not trusted" in result.stderr
            assert (
                "the certificate of the authority that signed it as --ca-cert FILE" in result.stderr
            )
        assert api.requests == []
        trusting = CliRunner().invoke(
            app, ["kubeflow", "runs", "--host", api.url, "--ca-cert", str(tls_files.ca)]
        )
        assert (trusting.exit_code, trusting.stdout) == (0, "no runs yet\n"), trusting.output
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", "requires a token (401): Request header error: there is no user identity; "
             "set KF_PIPELINES_TOKEN, or set KF_PIPELINES_SA_TOKEN_PATH"),
        (TOKEN, "refuses the token of KF_PIPELINES_TOKEN (401): Request header error: there is no "
                "user identity; it has expired"),
    ],
)  # fmt: skip
def test_a_token_is_needed_and_has_to_be_right(
    token: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if token:
        monkeypatch.setenv("KF_PIPELINES_TOKEN", token)
    api = KubeflowApi(token="another")
    server = serve(api)
    result = typed("runs", "--host", api.url)
    server.shutdown()
    server.server_close()
    assert result.exit_code == 1
    assert f"{api.url} {words}" in result.stderr
    assert len(api.requests) == 1, "asked once"


def test_a_token_that_is_sent_back_is_not_shown(
    kubeflow_api: KubeflowApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KF_PIPELINES_TOKEN", TOKEN)
    kubeflow_api.in_the_way["/healthz"] = [failure(UNAUTHENTICATED, f"Bearer {TOKEN} is unknown")]
    result = typed("runs", "--host", kubeflow_api.url)
    assert "Bearer [token] is unknown" in result.stderr


def test_a_token_follows_no_redirection_to_another_host(
    kubeflow_api: KubeflowApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KF_PIPELINES_TOKEN", TOKEN)
    other = KubeflowApi()
    server = serve(other)
    for host in (other.url, other.url.replace("127.0.0.1", "localhost")):
        kubeflow_api.in_the_way["/healthz"] = [
            ApiResponse("", 302, location=f"{host}/apis/v2beta1/healthz")
        ]
        CliRunner().invoke(app, ["kubeflow", "runs", "--host", kubeflow_api.url])
    server.shutdown()
    server.server_close()
    assert len(other.requests) == 2
    assert all("authorization" not in request.headers for request in other.requests)
    assert kubeflow_api.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_token_that_is_cut_off_when_shown_is_hidden_before(
    kubeflow_api: KubeflowApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KF_PIPELINES_TOKEN", TOKEN)
    kubeflow_api.in_the_way["/healthz"] = [failure(UNAUTHENTICATED, "x" * 390 + TOKEN)]
    assert TOKEN[:9] not in typed("runs", "--host", kubeflow_api.url).stderr


@pytest.mark.parametrize("token", ["", TOKEN])
def test_what_one_may_not_do_is_told_in_kubeflows_words(
    token: str, kubeflow_api: KubeflowApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    if token:
        monkeypatch.setenv("KF_PIPELINES_TOKEN", token)
    said = "User 'x' is not authorized with reason: (request: verb:list resource:runs)"
    kubeflow_api.in_the_way["/runs"] = [failure(PERMISSION_DENIED, said)]
    result = typed("runs", "--host", kubeflow_api.url)
    assert result.exit_code == 1
    assert f"(403): {said}" in result.stderr
    assert ("the token of KF_PIPELINES_TOKEN" in result.stderr) == bool(token)


def test_a_gateways_own_refusal_is_no_json(kubeflow_api: KubeflowApi) -> None:
    kubeflow_api.in_the_way["/healthz"] = [ApiResponse("RBAC: access denied", 403, "text/plain")]
    assert "(403): RBAC: access denied" in typed("runs", "--host", kubeflow_api.url).stderr


def test_a_run_that_is_not_there(kubeflow_api: KubeflowApi) -> None:
    result = typed("watch", "no-such-run", "--host", kubeflow_api.url)
    assert result.exit_code == 1
    assert (
        f"{kubeflow_api.url}: no such run no-such-run: Failed to get a run: "
        "ResourceNotFoundError: Run no-such-run not found" in result.stderr
    )
    assert "the run continues" not in result.stderr


@pytest.mark.parametrize("run_id", ["../pipelines", "a b", "", "x" * 129, "-a", "a\x1b[2J", "é"])
def test_what_is_no_id_is_not_asked_for(run_id: str, kubeflow_api: KubeflowApi) -> None:
    result = typed("watch", "--host", kubeflow_api.url, "--", run_id)
    assert result.exit_code == 2
    assert "not a run's id" in result.stderr
    assert "\x1b" not in result.stderr
    assert kubeflow_api.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        ApiResponse("404 page not found\n", 404, "text/plain"),
        ApiResponse("<html>Not Found</html>", 404, "text/html"),
        ApiResponse({"detail": "Not Found"}, 404),
        ApiResponse(LOGIN_PAGE, 200, "text/html; charset=utf-8"),
        ApiResponse("ok", 200, "text/plain"),
        ApiResponse(b"\xff\xfe\xfa", 404, "text/html"),
        ApiResponse(b"\xff\xfe\xfa", 200, "application/json"),
        ApiResponse("{}", 200, "application/json; charset=none-such"),
    ],
)
def test_what_is_another_server_is_told(answer: ApiResponse, kubeflow_api: KubeflowApi) -> None:
    kubeflow_api.in_the_way["/healthz"] = [answer]
    result = typed("runs", "--host", kubeflow_api.url)
    assert result.exit_code == 1
    assert (
        f"{kubeflow_api.url}: the response is not from the API of Kubeflow Pipelines 2; does it "
        "need a token (KF_PIPELINES_TOKEN), and is the address right (in a full Kubeflow it ends "
        "in /pipeline)?" in result.stderr
    )
    assert "<" not in result.stderr


def test_a_session_that_ends_between_two_requests(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path
) -> None:
    kubeflow_api.in_the_way["/runs"] = [ApiResponse(LOGIN_PAGE, 200, "text/html")]
    result = typed("submit", compiled_pipeline, "--host", kubeflow_api.url)
    assert result.exit_code == 1
    assert "the response is not from the API" in result.stderr


@pytest.mark.parametrize(
    "content",
    [{"runs": 5}, {"runs": [{"created_at": "soon"}]}, {"runs": [{"created_at": 5}]}, "[" * 100_000],
)  # fmt: skip
def test_answers_that_make_no_sense_are_told(content: object, kubeflow_api: KubeflowApi) -> None:
    kubeflow_api.in_the_way["/runs"] = [ApiResponse(content)]
    assert typed("runs", "--host", kubeflow_api.url).exit_code == 1


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_server_that_fails_is_told(status: int, kubeflow_api: KubeflowApi) -> None:
    page = ApiResponse("<html>Bad Gateway</html>", status, "text/html")
    kubeflow_api.in_the_way["/runs"] = [page, failure((13, status), "InternalServerError: no disk")]
    result = typed("runs", "--host", kubeflow_api.url)
    assert result.exit_code == 1
    assert result.stderr == f"genreflow: {kubeflow_api.url} failed ({status})\n"
    result = typed("runs", "--host", kubeflow_api.url)
    assert f"failed ({status}): InternalServerError: no disk\n" in result.stderr


@pytest.mark.parametrize("content", ["no json", "5", "{}", "[", b"\xff"])
def test_settings_of_kfps_own_that_are_broken_are_told(
    content: str | bytes, settings: pathlib.Path, kubeflow_api: KubeflowApi
) -> None:
    settings.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = typed("runs", "--host", kubeflow_api.url)
    assert result.exit_code == 2
    assert f"{settings}: the settings of kfp's client cannot be read" in result.stderr


def test_settings_of_kfps_own_are_used_and_not_written(
    settings: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    import kfp

    pod = tmp_path / "namespace"
    pod.write_text("of-the-pod\n")
    monkeypatch.setattr(kfp.Client, "_NAMESPACE_PATH", str(pod))
    api = KubeflowApi(multi_user=True)
    server = serve(api)

    def namespace() -> str:
        result = CliRunner().invoke(app, ["kubeflow", "runs", "--host", api.url])
        assert result.exit_code == 0, result.output
        return api.of("GET", "/runs")[-1].query["namespace"]

    try:
        assert namespace() == "of-the-pod"
        assert not settings.exists()
        settings.write_text('{"namespace": "of-the-settings"}')
        assert namespace() == "of-the-settings"
    finally:
        server.shutdown()
        server.server_close()


def test_a_tokens_file_that_vanishes(
    kubeflow_api: KubeflowApi, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(path))
    connect: Callable[..., KubeflowClient] = connecting.connect

    def connect_and_lose(*args: object) -> KubeflowClient:
        found = connect(*args)
        path.unlink()
        return found

    monkeypatch.setattr(connecting, "connect", connect_and_lose)
    result = typed("runs", "--host", kubeflow_api.url)
    assert result.exit_code == 1
    assert f"KF_PIPELINES_SA_TOKEN_PATH: {path}: No such file or directory" in result.stderr
