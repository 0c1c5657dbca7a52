"""Finished runs to explore, made without a run."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import wave
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.datasets.track import SPLITS
from components.examples.tracks import ExampleTrack, read_tracks, write_tracks
from components.storage import objects
from genreflow.exploring.explorer import Explorer
from genreflow.exploring.marking import Marking, MendedPlaces
from genreflow.exploring.preparation import Prepared
from genreflow.exploring.run import ExploredRun, explore
from genreflow.exploring.spectrograms import StoredClips
from pipeline.config.load import from_values, load_config
from pipeline.results.run_file import write_run_file
from tests.pipeline.finished import predicted_tracks, write_run

GENRES = ("Folk", "Jazz", "Rock")
# Right (1) or wrong (0, the next genre) for t000, t001, ..., whose genres come in turn.
CORRECT = {"crnn": (1, 0, 1, 1, 1, 0), "svm": (1, 1, 0, 1, 1, 1)}
TRAINED = 6


def write_song(path: pathlib.Path, seconds: float = 0.5, pitch_hz: float = 440.0) -> None:
    """Write a WAV file of a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(8000 * seconds)) / 8000
    tone = (8000 * np.sin(2 * np.pi * pitch_hz * time)).astype("<i2")
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(tone.tobytes())


def write_explored(
    folder: pathlib.Path,
    *,
    genres: Sequence[str] = GENRES,
    names: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    **changes: Any,
) -> pathlib.Path:
    """Write the work folder `folder/work` of a run, and its songs in `folder/music`; return it.

    The songs are t000 to t005 of the test split, "validation t000" and so on of validation, and
    train0 to train5. `train5` has the label of the genre before its own.

    Args:
      folder: an empty folder.
      genres: in label order, three or more.
      names: file names by track id, instead of "ID.wav".
      settings: changes of the configuration by key.
      **changes: of results.json.
    """
    music = folder / "music"
    tested = predicted_tracks(genres, CORRECT, artists=3)
    work = write_run(folder / "work", genres, tested, **changes)
    songs = []

    def add(track_id: str, genre: str, artist: str, split: Any) -> None:
        path = music / (names or {}).get(track_id, f"{track_id}.wav")
        write_song(path)
        songs.append(ExampleTrack(track_id, str(path), genre, artist, split))

    for track in tested:
        add(track.track_id, track.genre, track.artist_id, "test")
        add(f"validation {track.track_id}", track.genre, track.artist_id, "validation")
    for number in range(TRAINED):
        add(f"train{number}", genres[number % len(genres)], f"trainer {number}", "train")
    write_tracks(str(work), songs)
    config = from_values(
        load_config("demo").to_json(),
        {"dataset.kind": "folder", "dataset.data_dir": str(music), **(settings or {}),
         "split.policy": "by_artist"},
        "test",
    )  # fmt: skip
    write_run_file(
        str(work), run_id=f"run-{work.name}", config=config.to_json(),
        examples=str(work / "pipeline" / "examples"),
    )  # fmt: skip
    (work / "rejects.csv").write_text(
        "track_id,genre,reason,detail,uri\nbad1,Rock,undecodable,no frames,/music/bad1.mp3\n"
    )
    return work


def say_in_store(work: pathlib.Path, data_dir: str) -> None:
    """Change the run of a work folder to one whose songs are in an object store.

    Args:
      work: from write_explored.
      data_dir: the s3:// URI of the folder of the songs.
    """
    values = json.loads((work / "run.json").read_text())
    values["config"]["dataset"]["data_dir"] = data_dir
    (work / "run.json").write_text(json.dumps(values))
    songs = [
        dataclasses.replace(song, uri=f"{data_dir}/{os.path.basename(song.uri)}")
        for song in read_tracks(str(work))
    ]
    write_tracks(str(work), songs)


def put_in_store(work: pathlib.Path, data_dir: str) -> None:
    """Change a run as say_in_store does, and upload its songs."""
    for song in read_tracks(str(work)):
        objects.upload(song.uri, f"{data_dir}/{os.path.basename(song.uri)}")
    say_in_store(work, data_dir)


def out_of_fold(run: ExploredRun, wrong: Mapping[str, str] | None = None) -> np.ndarray:
    """Return out-of-fold probabilities that agree with every label but those of `wrong`.

    Args:
      run: the run.
      wrong: the genre of songs by track id, which gets 0.9.
    """
    genres = run.genres
    rows = np.full((len(run.songs), len(genres)), 0.2 / (len(genres) - 1), np.float32)
    rows[np.arange(len(rows)), run.labels] = 0.8
    for track_id, genre in (wrong or {}).items():
        rows[run.index[track_id]] = 0.1 / (len(genres) - 1)
        rows[run.index[track_id], genres.index(genre)] = 0.9
    return rows


def explorer(
    work: pathlib.Path, *, wrong: Mapping[str, str] | None = None, output: str = ""
) -> Explorer:
    """Return the explorer of a work folder, without reading examples."""
    run = explore(str(work))
    prepared = Prepared(out_of_fold(run, wrong), StoredClips.of((), ()))
    return Explorer(run, prepared, Marking(run, MendedPlaces.of(str(work), output)))


def explorer_of_many(work: pathlib.Path, many: int) -> Explorer:
    """Return the explorer of a run with many songs without audio, by random probabilities."""
    run = explore(str(work))
    rows = np.random.default_rng(0).dirichlet(np.ones(len(run.genres)), many).astype(np.float32)
    labels = np.arange(many) % len(run.genres)
    songs = tuple(
        ExampleTrack(
            f"{number:06}",
            f"/music/{number}.mp3",
            run.genres[label],
            f"artist {number % 9999}",
            SPLITS[number % len(SPLITS)],
        )
        for number, label in enumerate(labels)
    )
    probabilities = {name: rows for name in run.probabilities}
    big = dataclasses.replace(run, songs=songs, labels=labels, probabilities=probabilities)
    marking = Marking(big, MendedPlaces.of(str(work)))
    return Explorer(big, Prepared(rows, StoredClips.of((), ())), marking)
