"""Tests of objects on a real S3 protocol server: reading, writing, retries and error messages."""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
import pathlib
import socket
from collections.abc import Callable
from typing import Any

import pytest

from components.common.errors import UsageError
from components.storage import client as client_module
from components.storage import objects
from components.storage.errors import (
    ObjectChanged,
    ObjectForbidden,
    ObjectMissing,
    ObjectTooLarge,
    StorageError,
    StorageSetupError,
)
from components.storage.objects import ObjectState
from tests.support import s3_server


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten botocore's waits between attempts, which its own tests cover."""
    monkeypatch.setattr(
        "botocore.retries.standard.ExponentialBackoff.delay_amount", lambda self, context: 0.01
    )


def _fill(s3: Any, bucket: str, *keys: str) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=key.encode()), keys))


def test_a_listing_has_every_object_below_a_prefix_across_pages(s3: Any, bucket: str) -> None:
    keys = sorted(f"data/{index:04d} ü?#%.wav" for index in range(1005))
    _fill(s3, bucket, *keys, "data-more/x.wav", "data/folder/")
    found = list(objects.list_objects(f"s3://{bucket}/data/"))
    assert [item.uri for item in found] == [f"s3://{bucket}/{key}" for key in keys]
    assert [item.state.size_bytes for item in found] == [len(key.encode()) for key in keys]
    etag = s3.head_object(Bucket=bucket, Key=keys[0])["ETag"].strip('"')
    assert found[0].state.etag == etag


def test_a_state_is_that_of_the_very_key(s3: Any, bucket: str) -> None:
    _fill(s3, bucket, "a/b.wav.bak", "a/c.wav")
    assert objects.find(f"s3://{bucket}/a/b.wav") is None
    found = objects.find(f"s3://{bucket}/a/c.wav")
    assert found is not None
    assert found.size_bytes == len("a/c.wav")


def test_what_is_written_is_read_and_fetched(s3: Any, bucket: str, tmp_path: pathlib.Path) -> None:
    uri = f"s3://{bucket}/deep/é x.bin"
    content = os.urandom(3 << 20)
    objects.write(uri, content)
    assert objects.read(uri, len(content)) == content
    state = objects.find(uri)
    assert state is not None
    objects.download(uri, tmp_path / "x", state, len(content))
    assert (tmp_path / "x").read_bytes() == content
    objects.upload(tmp_path / "x", f"{uri}2")
    assert s3.get_object(Bucket=bucket, Key="deep/é x.bin2")["Body"].read() == content


def test_more_than_the_limit_is_never_read(s3: Any, bucket: str, tmp_path: pathlib.Path) -> None:
    uri = f"s3://{bucket}/x"
    objects.write(uri, b"12345")
    assert objects.read(uri, 5) == b"12345"
    with pytest.raises(ObjectTooLarge, match="5 bytes; the limit is 4"):
        objects.read(uri, 4)
    state = objects.find(uri)
    assert state is not None
    with pytest.raises(ObjectTooLarge):
        objects.download(uri, tmp_path / "x", state, 4)
    # The listing may be old: what the answer says counts.
    with pytest.raises(ObjectTooLarge):
        objects.download(uri, tmp_path / "x", ObjectState(3, state.etag), 4)


def test_a_range_is_read_by_a_request_for_it_alone(
    s3: Any, bucket: str, s3_proxy: s3_server.Proxy
) -> None:
    uri, content = f"s3://{bucket}/x", os.urandom(3 << 20)
    objects.write(uri, content)
    state = objects.find(uri)
    assert state is not None
    for start, stop in ((0, 1), (5, 9), (1 << 20, 3 << 20), (len(content) - 1, len(content))):
        assert objects.read_range(uri, state, start, stop) == content[start:stop]
        assert objects.read_range(uri, None, start, stop) == content[start:stop]
    assert {one.status for one in s3_proxy.requests("GET", f"/{bucket}/x")} == {206}
    assert objects.read_range(uri, None, len(content) - 2, len(content) + 9) == content[-2:]
    with pytest.raises(StorageError, match="416"):
        objects.read_range(uri, state, len(content), len(content) + 1)
    s3_proxy.fail(2, "cut", method="GET", path=f"/{bucket}/x")
    assert objects.read_range(uri, state, 100, 2 << 20) == content[100 : 2 << 20]
    assert s3_proxy.faults() == 2
    objects.write(uri, content[::-1])
    with pytest.raises(ObjectChanged):
        objects.read_range(uri, state, 0, 5)


def test_an_object_that_changed_since_it_was_listed_is_not_taken_for_it(
    s3: Any, bucket: str, tmp_path: pathlib.Path
) -> None:
    uri = f"s3://{bucket}/x"
    objects.write(uri, b"before")
    state = objects.find(uri)
    assert state is not None
    objects.write(uri, b"after!")
    with pytest.raises(ObjectChanged):
        objects.download(uri, tmp_path / "x", state, 100)
    s3.delete_object(Bucket=bucket, Key="x")
    with pytest.raises(ObjectMissing):
        objects.download(uri, tmp_path / "x", state, 100)


def test_a_folder_is_uploaded_with_its_marker_last(
    s3: Any, bucket: str, s3_proxy: s3_server.Proxy, tmp_path: pathlib.Path
) -> None:
    for name in ("a.txt", "marker", "z/deep/z.txt", "variables/v"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    s3_proxy.log.clear()
    objects.upload_folder(tmp_path, f"s3://{bucket}/m/1", last="marker")
    puts = [e.path.partition("?")[0] for e in s3_proxy.requests("PUT")]
    assert sorted(puts) == sorted(
        f"/{bucket}/m/1/{name}" for name in ("a.txt", "marker", "z/deep/z.txt", "variables/v")
    )
    assert puts[-1] == f"/{bucket}/m/1/marker"
    with pytest.raises(FileNotFoundError):
        objects.upload_folder(tmp_path, f"s3://{bucket}/m/2", last="no marker")


def test_removing_a_folder_removes_it_and_nothing_else(s3: Any, bucket: str) -> None:
    _fill(s3, bucket, *(f"x/{i}" for i in range(1001)), "x/deep/y", "x/", "xy", "w")
    assert objects.delete_below(f"s3://{bucket}/x") == 1003
    assert [item.uri for item in objects.list_objects(f"s3://{bucket}/")] == [
        f"s3://{bucket}/w",
        f"s3://{bucket}/xy",
    ]
    with pytest.raises(ValueError, match="whole bucket"):
        objects.delete_below(f"s3://{bucket}/")


@pytest.mark.parametrize("fault", [s3_server.SLOW_DOWN, s3_server.INTERNAL, "reset"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_throttling_server_errors_and_cut_connections_are_tried_again(
    s3: Any, bucket: str, s3_proxy: s3_server.Proxy, fault: s3_server.Fault, method: str
) -> None:
    uri = f"s3://{bucket}/x"
    objects.write(uri, b"before")
    s3_proxy.fail(3, fault, method=method)
    objects.write(uri, b"content")
    assert objects.read(uri, 100) == b"content"
    assert s3_proxy.faults() == 3


def test_a_content_that_breaks_off_is_asked_for_again_from_there(
    s3: Any, bucket: str, s3_proxy: s3_server.Proxy, tmp_path: pathlib.Path
) -> None:
    uri, content = f"s3://{bucket}/x", os.urandom(5 << 20)
    objects.write(uri, content)
    state = objects.find(uri)
    assert state is not None
    s3_proxy.fail(2, "cut", method="GET", path=f"/{bucket}/x")
    objects.download(uri, tmp_path / "x", state, len(content))
    assert (tmp_path / "x").read_bytes() == content
    assert s3_proxy.faults() == 2
    s3_proxy.fail(1, "cut", method="GET", path=f"/{bucket}/x")
    assert objects.sha256(uri, state) == hashlib.sha256(content).hexdigest()


TALKATIVE = (
    500,
    f"<Error><Code>InternalError</Code><Message>with {s3_server.TOKEN}\nand {s3_server.SECRET}"
    f"</Message><Headers>{s3_server.TOKEN}</Headers></Error>",
)


@pytest.mark.parametrize(
    "fault", [s3_server.SLOW_DOWN, s3_server.INTERNAL, TALKATIVE, "reset", "cut"]
)
def test_what_never_recovers_ends_in_words_after_so_many_attempts(
    s3: Any, bucket: str, s3_proxy: s3_server.Proxy, fault: s3_server.Fault
) -> None:
    uri = f"s3://{bucket}/x"
    objects.write(uri, b"content that is long enough to be cut")
    s3_proxy.fail(1000, fault, path="/x")
    with pytest.raises(StorageError) as caught:
        objects.read(uri, 100)
    assert not isinstance(caught.value, UsageError)
    assert s3_proxy.faults() == client_module.MAX_ATTEMPTS
    _is_one_clean_line(caught.value, s3_proxy)


def test_a_server_that_is_not_there_is_named_by_host_alone(
    s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}/")
    with pytest.raises(StorageError) as caught:
        objects.read(f"s3://{bucket}/x", 100)
    assert str(caught.value).startswith(f"127.0.0.1:{port}: the object store cannot be reached")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (s3_server.WRONG_KEY, "AWS_ACCESS_KEY_ID"),
        (s3_server.WRONG_SECRET, "AWS_SECRET_ACCESS_KEY"),
        ((400, "<Error><Code>ExpiredToken</Code></Error>"), "AWS_SESSION_TOKEN"),
        ((301, "<Error><Code>PermanentRedirect</Code></Error>"), "AWS_REGION"),
        ((403, "<Error><Code>RequestTimeTooSkewed</Code></Error>"), "clock"),
    ],
)
@pytest.mark.parametrize(
    "ask",
    [
        lambda uri: list(objects.list_objects(uri)),
        lambda uri: objects.read(uri, 100),
        lambda uri: objects.write(uri, b""),
    ],
)
def test_what_is_wrong_with_the_keys_is_said_at_once(
    s3: Any,
    bucket: str,
    s3_proxy: s3_server.Proxy,
    fault: s3_server.Fault,
    said: str,
    ask: Callable[[str], Any],
) -> None:
    # HEAD has no body, so no code: with it botocore only asks for the bucket's region.
    s3_proxy.fault = lambda method, path: None if method == "HEAD" else fault
    with pytest.raises(StorageSetupError, match=said) as caught:
        ask(f"s3://{bucket}/x")
    assert isinstance(caught.value, UsageError)
    _is_one_clean_line(caught.value, s3_proxy)


def _is_one_clean_line(error: BaseException | None, proxy: s3_server.Proxy) -> None:
    """Assert that neither the error nor its causes, which a log shows, contain a secret."""
    assert "\n" not in str(error)
    while error is not None:
        assert s3_server.SECRET not in repr(error)
        assert s3_server.TOKEN not in repr(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_access_denied_and_no_such_bucket(s3: Any, bucket: str, s3_proxy: s3_server.Proxy) -> None:
    with pytest.raises(StorageSetupError, match="no such bucket"):
        list(objects.list_objects("s3://no-bucket-of-this-name/"))
    s3_proxy.fail(1000, s3_server.DENIED)
    with pytest.raises(ObjectForbidden, match="access denied"):
        objects.read(f"s3://{bucket}/x", 100)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://user:pa55word@host:9000",
        "http://host/?token=pa55word",
        "http://host/#pa55word",
        "http://host/pa55word",
        "host:9000/pa55word",
        "ftp://pa55word",
        "http://[pa55word",
    ],
)
@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
def test_a_bad_endpoint_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, variable: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv(variable, endpoint)
    with pytest.raises(StorageSetupError, match=variable) as caught:
        client_module.client()
    assert "pa55word" not in str(caught.value)


def test_no_credentials_no_profile_and_no_region_are_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StorageSetupError, match="set AWS_REGION"):
        client_module.client()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StorageSetupError, match="set AWS_ACCESS_KEY_ID"):
        objects.read("s3://bucket/x", 1)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StorageSetupError, match="AWS_PROFILE"):
        client_module.client()


def test_a_profile_gives_keys_region_and_endpoint(
    s3: Any,
    bucket: str,
    s3_proxy: s3_server.Proxy,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
) -> None:
    objects.write(f"s3://{bucket}/x", b"content")
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    (tmp_path / "config").write_text(
        f"[profile team]\nregion = {s3_server.REGION}\nendpoint_url = {s3_proxy.endpoint}\n"
        "aws_access_key_id = a\naws_secret_access_key = b\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_PROFILE", "team")
    assert objects.read(f"s3://{bucket}/x", 100) == b"content"
