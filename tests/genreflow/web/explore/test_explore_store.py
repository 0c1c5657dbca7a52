"""The page of `genreflow explore` for songs in an object store: ranges, changes, refusals."""

from __future__ import annotations

import pathlib
import threading
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from components.examples.tracks import read_tracks
from components.storage import objects
from genreflow.exploring import audio_objects
from genreflow.exploring.explorer import Explorer
from genreflow.web.app import make_app
from genreflow.web.explore import streaming
from genreflow.web.explore.page import make_page
from tests.genreflow.exploring.explored import (
    explorer,
    put_in_store,
    write_explored,
    write_song,
)
from tests.genreflow.web.shell import client, served
from tests.support.browser import Tab
from tests.support.s3_server import (
    DENIED,
    KEY_ID,
    SECRET,
    TOKEN,
    WRONG_KEY,
    WRONG_SECRET,
    Fault,
    Proxy,
)

SIZE = 2_500_000
CONTENT = bytes(range(256)) * (SIZE // 256)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "botocore.retries.standard.ExponentialBackoff.delay_amount", lambda self, context: 0.01
    )


@pytest.fixture
def opened(tmp_path: pathlib.Path, bucket: str) -> Explorer:
    """Return a run with its songs in the store; t003 has CONTENT."""
    work = write_explored(tmp_path)
    put_in_store(work, f"s3://{bucket}/music")
    objects.write(f"s3://{bucket}/music/t003.wav", CONTENT)
    return explorer(work, wrong={"train5": "Folk"})


@pytest.fixture
def pages(opened: Explorer) -> TestClient:
    return client(make_app([make_page(opened, "genreflow")], on_failure=pytest.fail))


@pytest.fixture
def play(opened: Explorer, pages: TestClient) -> Callable[..., Any]:
    """Return a function that requests the audio of t003, or a range of it."""
    address = f"/explore/songs/{opened.run.index['t003']}/audio"
    return lambda part="", **headers: pages.get(
        address, headers={**({"range": part} if part else {}), **headers}
    )


def _uri(opened: Explorer, track_id: str = "t003") -> str:
    return opened.run.songs[opened.run.index[track_id]].uri


@pytest.mark.parametrize(
    ("header", "expected"),
    [("bytes=0-", (0, 100)), ("bytes=5-9", (5, 10)), ("bytes=99-", (99, 100)),
     ("bytes=90-5000", (90, 100)), ("bytes=-7", (93, 100)), ("bytes=-700", (0, 100)),
     ("", None), ("bytes=-", None), ("bytes=9-5", None), ("bytes=1-2,5-6", None),
     ("lines=1-2", None), ("bytes=a-b", None), (f"bytes={'9' * 5000}-", None),
     ("bytes=\u0663-", None)],
)  # fmt: skip
def test_a_range_is_read_from_its_header(header: str, expected: Any) -> None:
    assert streaming.byte_range(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_after_the_end_is_none(header: str) -> None:
    with pytest.raises(streaming.NoSuchRangeError):
        streaming.byte_range(header, 100)


def test_a_range_is_answered_by_a_read_of_that_range(
    play: Callable[..., Any], s3_proxy: Proxy
) -> None:
    whole = play()
    assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/wav")
    assert whole.content == CONTENT
    assert whole.headers["accept-ranges"] == "bytes"
    s3_proxy.log.clear()
    part = play("bytes=2000000-2000099")
    assert (part.status_code, part.content) == (206, CONTENT[2_000_000:2_000_100])
    assert part.headers["content-range"] == f"bytes 2000000-2000099/{len(CONTENT)}"
    assert [(one.method, one.status) for one in s3_proxy.log] == [("GET", 206)]
    rest = play("bytes=500-")
    assert (rest.status_code, rest.content) == (206, CONTENT[500:])
    assert int(rest.headers["content-length"]) == len(CONTENT) - 500
    beyond = play(f"bytes={len(CONTENT)}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(CONTENT)}")
    etag = whole.headers["etag"]
    assert play("bytes=0-9", **{"if-range": etag}).status_code == 206
    assert play("bytes=0-9", **{"if-range": '"older"'}).content == CONTENT


def test_a_listener_who_leaves_ends_the_reading(
    opened: Explorer, s3_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    import http.client
    import urllib.parse

    monkeypatch.setattr(streaming, "BLOCK_BYTES", 1000)
    started, left = threading.Event(), threading.Event()
    read = opened.audio_objects.read

    def slow(*arguments: Any) -> bytes:
        if started.is_set():
            left.wait(10)
        started.set()
        return read(*arguments)

    monkeypatch.setattr(opened.audio_objects, "read", slow)
    with served(make_app([make_page(opened, "genreflow")])) as url:
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc)
        connection.request("GET", f"/explore/songs/{opened.run.index['t003']}/audio")
        connection.getresponse().read(10)
        connection.sock.close()  # type: ignore[union-attr]
        connection.close()
        left.set()
    assert len(s3_proxy.requests("GET", "t003.wav")) < 20


def test_an_object_that_vanished_or_was_replaced_is_said_and_not_mixed(
    play: Callable[..., Any], opened: Explorer, s3: Any, bucket: str
) -> None:
    assert play("bytes=0-9").status_code == 206
    objects.write(_uri(opened), CONTENT[::-1])
    later = play("bytes=1000-1009")
    assert later.status_code == 409
    assert "was replaced in the object store while it was played" in later.json()["error"]
    assert play("bytes=0-9").content == CONTENT[::-1][:10]  # from the start: the new one
    assert play("bytes=1000-1009").content == CONTENT[::-1][1000:1010]
    s3.delete_object(Bucket=bucket, Key="music/t003.wav")
    for part in ("bytes=1000-1009", "bytes=0-", ""):
        gone = play(part)
        assert (gone.status_code, "not in the object store any more" in gone.json()["error"]) == (
            404, True,
        )  # fmt: skip


def test_an_object_that_changes_in_the_middle_ends_the_response(
    opened: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import http.client
    import urllib.parse

    monkeypatch.setattr(streaming, "BLOCK_BYTES", 1_000_000)
    read = opened.audio_objects.read

    def replaced(audio: Any, state: Any, start: int, stop: int) -> bytes:
        if start:
            objects.write(audio.uri, b"other")
        return read(audio, state, start, stop)

    monkeypatch.setattr(opened.audio_objects, "read", replaced)
    app = make_app([make_page(opened, "genreflow")], on_failure=pytest.fail)
    with served(app) as url:
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc)
        connection.request("GET", f"/explore/songs/{opened.run.index['t003']}/audio")
        answer = connection.getresponse()
        with pytest.raises(http.client.IncompleteRead) as cut:
            answer.read()
        connection.close()
    assert cut.value.partial == CONTENT[:1_000_000]


def test_empty_and_huge_objects_are_not_played(
    play: Callable[..., Any], opened: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio_objects, "MAX_OBJECT_BYTES", 1 << 20)
    large = play("bytes=0-9")
    assert (large.status_code, "larger than 1 MiB" in large.json()["error"]) == (404, True)
    objects.write(_uri(opened), b"")
    empty = play()
    assert (empty.status_code, "empty" in empty.json()["error"]) == (404, True)


def test_a_song_whose_uri_leaves_the_data_folder_is_not_requested(
    tmp_path: pathlib.Path, bucket: str, s3_proxy: Proxy
) -> None:
    work = write_explored(tmp_path)
    put_in_store(work, f"s3://{bucket}/music")
    objects.write(f"s3://{bucket}/secret.wav", b"secret")
    tracks = work / "tracks.json"
    outside = tracks.read_text().replace("/music/t003.wav", "/music/../secret.wav")
    tracks.write_text(outside.replace("/music/t002.wav", "/secret.wav"))
    assert any("secret" in song.uri for song in read_tracks(str(work)))
    opened = explorer(work)
    pages = client(make_app([make_page(opened, "genreflow")], on_failure=pytest.fail))
    s3_proxy.log.clear()
    for track_id in ("t002", "t003"):
        number = opened.run.index[track_id]
        answer = pages.get(f"/explore/songs/{number}/audio")
        assert (answer.status_code, "leads outside" in answer.json()["error"]) == (404, True)
        assert "leads outside" in pages.get(f"/explore/songs/{number}").text
    assert s3_proxy.log == []


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [(DENIED, 404, "may not read"), (WRONG_KEY, 502, "AWS_ACCESS_KEY_ID"),
     (WRONG_SECRET, 502, "AWS_SECRET_ACCESS_KEY"), ("reset", 502, "AWS_ENDPOINT_URL_S3")],
)  # fmt: skip
def test_a_store_that_refuses_is_said_without_its_secrets(
    play: Callable[..., Any], pages: TestClient, opened: Explorer, s3_proxy: Proxy, fault: Fault,
    status: int, said: str,
) -> None:  # fmt: skip
    s3_proxy.fail(1000, fault)
    answers = [
        play("bytes=0-"),
        pages.get(f"/explore/songs/{opened.run.index['t003']}"),
        pages.get("/explore/labels"),
    ]
    assert (answers[0].status_code, said in answers[0].json()["error"]) == (status, True)
    for answer in answers:
        told = answer.text + str(answer.headers)
        for secret in (KEY_ID, SECRET, TOKEN, "Signature=", s3_proxy.endpoint):
            assert secret not in told


def test_a_browser_plays_and_seeks_a_song_in_the_store(
    tab: Tab, tmp_path: pathlib.Path, bucket: str, s3: Any
) -> None:
    work = write_explored(tmp_path)
    write_song(tmp_path / "music" / "train5.wav", seconds=90)
    put_in_store(work, f"s3://{bucket}/music")
    opened = explorer(work, wrong={"train5": "Folk", "train4": "Folk"})
    number = opened.run.index["train5"]
    with served(make_app([make_page(opened, "genreflow")])) as url:
        tab.open(f"{url}explore/songs/{number}")
        tab.wait("document.getElementById('player').duration > 89")
        tab.value("document.getElementById('player').currentTime = 80")
        tab.value("document.getElementById('player').play()")
        tab.wait("document.getElementById('player').currentTime > 80.2")
        assert tab.value("document.getElementById('no-player').hidden")

        s3.delete_object(Bucket=bucket, Key="music/train4.wav")
        tab.open(f"{url}explore/labels")
        tab.wait("document.getElementById('title').textContent.includes('train4')")
        tab.press(" ")
        tab.wait("document.getElementById('no-audio').textContent.includes('not in the object st')")
        tab.press("n")
        tab.wait("document.getElementById('title').textContent.includes('train5')")
        tab.wait("document.getElementById('no-audio').hidden")
        tab.press(" ")
        tab.wait("document.getElementById('player').played.length === 1")
        assert tab.value("document.getElementById('no-audio').hidden")
