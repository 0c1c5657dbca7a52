"""Networks and training on a machine that has Keras and another backend, but no TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from components.models import architectures
from tests.support import ROOT

PROGRAM = """
import importlib.abc, json, sys

class NoTensorFlow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "tf_keras", "tfx", "apache_beam"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTensorFlow())
import keras
import numpy as np
from components.models import architectures, registry
from components.models.settings import ModelSettings
from components.trainer import training
from components.trainer.batches import Clips
from components.trainer.resolved import resolve
from components.trainer.settings import TrainingSettings
from tests.support import networks

found = {"backend": keras.backend.backend()}
for name in architectures.NETWORKS:
    n_mels, frames = networks.size_of(name)
    clips = Clips(networks.noise(6, (n_mels, frames)), np.arange(6) % 3)
    model = ModelSettings(image_size=networks.image_size_of(name))
    network = registry.build(name, model, n_mels=n_mels, frames=frames, genres=3, seed=1)
    answers = keras.ops.convert_to_numpy(network.model(clips.inputs))
    found[name] = float(np.abs(answers.sum(axis=1) - 1).max())
    if name == "cnn_small" and found["backend"] == "jax":
        settings = resolve(TrainingSettings(epochs=1), model, registry.defaults(name))
        found["loss"] = training.train(network, clips, clips, settings).epochs[0].loss
print(json.dumps(found))
"""


# Keras's NumPy backend takes some operations from JAX, which is among the development tools.
@pytest.mark.parametrize("backend", ["jax", "numpy"])
def test_the_networks_are_built_without_tensorflow(backend: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("backend") == backend
    assert found.pop("loss", 1.0) > 0
    assert found.keys() == architectures.NETWORKS.keys()
    assert max(found.values()) < 1e-4
