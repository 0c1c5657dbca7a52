"""A front end is added by a class and its line in FRONT_ENDS."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from components.audio.front_ends import registry
from components.audio.front_ends.front_end import FrontEnd
from components.audio.params import AudioParams
from components.audio.spectrogram import mel, mel_graph
from components.audio.spectrogram.stored import from_stored, to_stored
from components.examples import parser
from components.examples.writer import Clip, serialize
from pipeline.config.load import load


class CubeRoot(FrontEnd):
    """Cube root of the power instead of its logarithm, at 8 kHz."""

    name = "cube_root"
    version = "cube_root.1"
    fixed = {"sample_rate_hz": 8000, "fft_samples": 256, "hop_samples": 128}  # noqa: RUF012
    zero_db = "a mel power of 1,000"

    def levels(self, power: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.minimum(8 * np.cbrt(power) - 80, 0).astype(np.float32)

    def graph_levels(self, tf: Any, power: Any) -> Any:
        return tf.minimum(8 * tf.pow(power, 1 / 3) - 80.0, 0.0)


@pytest.fixture
def params(monkeypatch: pytest.MonkeyPatch) -> AudioParams:
    monkeypatch.setitem(registry.FRONT_ENDS, "cube_root", CubeRoot())
    return AudioParams.of_front_end("cube_root", n_mels=16, clip_seconds=0.5)


def test_the_configuration_fills_in_what_it_fixes(
    params: AudioParams, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "c.toml").write_text(
        '[audio]\nfront_end = "cube_root"\nn_mels = 16\nclip_seconds = 0.5\n[models.cnn_small]\n'
    )
    assert load(tmp_path / "c.toml").audio == params
    assert params.digest() != AudioParams().digest()


def test_its_examples_and_its_graph_agree(params: AudioParams) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (3, 4000)).astype(np.float32)
    levels = mel.log_mel(noise, params)
    in_graph = mel_graph.log_mel(tf.constant(noise), params).numpy()
    np.testing.assert_allclose(in_graph, levels, atol=1e-4)
    examples = [
        serialize(Clip("t", "", "a", 0, 0, 0.0, to_stored(picture)), params) for picture in levels
    ]
    read = parser.parse(tf.constant(examples), params)["mel_db"].numpy()
    np.testing.assert_array_equal(read, from_stored(to_stored(levels)))
