"""Tests of GenreClient over real connections: its requests, and what it makes of responses."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import pathlib
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from components.audio.decoding.decode import DecodeError
from components.common.model_evaluation import MAX_BYTES, ModelEvaluation, ToldRule
from serving.client import errors as client_errors
from serving.client.client import GenreClient
from serving.model import prediction
from serving.model.local import LocalModel
from tests.support import ROOT
from tests.support.scripted_serving import Arrays, FormulaModel, Scripted, serve_grpc
from tests.support.serving_server import RunningServer
from tests.support.serving_toys import CLIP, GENRES, PARAMS, clips

pytestmark = pytest.mark.memory

RATE = PARAMS.sample_rate_hz


@pytest.fixture(params=["grpc", "rest"])
def told(request: pytest.FixtureRequest) -> Scripted:
    """Start a scripted server over each protocol."""
    rest = request.param == "rest"
    found: Scripted = request.getfixturevalue("scripted_rest" if rest else "scripted")
    found.address = f"{'http://' if rest else ''}127.0.0.1:{found.port}"  # type: ignore[attr-defined]
    return found


@pytest.fixture
def client(told: Scripted) -> Iterator[GenreClient]:
    with GenreClient(told.address) as one:  # type: ignore[attr-defined]
        yield one


def sound(samples: int, seed: int = 0) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.uniform(0.02, 1.5, samples // 1000 + 1)).repeat(1000)[:samples]
    return (rng.uniform(0.1, 0.9) * np.sin(np.arange(samples) * steps / 10)).astype(np.float32)


def write(path: pathlib.Path, samples: npt.NDArray[np.float32], rate_hz: int = RATE) -> str:
    soundfile.write(path, samples, rate_hz)
    return str(path)


# Description


def test_the_model_describes_itself(client: GenreClient, told: Scripted) -> None:
    assert client.genres == GENRES
    assert (client.sample_rate_hz, client.clip_samples) == (8000, CLIP)
    assert client.model_card == {"architecture": "formula", "synthetic": True}
    assert client.description.audio_params == PARAMS.digest()
    assert client.description.version == (None if client.address.rest else 7)
    assert client.describe() == client.description
    assert [name for name, _, _ in told.requests] == ["describe", "describe"]
    for _, inputs, _ in told.requests:
        assert {name: values.tolist() for name, values in inputs.items()} == {"query": [b""]}


def test_the_model_tells_its_evaluation_if_it_has_one(client: GenreClient, told: Scripted) -> None:
    assert client.description.evaluation is None  # a model of an earlier version
    found = ModelEvaluation(0.56, 0.52, 0.6, 800, True, (ToldRule("floor", "pass", "above 50 %"),))
    told.describe["evaluation"] = np.array([found.to_text().encode()], object)
    assert client.describe().evaluation == found
    told.describe["evaluation"] = np.array([b""], object)  # a model that was not pushed
    assert client.describe() == client.description


@pytest.mark.parametrize(
    "value",
    [
        np.array([b"{"], object),
        np.array([b"\xff"], object),
        np.array([b" " * (MAX_BYTES + 1)], object),
        np.array([b"", b""], object),
        np.array([0.5], np.float32),
    ],
)
def test_an_invalid_evaluation_is_told_and_the_model_still_predicts(
    scripted: Scripted, value: Any
) -> None:
    scripted.describe["evaluation"] = value
    with GenreClient(f"127.0.0.1:{scripted.port}") as client:
        assert client.description.evaluation is None
        problem = client.description.evaluation_problem
        assert problem.startswith("the evaluation that the model tells is invalid: ")
        assert len(problem) < 200
        assert client.predict_windows(clips(1)).shape == (1, len(GENRES))


# Requests and responses


@pytest.mark.parametrize("windows", [1, 2, 16, 17, 35])
@pytest.mark.parametrize("tail", [0, CLIP - 1])
def test_a_file_is_sent_in_requests_of_at_most_16_whole_clips(
    client: GenreClient, told: Scripted, tmp_path: pathlib.Path, windows: int, tail: int
) -> None:
    samples = sound(windows * CLIP + tail)
    path = write(tmp_path / "a.wav", samples)
    got = client.predict_file(path)
    assert told.sizes == [16] * (windows // 16) + [windows % 16] * (windows % 16 > 0)
    sent = np.concatenate([inputs["waveform"] for name, inputs, _ in told.requests if not name])
    stored = soundfile.read(path, dtype="float32")[0]
    np.testing.assert_allclose(sent, stored[: windows * CLIP].reshape(windows, CLIP), atol=1e-9)
    here = FormulaModel().predict_file(path)
    assert (got.path, got.windows, got.seconds) == (path, windows, here.seconds)
    np.testing.assert_allclose(got.window_probabilities, here.window_probabilities, atol=1e-6)
    assert got.probabilities == pytest.approx(here.probabilities, abs=1e-6)
    assert list(got.probabilities) == list(here.probabilities)


def test_a_request_names_no_outputs_since_older_models_lack_some(
    scripted: Scripted, tmp_path: pathlib.Path
) -> None:
    with GenreClient(f"127.0.0.1:{scripted.port}") as client:
        client.predict_windows(clips(2))
    assert [wanted for _, _, wanted in scripted.requests] == [(), ()]


@pytest.mark.parametrize("with_counts", [False, True])
def test_silent_windows_are_not_sent_and_not_counted(
    client: GenreClient, told: Scripted, tmp_path: pathlib.Path, with_counts: bool
) -> None:
    if with_counts:
        told.change = lambda outputs: {
            **outputs, "audible_windows": np.ones(len(outputs["genres"]), np.int64)
        }  # fmt: skip
    music = sound(6 * CLIP)
    silent = [0, 2, 3]
    quiet = music.copy().reshape(6, CLIP)
    quiet[silent] *= 1e-4
    path = write(tmp_path / "a.wav", quiet.reshape(-1))
    got = client.predict_file(path)
    assert told.sizes == [3]
    assert got.windows == 6
    assert got.left_out == ("near_silent", "", "near_silent", "near_silent", "", "")
    assert not got.window_probabilities[silent].any()
    heard = quiet[[1, 4, 5]].reshape(-1)
    alone = client.predict_waveform(heard, RATE)
    assert got.probabilities == pytest.approx(alone.probabilities, abs=1e-4)
    assert client.predict_waveform(quiet.reshape(-1), RATE).left_out == got.left_out


def test_a_window_that_the_server_leaves_out_is_left_out(
    client: GenreClient, told: Scripted
) -> None:
    def leave_out_first(outputs: Arrays) -> Arrays:
        counts = np.ones(len(outputs["genres"]), np.int64)
        counts[0] = 0
        matrix = outputs["probabilities"] * counts[:, np.newaxis]
        return {**outputs, "probabilities": matrix, "audible_windows": counts}

    expected = client.predict_waveform(sound(3 * CLIP), RATE)
    told.change = leave_out_first
    got = client.predict_waveform(sound(3 * CLIP), RATE)
    assert got.left_out == ("near_silent", "", "")
    mean = expected.window_probabilities[1:].mean(axis=0)
    assert got.probabilities == pytest.approx(dict(zip(GENRES, mean, strict=True)), abs=1e-6)


@pytest.mark.parametrize("channels", [1, 2])
def test_recordings_without_a_window_that_counts_are_refused_and_not_sent(
    client: GenreClient, told: Scripted, tmp_path: pathlib.Path, channels: int
) -> None:
    loud = sound(5 * CLIP)[:, np.newaxis]
    for samples, reason, words in (
        (loud * [0.0] * channels, "near_silent", "digital silence"),
        (loud * [10**-3.3] * channels, "near_silent", "normalise"),
        (loud * [1.0, -1.0], "channels_cancel", "keep one"),
        (loud * [1.0, -0.9, 0.0, 0.0], "channels_cancel", "keep one"),
    ):
        path = tmp_path / "a.wav"
        soundfile.write(path, samples, RATE)
        for predict in (
            lambda path=path: client.predict_file(path),
            lambda samples=samples: client.predict_waveform(samples, RATE),
        ):
            with pytest.raises(DecodeError, match=words) as caught:
                predict()
            assert caught.value.reason == reason
    assert told.sizes == []
    assert client.predict_windows(np.zeros((0, CLIP), np.float32)).shape == (0, 3)


def test_silence_before_music_changes_nothing(tmp_path: pathlib.Path) -> None:
    model = FormulaModel()
    rng = np.random.default_rng(0)
    music = rng.normal(0, 0.1, (4 * 44100, 2)).astype(np.float32)
    silence = np.zeros((26 * 44100, 2), np.float32)
    soundfile.write(tmp_path / "long.flac", np.concatenate([silence, music]), 44100)
    soundfile.write(tmp_path / "short.flac", music, 44100)
    long, short = (model.predict_file(tmp_path / f"{name}.flac") for name in ("long", "short"))
    assert long.left_out == ("near_silent",) * (26 * 4) + ("",) * 16
    assert long.probabilities == pytest.approx(short.probabilities, abs=1e-4)


@pytest.mark.parametrize("suffix", ["mp3", "flac", "ogg", "au"])
def test_any_format_and_rate_is_decoded_here(
    client: GenreClient, tmp_path: pathlib.Path, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.stack([sound(88200), sound(88200, 1)], axis=1), 44100)
    here = FormulaModel().predict_file(path)
    got = client.predict_file(path)
    assert got.windows == here.windows == 8
    assert got.probabilities == pytest.approx(here.probabilities, abs=1e-6)


def test_samples_in_memory_are_resampled_and_their_channels_averaged(
    client: GenreClient, told: Scripted
) -> None:
    left, right = sound(2 * 44100), sound(2 * 44100, 1)
    got = client.predict_waveform(np.stack([left, right], axis=1).astype(np.float64), 44100)
    mono = client.predict_waveform((left + right) / 2, 44100)
    assert (got.path, got.windows, got.seconds) == ("", 8, 2.0)
    np.testing.assert_allclose(got.window_probabilities, mono.window_probabilities, atol=1e-6)
    long = client.predict_waveform(sound(18 * CLIP), RATE)
    assert long.windows == 18
    assert told.sizes[-2:] == [16, 2]


@pytest.mark.parametrize(
    "samples",
    [np.zeros(9000, np.int16), np.zeros((2, 3, 4), np.float32), np.zeros((9000, 0), np.float32),
     np.float32(0)],
)  # fmt: skip
def test_what_is_not_samples_is_refused(
    client: GenreClient, samples: npt.NDArray[np.float32]
) -> None:
    with pytest.raises(ValueError, match=r"samples are .*; they must be floats"):
        client.predict_waveform(samples, RATE)
    with pytest.raises(ValueError, match="0 Hz"):
        client.predict_waveform(sound(CLIP), 0)


def test_bad_sound_is_never_sent(client: GenreClient, told: Scripted) -> None:
    bad = sound(2 * CLIP)
    bad[7] = np.nan
    empty = np.zeros(0, np.float32)
    for samples, reason in (
        (bad, "not_finite"),
        (sound(CLIP - 1), "too_short"),
        (empty, "too_short"),
        (empty.reshape(0, 2), "too_short"),
    ):
        with pytest.raises(DecodeError) as caught:
            client.predict_waveform(samples, RATE)
        assert caught.value.reason == reason
    assert told.sizes == []


def test_windows_of_another_shape_are_a_mistake_of_the_caller(client: GenreClient) -> None:
    for windows in (np.zeros((2, CLIP + 1), np.float32), np.zeros((2, CLIP)), np.zeros(CLIP)):
        with pytest.raises(ValueError, match=f"windows, {CLIP}"):
            client.predict_windows(windows)  # type: ignore[arg-type]
    assert client.predict_windows(np.zeros((0, CLIP), np.float32)).shape == (0, 3)


def test_very_long_clips_go_in_smaller_requests(
    client: GenreClient, monkeypatch: pytest.MonkeyPatch, told: Scripted
) -> None:
    monkeypatch.setattr(prediction, "MAX_SAMPLES_PER_CALL", 3 * CLIP + 1)
    client.predict_windows(clips(7))
    assert told.sizes == [3, 3, 1]
    monkeypatch.setattr(prediction, "MAX_SAMPLES_PER_CALL", CLIP - 1)
    client.predict_windows(clips(2))
    assert told.sizes[3:] == [1, 1]


def test_progress_comes_with_every_answer(client: GenreClient, tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "a.wav", sound(20 * CLIP))
    told: list[tuple[float, float]] = []
    client.predict_file(path, on_progress=lambda done, total: told.append((done, total)))
    assert len(told) == 2
    assert told[-1] == (5.0, 5.0)


def test_many_threads_share_a_client(client: GenreClient, tmp_path: pathlib.Path) -> None:
    paths = [write(tmp_path / f"{n}.wav", sound((5 + 9 * n) * CLIP, n)) for n in range(6)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda path: client.predict_file(path), paths))
    for one, path in zip(got, paths, strict=True):
        here = FormulaModel().predict_file(path)
        np.testing.assert_allclose(one.window_probabilities, here.window_probabilities, atol=1e-6)


# A new version takes over


def test_a_new_version_of_the_same_kind_is_taken_up(scripted: Scripted) -> None:
    with GenreClient(f"127.0.0.1:{scripted.port}") as client:
        client.predict_windows(clips(1))
        scripted.version = 8
        scripted.describe["model_card"] = np.array([b'{"architecture": "newer"}'], object)
        client.predict_windows(clips(1))
        assert (client.description.version, client.model_card["architecture"]) == (8, "newer")
        client.predict_windows(clips(1))
    names = [name for name, _, _ in scripted.requests]
    assert names == ["describe", "", "", "describe", ""]


class NewModel(FormulaModel):
    """Model of another kind, with windows of 0.5 s at 16 kHz; records the windows that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.sample_rate_hz, self.clip_samples = 16000, 8000
        self.shapes: list[tuple[int, ...]] = []

    def predict_windows(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self.shapes.append(windows.shape)
        return super().predict_windows(windows)[:, ::-1]

    def take_over(self, told: Scripted) -> None:
        """Replace a scripted server's model as its version 8."""
        told.model, told.version = self, 8
        told.describe |= {
            "sample_rate_hz": np.array([16000], np.int64),
            "clip_samples": np.array([8000], np.int64),
            "audio_params": np.array([b"0" * 16], object),
        }


@pytest.mark.parametrize("refuses", [False, True])
def test_a_recording_is_predicted_again_if_a_model_of_another_kind_takes_over(
    told: Scripted, tmp_path: pathlib.Path, refuses: bool
) -> None:
    path = write(tmp_path / "a.wav", sound(40 * CLIP))  # three requests of 16 windows or fewer
    samples = soundfile.read(path, dtype="float32")[0]
    new = NewModel()
    message = "waveform at 16000 Hz: shorter than one clip"

    def take_over(call: Any) -> tuple[int, object] | None:
        new.take_over(told)
        if not refuses:
            return None
        if "http" not in told.address:  # type: ignore[attr-defined]
            call.abort(grpc.StatusCode.INVALID_ARGUMENT, message)
        return 400, {"error": message}

    told.script = [None, None, None, take_over]  # before the third request
    progress: list[float] = []
    with GenreClient(told.address) as client:  # type: ignore[attr-defined]
        found = client.predict_file(path, on_progress=lambda done, _: progress.append(done))
        again = client.predict_waveform(samples, RATE)
        kind = (client.sample_rate_hz, client.clip_samples, client.description.audio_params)
    assert kind == (16000, 8000, "0" * 16)
    expected = NewModel().predict_file(path)
    assert found.windows == again.windows == 20  # 10 s
    np.testing.assert_allclose(found.window_probabilities, expected.window_probabilities, atol=1e-6)
    assert found.clip_seconds == 0.5
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    assert again.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
    # The windows of the first kind that reached the new model are not part of any prediction.
    mixed = [] if refuses else [(8, CLIP)]
    assert new.shapes == [*mixed, *[(16, 8000), (4, 8000)] * 2]
    assert progress[-1] == 10.0


def test_a_refusal_by_the_same_kind_of_model_stays_one(scripted: Scripted) -> None:
    scripted.script = [
        None, lambda call: call.abort(grpc.StatusCode.INVALID_ARGUMENT, "bad")
    ]  # fmt: skip
    with GenreClient(f"127.0.0.1:{scripted.port}") as client:
        with pytest.raises(client_errors.RefusedError, match="bad"):
            client.predict_windows(clips(1))
        assert client.predict_windows(clips(1)).shape == (1, 3)


def test_windows_cut_for_another_kind_of_model_are_never_answered(scripted: Scripted) -> None:
    with GenreClient(f"127.0.0.1:{scripted.port}") as client:
        old = client.description
        NewModel().take_over(scripted)
        for _ in range(2):
            with pytest.raises(client_errors.ModelChangedError, match="other audio parameters"):
                client.predict_windows(clips(1), cut_for=old)
        assert client.description.version == 8
        with pytest.raises(ValueError, match=r"\[windows, 8000\]"):
            client.predict_windows(clips(1))


@pytest.mark.parametrize("together", [False, True])
def test_a_model_of_other_genres_is_an_error(
    told: Scripted, tmp_path: pathlib.Path, together: bool
) -> None:
    path = write(tmp_path / "a.wav", sound(20 * CLIP))
    with GenreClient(told.address) as client:  # type: ignore[attr-defined]
        if together:
            NewModel().take_over(told)
        told.version = 8
        told.describe["genres"] = np.array([[b"Rock", b"Folk", b"Jazz"]], object)
        for _ in range(2):
            with pytest.raises(client_errors.ModelChangedError, match="other genres"):
                client.predict_file(path)
        assert client.genres == GENRES


def test_servers_that_do_not_agree_on_the_version_are_not_asked_for_ever(
    scripted: Scripted, tmp_path: pathlib.Path
) -> None:
    path = write(tmp_path / "a.wav", sound(4 * CLIP))

    def other_server(outputs: Arrays) -> Arrays:
        scripted.version = 8  # answers the windows
        return outputs

    def describe() -> None:
        scripted.version = 7

    with GenreClient(f"127.0.0.1:{scripted.port}") as client:
        scripted.change = other_server
        scripted.script = [None, lambda call: describe()] * 10
        with pytest.raises(client_errors.ModelChangedError, match=r"versions 8 and 7 .* in turn"):
            client.predict_file(path)
    assert scripted.sizes == [4] * 3


def test_a_pinned_version_and_the_key_go_with_every_request(told: Scripted) -> None:
    with GenreClient(told.address, model_version=7, api_key=" s3cret\n") as client:  # type: ignore[attr-defined]
        client.predict_windows(clips(1))
    assert [headers["x-api-key"] for headers in told.headers] == ["s3cret", "s3cret"]


# Agreement with the model in process


@pytest.fixture(scope="module")
def toy(toy_models: pathlib.Path) -> LocalModel:
    return LocalModel(toy_models / "2")


def test_the_server_and_this_process_say_the_same(toy: LocalModel, tmp_path: pathlib.Path) -> None:
    told = Scripted(toy)
    server = serve_grpc(told)
    path = write(tmp_path / "a.mp3", sound(40 * 44100), 44100)
    with GenreClient(f"127.0.0.1:{told.port}") as client:
        there, here = client.predict_file(path), toy.predict_file(path)
    server.stop(0)
    assert there.windows == here.windows == 160
    np.testing.assert_allclose(there.window_probabilities, here.window_probabilities, atol=1e-5)
    assert there.probabilities == pytest.approx(here.probabilities, abs=1e-5)
    assert np.ptp(here.window_probabilities, axis=0).max() > 0.05


@pytest.mark.parametrize("batching", [False, True])
def test_our_server_tells_the_same_over_both_protocols(
    toy: LocalModel, servers: Callable[..., RunningServer], batching: bool
) -> None:
    running = servers(toy.path.parent, batching=batching)
    for address in (f"127.0.0.1:{running.port}", running.url):
        with GenreClient(address) as client:
            assert (client.genres, client.model_card) == (toy.genres, toy.model_card)
            assert (client.sample_rate_hz, client.clip_samples) == (RATE, CLIP)
            assert client.description.audio_params == PARAMS.digest()
            np.testing.assert_allclose(
                client.predict_windows(clips(17)), toy.predict_windows(clips(17)), atol=1e-6
            )


# Time


def test_stretches_join_neighbours_of_the_same_genre() -> None:
    rows = np.array(
        [[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.1, 0.7, 0.2], [0.4, 0.4, 0.2], [0.2, 0.3, 0.5]],
        np.float32,
    )
    model = FormulaModel()
    base = model.predict_waveform(sound(5 * CLIP), RATE)
    got = dataclasses.replace(base, window_probabilities=rows, left_out=("",) * 5).timeline()
    assert [(one.start_s, one.end_s, one.genre) for one in got] == [
        (0.0, 0.5, "Folk"), (0.5, 0.75, "Rock"), (0.75, 1.0, "Folk"), (1.0, 1.25, "Jazz")
    ]  # fmt: skip
    assert [one.probability for one in got] == pytest.approx([0.7, 0.7, 0.4, 0.5])
    left_out = ("", "near_silent", "near_silent", "channels_cancel", "")
    rows[1:4] = 0
    got = dataclasses.replace(base, window_probabilities=rows, left_out=left_out).timeline()
    assert [(one.start_s, one.end_s, one.genre, one.left_out) for one in got] == [
        (0.0, 0.25, "Folk", ""), (0.25, 0.75, None, "near_silent"),
        (0.75, 1.0, None, "channels_cancel"), (1.0, 1.25, "Jazz", ""),
    ]  # fmt: skip
    assert [one.probability for one in got] == [pytest.approx(0.8), None, None, pytest.approx(0.5)]


# Cost


def test_a_client_needs_no_tensorflow(scripted: Scripted) -> None:
    program = (
        "import sys\n"
        "from serving.client.client import GenreClient\n"
        f"with GenreClient('127.0.0.1:{scripted.port}') as client:\n"
        "    assert client.genres\n"
        "heavy = {'tensorflow', 'keras', 'pandas', 'scipy', 'librosa', 'requests'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_memory_does_not_grow_with_the_length_of_a_file(tmp_path: pathlib.Path) -> None:
    """Predict two hours of audio: 230 MB of samples."""
    path = tmp_path / "long.wav"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 8000 * 1800).astype(np.float32)
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_U8") as file:
        for _ in range(4):
            file.write(noise)
    model = FormulaModel()
    model.predict_file(write(tmp_path / "a.wav", sound(40 * CLIP)))
    tracemalloc.start()
    try:
        got = model.predict_file(path)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert got.windows == 2 * 3600 * 4
    assert most_bytes < 10 << 20
