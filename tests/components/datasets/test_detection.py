"""Tests of the recognition of a data folder's kind."""

from __future__ import annotations

import pathlib

import pytest

from components.common.errors import DatasetError
from components.datasets.detection import detect
from components.datasets.files.local import LocalFiles


def _made(root: pathlib.Path, *paths: str) -> LocalFiles:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("uri,genre\n" if path.endswith(".csv") else "x")
    return LocalFiles(str(root))


@pytest.mark.parametrize(
    ("paths", "kind", "settings"),
    [
        (["Rock/a.mp3", "Folk/b.mp3"], "folder", {}),
        (["fma_metadata/tracks.csv", "fma_medium/000/1.mp3"], "fma", {"fma_subset": "medium"}),
        (["manifest.csv", "other.csv", "Rock/a.mp3"], "manifest", {"manifest": "manifest.csv"}),
        (["songs.csv", "Rock/a.mp3"], "manifest", {"manifest": "songs.csv"}),
        (["train/Rock/a.mp3", "test/Rock/b.mp3"], "split_folders", {}),
        (["blues/blues.00000.wav", "rock/rock.00000.wav"], "gtzan", {}),
        (["blues/mine.wav", "rock/yours.wav"], "folder", {}),
        (["blues/blues.00000.wav", "polka/x.wav"], "folder", {}),
        # A folder "test" among genres, and splits without genres, are the reader's to judge.
        (["test/a.mp3", "Rock/b.mp3"], "folder", {}),
        (["train/a.mp3", "test/b.mp3"], "folder", {}),
    ],
)
def test_a_kind_is_recognised_by_its_layout(
    paths: list[str], kind: str, settings: dict[str, str], tmp_path: pathlib.Path
) -> None:
    found = detect(_made(tmp_path, *paths)).settings
    assert (found.kind, found.data_dir) == (kind, str(tmp_path))
    for name, value in settings.items():
        assert getattr(found, name) == value


def test_a_csv_of_something_else_is_no_manifest(tmp_path: pathlib.Path) -> None:
    files = _made(tmp_path, "Rock/a.mp3", "Folk/b.mp3")
    (tmp_path / "prices.csv").write_text("name,price\n")
    (tmp_path / "latin.csv").write_bytes(b"uri,genre\xff\n")
    (tmp_path / "empty.csv").write_text("")
    assert detect(files).settings.kind == "folder"


def test_the_csv_that_the_user_names_counts(tmp_path: pathlib.Path) -> None:
    files = _made(tmp_path, "a.csv", "b.csv", "Rock/a.mp3")
    with pytest.raises(DatasetError, match=r"a\.csv, b\.csv all list tracks; name one of them"):
        detect(files)
    assert detect(files, "b.csv").settings.manifest == "b.csv"


def test_the_audio_folder_of_fma_alone_has_no_genres(tmp_path: pathlib.Path) -> None:
    files = _made(tmp_path / "fma_small", "000/000002.mp3", "001/001001.mp3")
    with pytest.raises(DatasetError, match="the audio folder of FMA, without its genres"):
        detect(files)


def test_an_empty_folder_is_none(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DatasetError, match="the data folder is empty"):
        detect(LocalFiles(str(tmp_path)))
