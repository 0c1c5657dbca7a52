"""Tests of GenreClient with Genreflow's server: the model's own probabilities, and errors."""

from __future__ import annotations

import pathlib

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from serving.client import errors
from serving.client.client import GenreClient
from serving.model.local import LocalModel
from tests.support.serving_server import RunningServer
from tests.support.serving_toys import CLIP, GENRES, PARAMS, clips


@pytest.fixture(scope="module")
def here(toy_models: pathlib.Path) -> LocalModel:
    return LocalModel(toy_models / "2")


def addresses(server: RunningServer) -> tuple[str, str]:
    return f"127.0.0.1:{server.port}", server.url


def sound(samples: int) -> npt.NDArray[np.float32]:
    steps = np.cumsum(np.random.default_rng(0).uniform(0.02, 1.5, samples // 1000 + 1))
    return (0.5 * np.sin(np.arange(samples) * steps.repeat(1000)[:samples] / 10)).astype(np.float32)


def test_by_grpc_it_learns_all_and_by_rest_what_it_needs(
    server: RunningServer, here: LocalModel
) -> None:
    by_grpc, by_rest = addresses(server)
    with GenreClient(by_grpc) as client:
        assert (client.genres, client.sample_rate_hz, client.clip_samples) == (GENRES, 8000, CLIP)
        assert client.model_card == here.model_card
        assert client.description.version == 2
        assert client.description.audio_params == PARAMS.digest()
    with GenreClient(by_rest) as client:
        assert (client.genres, client.sample_rate_hz, client.clip_samples) == (GENRES, 8000, CLIP)


@pytest.mark.parametrize("rest", [False, True])
def test_the_answers_are_those_of_the_model_in_process(
    server: RunningServer, here: LocalModel, tmp_path: pathlib.Path, rest: bool
) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, np.stack([sound(12 * 44100)] * 2, axis=1), 44100)
    with GenreClient(addresses(server)[rest]) as client:
        there = client.predict_file(path)
    expected = here.predict_file(path)
    assert there.windows == expected.windows == 48
    np.testing.assert_allclose(there.window_probabilities, expected.window_probabilities, atol=1e-5)
    assert there.probabilities == pytest.approx(expected.probabilities, abs=1e-5)
    assert np.ptp(expected.window_probabilities, axis=0).max() > 0.05


@pytest.mark.parametrize("rest", [False, True])
def test_so_are_those_for_real_songs(
    server: RunningServer, here: LocalModel, real_data: pathlib.Path, rest: bool
) -> None:
    songs = sorted(real_data.glob("fma/fma_small/*/*.mp3"))
    assert songs
    with GenreClient(addresses(server)[rest]) as client:
        for path in songs:
            np.testing.assert_allclose(
                client.predict_file(path).window_probabilities,
                here.predict_file(path).window_probabilities,
                atol=1e-5,
            )


@pytest.mark.parametrize("rest", [False, True])
def test_an_older_version_can_be_asked_and_an_unknown_one_is_refused(
    server: RunningServer, toy_models: pathlib.Path, rest: bool
) -> None:
    address = addresses(server)[rest]
    with GenreClient(address, model_version=1) as client:
        got = client.predict_windows(clips(3))
    np.testing.assert_allclose(
        got, LocalModel(toy_models / "1").predict_windows(clips(3)), atol=1e-5
    )
    with pytest.raises(errors.ModelNotFoundError, match=r"1 \(AVAILABLE\), 2 \(AVAILABLE\)"):
        GenreClient(address, model_version=9)
    with pytest.raises(errors.ModelNotFoundError, match=r"labelled 'canary'.*1 \(AVAILABLE\)"):
        GenreClient(address, version_label="canary")
    with pytest.raises(errors.ModelNotFoundError, match="no model 'other'"):
        GenreClient(address, model_name="other")


def test_the_ports_are_told_apart(server: RunningServer) -> None:
    with pytest.raises(errors.WrongProtocolError, match=r"HTTP \(REST\)"):
        GenreClient(f"127.0.0.1:{server.rest_port}")
    with pytest.raises(errors.WrongProtocolError, match="speaks gRPC"):
        GenreClient(f"http://127.0.0.1:{server.port}")
