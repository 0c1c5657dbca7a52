"""Tests of `genreflow init`: the file that it writes can be run, whatever the folder holds."""

from __future__ import annotations

import csv
import json
import os
import pathlib
import re
import shlex
from typing import Any

import numpy as np
import pytest
import soundfile
import tomli
from typer.testing import CliRunner, Result

from genreflow.cli.app import app
from genreflow.proposal import networks
from pipeline.config.load import load
from pipeline.process import cuda
from tests.support.documented import documented_keys

RATE_HZ = 22050
BIDI = 'R"o\\ck \u202eEVIL'


def _genreflow(*arguments: str | pathlib.Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "200"})


def _song(path: pathlib.Path, seconds: float = 2.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(list(str(path).encode())).normal(0, 0.1, int(seconds * RATE_HZ))
    soundfile.write(path, samples, RATE_HZ)


def _songs(folder: pathlib.Path, *genres: str, count: int = 4, name: str = "{}") -> pathlib.Path:
    for genre in genres:
        for number in range(count):
            _song(folder / genre / f"{name.format(number)}.wav")
    return folder


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "cards", list)


def _check(config: pathlib.Path) -> None:
    """Assert that check-data accepts a configuration."""
    checked = _genreflow("check-data", "--config", config)
    assert checked.exit_code == 0, checked.output


@pytest.fixture
def config(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "my conf.toml"


def _init(folder: pathlib.Path | str, config: pathlib.Path, *further: str) -> dict[str, Any]:
    """Write a configuration, and return what init printed; the loader takes it."""
    result = _genreflow("init", folder, "-o", config, "--json", *further)
    assert result.exit_code == 0, result.output
    load(config)
    found: dict[str, Any] = json.loads(result.stdout)
    assert found.keys() == documented_keys("init")
    return found


def test_a_folder_of_genres_gets_a_file_that_check_data_accepts(
    tmp_path: pathlib.Path, config: pathlib.Path
) -> None:
    found = _init(_songs(tmp_path / "music", "Rock", "Folk"), config)
    assert found["genres"] == {"Folk": 4, "Rock": 4}
    _check(config)
    assert (found["kind"], found["split"]) == ("folder", "by_track")
    made = load(config)
    assert made.dataset.genres == ("Folk", "Rock")
    assert made.dataset.data_dir == str(tmp_path / "music")
    assert set(made.models) == set(found["networks"])
    assert made.training.batch_size == 4  # of 2 x 2 tracks with four clips
    assert made.gate.floor == 0.62
    text = config.read_text()
    assert '    "Folk", # 4 songs\n' in text
    assert "name too few artists. Songs of one artist may be in several splits" in " ".join(
        text.replace("#", "").split()
    )


def test_every_default_in_a_comment_is_the_default(
    tmp_path: pathlib.Path, config: pathlib.Path
) -> None:
    _init(_songs(tmp_path / "music", "Rock", "Folk"), config)
    before, text = load(config), config.read_text()
    whole = re.sub(r"^# (\[[\w.]+\]|\w+ = .*)$", r"\1", text, flags=re.MULTILINE)
    assert whole.count("\n[") > text.count("\n[") + 5
    config.write_text(whole)
    assert load(config) == before
    assert all(line.isprintable() and len(line) <= 100 for line in text.splitlines())


def test_it_prints_what_it_found_and_the_lines_to_type(
    tmp_path: pathlib.Path, config: pathlib.Path
) -> None:
    music = _songs(tmp_path / "music", "Rock", "Folk")
    _songs(music, "Jazz", count=2)
    result = _genreflow("init", music, "-o", config)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith(
        f'{music}: 10 songs of 3 genres (kind "folder", as it has one folder'
    )
    assert "left out: Jazz, 2 songs" in lines
    assert any(line.startswith("disk: about ") for line in lines)
    assert lines[-2:] == [
        f"next       genreflow check-data --config '{config}'",
        f"then       genreflow run --config '{config}'",
    ]
    assert load(config).dataset.genres == ("Folk", "Rock")
    assert "a genre needs 3 songs: Jazz (2)." in config.read_text()


def test_artists_in_names_give_a_manifest_and_a_split_by_artist(
    tmp_path: pathlib.Path, config: pathlib.Path
) -> None:
    music = tmp_path / "music"
    for genre in ("Folk", "Rock"):
        for artist in ("Ann", "Bo", 'Cy, the "1st"'):
            for number in (1, 2):
                _song(music / genre / f"{artist} - {number}.wav")
    found = _init(music, config)
    assert (found["kind"], found["split"]) == ("manifest", "by_artist")
    _check(config)
    songs = pathlib.Path(str(found["manifest"]))
    assert songs == tmp_path / "my conf-songs.csv"
    rows = list(csv.DictReader(songs.open(encoding="utf-8")))
    assert rows[-1] == {
        "uri": 'Rock/Cy, the "1st" - 2.wav',
        "genre": "Rock",
        "artist_id": 'Cy, the "1st"',
    }
    assert len(rows) == 12
    assert load(config).dataset.manifest == str(songs)
    assert sorted(os.listdir(music)) == ["Folk", "Rock"]


def test_in_the_folder_of_the_music_it_counts_new_songs_and_spares_others_files(
    tmp_path: pathlib.Path,
) -> None:
    music, config = tmp_path / "music", tmp_path / "music" / "my.toml"
    for artist in ("Ann", "Bo", "Cy"):
        for genre in ("Folk", "Rock"):
            _song(music / genre / f"{artist} - 1.wav")
    assert _init(music, config)["genres"] == {"Folk": 3, "Rock": 3}
    _song(music / "Rock" / "Di - 1.wav")
    assert _init(music, config, "--force")["genres"] == {"Folk": 3, "Rock": 4}
    config.unlink()
    (music / "my-songs.csv").write_text("precious")
    result = _genreflow("init", music, "-o", config)
    assert (result.exit_code, config.exists()) == (2, False)
    assert "my-songs.csv exists" in result.stderr
    assert (music / "my-songs.csv").read_text() == "precious"


def test_artists_in_tags_are_found_where_tags_can_be_read(
    tmp_path: pathlib.Path, config: pathlib.Path
) -> None:
    mutagen = pytest.importorskip("mutagen")
    music = tmp_path / "music"
    for genre in ("Folk", "Rock"):
        for number in range(6):
            path = music / genre / f"{number}.flac"
            _song(path)
            tags = mutagen.File(path, easy=True)
            tags["artist"] = f"Artist {number // 2}"
            tags.save()
    found = _init(music, config)
    assert found["split"] == "by_artist"
    assert "the tags of the files" in str(found["notes"])


def test_names_that_deceive_are_only_text(tmp_path: pathlib.Path, config: pathlib.Path) -> None:
    music = tmp_path / 'mu"sic\n[models.vgg16]\\'
    _songs(music, "Ro'ck [b]", '"Fo\\lk" #x', 'x"] = 1')
    _songs(music, BIDI)
    found = _init(music, config)
    assert set(found["genres"]) == {"Ro'ck [b]", '"Fo\\lk" #x', 'x"] = 1'}
    _check(config)
    assert load(config).dataset.data_dir == str(music)
    text = config.read_text()
    assert "\u202e" not in text
    assert "\n[models.vgg16]" not in text
    result = _genreflow("init", music, "-o", config, "--force")
    assert "\u202e" not in result.output
    assert "\x1b" not in result.output


@pytest.mark.parametrize("names", [("train", "test", "valid"), ("Train", "Test")])
def test_a_data_set_that_is_split_keeps_its_split(
    names: tuple[str, ...], tmp_path: pathlib.Path, config: pathlib.Path
) -> None:
    for name in names:
        _songs(tmp_path / "music" / name, "Rock", "Folk")
    found = _init(tmp_path / "music", config)
    assert (found["kind"], found["split"]) == ("split_folders", "official")
    _check(config)


def test_a_csv_with_artists_is_split_by_them(tmp_path: pathlib.Path, config: pathlib.Path) -> None:
    music = _songs(tmp_path / "music", "a", count=8)
    with (music / "songs.csv").open("w") as file:
        rows = [(f"a/{n}.wav", "Pop" if n % 2 else "Rap", f"artist {n}") for n in range(8)]
        csv.writer(file).writerows([("uri", "genre", "artist_id"), *rows])
    found = _init(music / "songs.csv", config)
    assert (found["kind"], found["split"]) == ("manifest", "by_artist")
    assert found["genres"] == {"Pop": 4, "Rap": 4}


@pytest.mark.parametrize(
    ("artists", "reason"),
    [
        ("", "songs.csv names no artists. "),
        ("1", "The artists of only 1 of 8 songs are known. "),
        ("aaaaaaaa", 'policy = "by_artist" is impossible: '),
    ],
)
def test_why_songs_are_split_one_by_one_is_told_once(
    artists: str, reason: str, tmp_path: pathlib.Path, config: pathlib.Path
) -> None:
    music = _songs(tmp_path / "music", "a", count=8)
    with (music / "songs.csv").open("w") as file:
        names = artists.ljust(8)
        rows = [(f"a/{n}.wav", "Pop" if n % 2 else "Rap", names[n].strip()) for n in range(8)]
        csv.writer(file).writerows([("uri", "genre", "artist_id"), *rows])
    found = _init(music / "songs.csv", config)
    notes = " ".join(found["notes"])
    assert found["split"] == "by_track"
    assert notes.startswith(reason)
    assert notes.count("Songs of one artist may be in several splits") == 1
    has_few = "Artists in songs.csv, column artist_id, allow" in notes
    assert has_few == (artists != "aaaaaaaa")
    assert ("names no artists" in notes) == (artists == "")


def test_a_data_set_without_artists_says_so(tmp_path: pathlib.Path, config: pathlib.Path) -> None:
    music = tmp_path / "music"
    for genre in ("blues", "rock"):
        _songs(music, genre, name=genre + ".{:05d}")
    found = _init(music, config)
    assert found["kind"] == "gtzan"
    assert found["notes"][0].startswith("The data set names no artists. Songs of one artist may")


def test_it_replaces_a_file_only_by_force(tmp_path: pathlib.Path, config: pathlib.Path) -> None:
    music = _songs(tmp_path / "music", "Rock", "Folk")
    config.write_text("mine")
    result = _genreflow("init", music, "-o", config)
    assert (result.exit_code, config.read_text()) == (2, "mine")
    assert f"{config} exists; name another file with --output, or replace it with --force" in (
        result.stderr
    )
    assert _genreflow("init", music, "-o", config, "--force").exit_code == 0
    tomli.loads(config.read_text())


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("s3://bucket/x.toml", "write it to a local file"),
        (".", "this is a folder"),
        ("no/such/x.toml", "there is no folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(
    output: str, message: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "x").touch()
    result = _genreflow("init", "music", "-o", output)
    assert (result.exit_code, message in result.stderr) == (2, True)
    result = _genreflow("init", "/no/such/music", "-o", output)
    assert (result.exit_code, "/no/such/music: the data folder" in result.stderr) == (2, True)


def _refused(folder: pathlib.Path | str, config: pathlib.Path, *words: str) -> None:
    result = _genreflow("init", folder, "-o", config, "--json")
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    assert sorted(one.name for one in config.parent.iterdir() if one != folder) == []


def test_an_empty_or_missing_folder_is_refused(
    tmp_path: pathlib.Path, config: pathlib.Path
) -> None:
    empty = tmp_path / "empty"
    _refused(empty, config, "does not exist; check the name (DATA_DIR)")
    empty.mkdir()
    _refused(empty, config, "the data folder is empty; check the name (DATA_DIR)")
    empty.rmdir()
    _refused("", config, "DATA_DIR is empty")


def test_a_song_in_place_of_a_folder_is_refused(tmp_path: pathlib.Path) -> None:
    config = tmp_path / "conf" / "c.toml"
    config.parent.mkdir()
    song = tmp_path / "song.wav"
    _song(song)
    _refused(song, config, f"{song}: DATA_DIR is a file; name the folder that holds the genres'")
    _refused(tmp_path / "no.csv", config, "no.csv: the data folder does not exist")


def test_no_message_names_an_option_that_init_has_not(
    tmp_path: pathlib.Path, config: pathlib.Path
) -> None:
    music = tmp_path / "music"
    _songs(music / "deeper", "Rock", "Folk")
    _refused(music, config, f"name {music}/deeper as the data folder")
    assert "--data-dir" not in _genreflow("init", music, "-o", config).stderr


def test_one_genre_alone_is_refused_with_what_there_is(
    tmp_path: pathlib.Path, config: pathlib.Path
) -> None:
    music = _songs(tmp_path / "music", "Rock")
    _refused(music, config, "a model needs two genres of at least 3 songs each", "Rock: 4")
    _songs(music, "Folk", count=2)
    _refused(music, config, "and 1 of its genres has so many", "Folk: 2, Rock: 4")


def test_texts_that_are_named_mp3_are_refused(tmp_path: pathlib.Path, config: pathlib.Path) -> None:
    for genre in ("Rock", "Folk"):
        for number in range(4):
            path = tmp_path / "music" / genre / f"{number}.mp3"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("no music at all")
    _refused(tmp_path / "music", config, "none of 8 files that were tried is music", "0.mp3")


def test_a_folder_that_cannot_be_read_is_refused(
    tmp_path: pathlib.Path, config: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    music = _songs(tmp_path / "music", "Rock", "Folk")
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).startswith(str(music)):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    _refused(music, config, "cannot be read", "Permission denied")


def test_a_folder_whose_name_is_no_text_is_refused(
    tmp_path: pathlib.Path, config: pathlib.Path
) -> None:
    music = tmp_path / os.fsdecode(b"m\xff")
    music.mkdir()
    _refused(music, config, "its name is not UTF-8")


def test_thousands_of_genres_are_rather_artists_and_are_not_listed(
    tmp_path: pathlib.Path, config: pathlib.Path
) -> None:
    for genre in range(1200):
        folder = tmp_path / "music" / f"g{genre:04}"
        folder.mkdir(parents=True)
        for number in range(3):
            (folder / f"{number}.wav").write_bytes(b"x")
    _song(tmp_path / "music" / "g0000" / "0.wav")  # is among those that are tried
    result = _genreflow("init", tmp_path / "music", "-o", config, "--json")
    assert result.exit_code == 0, result.output
    notes = json.loads(result.stdout)["notes"]
    assert any("There are 1200 genres. If they are artists" in note for note in notes)
    assert load(config).dataset.genres == ()
    assert len(config.read_text()) < 30_000


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (networks.Machine(8, 32 << 30, ("H200",)), ["cnn_small", "crnn", "vgg16", "resnet50"]),
        (networks.Machine(2, 16 << 30), ["ffnn", "cnn_small", "crnn"]),
        (networks.Machine(1, 16 << 30), ["ffnn", "cnn_small"]),
        (networks.Machine(8, 2 << 30), ["ffnn", "cnn_small"]),
    ],
)
def test_networks_go_by_the_size_of_the_machine(
    machine: networks.Machine, expected: list[str]
) -> None:
    assert list(networks.choose_networks(machine, pretrained=False).models) == expected


@pytest.mark.parametrize("gpus", [[], [cuda.GpuInfo("H200", "1", "9.0", "1")]])
def test_every_choice_of_networks_is_a_valid_configuration(
    gpus: list[cuda.GpuInfo],
    tmp_path: pathlib.Path,
    config: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cuda, "cards", lambda: gpus)
    music = tmp_path / "music"
    for genre in ("Folk", "Rock"):
        for number in range(4):
            _song(music / genre / f"{number}.wav", seconds=4.0)
    _init(music, config)
    found = _init(music, config, "--pretrained", "--force")
    assert found["networks"] == ["musicnn", "cnn_small"]
    assert load(config).audio.front_end == "musicnn"


@pytest.mark.parametrize(
    ("clips", "size"), [(1000, 32), (128, 32), (127, 16), (16, 4), (3, 1), (0, 1)]
)
def test_the_batch_is_small_enough_for_four_steps(clips: int, size: int) -> None:
    assert networks.batch_size(clips) == size


def test_next_lines_are_command_lines(tmp_path: pathlib.Path, config: pathlib.Path) -> None:
    found = _init(_songs(tmp_path / "music", "Rock", "Folk"), config)
    assert [shlex.split(line)[:2] for line in found["next"]] == [
        ["genreflow", "check-data"],
        ["genreflow", "run"],
    ]
