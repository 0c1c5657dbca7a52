"""The page of `genreflow explore`, over HTTP."""

from __future__ import annotations

import csv
import html
import pathlib
import re

import numpy as np
import pytest
from fastapi.testclient import TestClient

from components.audio.spectrogram.stored import STORED_DTYPE
from components.examples.tracks import ExampleTrack, read_tracks, write_tracks
from genreflow.exploring.explorer import Explorer
from genreflow.exploring.preparation import Prepared
from genreflow.exploring.spectrograms import StoredClips
from genreflow.web.app import make_app
from genreflow.web.explore.page import make_page
from tests.genreflow.exploring.explored import (
    explorer,
    explorer_of_many,
    out_of_fold,
    write_explored,
    write_song,
)
from tests.genreflow.web.shell import client

HTML = {"accept": "text/html"}
PARTS = (
    "", "/songs", "/songs/0", "/songs?sort=loss&descending=1", "/confusion", "/confusion?split=",
    "/labels", "/labels?marked=1&sure=1&split=test", "/marks", "/rejects",
)  # fmt: skip


@pytest.fixture
def work(tmp_path: pathlib.Path) -> pathlib.Path:
    return write_explored(tmp_path)


@pytest.fixture
def opened(work: pathlib.Path) -> Explorer:
    return explorer(work, wrong={"train5": "Folk", "t004": "Rock"})


@pytest.fixture
def browser_client(opened: Explorer) -> TestClient:
    return _client(opened)


def _client(opened: Explorer) -> TestClient:
    return client(make_app([make_page(opened, "genreflow")], on_failure=pytest.fail))


def _rows(page: str) -> list[str]:
    """Return the text of a page's table rows."""
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", row)).split()) for row in rows]


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_a_page(browser_client: TestClient, part: str) -> None:
    answer = browser_client.get(f"/explore{part}", headers=HTML)
    assert answer.status_code == 200
    assert answer.text.count("<h1>") == 1


def test_the_overview_counts_songs_rejects_and_likely_wrong_labels(
    browser_client: TestClient,
) -> None:
    page = browser_client.get("/explore").text
    assert "contradict the labels of 2 songs" in page
    assert "Folk 2 2 2 6" in _rows(page)
    assert "all 6 6 6 18" in _rows(page)
    assert "1 undecodable</a>: its audio file cannot be decoded" in page


def test_one_wrong_label_and_no_reject_are_said_in_words(work: pathlib.Path) -> None:
    (work / "rejects.csv").write_text("track_id,genre,reason,detail,uri\n")
    page = _client(explorer(work, wrong={"train5": "Folk"}))
    overview = page.get("/explore", headers=HTML).text
    assert "contradict the label of 1 song. 1 of these predictions is sure" in overview
    assert "The run left out no song." in page.get("/explore/rejects", headers=HTML).text


def test_each_number_of_the_confusion_matrix_leads_to_as_many_songs(
    browser_client: TestClient, opened: Explorer
) -> None:
    for split in ("validation", "test", ""):
        page = browser_client.get(f"/explore/confusion?model=svm&split={split}").text
        cells = re.findall(r'<a href="(/explore/songs\?[^"]+)" aria-label="[^"]+">(\d+)</a>', page)
        counts = opened.run.confusion("svm", split)
        assert sum(int(number) for _, number in cells) == counts.sum()
        for address, number in cells:
            songs = browser_client.get(html.unescape(address)).text
            # With both splits, songs of the training split are not among them.
            assert f'<p role="status">{number} song' in songs


def test_songs_are_paged_by_the_server(
    monkeypatch: pytest.MonkeyPatch, browser_client: TestClient
) -> None:
    monkeypatch.setattr("genreflow.exploring.songs.PAGE_SONGS", 5)
    first = browser_client.get("/explore/songs?genre=Jazz").text
    assert len(_rows(first)) == 1 + 5
    following = html.unescape(re.search(r'rel="next" href="([^"]+)"', first).group(1))  # type: ignore[union-attr]
    second = browser_client.get(following).text
    assert len(_rows(second)) == 1 + 1
    assert "Page 2 of 2" in second
    assert not set(_rows(first)[1:]) & set(_rows(second)[1:])


def test_audio_is_served_in_ranges_by_number_alone(
    browser_client: TestClient, opened: Explorer
) -> None:
    number = opened.run.index["t003"]
    content = pathlib.Path(opened.run.songs[number].uri).read_bytes()
    whole = browser_client.get(f"/explore/songs/{number}/audio")
    assert (whole.content, whole.headers["content-type"]) == (content, "audio/wav")
    part = browser_client.get(f"/explore/songs/{number}/audio", headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, content[100:200])
    beyond = browser_client.get(
        f"/explore/songs/{number}/audio", headers={"range": "bytes=999999-"}
    )
    assert beyond.status_code == 416
    for path in ("99", "-1", "t003", "..%2f..%2fetc%2fpasswd"):
        assert browser_client.get(f"/explore/songs/{path}/audio").status_code in (404, 422)


def test_audio_that_is_gone_or_outside_is_said_and_not_served(
    browser_client: TestClient, opened: Explorer, tmp_path: pathlib.Path
) -> None:
    number = opened.run.index["t003"]
    path = pathlib.Path(opened.run.songs[number].uri)
    path.unlink()
    assert "not there any more" in browser_client.get(f"/explore/songs/{number}").text
    assert browser_client.get(f"/explore/songs/{number}/audio").status_code == 404
    (tmp_path / "secret").write_text("secret")
    path.symlink_to(tmp_path / "secret")
    answer = browser_client.get(f"/explore/songs/{number}/audio")
    assert (answer.status_code, "outside" in answer.json()["error"]) == (404, True)


def test_a_mark_is_saved_shown_and_undone(
    browser_client: TestClient, opened: Explorer, work: pathlib.Path
) -> None:
    number = opened.run.index["train5"]
    answer = browser_client.post(
        f"/explore/api/songs/{number}/mark?decision=relabel&genre=0&seen="
    ).json()
    assert answer["mark"] == "relabel Folk"
    (row,) = csv.DictReader((work / "explore" / "changes.csv").read_text().splitlines())
    assert (row["genre_before"], row["genre_after"]) == ("Rock", "Folk")
    assert "held-out probability of Folk 0.900" in row["evidence"]
    marks = browser_client.get("/explore/marks").text
    line = f"genreflow run --config {work}/explore/config.toml --work-dir {work}"
    assert line in html.unescape(marks)
    assert "train5" not in browser_client.get("/explore/labels").text
    assert "train5" in browser_client.get("/explore/labels?marked=1").text
    undone = browser_client.post("/explore/api/undo?track_id=train5&seen=relabel+Folk").json()
    assert (undone["mark"], undone["marked"]) == ("", 0)


@pytest.mark.parametrize(
    ("query", "status"),
    [("decision=drop&seen=keep", 409), ("decision=burn", 422), ("decision=relabel&genre=3", 422),
     ("decision=relabel", 422), ("decision=relabel&genre=x", 422)],
)  # fmt: skip
def test_a_mark_that_cannot_be_has_a_reason(
    browser_client: TestClient, query: str, status: int
) -> None:
    answer = browser_client.post(f"/explore/api/songs/0/mark?{query}")
    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_mark_that_cannot_be_saved_is_not_made(
    browser_client: TestClient, work: pathlib.Path
) -> None:
    browser_client.post("/explore/api/songs/0/mark?decision=keep")
    (work / "explore" / "labels.csv").chmod(0o444)
    answer = browser_client.post("/explore/api/songs/1/mark?decision=drop")
    assert answer.status_code == 507
    assert "read-only" in answer.json()["error"]
    assert browser_client.get("/explore/api/songs/1").json()["mark"] == ""


def test_another_sites_page_cannot_mark(browser_client: TestClient) -> None:
    answer = browser_client.post(
        "/explore/api/songs/0/mark?decision=drop", headers={"origin": "https://evil.example"}
    )
    assert answer.status_code == 403
    assert browser_client.get("/explore/api/songs/0").json()["mark"] == ""


@pytest.mark.parametrize(
    "part", ["/songs?split=x", "/songs?model=x", "/confusion?split=train", "/labels?split=x",
             "/songs/99"],
)  # fmt: skip
def test_an_address_with_unknown_names_says_so(browser_client: TestClient, part: str) -> None:
    answer = browser_client.get(f"/explore{part}", headers=HTML)
    assert answer.status_code == 404
    assert "There is no such page" in answer.text


def test_odd_numbers_and_long_texts_in_addresses_are_refused(browser_client: TestClient) -> None:
    for part in ("/songs?page=0", "/songs?page=1e9", "/songs?text=" + "x" * 201, "/songs?sort=x"):
        assert browser_client.get(f"/explore{part}").status_code == 422
    assert browser_client.get("/explore/songs?page=999999999").status_code == 200
    page = browser_client.get("/explore/songs?page=1e9%0A", headers=HTML).text
    assert "page in the address cannot be 1e9\\x0a</p>" in page


HOSTILE = "<img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}=1+1"
GENRES = ("<b>Folk</b>", 'Jazz & "Blues"', "R\u202eock\x1b[2J")


def test_hostile_names_are_text_on_every_part(tmp_path: pathlib.Path) -> None:
    work = write_explored(tmp_path, genres=GENRES)
    song = tmp_path / "music" / "<script>alert(1)</script>".replace("/", "")
    write_song(song)
    hostile = ExampleTrack(HOSTILE, str(song), GENRES[0], HOSTILE, "train")
    write_tracks(str(work), [*read_tracks(str(work)), hostile])
    rejects = f"track_id,genre,reason,detail,uri\n{HOSTILE},x\x1b,y,z,<u>\n"
    (work / "rejects.csv").write_text(rejects)
    opened = explorer(work, wrong={HOSTILE: GENRES[1], "t004": GENRES[2]})
    number = opened.run.index[HOSTILE]
    opened.marking.mark("t004", "relabel", GENRES[2], evidence=HOSTILE, seen="")
    pages = _client(opened)
    for part in (*PARTS, f"/songs/{number}"):
        text = pages.get(f"/explore{part}").text
        assert not re.search(r"<(img src=x|b>|script>alert|u>)", text), part
        assert "49" not in re.findall(r"{{.*?}}|49", text)
        visible = re.sub(r'(value|data-id|data-seen|href)="[^"]*"', "", text)
        assert not set(visible) & {"\u202e", "\x1b"}, part


def _with_clips(opened: Explorer, number: int) -> Explorer:
    """Return the explorer with two stored clips of one song."""
    run = opened.run
    audio = run.config.audio
    folder = pathlib.Path(run.examples, "Split-test")
    folder.mkdir(parents=True)
    mel = np.full((2, audio.n_mels, audio.frames), 40960, STORED_DTYPE)
    mel[1] = 0
    mel[1, 3, 5] = 20480
    (folder / "file").write_bytes(b"head" + mel.tobytes())
    rows = [(number, 1, 4.0, 0, 4 + audio.mel_bytes), (number, 0, 1.5, 0, 4)]
    clips = StoredClips.of(["Split-test/file"], rows)
    return Explorer(run, Prepared(out_of_fold(run), clips), opened.marking)


def test_spectrograms_come_from_the_stored_examples(opened: Explorer) -> None:
    import base64

    number = opened.run.index["t003"]
    explored = _with_clips(opened, number)
    pages = _client(explored)
    found = pages.get(f"/explore/api/songs/{number}/spectrogram").json()
    audio = opened.run.config.audio
    levels = np.frombuffer(base64.b64decode(found["levels"]), np.uint8)
    levels = levels.reshape(2, audio.frames, found["bands"])
    assert (found["starts_s"], found["bands"]) == ([1.5, 4.0], audio.n_mels)
    assert (levels[0] == 255).all()
    assert levels[1, 5, 3] == 127
    assert levels[1].sum() == 127
    pathlib.Path(opened.run.examples, "Split-test", "file").write_bytes(b"cut off")
    assert pages.get(f"/explore/api/songs/{number}/spectrogram").status_code == 404


def test_a_page_of_many_songs_is_no_larger_than_one_of_few(work: pathlib.Path) -> None:
    pages = _client(explorer_of_many(work, 5000))
    parts = {"/songs?text=77&sort=loss&descending=1": 100, "/songs?page=40": 100, "/labels": 100}
    for part, most in parts.items():
        page = pages.get(f"/explore{part}", headers=HTML)
        assert page.status_code == 200
        assert 3 < len(_rows(page.text)) <= most + 1, part
        assert len(page.content) < 200_000
