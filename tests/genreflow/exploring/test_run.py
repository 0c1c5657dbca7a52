"""A finished run as its songs."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from components.common.errors import DataError, UsageError
from components.examples.tracks import ExampleTrack, write_tracks
from genreflow.exploring.run import explore
from genreflow.exploring.songs import PAGE_SONGS, Query, SongList
from tests.genreflow.exploring.explored import write_explored


def test_songs_have_their_splits_labels_and_the_models_predictions(work: pathlib.Path) -> None:
    run = explore(str(work))
    song = run.index["t001"]
    assert run.songs[song].split == "test"
    assert run.genres[run.labels[song]] == "Jazz"
    # crnn predicts the next genre for it, svm the label.
    assert run.genres[run.predicted("crnn")[song]] == "Rock"
    assert run.genres[run.predicted("svm")[song]] == "Jazz"
    expected = -np.log(run.probabilities["crnn"][song, 1])
    assert run.losses("crnn")[song] == pytest.approx(expected)
    trained = run.index["train0"]
    assert run.predicted("crnn")[trained] == -1
    assert np.isnan(run.losses("crnn")[trained])


def test_the_confusion_matrix_is_that_of_the_results(work: pathlib.Path) -> None:
    run = explore(str(work))
    for split in ("validation", "test"):
        expected = run.results.models["svm"].on(split).confusion  # type: ignore[arg-type]
        assert run.confusion("svm", split).tolist() == expected
    both = run.confusion("svm", "validation") + run.confusion("svm", "test")
    assert run.confusion("svm", "").tolist() == both.tolist()


def test_counts_are_by_genre_and_split(work: pathlib.Path) -> None:
    assert explore(str(work)).counts().tolist() == [[2, 2, 2, 0]] * 3


def test_a_folder_without_a_finished_run_is_an_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match="no run has finished there"):
        explore(str(tmp_path))


def test_a_run_of_an_earlier_version_says_what_to_rerun(work: pathlib.Path) -> None:
    (work / "run.json").unlink()
    with pytest.raises(DataError, match=r"run\.json: is missing.*genreflow run"):
        explore(str(work))


def test_files_of_different_runs_are_an_error(work: pathlib.Path) -> None:
    values = json.loads((work / "run.json").read_text())
    (work / "run.json").write_text(json.dumps({**values, "run_id": "other"}))
    with pytest.raises(DataError, match="is of the run other"):
        explore(str(work))


def test_predictions_of_unlisted_songs_are_an_error(work: pathlib.Path) -> None:
    write_tracks(str(work), [ExampleTrack("only", "/only.wav", "Folk", "", "train")])
    with pytest.raises(DataError, match="are of different runs"):
        explore(str(work))


@pytest.fixture
def songs(work: pathlib.Path) -> SongList:
    return SongList(explore(str(work)))


def _ids(songs: SongList, **query: object) -> list[str]:
    run = songs._run
    found = songs.choose(Query("crnn", **query))  # type: ignore[arg-type]
    return [run.songs[number].track_id for number in found]


def test_songs_are_filtered_by_split_label_prediction_and_text(songs: SongList) -> None:
    assert _ids(songs, split="train", genre="Folk") == ["train0", "train3"]
    assert _ids(songs, split="test", predicted="Rock") == ["t001", "t002"]
    assert _ids(songs, split="test", wrong=True) == ["t001", "t005"]
    assert _ids(songs, text="TRAINER 4") == ["train4"]
    assert _ids(songs, text="rain5.WAV") == ["train5"]
    assert _ids(songs, genre="no such genre") == []


def test_songs_without_a_value_are_last_in_both_directions(songs: SongList) -> None:
    for descending in (False, True):
        order = _ids(songs, sort="loss", descending=descending)
        assert {name for name in order[-6:]} == {f"train{number}" for number in range(6)}
    assert set(_ids(songs, sort="loss", descending=True, split="test")[:2]) == {"t001", "t005"}


def test_a_page_beyond_the_last_is_the_last(songs: SongList) -> None:
    found = songs.find(Query("crnn", page=99))
    assert (found.page, found.pages, found.total, len(found.songs)) == (1, 1, 18, 18)
    empty = songs.find(Query("crnn", text="nothing"))
    assert (empty.page, empty.pages, empty.total) == (1, 1, 0)
    assert PAGE_SONGS >= 18


def test_under_by_clip_no_song_has_one_split(tmp_path: pathlib.Path) -> None:
    work = write_explored(tmp_path, leaky=True)
    tracks = json.loads((work / "tracks.json").read_text())["tracks"]
    write_tracks(str(work), [ExampleTrack(**{**track, "split": ""}) for track in tracks])
    run = explore(str(work))
    assert run.counts()[:, 3].tolist() == [6, 6, 6]
