"""Tests of the command line as a user sees it: its help, and its response to every mistake."""

from __future__ import annotations

import csv
import importlib.metadata
import itertools
import os
import pathlib
import platform
import re
import shlex
import shutil
import subprocess
import sys

import filelock
import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from genreflow.cli.app import app

RATE_HZ = 22050


def _genreflow(*arguments: str | pathlib.Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _tone(path: pathlib.Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(path.name.encode()))
    samples = rng.normal(0, 0.1, round(seconds * RATE_HZ))
    soundfile.write(path, samples, RATE_HZ)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a folder with two genres of four 3-second tracks."""
    data = tmp_path / "data"
    for genre in ("Folk", "Rock"):
        for index in range(4):
            _tone(data / genre / f"{genre}{index}.wav", 3.0)
    return data


@pytest.fixture
def config(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "folder.toml"
    path.write_text(
        '[dataset]\nkind = "folder"\n[split]\npolicy = "by_track"\n'
        "[training]\nbatch_size = 4\n[models.cnn_small]\n"
    )
    return path


def _fails(result: Result, status: int, *words: str) -> None:
    """Assert that the command ended with a status and a message, without a traceback."""
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.output


def test_help_names_the_commands_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from genreflow.cli.app import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'tfx', 'apache_beam', 'pydantic', 'librosa', 'pandas', 'numpy'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in ("run", "demo", "predict", "check-data"):
        assert name in done.stdout
    assert "heavy: []" in done.stdout


def test_the_console_script_is_installed() -> None:
    script = pathlib.Path(sys.executable).with_name("genreflow")
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    assert "Usage: genreflow" in done.stdout


def test_check_data_counts_and_names_what_would_be_left_out(
    folder: pathlib.Path, config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (folder / "Rock" / "words.mp3").write_text("not music at all")
    (folder / "Rock" / "empty.mp3").write_bytes(b"")
    _tone(folder / "Folk" / "short.wav", 1.99)
    rejects = tmp_path / "rejects.csv"
    result = _genreflow("check-data", "-c", config, "-d", folder, "--rejects", rejects)
    assert result.exit_code == 0, result.output
    assert "1 left out, too_short" in result.output
    assert "1 left out, undecodable" in result.output
    assert "1 left out, empty_file" in result.output
    assert "GB" in result.output
    assert re.search(r"time: about \d+ seconds? for the audio stage", result.output)
    rows = list(csv.DictReader(rejects.open()))
    assert {row["track_id"]: row["reason"] for row in rows} == {
        "Folk/short": "too_short",
        "Rock/words": "undecodable",
        "Rock/empty": "empty_file",
    }


def test_damage_inside_a_file_is_found_by_full_alone(
    folder: pathlib.Path, config: pathlib.Path
) -> None:
    path = folder / "Rock" / "nan.wav"
    samples = np.zeros(3 * RATE_HZ, np.float32)
    samples[50000] = np.nan
    soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")
    assert "not_finite" not in _genreflow("check-data", "-c", config, "-d", folder).output
    full = _genreflow("check-data", "-c", config, "-d", folder, "--full")
    assert "1 left out, not_finite" in full.output


def test_duplicates_are_found_by_full_alone_and_as_a_run_finds_them(
    folder: pathlib.Path, config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    song = folder / "Rock" / "Rock0.wav"
    shutil.copy(song, folder / "Folk" / "copy.wav")
    samples, rate_hz = soundfile.read(song, dtype="int16")
    soundfile.write(folder / "Rock" / "Rock0 again.flac", samples, rate_hz)
    rejects = tmp_path / "rejects.csv"
    command = ("check-data", "-c", config, "-d", folder, "--rejects", rejects)
    assert "left out, duplicate" not in _genreflow(*command).output
    full = _genreflow(*command, "--full")
    assert full.exit_code == 0, full.output
    assert "2 left out, duplicate" in full.output
    rows = {row["track_id"]: row for row in csv.DictReader(rejects.open())}
    assert {track_id: row["detail"] for track_id, row in rows.items()} == {
        "Rock/Rock0": "same audio as Folk/copy",
        "Rock/Rock0 again": "same audio as Folk/copy",
    }


def test_what_the_official_split_leaves_out_is_nobodys_duplicate_and_counted_once(
    folder: pathlib.Path, config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (folder / "Folk" / "a.wav").write_bytes((folder / "Folk" / "Folk0.wav").read_bytes())
    (folder / "Rock" / "a.wav").write_text("words")
    splits = itertools.cycle(["train", "validation", "test"])
    with (folder / "manifest.csv").open("w") as out:
        out.write("uri,genre,split\n")
        for path in sorted(folder.rglob("*.wav")):
            split = "" if path.stem == "a" else next(splits)
            out.write(f"{path.relative_to(folder)},{path.parent.name},{split}\n")
    rejects = tmp_path / "rejects.csv"
    command = ("check-data", "-c", config, "-d", folder, "--rejects", rejects, "--full")
    changes = ('dataset.kind="manifest"', 'split.policy="official"')
    result = _genreflow(*command, *(word for c in changes for word in ("--set", c)))
    assert result.exit_code == 0, result.output
    found = [(row["track_id"], row["reason"]) for row in csv.DictReader(rejects.open())]
    assert found == [("Folk/a", "no_split"), ("Rock/a", "no_split")]


def test_terminal_escapes_in_names_are_shown_inert(
    folder: pathlib.Path, config: pathlib.Path
) -> None:
    (folder / "Rock" / "evil\x1b[2J\x07.mp3").write_text("words")
    result = _genreflow("check-data", "-c", config, "-d", folder)
    assert result.exit_code == 0
    assert "\x1b[2J" not in result.output
    assert "\x07" not in result.output
    assert "\\x1b" in result.output


def test_check_data_ends_with_the_whole_line_to_type_next(
    config: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    spaced = folder.rename(tmp_path / "my data")
    given = ["--config", str(config), "--data-dir", str(spaced), "--set", "training.epochs=3"]
    result = _genreflow("check-data", *given)
    assert result.exit_code == 0, result.output
    last = result.output.splitlines()[-1]
    assert last.startswith("next       ")
    assert shlex.split(last)[2:] == ["run", *given]


def test_the_line_that_lists_rejects_is_whole_in_check_data_and_in_a_run(
    config: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    spaced = folder.rename(tmp_path / "my data")
    given = ["--config", str(config), "--data-dir", str(spaced)]
    for path in sorted(spaced.glob("*/*[0-2].wav")):
        path.write_bytes(b"")
    for command in (["check-data"], ["run", "--work-dir", str(tmp_path / "w")]):
        # Enough tracks of each genre for a split, most of which are rejected before decoding.
        for genre in ("Folk", "Rock"):
            for index in range(10, 14):
                _tone(spaced / genre / f"{index}.wav", 3.0)
        result = _genreflow(*command, *given, "--set", "dataset.max_reject_fraction=0.1")
        assert result.exit_code in (1, 2), result.output
        line = result.output.rpartition("with its reason: ")[2].rstrip()
        assert shlex.split(line)[1:] == [
            "check-data", *given, "--set", "dataset.max_reject_fraction=0.1",
            "--full", "--rejects", "left_out.csv",
        ]  # fmt: skip
    assert not (tmp_path / "w").exists()


def test_check_data_looks_at_the_data_and_says_that_weights_are_missing(
    folder: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    given = ["-c", "pretrained", "-d", str(folder), "--set", "training.batch_size=4"]
    result = _genreflow("check-data", *given)
    assert result.exit_code == 0, result.output
    assert re.search(r"note: the weights of musicnn are not here .* download weights musicnn\n",
                     result.output)  # fmt: skip
    place = tmp_path / "keras" / "models" / "musicnn" / "MSD_musicnn"
    place.mkdir(parents=True)
    for name in (".index", ".data-00000-of-00001"):
        (place / name).touch()
    assert "note:" not in _genreflow("check-data", *given).output


@pytest.mark.parametrize("command", ["run", "check-data"])
def test_an_empty_data_folder(command: str, config: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty").mkdir()
    work = ["-w", tmp_path / "w"] if command == "run" else []
    result = _genreflow(command, "-c", config, "-d", tmp_path / "empty", *work)
    _fails(result, 2, str(tmp_path / "empty"), "is empty")


def test_no_data_folder_given(config: pathlib.Path, tmp_path: pathlib.Path) -> None:
    _fails(_genreflow("run", "-c", config, "-w", tmp_path / "w"), 2, "--data-dir")


def test_fma_without_its_metadata(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    result = _genreflow("run", "-c", "fma_small", "-d", folder, "-w", tmp_path / "w")
    _fails(result, 2, "tracks.csv")


def test_tracks_csv_without_a_needed_column(tmp_path: pathlib.Path) -> None:
    metadata = tmp_path / "data" / "fma_metadata"
    metadata.mkdir(parents=True)
    (tmp_path / "data" / "fma_small").mkdir()
    (metadata / "tracks.csv").write_text(
        ",set,set,artist\n,split,subset,id\ntrack_id,,,\n2,training,small,1\n"
    )
    result = _genreflow("run", "-c", "fma_small", "-d", tmp_path / "data", "-w", tmp_path / "w")
    _fails(result, 2, "tracks.csv", "genre_top")


def test_an_unknown_genre_is_left_out_by_name(folder: pathlib.Path, config: pathlib.Path) -> None:
    _tone(folder / "Polka" / "a.wav", 3.0)
    result = _genreflow(
        "check-data", "-c", config, "-d", folder, "--set", 'dataset.genres=["Folk", "Rock"]'
    )
    assert result.exit_code == 0
    assert "1 left out, unknown_genre" in result.output


def test_a_genre_with_a_single_track(
    folder: pathlib.Path, config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    _tone(folder / "Polka" / "a.wav", 3.0)
    result = _genreflow("run", "-c", config, "-d", folder, "-w", tmp_path / "w")
    _fails(result, 2, "Polka", "dataset.genres")


def test_a_work_folder_that_cannot_be_made(
    folder: pathlib.Path, config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "file").write_text("")
    result = _genreflow("run", "-c", config, "-d", folder, "-w", tmp_path / "file" / "w")
    _fails(result, 2, "cannot be written", "--work-dir")


def test_a_work_folder_in_use(
    folder: pathlib.Path, config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    work = tmp_path / "w"
    work.mkdir()
    with filelock.FileLock(work / ".lock"):
        result = _genreflow("run", "-c", config, "-d", folder, "-w", work)
    _fails(result, 2, "another run", "--work-dir")


def test_a_full_disk_stops_the_run_before_it_begins(
    folder: pathlib.Path,
    config: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "pipeline.work_dir.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})
    )
    result = _genreflow("run", "-c", config, "-d", folder, "-w", tmp_path / "w")
    _fails(result, 2, "GB are free", "--work-dir")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.epoch=3", ("training.epoch", "training.epochs")),
        ("training.epochs=many", ("training.epochs", "whole number")),
        ("split.policy=by_moon", ("split.policy", "by_track")),
        ("models.resnet99.epochs=1", ("models.resnet99",)),
    ],
)
def test_a_wrong_setting_names_itself_and_what_is_allowed(
    override: str,
    words: tuple[str, ...],
    config: pathlib.Path,
    folder: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    result = _genreflow("run", "-c", config, "-d", folder, "-w", tmp_path / "w", "--set", override)
    _fails(result, 2, *words)
    assert not (tmp_path / "w").exists()


def test_a_configuration_that_is_not_there() -> None:
    _fails(_genreflow("run", "-c", "no_such"), 2, "no_such", "demo")
    _fails(_genreflow("run", "-c", "dir/no_such.toml"), 2, "dir/no_such.toml")


@pytest.mark.parametrize("content", [None, "half"])
def test_predict_with_a_folder_that_is_no_model(
    tmp_path: pathlib.Path, content: str | None
) -> None:
    model = tmp_path / "models"
    if content:
        (model / "1" / "variables").mkdir(parents=True)
    (tmp_path / "song.wav").touch()
    result = _genreflow("predict", tmp_path / "song.wav", "-m", model)
    _fails(result, 2, str(model))


def test_an_empty_name_is_no_work_folder(
    folder: pathlib.Path, config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    _fails(_genreflow("run", "-c", config, "-d", folder, "-w", ""), 2, "--work-dir")
    (tmp_path / "file").write_text("")
    result = _genreflow("run", "-c", config, "-d", folder, "-w", tmp_path / "file")
    _fails(result, 2, "is a file")


def test_data_that_cannot_be_used_leaves_no_work_folder_behind(
    config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "empty").mkdir()
    _genreflow("run", "-c", config, "-d", tmp_path / "empty", "-w", tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_weights_that_are_not_there_are_refused_at_once(
    folder: pathlib.Path, config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    override = 'models.vgg16.weights="/no/such.h5"'
    result = _genreflow("run", "-c", config, "-d", folder, "-w", tmp_path / "w", "--set", override)
    _fails(result, 2, "/no/such.h5")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("audio.clip_seconds=31", ("8 of 8", "too_short")),
        ("dataset.max_reject_fraction=0.1", ("1 of 8", "undecodable")),
        ('models.vgg16.weights="/no/such.h5"', ("/no/such.h5", "no such file")),
    ],
)
def test_check_data_says_so_when_a_run_would_stop(
    folder: pathlib.Path, config: pathlib.Path, override: str, words: tuple[str, ...]
) -> None:
    (folder / "Rock" / "Rock0.wav").write_text("words")
    result = _genreflow("check-data", "-c", config, "-d", folder, "--set", override)
    _fails(result, 2, "a run would stop here", *words)


@pytest.mark.usefixtures("faulty_decoder")
@pytest.mark.parametrize("options", [(), ("--full",)])
def test_check_data_survives_a_crash_and_a_hang_of_the_decoder(
    folder: pathlib.Path, config: pathlib.Path, options: tuple[str, ...]
) -> None:
    for name in ("segfault", "hang-busy"):
        shutil.copy(folder / "Rock" / "Rock0.wav", folder / "Rock" / f"{name}.wav")
    override = "dataset.decode_timeout_seconds=1"
    result = _genreflow("check-data", "-c", config, "-d", folder, "--set", override, *options)
    assert result.exit_code == 0, result.output
    assert "1 left out, decoder_crashed" in result.output
    assert "SIGSEGV" in result.output
    assert "1 left out, timed_out" in result.output


def test_check_data_says_so_when_decoding_empties_a_split(
    folder: pathlib.Path, config: pathlib.Path
) -> None:
    for path in folder.rglob("*.wav"):
        # All but one track of each genre, which then is in one split alone.
        if not path.stem.endswith("0"):
            path.write_text("words")
    result = _genreflow(
        "check-data", "-c", config, "-d", folder, "--set", "dataset.max_reject_fraction=1.0"
    )
    _fails(result, 2, "a run would stop here", "no usable track is left")


def test_the_list_of_rejects_cannot_be_written(
    folder: pathlib.Path, config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    nowhere = tmp_path / "no" / "such" / "x.csv"
    result = _genreflow("check-data", "-c", config, "-d", folder, "--rejects", nowhere)
    _fails(result, 2, f"--rejects {nowhere}: there is no folder {nowhere.parent}; create it")
    assert result.stdout == ""
    result = _genreflow("check-data", "-c", config, "-d", folder, "--rejects", tmp_path)
    _fails(result, 2, "is a folder; name a file")
    assert not list(tmp_path.parent.glob("*.tmp"))


def test_the_version_is_shown_with_the_generation_that_it_runs_on() -> None:
    output = _genreflow("--version").output
    for package, name in (("genreflow", "genreflow"), ("tfx", "TFX"), ("tensorflow", "TensorFlow")):
        assert f"{name} {importlib.metadata.version(package)}" in output
    assert f"Python {platform.python_version()})" in output


def test_names_that_the_output_cannot_hold_are_escaped_and_end_nothing(
    folder: pathlib.Path, config: pathlib.Path
) -> None:
    (folder / "Rock" / "na\u00efve \u2603.mp3").write_text("words")
    script = pathlib.Path(sys.executable).with_name("genreflow")
    done = subprocess.run(
        [script, "check-data", "-c", config, "-d", folder],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0, done.stderr
    assert b"na\\xefve \\u2603.mp3" in done.stdout


def test_a_work_folder_whose_metadata_cannot_be_opened_is_refused_before_the_corpus(
    tmp_path: pathlib.Path,
) -> None:
    (tmp_path / "metadata.sqlite").write_text("words, not a database " * 50)
    result = _genreflow("demo", "-w", tmp_path)
    _fails(result, 2, "metadata.sqlite: the metadata store cannot be read", "--work-dir")
    assert not (tmp_path / "corpus").exists()
