"""Tests of the client with servers that fail, lie, are unreachable or speak another protocol."""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest

from serving.client import connection, diagnosis, errors
from serving.client.address import Address
from serving.client.client import GenreClient
from serving.client.transport import Tls
from serving.model import description
from tests.support.scripted_serving import Arrays, Scripted, serve_grpc, serve_rest
from tests.support.serving_toys import CLIP, GENRES, clips
from tests.support.tls_files import TlsFiles, write_tls_files

pytestmark = pytest.mark.memory

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits between attempts, but not their number."""
    monkeypatch.setattr(connection, "BACKOFF_S", 0.001)
    monkeypatch.setattr(diagnosis, "PROBE_SECONDS", 0.5)


@pytest.fixture(params=["grpc", "rest"])
def told(request: pytest.FixtureRequest) -> Scripted:
    """Start a scripted server over each protocol."""
    rest = request.param == "rest"
    found: Scripted = request.getfixturevalue("scripted_rest" if rest else "scripted")
    found.rest = rest  # type: ignore[attr-defined]
    return found


def where(told: Scripted) -> str:
    return f"{'http://' if told.rest else ''}127.0.0.1:{told.port}"  # type: ignore[attr-defined]


def failing(told: Scripted, code: grpc.StatusCode, status: int, words: str) -> Callable[..., Any]:
    """Return a step of the script that responds with an error."""
    if told.rest:  # type: ignore[attr-defined]
        return lambda handler: (status, {"error": words})
    return lambda context: context.abort(code, words)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Open a port at which `answer` handles every connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    held = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                held.append(connection)
                with contextlib.suppress(OSError):
                    answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in held:
            connection.close()
        thread.join(30)


# Retries


@pytest.mark.parametrize("failures", [1, 2, connection.MAX_ATTEMPTS - 1])
def test_what_is_unavailable_is_asked_again(told: Scripted, failures: int) -> None:
    with GenreClient(where(told)) as client:
        told.script = [failing(told, UNAVAILABLE, 503, "queue full")] * failures
        assert client.predict_windows(clips(2)).shape == (2, 3)
    assert told.sizes == [2] * (failures + 1)


def test_a_batch_that_others_spoiled_is_asked_again(told: Scripted) -> None:
    """TensorFlow Serving fails all requests of a batch if their windows differ in length."""
    words = (
        "Tensors with name 'serving_default_waveform:0' from different tasks have different "
        "shapes and padding is turned off."
    )
    with GenreClient(where(told)) as client:
        told.script = [failing(told, grpc.StatusCode.FAILED_PRECONDITION, 412, words)] * 2
        assert client.predict_windows(clips(2)).shape == (2, 3)
    assert told.sizes == [2] * 3


def test_it_is_not_asked_for_ever(told: Scripted) -> None:
    with GenreClient(where(told)) as client:
        told.script = [failing(told, UNAVAILABLE, 503, "queue full")] * 100
        with pytest.raises(errors.UnreachableError, match=r"server is unavailable .*queue full"):
            client.predict_windows(clips(1))
    assert len(told.sizes) == connection.MAX_ATTEMPTS


def test_nor_past_the_time_that_a_request_may_take(
    told: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    with GenreClient(where(told), timeout_s=1.0) as client:
        monkeypatch.setattr(connection, "BACKOFF_S", 1e6)
        monkeypatch.setattr(connection, "MAX_BACKOFF_S", 1e6)
        told.script = [failing(told, UNAVAILABLE, 503, "queue full")] * 100
        with pytest.raises(errors.UnreachableError):
            client.predict_windows(clips(1))
    assert len(told.sizes) == 1


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 400, errors.RefusedError),
        (grpc.StatusCode.FAILED_PRECONDITION, 412, errors.RefusedError),
        (grpc.StatusCode.INTERNAL, 500, errors.RefusedError),
        (grpc.StatusCode.ABORTED, 409, errors.RefusedError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429, errors.RefusedError),
        (grpc.StatusCode.UNAUTHENTICATED, 401, errors.KeyRefusedError),
        (grpc.StatusCode.PERMISSION_DENIED, 403, errors.KeyRefusedError),
        (grpc.StatusCode.UNIMPLEMENTED, 501, errors.WrongProtocolError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504, errors.DeadlineError),
        (grpc.StatusCode.NOT_FOUND, 404, errors.ModelNotFoundError),
    ],
)
def test_everything_else_is_asked_once(
    told: Scripted, code: grpc.StatusCode, status: int, error: type[errors.ClientError]
) -> None:
    with GenreClient(where(told)) as client:
        told.script = [failing(told, code, status, "its own words")]
        with pytest.raises(error) as caught:
            client.predict_windows(clips(1))
        assert str(told.port) in str(caught.value)
        if error is not errors.DeadlineError:
            assert "its own words" in str(caught.value)
        assert len(told.sizes) == 1
        assert client.predict_windows(clips(1)).shape == (1, 3)  # the client can be used again


def test_a_server_that_is_restarted_meanwhile_is_found_again() -> None:
    told = Scripted()
    first = serve_grpc(told)
    with GenreClient(f"127.0.0.1:{told.port}", timeout_s=60) as client:
        first.stop(0).wait(30)
        back: list[grpc.Server] = []

        def restart() -> None:
            back.append(serve_grpc(told))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connection, "MAX_ATTEMPTS", 1000)
            patch.setattr(connection, "BACKOFF_S", 0.1)
            timer = threading.Timer(0.3, restart)
            timer.start()
            assert client.predict_windows(clips(1)).shape == (1, 3)
            timer.join()
    back[0].stop(0)


# Address


def test_where_nothing_listens_the_address_is_named() -> None:
    port = free_port()
    for address in (f"127.0.0.1:{port}", f"http://127.0.0.1:{port}"):
        with pytest.raises(errors.UnreachableError) as caught:
            GenreClient(address)
        assert address in str(caught.value)
        assert "Connection refused" in str(caught.value)
        assert "genreflow serve" in str(caught.value)


def test_a_name_that_is_no_host() -> None:
    with pytest.raises(errors.UnreachableError, match="nothing responds there"):
        GenreClient("no-such-host.invalid:8500")


def test_grpc_at_the_port_of_rest_and_the_reverse(
    scripted: Scripted, scripted_rest: Scripted
) -> None:
    with pytest.raises(errors.WrongProtocolError, match=r"this port speaks HTTP \(REST\)"):
        GenreClient(f"127.0.0.1:{scripted_rest.port}")
    with pytest.raises(errors.WrongProtocolError, match="this port speaks gRPC"):
        GenreClient(f"http://127.0.0.1:{scripted.port}")


@pytest.mark.parametrize("rest", [False, True])
@pytest.mark.parametrize(
    "words", [b"220 mail.example ESMTP\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", b"\0" * 64, b""]
)
def test_something_else_at_the_port(words: bytes, rest: bool) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(words)
        connection.shutdown(socket.SHUT_WR)

    with (
        answering(answer) as port,
        pytest.raises(errors.WrongProtocolError, match="not a model ser"),
    ):
        GenreClient(f"127.0.0.1:{port}", rest=rest)


@pytest.mark.parametrize("rest", [False, True])
def test_a_port_that_never_says_a_word(rest: bool) -> None:
    with answering(lambda connection: None) as port, pytest.raises(errors.ClientError) as caught:
        GenreClient(f"127.0.0.1:{port}", rest=rest, timeout_s=0.5)
    assert isinstance(caught.value, (errors.DeadlineError, errors.WrongProtocolError))


def test_another_web_server_is_no_model_server() -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        body = b"<html>Not Found</html>"
        connection.sendall(
            b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )

    with answering(answer) as port, pytest.raises(errors.ClientError) as caught:
        GenreClient(f"http://127.0.0.1:{port}")
    assert "no model 'genreflow'" in str(caught.value)


def test_a_redirect_is_not_followed_with_the_key(scripted_rest: Scripted) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(
            b"HTTP/1.1 307 Temporary Redirect\r\nConnection: close\r\nContent-Length: 0\r\n"
            b"Location: http://127.0.0.1:%d/v1/models/genreflow:predict\r\n\r\n"
            % scripted_rest.port
        )

    with answering(answer) as port, pytest.raises(errors.ClientError, match="307"):
        GenreClient(f"http://127.0.0.1:{port}", api_key="s3cret")
    assert scripted_rest.requests == []


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "all_proxy", "grpc_proxy"])
def test_a_proxy_is_not_asked_for_this_machines_own_ports(
    told: Scripted, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    with GenreClient(where(told)) as client:
        assert client.genres == GENRES


def test_passwords_of_netrc_are_not_sent(
    scripted_rest: Scripted, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    # The client cannot tell that this name is this machine.
    monkeypatch.setattr("serving.client.address.Address.is_loopback", False)
    monkeypatch.setenv("no_proxy", "*")
    with GenreClient(f"http://127.0.0.1:{scripted_rest.port}"):
        assert all("authorization" not in headers for headers in scripted_rest.headers)


# The key


def test_a_missing_or_wrong_key_says_how_to_give_one(scripted: Scripted) -> None:
    scripted.key = "right"
    for key in (None, "wrong"):
        with pytest.raises(errors.KeyRefusedError, match="GENREFLOW_API_KEY") as caught:
            GenreClient(f"127.0.0.1:{scripted.port}", api_key=key)
        assert "wrong" not in str(caught.value)
    with GenreClient(f"127.0.0.1:{scripted.port}", api_key="right") as client:
        assert client.genres == GENRES


@pytest.mark.parametrize("key", ["", " \n", "two words", "line\nbreak", "schlüssel", "a\0b"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(errors.SettingsError) as caught:
        GenreClient("127.0.0.1:1", api_key=key)
    assert not key.strip() or key not in str(caught.value)


# Choice of the model


def test_an_unknown_model_is_named(told: Scripted) -> None:
    with pytest.raises(errors.ModelNotFoundError, match=r"no model 'nosuch'.*--model-name"):
        GenreClient(where(told), model_name="nosuch")


def test_of_an_unknown_version_the_known_ones_are_listed(told: Scripted) -> None:
    told.states = {5: 50, 7: 30}
    with pytest.raises(errors.ModelNotFoundError, match=r"version 6 .*5 \(END\), 7 \(AVAILABLE\)"):
        GenreClient(where(told), model_version=6)


def test_a_model_that_is_still_loading_is_not_missing(told: Scripted) -> None:
    words = "Servable not found for request: Latest(genreflow)"
    told.states = {7: 20}
    told.script = [failing(told, grpc.StatusCode.NOT_FOUND, 404, words)]
    with pytest.raises(errors.ModelNotReadyError, match=r"still loading .*7 \(LOADING\)"):
        GenreClient(where(told))


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "FAILED_PRECONDITION"])
def test_a_model_without_a_description_is_none_of_ours(told: Scripted, code: str) -> None:
    words = 'Serving signature key "describe" not found.'
    told.script = [failing(told, grpc.StatusCode[code], 400, words)]
    with pytest.raises(errors.NotAGenreModelError, match="has no signature describe"):
        GenreClient(where(told))


# Time and size


def test_a_slow_answer_is_not_waited_for(told: Scripted) -> None:
    release = threading.Event()

    def wait(context: Any) -> Any:
        release.wait(60)
        return 200, {}

    with GenreClient(where(told), timeout_s=0.5) as client:
        told.script = [wait]
        started = time.monotonic()
        with pytest.raises(errors.DeadlineError, match=r"within 0\.5 s.*--timeout"):
            client.predict_windows(clips(1))
        assert time.monotonic() - started < 50  # it did not wait for the response
        release.set()


def test_an_answer_that_trickles_is_not_waited_for() -> None:
    stop = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not stop.wait(0.02):
            connection.sendall(b" " * 70000)

    with answering(answer) as port:
        with pytest.raises(errors.ClientError) as caught:
            GenreClient(f"http://127.0.0.1:{port}", timeout_s=0.5)
        stop.set()
    assert isinstance(caught.value, (errors.DeadlineError, errors.BadResponseError))


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.client.rest_transport.MAX_MESSAGE_BYTES", 100_000)

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b" " * 70000)

    with answering(answer) as port, pytest.raises(errors.TooLargeError, match="larger than 100000"):
        GenreClient(f"http://127.0.0.1:{port}")


def test_a_request_that_is_too_large_for_the_server_says_so() -> None:
    told = Scripted()
    server = serve_grpc(told, options={"grpc.max_receive_message_length": 4 * CLIP})
    with (
        GenreClient(f"127.0.0.1:{told.port}") as client,
        pytest.raises(errors.TooLargeError, match="--max-message-mb"),
    ):
        client.predict_windows(clips(2))
    server.stop(0)


def test_large_answers_and_requests_pass(scripted: Scripted) -> None:
    """Exceed the 4 MiB that gRPC allows by default in both directions."""
    scripted.describe["model_card"] = np.array([b'{"x": "' + b"y" * 900_000 + b'"}'], object)
    with GenreClient(f"127.0.0.1:{scripted.port}") as client:
        assert len(client.model_card["x"]) == 900_000
        scripted.describe["junk"] = np.zeros(6 << 20, np.float32)
        answer = client._connection.transport.predict(
            client._connection.spec, "describe", {"waveform": clips(800)}, ("junk",), 60
        )
        assert answer.outputs["junk"].nbytes == 24 << 20


# Invalid responses


LIES: list[tuple[str, Any]] = [
    ("genres", np.array([[b"Rock", b"Rock", b"Folk"]], object)),
    ("genres", np.array([[b"", b"Folk"]], object)),
    ("genres", np.array([[]], object)),
    ("genres", np.array([b"Folk", b"Rock", b"Jazz"], object)),
    ("genres", np.array([[b"Folk", b"Rock", b"Jazz"]] * 2, object)),
    ("genres", np.array(b"Rock", object)),
    ("genres", np.array([[b"\xff"]], object)),
    ("genres", np.array([[b"x" * 5000]], object)),
    ("genres", np.array([[b"%d" % n for n in range(2000)]], object)),
    ("genres", np.zeros((1, 3), np.float32)),
    ("sample_rate_hz", np.array([0], np.int64)),
    ("sample_rate_hz", np.array([-8000], np.int64)),
    ("sample_rate_hz", np.array([10**12], np.int64)),
    ("sample_rate_hz", np.array([8000.0], np.float32)),
    ("sample_rate_hz", np.array(8000, np.int64)),
    ("sample_rate_hz", np.array([8000, 8000], np.int64)),
    ("clip_samples", np.array([0], np.int64)),
    ("clip_samples", np.array([1], np.int64)),
    ("clip_samples", np.array([2**62], np.int64)),
    ("audio_params", np.array([b"../../etc/passwd"], object)),
    ("audio_params", np.array([b"x" * 10**6], object)),
    ("audio_params", np.array([], object)),
    ("model_card", np.array([b"[]"], object)),
    ("model_card", np.array([b"{"], object)),
    ("model_card", np.array([b"[" * 100_000], object)),
    ("model_card", np.array([b'"' + b"x" * 2**20 + b'"'], object)),
    ("model_card", None),
    ("genres", None),
]


@pytest.mark.parametrize(("output", "value"), LIES)
def test_a_description_that_cannot_be_is_refused(
    scripted: Scripted, output: str, value: Any
) -> None:
    if value is None:
        del scripted.describe[output]
    else:
        scripted.describe[output] = value
    with pytest.raises(errors.NotAGenreModelError, match="is not a genreflow model") as caught:
        GenreClient(f"127.0.0.1:{scripted.port}")
    assert len(str(caught.value)) < 1000


def changed(name: str, change: Callable[[Any], Any]) -> Callable[[Arrays], Arrays]:
    return lambda outputs: {**outputs, name: change(outputs[name])}


WRONG: dict[str, Callable[[Arrays], Arrays]] = {
    "NaN": changed("probabilities", lambda p: p * np.float32(np.nan)),
    "negative": changed("probabilities", lambda p: p * 3 - 1),
    "sum": changed("probabilities", lambda p: p / 2),
    "infinite": changed("probabilities", lambda p: p + np.float32(np.inf)),
    "row less": changed("probabilities", lambda p: p[:-1]),
    "row more": changed("probabilities", lambda p: np.concatenate([p, p])),
    "genre less": changed("probabilities", lambda p: p[:, 1:]),
    "one row": changed("probabilities", lambda p: p[0]),
    "texts": changed("probabilities", lambda p: p.astype("U").astype(object)),
    "order": changed("genres", lambda names: names[:, ::-1]),
    "shape": changed("genres", lambda names: names[0]),
    "numbers": changed("genres", lambda names: np.zeros(names.shape, np.float32)),
    "nothing": lambda outputs: {},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_answers_that_are_no_probabilities_are_refused(scripted: Scripted, wrong: str) -> None:
    with GenreClient(f"127.0.0.1:{scripted.port}") as client:
        scripted.change = WRONG[wrong]
        with pytest.raises(errors.BadResponseError, match="invalid response"):
            client.predict_windows(clips(3))


@pytest.mark.parametrize(
    "body",
    [b"", b"not JSON", b"[]", b"{}", b"[" * 100_000, b'{"outputs": 3}', b'{"outputs": []}',
     b'{"outputs": {"probabilities": [[1, 2], [3]], "genres": []}}',
     b'{"outputs": {"probabilities": {"a": 1}, "genres": []}}',
     b'{"outputs": {"probabilities": [[NaN, 0, 1]], "genres": [["Folk", "Rock", "Jazz"]]}}',
     b'{"outputs": {"probabilities": [["0", "0", "1"]], "genres": [["Folk", "Rock", "Jazz"]]}}',
     b'{"outputs": {"probabilities": [[null, 0, 1]], "genres": [["Folk", "Rock", "Jazz"]]}}'],
)  # fmt: skip
def test_json_of_any_kind_is_survived(scripted_rest: Scripted, body: bytes) -> None:
    with GenreClient(f"http://127.0.0.1:{scripted_rest.port}") as client:
        scripted_rest.script = [lambda handler: (200, body)]
        with pytest.raises(errors.BadResponseError):
            client.predict_windows(clips(1))


def test_tensors_of_any_kind_are_survived(scripted: Scripted) -> None:
    from serving.protocol.protos import tensor_pb2, types_pb2

    bad = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT)
    bad.tensor_shape.dim.add().size = 1 << 40
    with (
        GenreClient(f"127.0.0.1:{scripted.port}") as client,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("tests.support.scripted_serving.to_proto", lambda array: bad)
        with pytest.raises(errors.BadResponseError, match="cannot be read"):
            client.predict_windows(clips(1))


def test_the_rows_must_add_up() -> None:
    names = np.array([[b"a", b"b"]], object)
    for row, good in (([0.5, 0.5], True), ([0.9995, 0.0], True), ([0.99, 0.0], False)):
        outputs = {"probabilities": np.array([row], np.float32), "genres": names}
        if good:
            description.check_probabilities(outputs, 1, ("a", "b"))
        else:
            with pytest.raises(ValueError, match="sum to 1"):
                description.check_probabilities(outputs, 1, ("a", "b"))


def test_a_row_is_all_0_if_no_window_counts_and_only_then() -> None:
    names = np.array([[b"a", b"b"]] * 2, object)

    def check(first: list[float], counts: npt.NDArray[Any] | None) -> npt.NDArray[np.float32]:
        matrix = np.array([first, [0.5, 0.5]], np.float32)
        outputs = {"probabilities": matrix, "genres": names}
        if counts is not None:
            outputs["audible_windows"] = counts
        return description.check_probabilities(outputs, 2, ("a", "b"))

    assert check([0, 0], np.array([0, 1])).tolist() == [[0, 0], [0.5, 0.5]]
    for first, counts in (
        ([0, 0], None),
        ([0, 0], np.array([1, 1])),
        ([0.5, 0.5], np.array([0, 1])),
        ([np.nan, 0], np.array([0, 1])),
        ([0, 0], np.array([0])),
        ([0, 0], np.array([0.0, 1.0])),
        ([0, 0], np.array([[0], [1]])),
    ):
        with pytest.raises(ValueError, match=r"sum to 1|audible_windows"):
            check(first, counts)


# Encryption


@pytest.fixture(scope="module")
def encrypted(tls_files: TlsFiles) -> Iterator[Scripted]:
    told = Scripted()
    pair = (tls_files.server_key.read_bytes(), tls_files.server_cert.read_bytes())
    server = serve_grpc(told, credentials=grpc.ssl_server_credentials([pair]))
    yield told
    server.stop(0)


@pytest.fixture(scope="module")
def encrypted_rest(tls_files: TlsFiles) -> Iterator[Scripted]:
    told = Scripted()
    server = serve_rest(told)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls_files.server_cert, tls_files.server_key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    yield told
    server.shutdown()
    server.server_close()


def test_an_encrypted_connection(
    encrypted: Scripted, encrypted_rest: Scripted, tls_files: TlsFiles
) -> None:
    tls = Tls(tls_files.ca)
    for address in (f"localhost:{encrypted.port}", f"https://127.0.0.1:{encrypted_rest.port}"):
        with GenreClient(address, tls=tls, api_key="s3cret") as client:
            assert client.predict_windows(clips(2)).shape == (2, 3)
    assert encrypted.headers[-1]["x-api-key"] == encrypted_rest.headers[-1]["x-api-key"]


def test_the_authority_that_is_given_holds_whatever_bundle_the_environment_names(
    encrypted_rest: Scripted,
    tls_files: TlsFiles,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Address, "is_loopback", False)  # as if the host were another machine
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(write_tls_files(tmp_path).ca))
    with GenreClient(f"https://127.0.0.1:{encrypted_rest.port}", tls=Tls(tls_files.ca)) as client:
        assert client.predict_windows(clips(2)).shape == (2, 3)


def test_encryption_on_one_side_alone(
    encrypted: Scripted, encrypted_rest: Scripted, told: Scripted, tls_files: TlsFiles
) -> None:
    for plain in (f"127.0.0.1:{encrypted.port}", f"http://127.0.0.1:{encrypted_rest.port}"):
        with pytest.raises(errors.TlsError, match="the server uses TLS; add --tls"):
            GenreClient(plain)
    secure = f"{'https://' if told.rest else ''}127.0.0.1:{told.port}"  # type: ignore[attr-defined]
    with pytest.raises(errors.TlsError, match="does not use TLS"):
        GenreClient(secure, tls=Tls(tls_files.ca))


@pytest.mark.parametrize("rest", [False, True])
def test_a_server_whose_authority_is_not_known_is_not_asked(
    encrypted: Scripted, encrypted_rest: Scripted, tmp_path: pathlib.Path, rest: bool
) -> None:
    told = encrypted_rest if rest else encrypted
    address = f"{'https://' if rest else ''}127.0.0.1:{told.port}"
    asked = len(told.requests)
    for tls in (True, Tls(write_tls_files(tmp_path).ca)):
        with pytest.raises(errors.TlsError, match=r"not trusted .*--ca-cert"):
            GenreClient(address, tls=tls)
    assert len(told.requests) == asked


def test_a_client_shows_its_certificate_where_one_is_asked_for(tls_files: TlsFiles) -> None:
    told = Scripted()
    pair = (tls_files.server_key.read_bytes(), tls_files.server_cert.read_bytes())
    credentials = grpc.ssl_server_credentials([pair], tls_files.ca.read_bytes(), True)
    server = serve_grpc(told, credentials=credentials)
    address = f"127.0.0.1:{told.port}"
    with GenreClient(
        address, tls=Tls(tls_files.ca, tls_files.client_cert, tls_files.client_key)
    ) as client:
        assert client.genres == GENRES
    with pytest.raises(errors.TlsError, match=r"may require a client certificate \(--client-cert"):
        GenreClient(address, tls=Tls(tls_files.ca))
    server.stop(0)


def test_files_of_tls_are_looked_at_first(tmp_path: pathlib.Path) -> None:
    (tmp_path / "text").write_text("no certificate")
    for tls, message in (
        (lambda: Tls(tmp_path / "none.pem"), "No such file"),
        (lambda: Tls(tmp_path / "text"), "not a PEM file"),
        (lambda: Tls(tmp_path), "directory"),
        (lambda: Tls(client_cert=tmp_path / "text"), "belong together"),
    ):
        for address in ("127.0.0.1:1", "https://127.0.0.1:1"):
            with pytest.raises(errors.SettingsError, match=message):
                GenreClient(address, tls=tls())


# Addresses as typed


@pytest.mark.parametrize(
    ("server", "authority", "rest", "tls"),
    [
        ("127.0.0.1:8500", "127.0.0.1:8500", False, False),
        ("music.example:8500", "music.example:8500", False, False),
        ("[::1]:8500", "[::1]:8500", False, False),
        ("http://127.0.0.1:8501", "127.0.0.1:8501", True, False),
        ("http://music.example/", "music.example:80", True, False),
        ("https://music.example", "music.example:443", True, True),
    ],
)
def test_addresses(server: str, authority: str, rest: bool, tls: bool) -> None:
    from serving.client.address import parse_address

    got = parse_address(server)
    assert (got.authority, got.rest, got.tls) == (authority, rest, tls)
    assert parse_address(server, rest=True).rest


@pytest.mark.parametrize(
    "server",
    ["", "8500", "localhost", ":8500", "a:b", "a:0", "a:65536", "a:-1", "::1:8500", "[::1", "a b:1",
     "a:1/x", "http://", "http://a:1/v1/models", "http://a:1?x", "ftp://a:1", "http://u:p@a:1",
     "grpc://a:1", "unix:/tmp/x", "dns:///a:1", "a\n:1", "../x:1", "a:1#x"],
)  # fmt: skip
def test_what_is_no_address_says_what_one_is(server: str) -> None:
    from serving.client.address import parse_address

    with pytest.raises(errors.SettingsError) as caught:
        parse_address(server)
    assert ":p@" not in str(caught.value)


def test_the_url_of_a_model_as_the_server_prints_it_is_told_to_be_too_long() -> None:
    from serving.client.address import parse_address

    with pytest.raises(errors.SettingsError, match="ends with its port and has no path"):
        parse_address("http://127.0.0.1:8501/v1/models/genreflow")


def test_encryption_and_http_contradict_each_other() -> None:
    from serving.client.address import parse_address

    with pytest.raises(errors.SettingsError, match="https://"):
        parse_address("http://a:1", tls=True)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.2.1", "[::1]", "x.localhost"])
def test_this_machine(host: str) -> None:
    from serving.client.address import parse_address

    assert parse_address(f"{host}:1").is_loopback
    assert not parse_address("music.example:1").is_loopback
    assert not parse_address("10.0.0.1:1").is_loopback


def test_settings_that_cannot_be() -> None:
    for arguments, message in (
        ({"timeout_s": 0}, "timeout"),
        ({"timeout_s": float("nan")}, "timeout"),
        ({"model_name": ""}, "name is empty"),
        ({"model_version": 1, "version_label": "stable"}, "give one"),
    ):
        with pytest.raises(errors.SettingsError, match=message):
            GenreClient("127.0.0.1:1", **arguments)  # type: ignore[arg-type]


def test_errors_say_which_requests_need_not_follow() -> None:
    stop = {error for error in vars(errors).values() if isinstance(error, type)}
    stop = {error.__name__ for error in stop if issubclass(error, errors.ServerError)}
    assert {"UnreachableError", "TlsError", "KeyRefusedError", "ModelNotFoundError"} < stop
    assert not {"DeadlineError", "RefusedError", "BadResponseError"} & stop
    assert json.dumps(sorted(stop))
