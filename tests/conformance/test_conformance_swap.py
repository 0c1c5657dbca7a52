"""Tests of models and versions that appear and vanish while requests are answered."""

from __future__ import annotations

import pathlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator

import grpc
import numpy as np
import pytest

from components.audio.params import AudioParams
from serving.client.client import GenreClient
from serving.model.local import LocalModel
from serving.model.prediction import Prediction
from serving.protocol import protos
from tests.conformance.conftest import Direct
from tests.conformance.hostile import assert_clear
from tests.conformance.served import (
    LABELS,
    MODEL,
    SWAPPED,
    Served,
    configuration,
    predict_request,
)
from tests.support.serving_toys import clips, write_toy_model

CLIENTS = 4
# Requests that each client still sends after it has seen the new version.
MORE_REQUESTS = 20


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.02)


def appear(source: pathlib.Path, version: pathlib.Path) -> None:
    """Make a version appear at once."""
    temporary = version.with_name(f"copy-of-{version.name}")
    shutil.copytree(source, temporary)
    temporary.rename(version)


class Client(threading.Thread):
    """Client that sends requests without pause until stopped, and records versions and outputs."""

    def __init__(self, served: Served, sound: np.ndarray) -> None:
        super().__init__(daemon=True)
        self.served, self.request = served, predict_request({"waveform": sound}, name=SWAPPED)
        self.done = threading.Event()
        self.answers: list[tuple[int, np.ndarray]] = []
        self.failures: list[str] = []

    def run(self) -> None:
        from serving.protocol.tensors import to_array

        while not self.done.is_set():
            try:
                response = self.served.prediction.Predict(self.request, timeout=30)
            except grpc.RpcError as error:
                self.failures.append(f"{error.code()}: {error.details()}")
                continue
            probabilities = to_array(response.outputs["probabilities"])
            self.answers.append((response.model_spec.version.value, probabilities))

    def seen(self, version: int) -> int:
        return sum(1 for found, _ in list(self.answers) if found == version)


def test_no_request_fails_while_a_new_version_takes_over(
    served: Served, direct: Direct, toy_models: pathlib.Path
) -> None:
    sounds = [clips(1, seed=index) for index in range(CLIENTS)]
    clients = [Client(served, sound) for sound in sounds]
    for client in clients:
        client.start()
    try:
        wait_for(lambda: all(client.seen(1) for client in clients), "answers of version 1")
        appear(toy_models / "2", served.root / SWAPPED / "2")
        wait_for(
            lambda: all(client.seen(2) >= MORE_REQUESTS for client in clients),
            "answers of version 2",
        )
        wait_for(lambda: served.states(SWAPPED).get(1) == "END", "the end of version 1")
    finally:
        for client in clients:
            client.done.set()
        for client in clients:
            client.join(60)
    for client, sound in zip(clients, sounds, strict=True):
        assert client.failures == []
        versions = [version for version, _ in client.answers]
        assert versions == sorted(versions)
        expected = {
            version: direct(version, "", waveform=sound)["probabilities"] for version in (1, 2)
        }
        for version, probabilities in client.answers:
            np.testing.assert_allclose(probabilities, expected[version], rtol=1e-4, atol=1e-6)
    assert served.states(SWAPPED) == {1: "END", 2: "AVAILABLE"}
    with pytest.raises(grpc.RpcError) as caught:
        served.predict(predict_request({"waveform": sounds[0]}, name=SWAPPED, version=1))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert "Specific(swapped, 1)" in caught.value.details()


@pytest.fixture
def restored(served: Served) -> Iterator[Served]:
    """Return the server, and restore its models afterwards."""
    yield served
    served.reload(configuration(served.root, LABELS))


# Another sample rate, window and picture than the toys'.
OTHER_KIND = AudioParams(
    sample_rate_hz=16000, fft_samples=512, hop_samples=256, n_mels=24, clip_seconds=0.4
)


class Listener(threading.Thread):
    """Client that predicts a recording again and again until stopped."""

    def __init__(self, address: str, sound: np.ndarray) -> None:
        super().__init__(daemon=True)
        self.address, self.sound = address, sound
        self.done = threading.Event()
        self.found: list[Prediction] = []
        self.failures: list[str] = []

    def run(self) -> None:
        with GenreClient(self.address, model_name="kinds") as client:
            while not self.done.is_set():
                try:
                    self.found.append(client.predict_waveform(self.sound, 8000))
                except Exception as error:
                    self.failures.append(f"{type(error).__name__}: {error}")

    def heard(self, clip_seconds: float) -> int:
        return sum(1 for one in list(self.found) if one.clip_seconds == clip_seconds)


def test_clients_follow_a_version_that_hears_in_another_form(
    restored: Served, toy_models: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Swap a model of 0.25 s at 8 kHz for one of 0.4 s at 16 kHz while clients predict songs."""
    write_toy_model(tmp_path / "2", seed=2, params=OTHER_KIND)
    folder = restored.root / "kinds"
    folder.mkdir()
    appear(toy_models / "1", folder / "1")
    restored.reload(configuration(restored.root, LABELS, [("kinds", folder)]))
    # 40 windows of the first kind, 25 of the second: several requests each.
    sound = clips(40, seed=5).reshape(-1)
    addresses = [f"127.0.0.1:{restored.port}", f"http://127.0.0.1:{restored.rest_port}"] * 2
    clients = [Listener(where, sound) for where in addresses]
    for client in clients:
        client.start()
    try:
        wait_for(lambda: all(client.heard(0.25) for client in clients), "answers of version 1")
        appear(tmp_path / "2", folder / "2")
        wait_for(lambda: all(client.heard(0.4) >= 3 for client in clients), "answers of version 2")
        wait_for(lambda: restored.states("kinds").get(1) == "END", "the end of version 1")
    finally:
        for client in clients:
            client.done.set()
        for client in clients:
            client.join(60)
    expected = {
        model.clip_samples / model.sample_rate_hz: model.predict_waveform(sound, 8000)
        for model in map(LocalModel, (toy_models / "1", tmp_path / "2"))
    }
    for client in clients:
        assert client.failures == []
        kinds = [one.clip_seconds for one in client.found]
        assert kinds == sorted(kinds)
        assert set(kinds) == {0.25, 0.4}
        for one in client.found:
            np.testing.assert_allclose(
                one.window_probabilities,
                expected[one.clip_seconds].window_probabilities,
                rtol=1e-4,
                atol=1e-6,
            )


def test_a_reload_adds_a_model_and_takes_it_away_again(
    restored: Served, direct: Direct, toy_models: pathlib.Path
) -> None:
    folder = restored.root / "added"
    folder.mkdir()
    appear(toy_models / "1", folder / "5")
    request = predict_request({"waveform": clips(1)}, name="added")
    config = configuration(restored.root, LABELS, [("added", folder)])
    # The reload is answered once the model is available.
    response = restored.reload(config)
    assert (response.status.error_code, response.status.error_message) == (0, "")
    answer = restored.predict(request)
    expected = direct(1, "", waveform=clips(1))
    np.testing.assert_allclose(
        answer["probabilities"], expected["probabilities"], rtol=1e-4, atol=1e-6
    )
    assert restored.states("added") == {5: "AVAILABLE"}
    assert restored.states(MODEL) == {1: "AVAILABLE", 2: "AVAILABLE"}

    restored.reload(configuration(restored.root, LABELS))

    wait_for(lambda: restored.states("added") == {5: "END"}, "the end of the added model")
    with pytest.raises(grpc.RpcError) as caught:
        restored.predict(request)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert "Servable not found for request: Latest(added)" in caught.value.details()


def test_a_reload_moves_a_label(restored: Served) -> None:
    request = predict_request({"waveform": clips(1)}, label="stable")
    answered = restored.prediction.Predict(request, timeout=30).model_spec.version.value
    assert answered == 1
    restored.reload(configuration(restored.root, {"stable": 2}))
    answered = restored.prediction.Predict(request, timeout=30).model_spec.version.value
    assert answered == 2
    with pytest.raises(grpc.RpcError) as caught:
        restored.predict(predict_request({"waveform": clips(1)}, label="canary"))
    assert "Unrecognized servable version label: canary" in caught.value.details()


def _no_config(root: pathlib.Path) -> object:
    return protos.model_server_config_pb2.ModelServerConfig()


def _twice(root: pathlib.Path) -> object:
    return configuration(root, {}, [(MODEL, root / MODEL)])


def _relative(root: pathlib.Path) -> object:
    return configuration(root, {}, [("added", pathlib.Path("added"))])


def _other_platform(root: pathlib.Path) -> object:
    config = configuration(root)
    config.model_config_list.config[0].model_platform = "caffe"
    return config


def _no_platform(root: pathlib.Path) -> object:
    config = configuration(root)
    config.model_config_list.config[0].model_platform = ""
    return config


def _label_of_none(root: pathlib.Path) -> object:
    return configuration(root, {"stable": 77})


@pytest.mark.parametrize(
    ("make", "codes", "words"),
    [
        (_no_config, ["INVALID_ARGUMENT"], "Only ModelConfigList is currently supported"),
        (_twice, ["INVALID_ARGUMENT"], "Illegal to list model genreflow multiple times"),
        (_relative, ["INVALID_ARGUMENT"], "Expected model added to have an absolute path"),
        (_other_platform, ["INVALID_ARGUMENT"], "platform"),
        (_no_platform, ["INVALID_ARGUMENT"], "Illegal setting neither"),
        (_label_of_none, ["FAILED_PRECONDITION"], "not currently available for inference"),
    ],
)
def test_a_bad_reload_changes_nothing(
    restored: Served,
    make: Callable[[pathlib.Path], object],
    codes: list[str],
    words: str,
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        restored.reload(make(restored.root))
    assert caught.value.code().name in codes
    assert words in caught.value.details()
    if restored.is_ours:
        assert_clear(caught.value.details(), str(restored.root))
        for label, version in LABELS.items():
            request = predict_request({"waveform": clips(1)}, label=label)
            spec = restored.prediction.Predict(request, timeout=30).model_spec
            assert spec.version.value == version


@pytest.mark.parametrize("kind", ["missing", "empty", "file", "outside", "dots", "link"])
def test_a_reload_to_a_folder_that_cannot_be_served_is_refused(
    ours: Served, restored: Served, toy_models: pathlib.Path, tmp_path: pathlib.Path, kind: str
) -> None:
    """Refuse a reload that TensorFlow Serving would accept, to wait forever for a version."""
    shutil.copytree(toy_models, tmp_path / "elsewhere")
    place = ours.root / f"bad-{kind}"
    if kind == "empty":
        place.mkdir()
    elif kind == "file":
        place.write_text("no folder")
    elif kind == "outside":
        place = tmp_path / "elsewhere"
    elif kind == "dots":
        place = pathlib.Path(f"{ours.root}/../../{tmp_path.relative_to(tmp_path.anchor)}/elsewhere")
    elif kind == "link":
        place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(grpc.RpcError) as caught:
        ours.reload(configuration(ours.root, LABELS, [("bad", place)]))
    message = caught.value.details()
    if kind in ("outside", "link"):
        assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED, message
    assert "bad" in message
    assert_clear(message, str(tmp_path))
    for name in (MODEL, SWAPPED):
        served = ours.prediction.Predict(
            predict_request({"waveform": clips(1)}, name=name), timeout=30
        )
        assert served.model_spec.name == name
    with pytest.raises(grpc.RpcError) as caught:
        ours.predict(predict_request({"waveform": clips(1)}, name="bad"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
