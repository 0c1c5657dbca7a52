"""Small exported models for tests of serving, and audio to send.

Loaded by conftest.py. The models are real exports, with the front end, all signatures, assets and
warm-up requests; only the network is small.
"""

from __future__ import annotations

import pathlib

import numpy as np
import numpy.typing as npt
import pytest

from components.audio.params import AudioParams

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.25
)
CLIP = PARAMS.clip_samples
GENRES = ("Folk", "Rock", "Jazz")


def write_toy_model(version: pathlib.Path, seed: int = 3, params: AudioParams = PARAMS) -> None:
    """Export a model into the folder `version`; the seed changes its probabilities."""
    import tensorflow as tf

    from components.export.saved_model import write_saved_model
    from components.export.serving_module import pictures

    rng = np.random.default_rng(seed)
    size = params.n_mels * params.frames
    kernel = tf.Variable(rng.normal(0, 0.2, (size, len(GENRES))).astype(np.float32))

    @tf.function(input_signature=[pictures(params)])
    def network(mel_db: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(mel_db / 40 + 1, [-1, size])
        return tf.nn.softmax(tf.matmul(flat, kernel))

    write_saved_model(
        network,
        [kernel],
        str(version),
        params=params,
        genres=GENRES,
        model_card={"architecture": "toy", "synthetic": True, "model_digest": f"{seed:064x}"},
        seen={"train": [], "validation": []},
    )


@pytest.fixture(scope="session")
def toy_models(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return a folder `genreflow` with versions 1 and 2, whose outputs differ.

    Copy it before changing it. Its name is the model's.
    """
    folder = tmp_path_factory.mktemp("toys") / "genreflow"
    for version in (1, 2):
        write_toy_model(folder / str(version), seed=version)
    return folder


def clips(rows: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return different sounds within full scale, float32 `[rows, CLIP]`."""
    rng = np.random.default_rng(seed)
    times = np.arange(CLIP) / PARAMS.sample_rate_hz
    hertz = rng.uniform(100, 3000, (rows, 1))
    noise = rng.normal(0, 0.05, (rows, CLIP))
    return (0.5 * np.sin(2 * np.pi * hertz * times) + noise).astype(np.float32)
