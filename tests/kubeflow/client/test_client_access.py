"""Address, credentials and schedules: options and environment variables."""

from __future__ import annotations

import pathlib
import types

import pytest

from components.common.errors import GenreflowError, UsageError
from kubeflow.client.access import Token, access_of
from kubeflow.client.cron import six_fields

HOST = "https://kubeflow.example.org/pipeline"


def test_what_was_typed_comes_before_the_environment() -> None:
    environ = {"KF_PIPELINES_ENDPOINT": "http://other:1", "KF_PIPELINES_NAMESPACE": "other"}
    typed = access_of(HOST, "mine", "", environ)
    assert (typed.host, typed.namespace) == (HOST, "mine")
    told = access_of("", "", "", environ)
    assert (told.host, told.namespace) == ("http://other:1", "other")


def test_pages_are_the_hosts_own_unless_the_interface_is_elsewhere() -> None:
    assert access_of(f"{HOST}/", "", "", {}).run_page("1") == f"{HOST}/#/runs/details/1"
    environ = {"KF_PIPELINES_UI_ENDPOINT": "https://pages.example.org/"}
    access = access_of("http://ml-pipeline:8888", "", "", environ)
    assert access.run_page("1") == "https://pages.example.org/#/runs/details/1"
    assert access.schedule_page("2") == "https://pages.example.org/#/recurringrun/details/2"


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("", "no host: give --host (or KF_PIPELINES_ENDPOINT)"),
        ("kubeflow.example.org/pipeline", "--host kubeflow.example.org/pipeline: not a URL; did "
         "you mean https://kubeflow.example.org/pipeline?"),
        ("host:8080", "did you mean https://host:8080?"),
        ("localhost:8080", "did you mean http://localhost:8080?"),
        ("127.0.0.1", "did you mean http://127.0.0.1?"),
        ("//host", "not a URL such as https://kubeflow.example.org/pipeline"),
        ("ftp://kubeflow.example.org", "not a URL"),
        ("https://", "not a URL"),
        ("https://host:port", "not a URL"),
        ("https://host:0", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://a b", "not a URL"),
        ("https://host/#/runs", "remove the part that begins with '?' or '#'"),
        ("https://host/?ns=a", "remove the part that begins with '?' or '#'"),
    ],
)  # fmt: skip
def test_hosts_that_are_none_are_told(host: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        access_of(host, "", "", {})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "https://me:secret@host",
        "https://me:secret@host:x",
        "me:secret@host/x",
        "//me:secret@host",
        "https://me:/secret@host",
    ],
)
def test_a_password_in_the_url_is_refused_and_not_repeated(host: str) -> None:
    with pytest.raises(UsageError) as caught:
        access_of("", "", "", {"KF_PIPELINES_ENDPOINT": host})
    assert "KF_PIPELINES_ENDPOINT: a URL with a name or password is not allowed" in str(
        caught.value
    )
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("namespace", ["A", "a_b", "-a", "a" * 64, "a/b", "a\n"])
def test_names_that_no_namespace_has_are_told(namespace: str) -> None:
    with pytest.raises(UsageError, match="--namespace"):
        access_of(HOST, namespace, "", {})


def test_a_certificate_has_to_be_there_and_to_be_of_use(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match=r"none\.pem: No such file"):
        access_of(HOST, "", str(tmp_path / "none.pem"), {})
    path = tmp_path / "text.pem"
    path.write_text("no certificate")
    with pytest.raises(UsageError, match=r"--ca-cert .*text\.pem: contains no PEM certificate"):
        access_of(HOST, "", str(path), {})
    with pytest.raises(
        UsageError, match="--ca-cert is for https:// only, and --host is http://localhost"
    ):
        access_of("http://localhost", "", "x", {})


@pytest.mark.parametrize(
    "host",
    ["https://far.example.org", "http://localhost:8080", "http://127.0.0.9:1", "http://[::1]:80",
     "http://ml-pipeline.kubeflow.svc:8888", "http://ml-pipeline.kubeflow.svc.cluster.local:8888"],
)  # fmt: skip
def test_a_token_goes_where_nobody_reads_along(host: str) -> None:
    token = access_of(host, "", "", {"KF_PIPELINES_TOKEN": " abc.def-1 \n"}).token
    assert token is not None
    assert token.read() == "abc.def-1"


@pytest.mark.parametrize(
    "host",
    ["http://far.example.org", "http://10.0.0.1", "http://localhost.example.org",
     "http://127.0.0.1.example.org", "http://evil-svc", "http://0.0.0.0:80"],
)  # fmt: skip
def test_a_token_goes_nowhere_else_in_the_clear(host: str) -> None:
    assert access_of(host, "", "", {}).token is None
    with pytest.raises(UsageError) as caught:
        access_of(host, "", "", {"KF_PIPELINES_TOKEN": "abcdef"})
    assert "the token of KF_PIPELINES_TOKEN would be sent unencrypted" in str(caught.value)
    assert "abcdef" not in str(caught.value)


@pytest.mark.parametrize("value", ["Bearer abcdef", "abc\ndef", "abcdéf", "abc;def", "====", "'a'"])
def test_what_is_no_token_is_told_without_it(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        access_of(HOST, "", "", {"KF_PIPELINES_TOKEN": value})
    assert str(caught.value).startswith("KF_PIPELINES_TOKEN: not a valid token")
    assert value not in str(caught.value)


def test_a_tokens_file_is_read_anew_each_time(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "token"
    path.write_text("first\n")
    token = access_of(HOST, "", "", {"KF_PIPELINES_SA_TOKEN_PATH": str(path)}).token
    assert token is not None
    assert token.source == "KF_PIPELINES_SA_TOKEN_PATH"
    path.write_text("second\n")
    config = types.SimpleNamespace(api_key={"authorization": "first"})
    token.refresh_api_key_hook(config)
    assert config.api_key == {"authorization": "second"}
    assert token.hide("a second one") == "a [token] one"
    path.unlink()
    with pytest.raises(GenreflowError, match=r"SA_TOKEN_PATH: .*No such file"):
        token.read()


def test_the_variable_comes_before_the_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "token"
    path.write_text("of-the-file")
    environ = {"KF_PIPELINES_TOKEN": "typed", "KF_PIPELINES_SA_TOKEN_PATH": str(path)}
    token = access_of(HOST, "", "", environ).token
    assert token is not None
    assert token.read() == "typed"


@pytest.mark.parametrize("content", [b"", b"a" * 16385, b"\xff\xfe", b"two words"])
def test_a_file_that_holds_no_token_is_told(content: bytes, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        access_of(HOST, "", "", {"KF_PIPELINES_SA_TOKEN_PATH": str(path)})
    assert f"KF_PIPELINES_SA_TOKEN_PATH: {path}: not a valid token" in str(caught.value)


def test_a_token_is_in_no_picture_of_its_objects() -> None:
    access = access_of(HOST, "", "", {"KF_PIPELINES_TOKEN": "abcdef"})
    assert "abcdef" not in f"{access!r} {access.token!r} {access}"


def test_hiding_knows_a_token_that_was_never_there() -> None:
    assert Token().hide("as it was") == "as it was"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("0 0 3 * * *", "0 0 3 * * *"),
        ("0 3 * * *", "0 0 3 * * *"),
        ("  30   4 1,15  * *", "0 30 4 1,15 * *"),
        ("15 */10 8-18/2 ? JAN-mar,Dec MON-FRI", "15 */10 8-18/2 ? JAN-mar,Dec MON-FRI"),
        ("59 59 23 31 12 6", "59 59 23 31 12 6"),
        ("0 5/15 * * * 0", "0 5/15 * * * 0"),
        ("@daily", "@daily"),
    ],
)
def test_five_and_six_fields_are_understood(typed: str, meant: str) -> None:
    assert six_fields(typed) == meant


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "six fields are needed"),
        ("0 3 * *", "six fields are needed"),
        ("0 0 3 * * * 2026", "six fields are needed"),
        ("@every 1h", "six fields are needed"),
        ("@reboot", "six fields are needed"),
        ("60 0 3 * * *", 'second "60": must be from 0 to 59'),
        ("0 60 3 * * *", 'minute "60": must be from 0 to 59'),
        ("24 24 * * *", 'hour "24": must be from 0 to 23'),
        ("0 0 0 0 * *", 'day of the month "0": must be from 1 to 31'),
        ("0 0 0 1 13 *", 'month "13": must be from 1 to 12'),
        ("0 0 0 * * 7", 'day of the week "7": must be from 0 to 6'),
        ("0 0 0 * * sunday", "must be from 0 to 6"),
        ("0 0 5-3 * * *", "the range ends before it begins"),
        ("0 */0 * * * *", "the step must not be 0"),
        ("0 *-5 * * * *", "a range needs a number before and after its -"),
        ("0 1, 2 * * *", "only numbers, names"),
        ("0 -1 3 * * *", "only numbers, names"),
        ("0 0 L * * *", "must be from 0 to 23"),
        ("* 0 3 * * *", "the first of six fields is the second"),
        ("*/10 0 3 * * *", "the first of six fields is the second"),
        ("0,30 0 3 * * *", "the first of six fields is the second"),
    ],
)
def test_schedules_that_kubeflow_refuses_are_told_early(typed: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        six_fields(typed)
    assert words in str(caught.value)
    assert "0 0 3 * * *" in str(caught.value)
