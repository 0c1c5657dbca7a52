"""Tests of a program's own model server, in a real process."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

import genreflow


def test_it_serves_until_the_end_of_the_block(toy_models: pathlib.Path) -> None:
    with genreflow.local_server(toy_models) as address:
        with genreflow.GenreClient(address) as client:
            noise = np.random.default_rng(0).normal(0, 0.1, 3 * client.sample_rate_hz)
            assert client.predict_waveform(noise, client.sample_rate_hz).probabilities
        assert address.startswith("127.0.0.1:")
    with pytest.raises(genreflow.ClientError), genreflow.GenreClient(address, timeout_s=2):
        pass


def test_a_folder_without_a_model_is_told(tmp_path: pathlib.Path) -> None:
    with (
        pytest.raises(genreflow.GenreflowError, match="contains no model"),
        genreflow.local_server(tmp_path),
    ):
        pass
