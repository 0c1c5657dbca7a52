"""Tests of the shell in a real browser."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from genreflow.web.app import make_app
from tests.genreflow.web.shell import served, toy_page
from tests.support.browser import Tab


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Iterator[str]:
    with served(
        make_app([toy_page(tmp_path / "one", "one"), toy_page(tmp_path / "two", "two")])
    ) as url:
        yield url


def test_a_page_works_under_its_own_policy_and_axe_finds_nothing(
    tab: Tab, site: str, axe: str
) -> None:
    for dark in (False, True):
        tab.look(width=390, dark=dark)
        tab.open(f"{site}one?text=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
        # The module ran, and made the bidirectional mark visible.
        tab.wait("document.title === 'a\\\\x202eb'")
        assert tab.value("document.documentElement.scrollWidth") == 390
        assert tab.axe(axe) == []
        tab.open(f"{site}nowhere")
        assert tab.value("document.querySelector('h1').textContent") == "There is no such page"
        assert tab.axe(axe) == []


def test_scripts_in_text_do_not_run(tab: Tab, site: str) -> None:
    tab.open(f"{site}one")
    tab.wait("document.title.startsWith('a')")
    with pytest.raises(AssertionError, match="TrustedHTML"):
        tab.value("document.body.innerHTML = '<b>x</b>'")
    tab.complaints.clear()  # the browser reports the attempt
