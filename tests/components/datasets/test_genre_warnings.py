"""Genres that are missing, and genres whose names may mean the same."""

from __future__ import annotations

import dataclasses
import pathlib
import unicodedata

import pytest

from components.common.errors import SplitError
from components.datasets.corpus import load_corpus
from components.datasets.genre_warnings import genre_warnings
from components.datasets.settings import DatasetSettings, SplitSettings
from components.datasets.track import Reject

BY_TRACK = SplitSettings(policy="by_track")


def folder(root: pathlib.Path, *names: str) -> DatasetSettings:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return DatasetSettings(kind="folder", data_dir=str(root))


@pytest.mark.parametrize(
    "names",
    [("Rock", "rock"), ("Hip-Hop", "Hip Hop"), ("hiphop", "Hip_Hop"), ("R&B", "r & b"),
     ("Café", "CAFE\u0301"), ("Straße", "STRASSE")],
)  # fmt: skip
def test_names_that_differ_in_spelling_alone_are_a_warning(names: tuple[str, str]) -> None:
    (warning,) = genre_warnings(["Jazz", *names], [])
    assert "{!r} and {!r} differ only in case".format(*sorted(names)) in warning


def test_other_names_are_none() -> None:
    names = ["Rock", "Rock 2", "Pop", "Post-Rock", "★", "☆", "한국", "日本"]
    assert list(genre_warnings(names, [])) == []


def test_a_genre_of_unreadable_files_is_named_in_a_warning(tmp_path: pathlib.Path) -> None:
    files = [f"{genre}/{index}.mp3" for genre in ("Jazz", "Pop") for index in range(3)]
    corpus = load_corpus(
        folder(tmp_path, *files, "Rock/a.m4p", "Rock/b.m4p", "Rock/c.mid"), BY_TRACK
    )
    (warning,) = corpus.warnings
    assert warning.startswith("genre 'Rock' is missing: 3 files, none can be used: 2 times .m4p (")
    assert ".mid (MIDI) is not read" in warning


def test_without_another_genre_the_error_names_the_missing_one(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SplitError) as caught:
        load_corpus(folder(tmp_path, "Jazz/a.mp3", "Rock/a.m4p"), BY_TRACK)
    assert "only one genre, 'Jazz'" in str(caught.value)
    assert "genre 'Rock' is missing: 1 file, none can be used: .m4p" in str(caught.value)


def test_a_listed_genre_without_a_usable_file_is_named_in_the_error(tmp_path: pathlib.Path) -> None:
    files = [f"{genre}/{index}.mp3" for genre in ("Jazz", "Pop") for index in range(3)]
    dataset = dataclasses.replace(
        folder(tmp_path, *files, "Rock/a.m4p"), genres=("Jazz", "Pop", "Rock"), max_tracks=4
    )
    with pytest.raises(SplitError, match="genre 'Rock' is missing: 1 file"):
        load_corpus(dataset, BY_TRACK)


def test_genres_that_the_user_leaves_out_are_no_warning() -> None:
    rejects = [Reject("a", "a", "Pop", "unknown_genre"), Reject("b", "b", "", "no_genre")]
    assert list(genre_warnings(["Rock", "Jazz"], rejects)) == []


def test_composed_and_decomposed_folders_are_one_genre(tmp_path: pathlib.Path) -> None:
    forms = [unicodedata.normalize(form, "Électro") for form in ("NFC", "NFD")]
    files = [f"{name}/{index}.mp3" for name in (*forms, "Rock") for index in range(3)]
    corpus = load_corpus(folder(tmp_path, *files), BY_TRACK)
    assert corpus.genres == ("Rock", forms[0])
    assert corpus.warnings == ()
