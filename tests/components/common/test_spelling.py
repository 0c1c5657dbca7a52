"""Paths with composed and decomposed accents."""

from __future__ import annotations

import unicodedata

import pytest

from components.common.spelling import find_spelling


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize("given", [nfc, nfd])
@pytest.mark.parametrize("start", ["/", "", "./", "../"])
def test_each_part_is_found_in_its_own_form(given: object, start: str) -> None:
    parts = [nfd("Müsik"), nfc("Björk"), "x y", nfd("Ångström.mp3")]
    paths = {start + "/".join(parts[: n + 1]) for n in range(4)} | {".", ".."}
    asked = start + given("Müsik/Björk/x y/Ångström.mp3")  # type: ignore[operator]
    assert find_spelling(asked, paths.__contains__) == start + "/".join(parts)


def test_a_folder_in_both_forms_hides_nothing() -> None:
    paths = {nfc("é"), nfd("é"), nfc("é") + "/a"}
    assert find_spelling(nfd("é") + "/a", paths.__contains__) == nfc("é") + "/a"


def test_a_path_that_exists_is_itself() -> None:
    both = {nfc("é"), nfd("é")}
    assert [find_spelling(path, both.__contains__) for path in sorted(both)] == sorted(both)
    assert find_spelling("a//b", {"a//b"}.__contains__) == "a//b"


@pytest.mark.parametrize("path", ["gone", "é", "a/é", "é/b", ""])
def test_nothing_is_found_where_nothing_is(path: str) -> None:
    assert find_spelling(path, {"a", "b"}.__contains__) is None
