"""Tests of the page in a real browser: by mouse, keyboard and microphone, in every state."""

from __future__ import annotations

import json
import pathlib
import time

import numpy as np
import pytest

from components.common.model_evaluation import ModelEvaluation, ToldRule
from genreflow.web.listen.facts import Evaluation
from genreflow.web.listen.receiving import Limits
from tests.genreflow.web.listen.listening import HOSTILE, Site, backend_of, site, wav, write_wav
from tests.genreflow.web.shell import wait_for
from tests.support.browser import Browser, Tab
from tests.support.scripted_serving import Scripted

READY = "document.querySelector('#state').textContent === 'model ready, version 7'"
SHOWN = "document.querySelectorAll('.song .verdict').length === {}"
WIDTH = "document.documentElement.scrollWidth"
SLIDER = "document.querySelector('.seek').getAttribute('{}')"


def _listen(tab: Tab, listening: Site, *songs: pathlib.Path) -> None:
    tab.open(f"{listening.url}listen")
    tab.wait(READY)
    if songs:
        tab.choose_files("#files", list(songs))
        tab.wait(SHOWN.format(len(songs)))


def test_axe_finds_nothing_in_any_state_and_nothing_is_wider_than_a_phone(
    tab: Tab, listening: Site, axe: str, tmp_path: pathlib.Path
) -> None:
    problems = []

    def check(state: str) -> None:
        for dark, width in ((False, 1280), (True, 390), (False, 320)):
            tab.look(width=width, dark=dark)
            problems.extend(f"{state}: {one}" for one in tab.axe(axe))
            assert tab.value(WIDTH) == width, state

    _listen(tab, listening)
    check("empty")
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(b"no audio " * 100)
    songs = [write_wav(tmp_path / f"{'long ' * 20}{index}.wav", 4, 500) for index in range(2)]
    tab.choose_files("#files", [bad])
    tab.wait("document.querySelector('.song .notice.bad')")
    check("error")
    tab.choose_files("#files", songs)
    tab.wait(SHOWN.format(2))
    tab.value("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    tab.wait("document.querySelector('.tables tbody tr')")
    check("result")
    tab.value("document.querySelectorAll('button[aria-pressed]').forEach(one => one.click())")
    tab.value("document.querySelector('#other').value = '7'")
    tab.choose_files("#files", songs[:1])
    tab.wait(SHOWN.format(4))
    check("compared")
    assert problems == []


def test_a_song_is_seen_heard_and_followed_by_keyboard(
    tab: Tab, listening: Site, tmp_path: pathlib.Path
) -> None:
    _listen(tab, listening, write_wav(tmp_path / "song.wav", 20))
    tab.wait("document.querySelector('#announcer').textContent.startsWith('song.wav: ')")
    drawn = """(canvas) => { const copy = new OffscreenCanvas(canvas.width, canvas.height);
        const context = copy.getContext('2d', {willReadFrequently: true});
        context.drawImage(canvas, 0, 0);
        const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size; }"""
    for canvas in (".wave", ".mel", ".stage canvas:last-of-type"):
        assert tab.value(f"({drawn})(document.querySelector('{canvas}'))") > 1, canvas
    # The keyboard moves the cursor, and the song with it.
    tab.value("document.querySelector('.seek').focus()")
    tab.press("ArrowRight", 2)
    tab.wait("document.querySelector('audio').currentTime === 10")
    assert tab.value(SLIDER.format("aria-valuenow")) == "10.0"
    assert tab.value(SLIDER.format("aria-valuetext")).startswith("0:10 of 0:20: ")
    tab.press("End")
    tab.wait("document.querySelector('.cursor').style.left.startsWith('99.')")
    tab.press("Home")
    # A click moves both, too.
    box = tab.value("(({x, y, width, height}) => [x, y, width, height])"
                    "(document.querySelector('.seek').getBoundingClientRect())")  # fmt: skip
    for kind in ("mousePressed", "mouseReleased"):
        tab.command(
            "Input.dispatchMouseEvent", type=kind, x=box[0] + box[2] / 4, y=box[1] + 10,
            button="left", clickCount=1,
        )  # fmt: skip
    tab.wait("Math.abs(document.querySelector('audio').currentTime - 5) < 0.1")
    # Playing moves the cursor.
    tab.press(" ")
    tab.wait("!document.querySelector('audio').paused")
    tab.wait(f"Number({SLIDER.format('aria-valuenow')}) > 5.3")
    tab.press(" ")
    tab.wait("document.querySelector('audio').paused")
    # So it does with reduced motion, in larger steps.
    tab.look(still=True)
    tab.press(" ")
    tab.wait(f"Number({SLIDER.format('aria-valuenow')}) > 6.5")


def test_the_rest_after_the_last_window_is_not_given_its_genre(
    tab: Tab, listening: Site, tmp_path: pathlib.Path
) -> None:
    songs = [write_wav(tmp_path / f"{seconds}.wav", seconds) for seconds in (2.0, 2.2)]
    _listen(tab, listening, *songs)  # windows of a quarter of a second
    for song, last in zip(songs, ("%", "shorter than a window"), strict=True):
        slider = f"document.querySelector('.seek[aria-label$=\"{song.name}\"]')"
        tab.value(f"{slider}.focus()")
        tab.press("End")
        text = tab.value(f"{slider}.getAttribute('aria-valuetext')")
        assert text.endswith(last), text


def test_numbers_of_the_canvases_are_in_a_table(
    tab: Tab, listening: Site, tmp_path: pathlib.Path
) -> None:
    _listen(tab, listening, write_wav(tmp_path / "tone.wav", 2, hertz=1000))
    tab.click(".song summary")
    tab.wait("document.querySelectorAll('.tables tbody tr').length === 8")
    last = tab.value("[...document.querySelector('.tables tbody tr:last-child').children]"
                     ".map(cell => cell.textContent)")  # fmt: skip
    assert last[0] == "0:01.75 - 0:02.00"
    assert int(last[-2]) == -6  # a tone of half of full scale
    assert float(last[-1].replace(",", "")) == pytest.approx(1000, rel=0.1)


def test_hostile_names_are_text(tab: Tab, listening: Site, tmp_path: pathlib.Path) -> None:
    shown = "=1+1<img src=x onerror=alert(1)>\\x1b[31m\\x202egnp.mp3"
    hostile = tmp_path / HOSTILE.replace("/", "")
    hostile.write_bytes(b"no audio" * 100)
    _listen(tab, listening)
    tab.choose_files("#files", [hostile])
    tab.wait("document.querySelector('.song .notice.bad')")
    assert tab.value("document.querySelector('.song h3').textContent") == shown
    assert tab.value("document.querySelectorAll('main img').length") == 0
    # To send it again would not help.
    assert tab.value("document.querySelector('.song .actions button').textContent").startswith(
        "Remove"
    )
    hostile.write_bytes(wav())
    tab.choose_files("#files", [hostile])
    tab.wait(SHOWN.format(1))
    # Saved as a file, the name is a name, and a table's cell no formula.
    saved = """new Promise(done => { const make = URL.createObjectURL;
        URL.createObjectURL = (blob) => { done(blob.text()); return make(blob); };
        document.querySelectorAll('.song .actions button')[%d].click(); })"""
    (one,) = json.loads(tab.value(saved % 1))
    assert one["file"] == hostile.name
    assert "sound" not in one
    lines = tab.value(saved % 2).split("\r\n")
    assert lines[0] == "file,version,start_s,end_s,genre,probability"
    assert lines[1].startswith("'" + shown + ",7,0.0,2.0,")


def test_a_recording_is_analysed(tab: Tab, listening: Site) -> None:
    _listen(tab, listening)
    tab.click("#record")
    tab.wait("document.querySelector('#recorded').textContent === '0:01'")
    tab.click("#stop")
    tab.wait("document.querySelector('.song .verdict, .song .notice.bad')")
    assert tab.value("document.querySelector('.song h3').textContent").startswith("recording 2")
    assert tab.value("document.querySelector('.song .meta').textContent").startswith("0:01")
    tab.click("#record")
    tab.wait("!document.querySelector('#recorder').hidden")
    tab.click("#discard")
    assert tab.value("document.querySelectorAll('.song').length") == 1


def test_files_are_dropped_in_the_window(tab: Tab, listening: Site, tmp_path: pathlib.Path) -> None:
    _listen(tab, listening)
    song = write_wav(tmp_path / "dropped.wav")
    data = {"items": [], "files": [str(song)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        tab.command("Input.dispatchDragEvent", type=kind, x=200, y=300, data=data)
    tab.wait(SHOWN.format(1))
    assert tab.value("document.querySelector('.song h3').textContent") == "dropped.wav"


def test_two_versions_and_two_songs_are_compared(
    tab: Tab, listening: Site, tmp_path: pathlib.Path
) -> None:
    _listen(tab, listening)
    tab.value("document.querySelector('#other').value = '7'")
    tab.choose_files(
        "#files", [write_wav(tmp_path / "a.wav", 3), write_wav(tmp_path / "b.wav", 3, 3000)]
    )
    tab.wait(SHOWN.format(4))
    assert tab.value("document.querySelectorAll('.song .genres .bar.second').length") == 6
    tab.click(".song button[aria-pressed]")
    assert "Choose another song" in tab.value("document.querySelector('#comparison').innerText")
    tab.value("document.querySelectorAll('button[aria-pressed]')[1].click()")
    tab.wait("document.querySelectorAll('#comparison tbody tr').length === 3")


def test_the_accuracy_of_the_version_that_answers_is_shown(
    tab: Tab, scripted: Scripted, tmp_path: pathlib.Path
) -> None:
    backend = backend_of(scripted)
    found = Evaluation(0.75, 0.5, 0.9, 1234, "2026-11-30", "r1", "blessed", (("a", "pass", "b"),))
    backend.evaluation = lambda version: found if version == 7 else None  # type: ignore[method-assign]
    with site(backend) as known:
        _listen(tab, known, write_wav(tmp_path / "song.wav"))
        shown = tab.value("document.querySelector('#model').innerText")
        assert "75.0 % of 1,234 test tracks (95 % interval: 50.0 % to 90.0 %)" in shown
        assert "2026-11-30, by run r1" in shown
        meta = tab.value("document.querySelector('.song .meta').textContent")
        assert "right on 75.0 % of its test songs" in meta


def test_a_remote_server_tells_its_models_accuracy(
    tab: Tab, scripted: Scripted, tmp_path: pathlib.Path
) -> None:
    told = ModelEvaluation(0.75, 0.5, 0.9, 1234, True, (ToldRule("<b>floor", "pass", "good"),))
    scripted.describe["evaluation"] = np.array([told.to_text().encode()], object)
    with site(backend_of(scripted)) as remote:
        _listen(tab, remote, write_wav(tmp_path / "song.wav"))
        shown = tab.value("document.querySelector('#model').innerText")
        assert "75.0 % of 1,234 test tracks (95 % interval: 50.0 % to 90.0 %)" in shown
        assert "blessed (rules: 1 pass)" in shown
        assert "<b>floor: pass" in tab.value("document.querySelector('#model').textContent")


def test_a_server_that_is_gone_is_told_and_a_retry_works(
    tab: Tab, scripted: Scripted, tmp_path: pathlib.Path
) -> None:
    port, scripted.port = scripted.port, 1
    with site(backend_of(scripted)) as gone:
        tab.open(f"{gone.url}listen")
        tab.wait("document.querySelector('#state').textContent === 'no model'")
        assert "nothing responds" in tab.value("document.querySelector('#problem').textContent")
        tab.choose_files("#files", [write_wav(tmp_path / "song.wav")])
        tab.wait("document.querySelector('.song .notice.bad')")
        scripted.port = port
        tab.wait(READY)
        assert tab.value("document.querySelector('#problem').textContent") == ""
        tab.click(".song .actions button")
        tab.wait(SHOWN.format(1))


def test_a_large_file_is_refused_without_being_sent_and_many_wait_for_their_turn(
    tab: Tab, scripted: Scripted, tmp_path: pathlib.Path
) -> None:
    limits = Limits(upload_bytes=1 << 20, songs=3, songs_each=1, analyses=1)
    with site(backend_of(scripted), limits) as small:
        _listen(tab, small)
        large = tmp_path / "large.wav"
        large.write_bytes(bytes(2 << 20))
        tab.choose_files("#files", [large])
        tab.wait(
            "document.querySelector('.song .notice.bad').textContent.includes('at most 1 MiB')"
        )
        assert small.log == []
        tab.choose_files("#files", [write_wav(tmp_path / f"{index}.wav") for index in range(4)])
        tab.wait(SHOWN.format(4))


@pytest.mark.parametrize("how", ["the button", "closing the tab"])
def test_a_song_that_is_cancelled_ends_at_the_server(
    browser: Browser, scripted: Scripted, tmp_path: pathlib.Path, how: str
) -> None:
    scripted.script = [None, *[lambda context: time.sleep(0.3)] * 100]
    with site(backend_of(scripted)) as listening:
        tab = browser.tab()
        tab.open(f"{listening.url}listen")
        tab.choose_files("#files", [write_wav(tmp_path / "song.wav", 60)])
        wait_for(lambda: not listening.is_empty())
        if how == "the button":
            tab.click(".song .actions button")
            tab.wait("!document.querySelector('.song')")
            wait_for(listening.is_empty)
        tab.close()
        wait_for(listening.is_empty)
        wait_for(lambda: any("given up" in line for line in listening.log))
