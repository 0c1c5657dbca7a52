"""Marks, and the files that the mended labels are written to."""

from __future__ import annotations

import csv
import dataclasses
import json
import pathlib
import shutil

import pytest

from components.common.errors import DataError, UsageError
from components.datasets.corpus import Corpus, load_corpus
from components.examples.tracks import ExampleTrack, read_tracks, write_tracks
from genreflow.exploring.explorer import Explorer
from genreflow.exploring.marking import (
    MarkConflictError,
    Marking,
    MarkNotSavedError,
    MendedPlaces,
    only_marker,
)
from genreflow.exploring.mended_files import config_text, manifest_text, mended_config
from genreflow.exploring.run import explore
from pipeline.config.load import from_values, load, load_config
from tests.genreflow.exploring.explored import explorer, say_in_store, write_explored, write_song


def _marking(work: pathlib.Path, output: str = "") -> Marking:
    return Marking(explore(str(work)), MendedPlaces.of(str(work), output))


def _next_corpus(work: pathlib.Path) -> Corpus:
    """Return the data of the next run, read as `genreflow run --config` reads it."""
    config = load(work / "explore" / "config.toml")
    return load_corpus(config.dataset, config.split)


def test_the_next_run_has_the_mended_labels_and_the_same_splits_and_artists(
    work: pathlib.Path,
) -> None:
    marking = _marking(work)
    marking.mark("train5", "relabel", "Folk", evidence="", seen="")
    marking.mark("t001", "keep", "", evidence="", seen="")
    marking.mark("train4", "drop", "", evidence="", seen="")
    corpus = _next_corpus(work)
    before = {song.track_id: song for song in read_tracks(str(work))}
    after = {track.track_id: track for track in corpus.tracks}
    assert before.keys() - after.keys() == {"train4"}
    assert not after.keys() - before.keys()
    for track_id, track in after.items():
        expected = "Folk" if track_id == "train5" else before[track_id].genre
        assert track.genre == expected
        assert (track.uri, track.artist_id) == (before[track_id].uri, before[track_id].artist_id)
        assert corpus.split_of_clip(track_id, 0) == before[track_id].split
    assert corpus.genres == ("Folk", "Jazz", "Rock")
    assert corpus.rejects == ()
    assert marking.changed() == 2


def test_marks_outlive_the_program_and_can_be_undone(work: pathlib.Path) -> None:
    _marking(work).mark("train5", "relabel", "Folk", evidence="heard", seen="")
    again = _marking(work)
    assert again.marks["train5"].state == "relabel Folk"
    assert again.marks["train5"].evidence == "heard"
    assert again.undo("train5", seen="relabel Folk") is None
    assert _marking(work).marks == {}
    assert {track.track_id: track.genre for track in _next_corpus(work).tracks}["train5"] == "Rock"


def test_a_song_that_an_earlier_run_dropped_can_come_back(work: pathlib.Path) -> None:
    _marking(work).mark("train4", "drop", "", evidence="", seen="")
    left = [song for song in read_tracks(str(work)) if song.track_id != "train4"]
    write_tracks(str(work), left)  # as the next run does
    marking = _marking(work)
    assert "train4" not in {song.track_id for song in marking.songs()}
    assert marking.changed() == 0
    kept = marking.undo("train4", seen="drop")
    assert kept is not None
    assert kept.decision == "keep"
    assert marking.changed() == 1
    assert "train4" in {track.track_id for track in _next_corpus(work).tracks}


def test_two_windows_cannot_overwrite_each_other(work: pathlib.Path) -> None:
    marking = _marking(work)
    marking.mark("train5", "relabel", "Folk", evidence="", seen="")
    with pytest.raises(MarkConflictError, match="relabel Folk"):
        marking.mark("train5", "drop", "", evidence="", seen="")
    with pytest.raises(MarkConflictError):
        marking.undo("train5", seen="")
    assert marking.marks["train5"].state == "relabel Folk"
    marking.mark("train5", "drop", "", evidence="", seen="relabel Folk")
    assert marking.marks["train5"].state == "drop"


def test_two_programs_cannot_mark_at_once(work: pathlib.Path) -> None:
    refused = pytest.raises(DataError, match="another genreflow explore")
    with only_marker(str(work)), refused, only_marker(str(work)):
        pass
    with only_marker(str(work)):
        pass


def test_a_run_that_finished_since_is_not_marked_by_the_older_ones_songs(
    work: pathlib.Path,
) -> None:
    marking = _marking(work)
    again = (work / "results.json").read_bytes()
    (work / "results.json.tmp").write_bytes(again)
    (work / "results.json.tmp").replace(work / "results.json")  # as a run does
    with pytest.raises(MarkNotSavedError, match=r"another run has finished.*restart"):
        marking.mark("train5", "drop", "", evidence="", seen="")
    _marking(work).mark("train5", "drop", "", evidence="", seen="")


def test_marks_wait_until_a_work_folder_that_was_moved_is_back(work: pathlib.Path) -> None:
    marking = _marking(work)
    moved = work.rename(work.with_name("moved"))
    with pytest.raises(MarkNotSavedError, match=r"results.json: is not there any more.*put .*back"):
        marking.mark("train5", "drop", "", evidence="", seen="")
    assert not work.exists()
    moved.rename(work)
    marking.mark("train5", "drop", "", evidence="", seen="")
    assert "train5" in _marking(work).marks


@pytest.mark.parametrize("name", ["labels.csv", "marks.json"])
def test_a_read_only_file_refuses_the_mark_and_nothing_changes(
    work: pathlib.Path, name: str
) -> None:
    marking = _marking(work)
    marking.mark("train5", "keep", "", evidence="", seen="")
    file = work / "explore" / name
    before = {path.name: path.read_bytes() for path in (work / "explore").iterdir()}
    file.chmod(0o444)
    with pytest.raises(MarkNotSavedError, match=rf"{name}: cannot be written.*read-only.*--output"):
        marking.mark("train4", "drop", "", evidence="", seen="")
    assert {path.name: path.read_bytes() for path in (work / "explore").iterdir()} == before
    assert "train4" not in marking.marks
    file.chmod(0o644)
    marking.mark("train4", "drop", "", evidence="", seen="")
    assert "train4" in _marking(work).marks


def test_a_folder_that_vanished_refuses_the_mark(
    work: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    output = tmp_path / "out" / "labels.csv"
    output.parent.mkdir()
    marking = _marking(work, str(output))
    shutil.rmtree(output.parent)
    output.parent.write_text("a file now")
    with pytest.raises(MarkNotSavedError, match="cannot be written"):
        marking.mark("train5", "drop", "", evidence="", seen="")
    assert marking.marks == {}


def test_the_manifest_can_be_anywhere(work: pathlib.Path, tmp_path: pathlib.Path) -> None:
    inside = tmp_path / "music" / "lists" / "mended.csv"
    inside.parent.mkdir()
    for output in (inside, tmp_path / "mended.csv"):
        marking = _marking(work, str(output))
        seen = marking.marks["train5"].state if marking.marks else ""
        marking.mark("train5", "relabel", "Folk", evidence="", seen=seen)
        assert output.is_file()
        assert len(_next_corpus(work).tracks) == 18
    assert not (work / "explore" / "labels.csv").exists()


def test_an_output_that_cannot_be_is_refused_at_once(work: pathlib.Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        MendedPlaces.of(str(work), str(work))
    with pytest.raises(UsageError, match="no such folder"):
        MendedPlaces.of(str(work), str(work / "none" / "labels.csv"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [("{", "not JSON"), ("[]", "has version None"), ('{"version": 7}', "has version 7"),
     ('{"version": 1, "marks": [{}]}', "is damaged")],
)  # fmt: skip
def test_damaged_marks_are_an_error_and_stay(
    work: pathlib.Path, content: str, problem: str
) -> None:
    (work / "explore").mkdir()
    (work / "explore" / "marks.json").write_text(content)
    with pytest.raises(DataError, match=rf"marks\.json: .*{problem}.*move it away"):
        _marking(work)
    assert (work / "explore" / "marks.json").read_text() == content


def test_unknown_songs_and_genres_cannot_be_marked(work: pathlib.Path) -> None:
    marking = _marking(work)
    with pytest.raises(KeyError):
        marking.mark("no such song", "drop", "", evidence="", seen="")
    with pytest.raises(KeyError):
        marking.mark("train5", "relabel", "Polka", evidence="", seen="")


HOSTILE = {
    "=cmd|' /C calc'!A0": "=1+1.wav",
    "<img src=x onerror=alert(1)>": "a,b;\"c'.wav",
    "-2+3": "new\nline\rhere.wav",
    "@SUM(1)": " blank before.wav",
    "ünïcödé 日本": "..dots.wav",
}


def test_names_survive_the_manifest_and_are_harmless_in_the_list_of_changes(
    tmp_path: pathlib.Path,
) -> None:
    work = write_explored(tmp_path)
    music = tmp_path / "music"
    hostile = []
    for track_id, name in HOSTILE.items():
        write_song(music / name)
        hostile.append(ExampleTrack(track_id, str(music / name), "Rock", track_id, "train"))
    write_tracks(str(work), [*read_tracks(str(work)), *hostile])
    marking = _marking(work)
    for track_id in HOSTILE:
        marking.mark(track_id, "relabel", "Jazz", evidence="=evil()\x1b[2J\u202e", seen="")
    found = {track.track_id: track for track in _next_corpus(work).tracks}
    for song in hostile:
        track = found[song.track_id]
        assert (track.uri, track.genre, track.artist_id) == (song.uri, "Jazz", song.artist_id)
    text = (work / "explore" / "changes.csv").read_text()
    rows = list(csv.reader(text.splitlines()))
    assert len(rows) == 1 + len(HOSTILE)
    assert all(not cell or cell[0] not in "=+-@" for row in rows for cell in row)
    assert not set(text) & {"\x1b", "\u202e"}


def test_paths_that_a_manifest_cannot_name_are_counted(tmp_path: pathlib.Path) -> None:
    songs = [
        ExampleTrack("a", f"{tmp_path}/a\udcff.wav", "Rock", "", "train"),
        ExampleTrack("b", f"{tmp_path}/b.wav ", "Rock", "", "train"),
        ExampleTrack("c", f"{tmp_path}/c.wav", "Rock", "", "train"),
    ]
    text, left_out = manifest_text(songs, str(tmp_path), str(tmp_path / "out.csv"))
    assert left_out == 2
    assert [row["track_id"] for row in csv.DictReader(text.splitlines())] == ["c"]


def test_a_manifest_in_an_object_store_has_relative_paths() -> None:
    songs = [ExampleTrack("a", "s3://music/data/rock/a.mp3", "Rock", "", "train")]
    for place in ("s3://music/data/labels.csv", "/tmp/labels.csv"):
        text, _ = manifest_text(songs, "s3://music/data", place)
        assert [row["uri"] for row in csv.DictReader(text.splitlines())] == ["./rock/a.mp3"]


def test_a_part_without_songs_is_told_only_if_the_next_run_has_changes(
    tmp_path: pathlib.Path,
) -> None:
    work = write_explored(tmp_path)
    run = explore(str(work))
    songs = tuple(song for song in run.songs if (song.split, song.genre) != ("test", "Rock"))
    # As after a run with the marks that left none.
    marking = Marking(dataclasses.replace(run, songs=songs), MendedPlaces.of(str(work)))
    marking.mark("train0", "keep", "", evidence="", seen="")
    assert marking.empty_parts() == []
    marking.mark("train0", "relabel", "Jazz", evidence="", seen="keep")
    (part,) = marking.empty_parts()
    assert part.text.startswith("Rock has no test song left")


def test_data_in_an_object_store_needs_the_manifest_there(tmp_path: pathlib.Path) -> None:
    work = write_explored(tmp_path)
    say_in_store(work, "s3://music/data")
    marking = _marking(work)
    marking.mark("train5", "relabel", "Folk", evidence="", seen="")
    assert marking.upload == "s3://music/data/labels.csv"
    assert load(work / "explore" / "config.toml").dataset.manifest == "labels.csv"
    there = _marking(work, "s3://music/data/lists/mended.csv")
    assert (there.upload, there.manifest_setting) == ("", "lists/mended.csv")


@pytest.mark.parametrize(
    "name", ["demo", "fma_small", "folder", "gtzan", "pretrained", "study", "fma_medium"]
)
def test_a_configuration_is_the_same_after_it_was_written(
    tmp_path: pathlib.Path, name: str
) -> None:
    config = load_config(name)
    config = from_values(config.to_json(), {"dataset.genres": ['\U0001f3b8 "Rock"\\', "\x7fa"]}, "")
    (tmp_path / "config.toml").write_text(config_text(config), encoding="utf-8")
    assert load(tmp_path / "config.toml") == config


def test_mended_songs_of_a_synthetic_corpus_stay_synthetic() -> None:
    config = mended_config(load_config("demo"), ["Folk", "Rock"], "labels.csv")
    assert (config.dataset.kind, config.dataset.is_synthetic) == ("manifest", True)
    own = mended_config(load_config("folder"), ["Folk", "Rock"], "labels.csv")
    assert not own.dataset.is_synthetic


def test_under_by_clip_the_policy_stays(tmp_path: pathlib.Path) -> None:
    work = write_explored(tmp_path, leaky=True)
    values = json.loads((work / "run.json").read_text())
    values["config"]["split"]["policy"] = "by_clip"
    (work / "run.json").write_text(json.dumps(values))
    tracks = [ExampleTrack(**{**vars(song), "split": ""}) for song in read_tracks(str(work))]
    write_tracks(str(work), tracks)
    _marking(work).mark("train5", "relabel", "Folk", evidence="", seen="")
    assert load(work / "explore" / "config.toml").split.policy == "by_clip"
    assert len(_next_corpus(work).tracks) == 18


@pytest.fixture
def opened(work: pathlib.Path) -> Explorer:
    return explorer(work, wrong={"train5": "Folk", "t004": "Rock"})


def test_the_queue_holds_contradicted_labels_of_a_split_without_marks(opened: Explorer) -> None:
    run = opened.run

    def ids(**query: object) -> list[str]:
        choice = {"split": "", "sure": False, "todo": True, **query}
        found = opened.queue(**choice)  # type: ignore[arg-type]
        return [run.songs[issue.track].track_id for issue in found]

    assert ids() == ["train5", "t004"]
    assert ids(split="test") == ["t004"]
    opened.marking.mark("train5", "keep", "", evidence="", seen="")
    assert ids() == ["t004"]
    assert ids(todo=False) == ["train5", "t004"]


def test_evidence_names_the_probabilities_and_their_honest_sources(opened: Explorer) -> None:
    trained = opened.evidence(opened.run.index["train5"])
    assert "of Folk 0.900" in trained
    assert "of the label Rock 0.050" in trained
    assert "crnn" not in trained
    assert "crnn, which was not trained on this song" in opened.evidence(opened.run.index["t004"])
    assert opened.evidence(opened.run.index["train0"]) == ""
