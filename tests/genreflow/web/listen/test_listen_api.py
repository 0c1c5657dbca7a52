"""Tests of the page's addresses: songs, their limits, failures, and that nothing is kept."""

from __future__ import annotations

import base64
import concurrent.futures
import csv
import gc
import io
import json
import re
import socket
import stat
import time
import urllib.parse

import grpc
import numpy as np
import pytest

from genreflow.web.listen.receiving import NAME_HEADER, Limits
from serving.client.client import GenreClient
from tests.genreflow.web.listen.listening import HOSTILE, SONGS, Site, backend_of, site, wav
from tests.genreflow.web.shell import free_port, wait_for
from tests.support.scripted_serving import Scripted
from tests.support.serving_toys import GENRES, PARAMS


def test_a_song_is_predicted_and_drawn(listening: Site, scripted: Scripted) -> None:
    answer = listening.send(wav(2.1))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    (one,) = found["answers"]
    with GenreClient(f"127.0.0.1:{scripted.port}") as client:
        samples = np.frombuffer(wav(2.1)[44:], np.int16).astype(np.float32) / 32768
        expected = client.predict_waveform(samples, 22050)
    assert list(one["probabilities"]) == list(expected.probabilities)
    np.testing.assert_allclose(
        list(one["probabilities"].values()), list(expected.probabilities.values()), atol=1e-5
    )
    assert (one["windows"], one["model"]["version"], one["choice"]) == (8, 7, "newest")
    assert len(one["window_probabilities"]) == 8
    assert found["seconds"] == 2.1
    sound = found["sound"]
    assert sound["spectrogram_s"] == 2.0
    assert len(base64.b64decode(sound["levels"])) % sound["bands"] == 0
    assert np.abs(np.frombuffer(base64.b64decode(sound["peaks"]), np.int8)).max() == 64
    assert listening.is_empty()
    assert listening.log == [
        f"song.wav: {next(iter(one['probabilities']))} {max(one['probabilities'].values()):.1%} by "
        f"version 7; 2.1 s of audio, {len(wav(2.1)) / 1e6:.1f} MB, in {found['elapsed_s']:.2f} s"
    ]


def test_the_picture_has_the_models_own_parameters_if_its_card_tells_them(
    listening: Site, scripted: Scripted
) -> None:
    assert listening.send(wav()).json()["sound"]["is_exact"] is False
    card = {"data": {"audio": PARAMS.to_json()}}
    scripted.describe["model_card"] = np.array([json.dumps(card).encode()], object)
    with site(backend_of(scripted)) as other:
        sound = other.send(wav()).json()["sound"]
    assert (sound["is_exact"], sound["bands"]) == (True, PARAMS.n_mels)


@pytest.mark.parametrize("n_mels", [10**9, "128", True, -1])
def test_parameters_that_a_server_invents_are_not_used(scripted: Scripted, n_mels: object) -> None:
    card = {"data": {"audio": {**PARAMS.to_json(), "n_mels": n_mels}}}
    scripted.describe["model_card"] = np.array([json.dumps(card).encode()], object)
    with site(backend_of(scripted)) as other:
        assert other.send(wav()).json()["sound"]["is_exact"] is False


def test_two_versions_answer_on_one_song(listening: Site, scripted: Scripted) -> None:
    found = listening.send(wav(), "song.wav", "newest", "7").json()
    assert [one["choice"] for one in found["answers"]] == ["newest", "7"]
    assert len(listening.send(wav(), "song.wav", "7", "7").json()["answers"]) == 1
    gone = listening.send(wav(), "song.wav", "newest", "6")
    assert gone.status_code == 503
    assert "the server's versions: 7" in gone.json()["error"]
    assert listening.send(wav(), "song.wav", "1", "2", "3").status_code == 400
    assert listening.send(wav(), "song.wav", "../etc").status_code == 400


@pytest.mark.parametrize(
    ("content", "status", "text"),
    [
        (b"", 400, "empty"),
        (b"<html>not audio</html>" * 100, 422, "undecodable"),
        (wav(0.1), 422, "too_short"),
        (wav(2.0, hertz=0.0), 422, "near_silent"),
    ],
)
def test_what_is_no_song_is_told_and_logged(
    listening: Site, content: bytes, status: int, text: str
) -> None:
    answer = listening.send(content)
    assert answer.status_code == status
    assert text in answer.json()["error"]
    assert f"song.wav: {status}: " in listening.log[-1]
    assert listening.is_empty()


def test_limits_of_size_length_and_time(scripted: Scripted) -> None:
    limits = Limits(upload_bytes=1 << 20, upload_seconds=0.5, song_seconds=3)
    with site(backend_of(scripted), limits) as small:
        declared = small.send(bytes(2 << 20))
        assert (declared.status_code, "larger than 1 MiB" in declared.text) == (413, True)
        parts = small.client.post(
            SONGS, headers={NAME_HEADER: "a"}, content=(bytes(1 << 18) for _ in range(6))
        )
        assert (parts.status_code, "larger than 1 MiB" in parts.text) == (413, True)
        long = small.send(wav(4))
        assert (long.status_code, "longer than 0.05 minutes" in long.text) == (413, True)

        def slowly() -> object:
            yield b"RIFF"
            time.sleep(1)
            yield b"WAVE"

        slow = small.client.post(SONGS, headers={NAME_HEADER: "a"}, content=slowly())
        assert slow.status_code == 408
        assert small.client.post(SONGS, content=b"RIFF").status_code == 400
        zipped = {NAME_HEADER: "a", "Content-Encoding": "gzip"}
        assert small.client.post(SONGS, headers=zipped, content=b"x").status_code == 415
        wait_for(small.is_empty)


def test_too_many_songs_at_once_are_refused_with_a_time_to_retry(scripted: Scripted) -> None:
    scripted.script = [None, *[lambda context: time.sleep(1)] * 4]
    with site(backend_of(scripted), Limits(songs=4, songs_each=3, analyses=1)) as busy:
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: busy.send(wav()), range(8)))
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200] * 3 + [429] * 5
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["retry-after"] == "2"
        assert busy.send(wav()).status_code == 200
    with site(backend_of(scripted), Limits(songs=0)) as full:
        assert full.send(wav()).status_code == 503


def test_a_song_lies_in_a_private_file_while_it_is_analysed(
    listening: Site, scripted: Scripted
) -> None:
    seen = []

    def look(context: object) -> None:
        (path,) = listening.folder.iterdir()
        modes = (path.stat().st_mode, listening.folder.stat().st_mode)
        seen.append((path.suffix, *map(stat.S_IMODE, modes)))

    scripted.script = [None, look]
    assert listening.send(wav(), "../../x/song.MP3").status_code == 200
    assert seen == [(".mp3", 0o600, 0o700)]
    assert listening.send(wav(), "song.sh").status_code == 200


def _begin(listening: Site, declared: int, body: bytes) -> socket.socket:
    """Send a part of a request by hand."""
    port = int(listening.url.rsplit(":", 1)[1].strip("/"))
    connection = socket.create_connection(("127.0.0.1", port))
    head = (
        f"POST {SONGS} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{NAME_HEADER}: song.wav\r\n"
        f"Content-Length: {declared}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


def test_what_is_declared_too_large_is_refused_before_it_is_sent(listening: Site) -> None:
    with _begin(listening, 300 << 20, b"") as connection:
        connection.settimeout(30)
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_page_closed_during_its_upload_leaves_nothing(listening: Site) -> None:
    connection = _begin(listening, 1000_000, bytes(100_000))
    wait_for(lambda: not listening.is_empty())
    connection.close()
    wait_for(listening.is_empty)
    assert "given up" in listening.log[-1]


def test_a_page_closed_during_the_analysis_ends_it(
    listening: Site, scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    song = wav(20)
    began, requests = [], scripted.requests
    scripted.script = [None, *[lambda context: (began.append(1), time.sleep(0.3))] * 50]
    connection = _begin(listening, len(song), song)
    wait_for(lambda: bool(began))
    connection.close()
    wait_for(listening.is_empty)
    wait_for(lambda: any("given up" in line for line in listening.log))
    time.sleep(0.8)
    assert len(requests) < 5  # of 80 windows, 16 at once
    gc.collect()
    assert not caplog.records  # asyncio would log an exception that nobody asked for


def test_hostile_names_are_escaped_in_the_log_and_the_table(listening: Site) -> None:
    found = listening.send(wav(), HOSTILE).json()
    assert found["file"] == HOSTILE  # JSON escapes it; the page makes it visible
    rows = list(csv.reader(io.StringIO(found["csv"])))
    assert len(rows) == 9 * len(GENRES)
    assert {row[0] for row in rows} == {"'=1+1<img src=x onerror=alert(1)>\\x1b[31m\\x202egnp.mp3"}
    assert [row[:5] for row in rows[:3]] == [
        [rows[0][0], "7", "0.0", "2.0", genre] for genre in found["answers"][0]["probabilities"]
    ]
    assert rows[3][2:4] == ["0.0", "0.25"]
    for genre in GENRES:
        shares = [float(row[5]) for row in rows if row[4] == genre]
        assert np.mean(shares[1:]) == pytest.approx(shares[0], abs=1e-5)


def test_no_server_and_a_server_that_goes_away_are_told(scripted: Scripted) -> None:
    port, scripted.port = scripted.port, free_port()
    with site(backend_of(scripted)) as nobody:
        answer = nobody.send(wav())
        assert answer.status_code == 503
        assert "nothing responds" in answer.json()["error"]
        status = nobody.client.get("/listen/api/model").json()
        assert (status["state"], status["model"]) == ("unavailable", None)
        assert "nothing responds" in status["message"]
        # It appears: the page needs no restart.
        scripted.port = port
        assert nobody.send(wav()).status_code == 200
        assert nobody.client.get("/listen/api/model").json()["state"] == "ready"
        # It goes away in the middle of a song.
        scripted.script = [
            None,
            *[lambda context: context.abort(grpc.StatusCode.UNAVAILABLE, "going away")] * 9,
        ]
        midway = nobody.send(wav(20))
        assert midway.status_code == 503
        assert "unavailable" in midway.json()["error"]
        assert nobody.is_empty()


def test_a_wrong_key_is_told(scripted: Scripted) -> None:
    scripted.key = "right-key-1234"
    with site(backend_of(scripted, api_key="wrong-key-1234")) as refused:
        answer = refused.send(wav())
        assert answer.status_code == 503
        assert "another API key" in answer.json()["error"]
        assert "wrong-key" not in answer.text
        assert refused.client.get("/listen/api/model").json()["state"] == "unavailable"
    with site(backend_of(scripted, api_key="right-key-1234")) as allowed:
        assert allowed.send(wav()).status_code == 200


def test_a_server_over_rest_tells_no_version(scripted_rest: Scripted) -> None:
    with site(backend_of(scripted_rest, rest=True)) as rest:
        status = rest.client.get("/listen/api/model").json()
        assert (status["state"], status["versions"]) == ("ready", [7])
        assert status["model"]["version"] is None
        (one,) = rest.send(wav()).json()["answers"]
        assert one["model"]["version"] is None
        assert "by version" not in rest.log[-1]


def test_the_preloaded_modules_are_all_that_are_imported(listening: Site) -> None:
    html = listening.client.get("/listen").text
    preloaded = set(re.findall(r'modulepreload" href="([^"]+)"', html))
    (start,) = re.findall(r'src="([^"]+page\.js)"', html)
    imported, todo = set(), [start]
    while todo:
        module = todo.pop()
        for found in re.findall(r'from "([^"]+)"', listening.client.get(module).text):
            url = urllib.parse.urljoin(module, found)
            todo += [url] if url not in imported else []
            imported.add(url)
    assert preloaded == imported


def test_facts_of_the_model_are_told(listening: Site, scripted: Scripted) -> None:
    status = listening.client.get("/listen/api/model").json()
    assert status["state"] == "ready"
    assert status["versions"] == [7]
    model = status["model"]
    assert (model["version"], model["genres"], model["window_s"]) == (7, list(GENRES), 0.25)
    assert (model["trained_on"], model["is_synthetic"]) == ("synthetic data", True)
    assert model["evaluation"] is None
    assert ["Model", "formula"] in model["card"]["rows"]


@pytest.mark.parametrize(
    "card",
    [
        {"data": {"dataset": {"kind": ["x"]}}, "members": "no", "versions": [1]},
        {"members": {"a": None}, "architecture": {"x": "<b>"}},
        {"settings": "x", "train_clips_per_genre": {"a": "many"}, "parameters": "x"},
    ],
)
def test_a_card_of_another_program_harms_nothing(
    scripted: Scripted, card: dict[str, object]
) -> None:
    scripted.describe["model_card"] = np.array([json.dumps(card).encode()], object)
    with site(backend_of(scripted)) as strange:
        assert strange.client.get("/listen/api/model").json()["state"] == "ready"
        assert strange.send(wav()).status_code == 200


def test_another_site_cannot_send_songs(listening: Site) -> None:
    headers = {NAME_HEADER: "a", "Origin": "http://evil.example"}
    assert listening.client.post(SONGS, headers=headers, content=wav()).status_code == 403
    rebound = {NAME_HEADER: "a", "Host": "evil.example"}
    assert listening.client.post(SONGS, headers=rebound, content=wav()).status_code == 403
