"""Tests of `genreflow predict`: its files, models, output and exit status."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from click.testing import Result
from typer.testing import CliRunner

from genreflow.cli.app import app
from genreflow.cli.predict import pipes
from genreflow.cli.predict.inputs import collect
from genreflow.cli.predict.output import clock
from serving.client import connection
from tests.support import ROOT
from tests.support.scripted_serving import FormulaModel, Scripted, serve_grpc
from tests.support.serving_toys import CLIP, GENRES
from tests.support.tls_files import TlsFiles


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BACKOFF_S", 0.001)
    monkeypatch.delenv("GENREFLOW_API_KEY", raising=False)


@pytest.fixture
def server(scripted: Scripted) -> str:
    return f"127.0.0.1:{scripted.port}"


def typed(*arguments: str | os.PathLike[str]) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def sound(windows: int, seed: int = 0) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.uniform(0.02, 1.5, windows)).repeat(CLIP)
    return (0.5 * np.sin(np.arange(windows * CLIP) * steps / 10)).astype(np.float32)


def song(path: pathlib.Path, windows: int = 4, seed: int = 0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound(windows, seed), 8000)
    return str(path)


# Choice of the model


@pytest.mark.parametrize("arguments", [[], ["--server", "127.0.0.1:1", "--model-dir", "x"]])
def test_exactly_one_model_is_needed(arguments: list[str], tmp_path: pathlib.Path) -> None:
    result = typed(song(tmp_path / "a.wav"), *arguments)
    assert result.exit_code == 2
    assert "--server HOST:PORT or --model-dir FOLDER, one of the two" in result.stderr
    assert ("both are given" in result.stderr) == (len(arguments) == 4)


def _unread_model(folder: pathlib.Path) -> pathlib.Path:
    """Return a folder that passes for a model until it is loaded."""
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"")
    (folder / "variables" / "variables.index").write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("file", "status", "message"),
    [
        ("gone.wav", 1, "gone.wav: there is no such file (missing_file)"),
        ("", 2, "FILE|FOLDER is empty; name one; see genreflow predict --help"),
    ],
)
def test_files_that_are_missing_are_told_before_the_model_is_loaded(
    file: str, status: int, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.chdir(tmp_path)
    _unread_model(tmp_path / "model")
    result = typed(file, "-m", "model", "--json")
    assert (result.exit_code, result.stderr) == (status, f"genreflow: {message}\n")
    assert result.stdout == ("[]\n" if status == 1 else "")


def test_a_missing_file_and_a_missing_model_are_told_at_once(tmp_path: pathlib.Path) -> None:
    result = typed(tmp_path / "gone.wav", "-m", tmp_path / "model", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    file, model = result.stderr.splitlines()
    assert file == f"genreflow: {tmp_path}/gone.wav: there is no such file (missing_file)"
    assert model.startswith(f"genreflow: {tmp_path}/model: no such folder; give the folder")


@pytest.mark.parametrize(
    "option",
    [["--rest"], ["--tls"], ["--timeout", "3"], ["--model-version", "1"], ["--version-label", "a"],
     ["--model-name", "x"], ["--api-key-file", "k"], ["--ca-cert", "c"]],
)  # fmt: skip
def test_options_of_a_server_need_one(option: list[str], tmp_path: pathlib.Path) -> None:
    result = typed(song(tmp_path / "a.wav"), *option)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"genreflow: {option[0]} needs --server HOST:PORT\n"
    result = typed(song(tmp_path / "a.wav"), "-m", tmp_path, *option)
    assert result.exit_code == 2
    assert f"{option[0]} needs --server HOST:PORT, in place of --model-dir" in result.stderr
    result = typed(song(tmp_path / "a.wav"), *option, "--tls")
    both = {option[0], "--tls"}
    assert result.stderr.endswith(" --server HOST:PORT\n")
    assert all(one in result.stderr for one in both)
    assert ("need --server" in result.stderr) == (len(both) == 2)


def test_without_a_server_nothing_is_imported_that_takes_seconds(
    server: str, tmp_path: pathlib.Path
) -> None:
    """Predict in a process of its own, without TensorFlow."""
    program = (
        "import sys\n"
        "from genreflow.cli.app import main\n"
        f"sys.argv = ['genreflow', 'predict', {song(tmp_path / 'a.wav')!r}, '-s', {server!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'tensorflow', 'keras', 'apache_beam', 'tfx', 'boto3', 'librosa', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr
    assert "Folk" in done.stdout
    assert done.stderr == ""  # no terminal, no bar


# Files


def test_a_folder_is_walked_in_order(tmp_path: pathlib.Path) -> None:
    for name in ("b.mp3", "a.WAV", "c/d.flac", "B/x.ogg", "c.au", ".hidden.wav", ".git/a.wav",
                 "notes.txt", "c/e.jpg"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    got = collect([str(tmp_path), "gone.mp3", "s3://bucket/a.mp3"], tmp_path).files
    names = [os.path.relpath(path, tmp_path) for path in got[:-2]]
    assert names == ["B/x.ogg", "a.WAV", "b.mp3", "c/d.flac", "c.au"]
    assert got[-2:] == ["gone.mp3", "s3://bucket/a.mp3"]


def test_links_do_not_lead_out_of_a_folder(tmp_path: pathlib.Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.wav").touch()
    (inside / "linked.wav").symlink_to("a.wav")
    (inside / "escape.wav").symlink_to(outside / "a.wav")
    (inside / "folder").symlink_to(outside)
    (inside / "round").symlink_to(inside)
    (inside / "nowhere.wav").symlink_to("gone.wav")
    got = [os.path.basename(path) for path in collect([str(inside)], tmp_path).files]
    assert got == ["a.wav", "linked.wav", "nowhere.wav"]
    (tmp_path / "way").symlink_to(inside)  # a link that is given itself is followed
    assert len(collect([str(tmp_path / "way")], tmp_path).files) == 3


def test_a_folder_without_audio_says_what_audio_is(tmp_path: pathlib.Path, server: str) -> None:
    (tmp_path / "a.txt").touch()
    result = typed(tmp_path, "-s", server)
    assert result.exit_code == 2
    assert f"{tmp_path}: no audio files in this folder (such as .mp3, .flac or" in result.stderr


def test_audio_of_a_folder_that_is_not_read_is_named(server: str, tmp_path: pathlib.Path) -> None:
    good = song(tmp_path / "a.wav")
    for index in range(7):
        (tmp_path / f"{index}.M4P").write_bytes(b"x")
    (tmp_path / "b.mid").write_bytes(b"x")
    (tmp_path / "cover.jpg").write_bytes(b"x")
    result = typed(tmp_path, "-s", server, "--json")
    assert result.exit_code == 1
    assert [answer["file"] for answer in json.loads(result.stdout)] == [good]
    lines = result.stderr.splitlines()
    assert lines[0] == (
        "genreflow: 7 files were skipped: .m4p (iTunes purchase with DRM) is not read; it is "
        "encrypted for its seller's players; use a copy without DRM"
    )
    assert lines[1:] == [
        *(f"genreflow:   {tmp_path}/{index}.M4P" for index in range(5)),
        "genreflow:   ... and 2 more",
        "genreflow: 1 file was skipped: .mid (MIDI) is not read; it holds notes, not sound; render "
        "it to WAV with a synthesizer or a player",
        f"genreflow:   {tmp_path}/b.mid",
    ]


def test_a_folder_of_such_audio_alone_needs_no_model(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.aax").write_bytes(b"x")
    result = typed(tmp_path, "-m", "/nowhere", "--json")
    assert (result.exit_code, result.stdout) == (1, "[]\n")
    assert "1 file was skipped: .aax" in result.stderr


@pytest.mark.parametrize("extension", [".oga", ".OPUS", ".aiff", ".w64", ".wave", ".caf", ".mp2"])
def test_every_spelling_of_a_format_that_is_read_is_found(
    tmp_path: pathlib.Path, extension: str
) -> None:
    (tmp_path / f"a{extension}").touch()
    found = collect([str(tmp_path)], tmp_path)
    assert (found.files, found.skipped) == ([str(tmp_path / f"a{extension}")], [])


def test_an_unreadable_folder_costs_itself_alone(
    server: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = [song(tmp_path / name) for name in ("a/a.wav", "c/c.wav")]
    (tmp_path / "b").mkdir()
    real = os.scandir

    def scandir(path: str) -> Any:
        if str(path) == str(tmp_path / "b"):  # root may read everything
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    result = typed(tmp_path, "-s", server, "--json")
    assert result.exit_code == 1
    assert [answer["file"] for answer in json.loads(result.stdout)] == good
    assert result.stderr == (
        f"genreflow: {tmp_path}/b: the folder cannot be read: Permission denied\n"
    )
    alone = typed(tmp_path / "b", "-s", server)
    assert (alone.exit_code, alone.stderr) == (1, result.stderr)


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_may_be_composed_or_not(
    server: str, tmp_path: pathlib.Path, forms: tuple[str, str]
) -> None:
    """Give a path in other forms than the folder and the file have."""
    folder, name = (unicodedata.normalize(form, "Björk é") for form in forms)
    path = song(tmp_path / folder / f"{name}.wav")
    for form in forms:
        asked = unicodedata.normalize(form, path)
        (answer,) = json.loads(typed(asked, "-s", server, "--json").stdout)
        assert answer["file"] == path
    result = typed(tmp_path / "Björk e.wav", "-s", server)
    assert "there is no such file (missing_file)" in result.stderr


# Pipes


def in_a_process(server: str, *arguments: str, **popen: Any) -> tuple[int, list[Any], str]:
    """Return the exit status, JSON and messages of `genreflow predict` in a new process."""
    program = "from genreflow.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "predict", *arguments, "-s", server, "--json"],
        cwd=ROOT, capture_output=True, check=False, **popen,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout), done.stderr.decode()


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0"])
@pytest.mark.parametrize("piped", [True, False])
def test_standard_input_is_read(
    server: str, tmp_path: pathlib.Path, name: str, piped: bool
) -> None:
    path = song(tmp_path / "a.wav", 20)
    expected = FormulaModel().predict_file(path).probabilities
    with open(path, "rb") as file:
        source = {"input": file.read()} if piped else {"stdin": file}
        status, (answer,), messages = in_a_process(server, name, **source)
    assert (status, messages) == (0, "")
    assert answer["file"] == name
    assert answer["probabilities"] == pytest.approx(expected, abs=2e-6)


def test_descriptors_and_named_pipes_are_read_beside_files(
    server: str, tmp_path: pathlib.Path
) -> None:
    path = song(tmp_path / "a.wav")
    os.mkfifo(tmp_path / "pipe")
    reader, writer = os.pipe()  # as a shell makes of <(...)
    content = pathlib.Path(path).read_bytes()
    os.write(writer, content)
    os.close(writer)

    def write() -> None:
        (tmp_path / "pipe").write_bytes(content)

    thread = threading.Thread(target=write)
    thread.start()
    names = [f"/dev/fd/{reader}", path, str(tmp_path / "pipe"), f"/dev/fd/{reader}"]
    status, answers, messages = in_a_process(server, *names, pass_fds=[reader])
    thread.join()
    os.close(reader)
    assert (status, messages) == (0, "")
    assert [answer["file"] for answer in answers] == names
    assert len({json.dumps(answer["probabilities"]) for answer in answers}) == 1


def test_pipes_without_an_end_or_without_audio_fail_alone(
    tmp_path: pathlib.Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = song(tmp_path / "a.wav")
    os.mkfifo(tmp_path / "idle")
    monkeypatch.setattr(pipes, "MAX_IDLE_SECONDS", 0.05)
    monkeypatch.setattr(pipes, "MAX_BYTES", 1000)
    reader, writer = os.pipe()
    os.write(writer, b"x" * 2000)
    result = typed(tmp_path / "idle", f"/dev/fd/{reader}", "/dev/fd/999", good, "-s", server,
                   "--json")  # fmt: skip
    os.close(reader)
    os.close(writer)
    assert result.exit_code == 1
    assert [answer["file"] for answer in json.loads(result.stdout)] == [good]
    assert result.stderr.splitlines() == [
        f"genreflow: {tmp_path}/idle: nothing came for 0 s",
        f"genreflow: /dev/fd/{reader}: it has more than 0 MiB; name a file",
        "genreflow: /dev/fd/999: Bad file descriptor",
    ]


def test_a_terminal_is_not_waited_for(tmp_path: pathlib.Path) -> None:
    controller, terminal = os.openpty()
    result = typed(f"/dev/fd/{terminal}", "-m", _unread_model(tmp_path / "model"))
    os.close(controller)
    os.close(terminal)
    assert result.exit_code == 1
    assert "it is a terminal; name a file, or pipe one into it" in result.stderr


# Output


def test_the_genres_of_a_song(server: str, tmp_path: pathlib.Path) -> None:
    path = song(tmp_path / "a.wav", 20)
    result = typed(path, "--server", server)
    assert result.exit_code == 0, result.output
    expected = FormulaModel().predict_file(path)
    lines = [line.split() for line in result.stdout.splitlines()]
    assert result.stdout.startswith(
        f"{path}  5.0 s, 20 windows; the model was trained on synthetic"
    )
    assert [(line[0], line[1]) for line in lines[1:]] == [
        (genre, f"{share:.1%}") for genre, share in expected.probabilities.items()
    ]
    assert len(typed(path, "-s", server, "--top", "2").stdout.splitlines()) == 3


def test_over_rest_the_same(scripted_rest: Scripted, server: str, tmp_path: pathlib.Path) -> None:
    path = song(tmp_path / "a.wav", 20)
    by_grpc = typed(path, "-s", server)
    for arguments in ((f"http://127.0.0.1:{scripted_rest.port}",),
                      (f"127.0.0.1:{scripted_rest.port}", "--rest")):  # fmt: skip
        assert typed(path, "-s", *arguments).stdout == by_grpc.stdout


def test_json_of_many_files_is_one_list_in_the_order_given(
    scripted: Scripted, server: str, tmp_path: pathlib.Path
) -> None:
    paths = [song(tmp_path / f"{n}.wav", 1 + 3 * n, n) for n in (5, 1, 3, 0, 4, 2)]
    result = typed(*paths, "-s", server, "--json", "--jobs", "3")
    answers = json.loads(result.stdout)
    assert [answer["file"] for answer in answers] == paths
    for answer, path in zip(answers, paths, strict=True):
        here = FormulaModel().predict_file(path)
        assert answer["probabilities"] == pytest.approx(here.probabilities, abs=2e-6)
        assert answer["windows"] == here.windows
        assert answer["model_trained_on_synthetic_data"] is True
        assert answer["warnings"] == []
        assert answer["windows_left_out"] == {}
        assert set(answer) == {"file", "seconds", "windows", "windows_left_out", "warnings",
                               "probabilities", "model_trained_on_synthetic_data"}  # fmt: skip


def test_a_cut_file_is_predicted_with_a_warning_and_an_empty_one_is_not(
    server: str, tmp_path: pathlib.Path
) -> None:
    path = song(tmp_path / "a\x1b.wav", 24)  # 6 s
    content = pathlib.Path(path).read_bytes()
    pathlib.Path(path).write_bytes(content[: 44 + 2 * 8 * CLIP])
    sentence = (
        "2.0 s of audio, but its header says 6.0 s; the file is cut, and the genres are those "
        "of the part that is there. Get a complete copy"
    )
    result = typed(path, "-s", server)
    assert (result.exit_code, "2.0 s, 8 windows" in result.stdout) == (0, True)
    shown = path.replace("\x1b", "\\x1b")
    assert result.stderr == f"genreflow: warning: {shown}: {sentence}\n"
    result = typed(path, "-s", server, "--json")
    assert result.stderr == f"genreflow: warning: {shown}: {sentence}\n"
    (answer,) = json.loads(result.stdout)
    assert (answer["warnings"], answer["seconds"]) == ([sentence], 2.0)
    pathlib.Path(path).write_bytes(content[: 44 + CLIP])  # half a window
    result = typed(path, "-s", server)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "0.1 s of audio, but its header says 6.0 s (truncated)" in result.stderr


def test_files_are_worked_on_at_once(
    scripted: Scripted, server: str, tmp_path: pathlib.Path
) -> None:
    """Hold back the first response until the request of another file arrives."""
    both = threading.Barrier(2, timeout=60)
    scripted.script = [None, lambda context: both.wait(), lambda context: both.wait()]
    paths = [song(tmp_path / f"{n}.wav") for n in range(2)]
    assert typed(*paths, "-s", server, "--jobs", "2").exit_code == 0


def test_a_timeline_shows_when_the_genre_changes(
    scripted: Scripted, server: str, tmp_path: pathlib.Path
) -> None:
    rows = np.array([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.1, 0.7, 0.2], [0.2, 0.2, 0.6]])
    scripted.change = lambda outputs: {**outputs, "probabilities": rows.astype(np.float32)}
    path = song(tmp_path / "a.wav", 4)
    lines = typed(path, "-s", server, "--timeline").stdout.splitlines()[4:]
    assert [re.sub(r"\s+█*", " ", line).strip() for line in lines] == [
        "0:00.00 - 0:00.50 70.0% Folk", "0:00.50 - 0:00.75 70.0% Rock",
        "0:00.75 - 0:01.00 60.0% Jazz",
    ]  # fmt: skip
    (answer,) = json.loads(typed(path, "-s", server, "--timeline", "--json").stdout)
    assert answer["timeline"] == [
        {"start_s": 0.0, "end_s": 0.5, "genre": "Folk", "probability": 0.7, "left_out": None},
        {"start_s": 0.5, "end_s": 0.75, "genre": "Rock", "probability": 0.7, "left_out": None},
        {"start_s": 0.75, "end_s": 1.0, "genre": "Jazz", "probability": 0.6, "left_out": None},
    ]
    windows = answer["window_probabilities"]
    assert [(one["start_s"], one["end_s"]) for one in windows] == [
        (0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0)
    ]  # fmt: skip
    assert windows[2]["probabilities"] == {"Folk": 0.1, "Rock": 0.7, "Jazz": 0.2}


def test_windows_that_are_left_out_are_shown(server: str, tmp_path: pathlib.Path) -> None:
    stereo = sound(6)[:, np.newaxis] * np.float32([1, 1])
    stereo[: 2 * CLIP] = 0
    stereo[3 * CLIP : 4 * CLIP, 1] *= -1
    path = str(tmp_path / "a.wav")
    soundfile.write(path, stereo, 8000)
    headline, *lines = typed(path, "-s", server, "--timeline").stdout.splitlines()
    assert f"{path}  1.5 s, 6 windows (left out: 2 silent, 1 whose channels cancel)" in headline
    times = [" ".join(line.split()) for line in lines if " - " in line]
    assert times[0] == "0:00.00 - 0:00.50 silent"
    assert "0:00.75 - 0:01.00 channels cancel" in times
    (answer,) = json.loads(typed(path, "-s", server, "--timeline", "--json").stdout)
    assert answer["windows"] == 6
    assert answer["windows_left_out"] == {"near_silent": 2, "channels_cancel": 1}
    assert answer["timeline"][0] == {
        "start_s": 0.0, "end_s": 0.5, "genre": None, "probability": None, "left_out": "near_silent"
    }  # fmt: skip
    reasons = [window["left_out"] for window in answer["window_probabilities"]]
    assert reasons == ["near_silent"] * 2 + [None, "channels_cancel", None, None]
    for window in answer["window_probabilities"]:
        assert (window["probabilities"] is None) == (window["left_out"] is not None)


def test_a_recording_without_a_window_that_counts_fails_with_its_reason(
    server: str, tmp_path: pathlib.Path
) -> None:
    good = song(tmp_path / "good.wav")
    stereo = sound(6)[:, np.newaxis] * np.float32([1, -1])
    soundfile.write(tmp_path / "inverted.wav", stereo, 8000)
    soundfile.write(tmp_path / "quiet.wav", sound(6) * 1e-3, 8000)
    result = typed(tmp_path, "-s", server, "--json")
    assert result.exit_code == 1
    assert [answer["file"] for answer in json.loads(result.stdout)] == [good]
    inverted, quiet, _ = result.stderr.splitlines()
    assert "inverted.wav: its channels cancel each other in the mono mix" in inverted
    assert inverted.endswith("(channels_cancel)")
    assert "its loudest clip is at -69 dBFS" in quiet
    assert quiet.endswith("(near_silent)")


@pytest.mark.parametrize(
    ("seconds", "decimals", "text"),
    [(0, 0, "0:00"), (59.6, 0, "1:00"), (61, 0, "1:01"), (3599.999, 2, "1:00:00.00"),
     (3661.25, 2, "1:01:01.25"), (7, 1, "0:07.0"), (86399, 0, "23:59:59")],
)  # fmt: skip
def test_clock(seconds: float, decimals: int, text: str) -> None:
    assert clock(seconds, decimals) == text


def test_what_a_server_says_cannot_act_on_the_terminal(
    scripted: Scripted, server: str, tmp_path: pathlib.Path
) -> None:
    evil = "\x1b]0;pwned\x07[bold]x"
    names = [evil.encode(), b"Rock", b"Jazz"]
    scripted.describe["genres"] = np.array([names], object)
    scripted.change = lambda outputs: {
        **outputs, "genres": np.array([names] * len(outputs["genres"]), object)
    }  # fmt: skip
    result = typed(song(tmp_path / "a.wav"), "-s", server, "--timeline")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "\\x1b]0;pwned\\x07[bold]x" in result.stdout
    scripted.script = [
        lambda context: context.abort(grpc.StatusCode.INTERNAL, "\x1b[2Jgone\ngenreflow: all fine")
    ]
    result = typed(song(tmp_path / "a.wav"), "-s", server)
    assert result.exit_code == 1
    assert "\x1b" not in result.stderr


# Failures


def test_a_bad_file_costs_itself_alone(server: str, tmp_path: pathlib.Path) -> None:
    good = [song(tmp_path / f"{n}.wav", 3, n) for n in range(2)]
    (tmp_path / "text.mp3").write_text("not music\n" * 100)
    short = tmp_path / "short.wav"
    soundfile.write(short, sound(1)[:-1], 8000)
    files = [good[0], tmp_path / "text.mp3", "gone.wav", short, good[1]]
    result = typed(*files, "-s", server, "--json")
    assert result.exit_code == 1
    assert [answer["file"] for answer in json.loads(result.stdout)] == good
    assert result.stderr.splitlines() == [
        f"genreflow: {tmp_path / 'text.mp3'}: it is text and no audio; if it is a server's error "
        "message, download the song again (undecodable)",
        "genreflow: gone.wav: there is no such file (missing_file)",
        f"genreflow: {short}: 0.25 s of audio: the model needs at least 0.25 s "
        f"({CLIP} samples at 8000 Hz) (too_short)",
        "genreflow: 2 of 5 files predicted, 3 failed",
    ]


def test_a_request_that_is_refused_costs_its_file_alone(
    scripted: Scripted, server: str, tmp_path: pathlib.Path
) -> None:
    scripted.script = [
        None,
        lambda context: context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not this one"),
    ]
    files = [song(tmp_path / f"{n}.wav") for n in range(2)]
    result = typed(*files, "-s", server, "--json", "--jobs", "1")
    assert result.exit_code == 1
    assert f"genreflow: {files[0]}: {server}: " in result.stderr
    assert "not this one" in result.stderr
    assert [answer["file"] for answer in json.loads(result.stdout)] == files[1:]


def test_a_server_that_leaves_ends_the_run_and_what_was_done_is_kept(
    tmp_path: pathlib.Path,
) -> None:
    told = Scripted()
    running = serve_grpc(told)
    files = [song(tmp_path / f"{n}.wav") for n in range(4)]

    def leave(context: grpc.ServicerContext) -> None:
        gone = threading.Event()
        context.add_callback(gone.set)
        running.stop(0)
        gone.wait(60)

    told.script = [None, None, leave]
    result = typed(*files, "-s", f"127.0.0.1:{told.port}", "--json", "--jobs", "1")
    assert result.exit_code == 1
    assert [answer["file"] for answer in json.loads(result.stdout)] == files[:1]
    (line,) = result.stderr.splitlines()
    assert "nothing responds there (Connection refused)" in line
    assert line.endswith("; 1 of 4 files were predicted before")
    assert len(told.sizes) == 2  # later files are not tried


def test_an_address_that_cannot_be_is_a_usage_error_and_one_that_is_silent_a_failure(
    tmp_path: pathlib.Path,
) -> None:
    path = song(tmp_path / "a.wav")
    for server, status in (("localhost", 2), ("ftp://x:1", 2), ("127.0.0.1:1", 1)):
        result = typed(path, "-s", server)
        assert (result.exit_code, server in result.stderr) == (status, True), result.stderr
        assert "Traceback" not in result.output


def test_model_versions_and_names_reach_the_server(
    scripted: Scripted, server: str, tmp_path: pathlib.Path
) -> None:
    path = song(tmp_path / "a.wav")
    assert typed(path, "-s", server, "--model-version", "7").exit_code == 0
    result = typed(path, "-s", server, "--model-version", "8")
    assert (result.exit_code, "7 (AVAILABLE)" in result.stderr) == (1, True)
    result = typed(path, "-s", server, "--model-name", "other")
    assert (result.exit_code, "no model 'other'" in result.stderr) == (1, True)


# Keys and encryption


def test_the_key_comes_from_the_environment_or_a_file_and_is_never_shown(
    scripted: Scripted, server: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, key_file = song(tmp_path / "a.wav"), tmp_path / "key"
    scripted.key = "s3cret"
    result = typed(path, "-s", server)
    assert (result.exit_code, "GENREFLOW_API_KEY" in result.stderr) == (1, True)
    monkeypatch.setenv("GENREFLOW_API_KEY", "s3cret")
    assert typed(path, "-s", server).exit_code == 0
    monkeypatch.setenv("GENREFLOW_API_KEY", "wr0ng")
    assert typed(path, "-s", server).exit_code == 1
    key_file.write_text("s3cret\n")
    assert typed(path, "-s", server, "--api-key-file", key_file).exit_code == 0
    for content, message in ((b"two words", "API key"), (b"\xff" * 9, "ASCII"), (b"", "empty"),
                             (b"x" * 5000, "at most 4096")):  # fmt: skip
        key_file.write_bytes(content)
        result = typed(path, "-s", server, "--api-key-file", key_file)
        assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
        assert not content or content.decode("latin-1") not in result.output
    result = typed(path, "-s", server, "--api-key-file", tmp_path / "none")
    assert (result.exit_code, "No such file" in result.stderr) == (2, True)


def test_a_key_in_the_clear_to_another_machine_is_warned_of(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENREFLOW_API_KEY", "s3cret")
    path = song(tmp_path / "a.wav")
    for server, warned in (
        ("no-such-host.invalid:8500", True),
        ("http://no-such-host.invalid:8501", True),
        ("https://no-such-host.invalid:8501", False),
        ("127.0.0.1:1", False),
    ):
        result = typed(path, "-s", server)
        assert result.exit_code == 1
        assert ("warning: the API key is sent to" in result.stderr) == warned
        assert "s3cret" not in result.output


def test_encrypted(tls_files: TlsFiles, tmp_path: pathlib.Path) -> None:
    told = Scripted()
    pair = (tls_files.server_key.read_bytes(), tls_files.server_cert.read_bytes())
    running = serve_grpc(
        told,
        credentials=grpc.ssl_server_credentials([pair], tls_files.ca.read_bytes(), True),
    )
    server, path = f"127.0.0.1:{told.port}", song(tmp_path / "a.wav")
    files = ["--ca-cert", tls_files.ca, "--client-cert", tls_files.client_cert]
    good = typed(path, "-s", server, "--tls", *files, "--client-key", tls_files.client_key)
    assert good.exit_code == 0, good.stderr
    result = typed(path, "-s", server, "--tls", *files)
    assert (result.exit_code, "belong together" in result.stderr) == (2, True)
    result = typed(path, "-s", server, "--ca-cert", tls_files.ca)
    assert (result.exit_code, "add --tls" in result.stderr) == (2, True)
    result = typed(path, "-s", server)
    assert (result.exit_code, "the server uses TLS; add --tls" in result.stderr) == (1, True)
    result = typed(path, "-s", server, "--tls")
    assert (result.exit_code, "--ca-cert" in result.stderr) == (1, True)
    running.stop(0)


# At a terminal


def at_a_terminal(arguments: Sequence[str]) -> tuple[str, str]:
    """Return the text on standard output, and the text on the screen from standard error."""
    screen, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from genreflow.cli.app import main; main()", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
    )
    os.close(terminal)
    seen = bytearray()

    def watch() -> None:
        with contextlib.suppress(OSError):  # the end of a terminal
            while piece := os.read(screen, 65536):
                seen.extend(piece)

    thread = threading.Thread(target=watch)
    thread.start()
    output, _ = process.communicate(timeout=120)
    thread.join(60)
    os.close(screen)
    assert process.returncode == 0, seen.decode()
    return output.decode(), seen.decode()


def test_a_terminal_sees_how_far_it_is_and_a_pipe_does_not(
    scripted: Scripted, server: str, tmp_path: pathlib.Path
) -> None:
    long = song(tmp_path / "long.wav", 64)
    hold = threading.Event()

    def slow(context: Any) -> None:
        hold.wait(1.0)  # long enough that the bar is drawn

    scripted.script = [None, None, slow, slow]
    output, seen = at_a_terminal(["predict", long, "-s", server])
    assert re.search(r"long\.wav .*0:\d\d/0:16", seen)
    assert "0:16" not in output
    assert output.startswith(long)
    assert set(GENRES) <= set(output.split())


# Both kinds of model


def test_a_model_here_and_the_same_at_a_server_print_the_same(
    toy_models: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    from serving.model.local import LocalModel

    model = LocalModel(toy_models / "2")
    told = Scripted(model)
    running = serve_grpc(told)
    files = [song(tmp_path / "songs" / f"{n}.wav", 3 + 20 * n, n) for n in range(3)]
    there = typed(tmp_path / "songs", "-s", f"127.0.0.1:{told.port}", "--json", "--timeline")
    here = typed(tmp_path / "songs", "-m", toy_models / "2", "--json", "--timeline", "-j", "2")
    running.stop(0)
    for one, other in zip(json.loads(there.stdout), json.loads(here.stdout), strict=True):
        assert one["file"] == other["file"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
        assert [s["genre"] for s in one["timeline"]] == [s["genre"] for s in other["timeline"]]
        for a, b in zip(one["window_probabilities"], other["window_probabilities"], strict=True):
            assert a["probabilities"] == pytest.approx(b["probabilities"], abs=1e-5)
    assert [one["file"] for one in json.loads(here.stdout)] == files


def test_real_songs_get_the_same_answer_from_a_server_and_here(
    toy_models: pathlib.Path, real_data: pathlib.Path
) -> None:
    from serving.client.client import GenreClient
    from serving.model.local import LocalModel

    model = LocalModel(toy_models / "2")
    told = Scripted(model)
    running = serve_grpc(told)
    songs = sorted(real_data.glob("fma/fma_small/*/*.mp3"))
    assert songs
    with GenreClient(f"127.0.0.1:{told.port}") as client:
        for path in songs:
            there, here = client.predict_file(path), model.predict_file(path)
            np.testing.assert_allclose(
                there.window_probabilities, here.window_probabilities, atol=1e-5
            )
    running.stop(0)
