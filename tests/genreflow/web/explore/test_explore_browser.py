"""The page of `genreflow explore`, in a real browser."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from genreflow.exploring.explorer import Explorer
from genreflow.exploring.marks import read_marks
from genreflow.web.app import make_app
from genreflow.web.explore.page import make_page
from tests.genreflow.exploring.explored import explorer, write_explored
from tests.genreflow.web.shell import served
from tests.support.browser import Tab


@pytest.fixture
def opened(tmp_path: pathlib.Path) -> Explorer:
    work = write_explored(tmp_path)
    return explorer(work, wrong={"train5": "Folk", "t004": "Rock", "train1": "Rock"})


@pytest.fixture
def site(opened: Explorer) -> Iterator[str]:
    with served(make_app([make_page(opened, "genreflow")])) as url:
        yield url.rstrip("/")


def test_axe_finds_nothing_on_any_part_at_any_width(
    tab: Tab, site: str, opened: Explorer, axe: str
) -> None:
    opened.marking.mark("train0", "relabel", "Jazz", evidence="e", seen="")
    for width, dark in ((1280, False), (390, True)):
        tab.look(width=width, dark=dark)
        for part in ("", "/songs", "/songs/3", "/confusion", "/labels", "/marks", "/rejects"):
            tab.open(f"{site}/explore{part}")
            if part in ("/labels", "/songs/3"):
                tab.wait("document.querySelectorAll('#marking button').length > 2")
            assert tab.axe(axe) == [], part
            assert tab.value("document.documentElement.scrollWidth") == width, part


@pytest.mark.parametrize("width", [1280, 1200, 768, 375])
def test_the_table_of_models_fits_at_any_width_with_long_names(
    tab: Tab, site: str, width: int
) -> None:
    tab.look(width=width)
    tab.open(f"{site}/explore")
    tab.value(
        """document.querySelectorAll(".models th a").forEach((one) => one.replaceChildren(
          ..."ensemble_ weighted_ by_ validation".split(" ").flatMap((part) =>
            [part, document.createElement("wbr")])))"""
    )
    assert tab.value("document.querySelectorAll('.models th a').length") > 1
    assert not tab.value(
        """[...document.querySelectorAll(".scroll")].some((one) =>
          one.scrollWidth > one.clientWidth)"""
    )
    assert tab.value("document.documentElement.scrollWidth") == width


def test_long_names_of_genres_widen_no_part(tab: Tab, tmp_path: pathlib.Path) -> None:
    genres = ("a" * 80, "Psychedelic Progressive Space Rock of the 1970s", "Rock")
    work = write_explored(tmp_path, genres=genres)
    opened = explorer(work, wrong={"train5": genres[0], "t004": genres[1]})
    with served(make_app([make_page(opened, "genreflow")])) as url:
        for width in (1280, 375):
            tab.look(width=width)
            for part in ("", "/songs", "/songs/3", "/confusion", "/labels"):
                tab.open(f"{url}explore{part}")
                if part in ("/labels", "/songs/3"):
                    tab.wait("document.querySelectorAll('#marking button').length > 2")
                assert tab.value("document.documentElement.scrollWidth") == width, part
            tab.open(f"{url}explore")
            assert tab.value(
                """[...document.querySelectorAll(".grid .scroll")].every((one) =>
                  one.scrollWidth <= one.clientWidth)"""
            ), width


def test_labels_are_mended_by_keyboard_alone(tab: Tab, site: str, opened: Explorer) -> None:
    marks = opened.marking.places.marks
    tab.open(f"{site}/explore/labels")
    order = [opened.run.songs[issue.track].track_id for issue in opened.issues]
    assert order[:2] == ["train5", "train1"]

    def at(place: int) -> None:
        tab.wait(f"document.getElementById('title').textContent.includes('{order[place]}')")

    at(0)
    tab.press(" ")
    tab.wait("document.getElementById('player').played.length === 1")
    tab.press("r")
    at(1)
    tab.wait("document.getElementById('saved').innerText.startsWith('Saved: train5, relabel to F')")
    assert read_marks(marks)["train5"].state == "relabel Folk"
    tab.press("k")
    at(2)
    assert read_marks(marks)["train1"].state == "keep"
    tab.press("u")  # back to the second, undone
    at(1)
    tab.wait("document.getElementById('mark').hidden")
    assert "train1" not in read_marks(marks)
    tab.press("g")
    tab.value("document.activeElement.value = '0'")
    tab.press("Enter")
    at(2)
    assert read_marks(marks)["train1"].state == "relabel Folk"
    tab.press("d")
    tab.wait("!document.getElementById('done').hidden")
    assert read_marks(marks)["t004"].state == "drop"
    tab.wait("document.getElementById('marked').textContent === '3'")


def test_letters_mark_after_the_player_or_the_list_of_keys_was_clicked(
    tab: Tab, site: str, opened: Explorer
) -> None:
    tab.open(f"{site}/explore/labels")
    for place, selector in enumerate(("#player", "details summary"), start=1):
        tab.wait(f"document.getElementById('place').textContent.startsWith('{place} of')")
        tab.value(f"document.querySelector('{selector}').focus()")
        assert tab.value(f"document.activeElement.matches('{selector}')")
        tab.press("k")
        tab.wait(f"document.getElementById('marked').textContent === '{place}'")
    assert {mark.state for mark in opened.marking.marks.values()} == {"keep"}


def test_a_second_window_is_told_and_sees_the_first_ones_mark(
    tab: Tab, site: str, opened: Explorer
) -> None:
    number = opened.run.index["train5"]
    tab.open(f"{site}/explore/songs/{number}")
    tab.wait("document.querySelectorAll('#marking button').length > 2")
    opened.marking.mark("train5", "drop", "", evidence="", seen="")  # by another window
    tab.press("r")
    tab.wait("document.getElementById('problem').textContent.includes('another window')")
    tab.wait("document.getElementById('mark').textContent === 'drop'")
    tab.press("r")
    tab.wait("document.getElementById('mark').textContent === 'relabel to Folk'")
    assert read_marks(opened.marking.places.marks)["train5"].state == "relabel Folk"


def test_a_cell_of_the_confusion_matrix_leads_to_its_songs(tab: Tab, site: str) -> None:
    tab.open(f"{site}/explore/confusion")
    tab.click("a[aria-label='1 song labelled Jazz, predicted as Rock']")
    tab.wait("document.querySelector('tbody a')?.textContent === 't001'")
    tab.click("tbody a")
    tab.wait("document.querySelector('h1').textContent === 't001'")
    # It plays, and can be sought in.
    tab.wait("document.getElementById('player').seekable.length > 0")


def test_the_sorted_column_and_its_direction_are_seen(tab: Tab, site: str) -> None:
    for query, heading, arrow in (("", "Song", "▲"), ("?sort=loss&descending=1", "Loss", "▼")):
        tab.open(f"{site}/explore/songs{query}")
        shown = tab.value(
            """[...document.querySelectorAll("thead th a")].map((one) =>
              [one.textContent, getComputedStyle(one, "::after").content])"""
        )
        assert [(text, arrow in mark) for text, mark in shown if mark != "none"] == [
            (heading, True)
        ]


def test_a_mark_is_undone_in_the_list_of_marks(tab: Tab, site: str, opened: Explorer) -> None:
    opened.marking.mark("train5", "drop", "", evidence="", seen="")
    tab.open(f"{site}/explore/marks")
    tab.click("button.undo")
    tab.wait("document.body.textContent.includes('No song is marked yet')")
    assert opened.marking.marks == {}
