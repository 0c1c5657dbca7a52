"""The steps of "add a network" in CONTRIBUTING.md, taken literally: two files, nothing else."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys

from tests.support import ROOT

MODULE = '''"""One dense layer."""

from __future__ import annotations

import keras
from keras import layers

from components.models.blocks import classifier
from components.models.network import Defaults, Network, single_phase
from components.models.preprocessing import Standardise
from components.models.settings import ModelSettings
from components.models.weights import reject_weights

DEFAULTS = Defaults(dropout=0.0, scratch_learning_rate=0.02)


def build(settings: ModelSettings, *, n_mels: int, frames: int, genres: int, seed: int) -> Network:
    reject_weights("tiny", settings.weights)
    mel_db = keras.Input((n_mels, frames), name="mel_db")
    x = layers.Flatten(name="flatten")(Standardise(name="standardise")(mel_db))
    probabilities = classifier(x, genres, l2=DEFAULTS.l2_of(settings), seed=seed)
    return single_phase(keras.Model(mel_db, probabilities, name="tiny"))
'''
ENTRY = '    "tiny": Architecture("components.models.tiny", 0.0, parameters_per_cell=8),\n'

CONFIG = """
[models.tiny]
epochs = 2
batch_size = 4

[audio]
sample_rate_hz = 4000
fft_samples = 256
hop_samples = 128
n_mels = 16
clip_seconds = 0.5
"""

PROGRAM = """
import dataclasses, json, pathlib, sys, types

folder = pathlib.Path(sys.argv[1])

from components.models import architectures
from pipeline.config.load import load
from pipeline.config.schema import network_problems
from pipeline.prepare import disk_space

config = load(folder / "tiny.toml")
found = {"modules": [architectures.__file__]}
found["problem"] = next(iter(network_problems(["tinny"])))
found["estimate"] = disk_space.parameters("tiny", config.models["tiny"], config.audio)

import numpy as np
import tensorflow as tf
from components.artifacts.code_digest import modules_of
from components.audio.spectrogram.stored import to_stored
from components.ensemble.component import EnsemblerSpec
from components.examples.writer import Clip, serialize
from components.report.component import ReportSpec
from components.trainer import run_fn
from components.trainer.task import TrainingTask

found["inputs"] = [*EnsemblerSpec.INPUTS, *ReportSpec.INPUTS]
found["rerun by"] = sorted(modules_of(run_fn.__name__, dict([architectures.code_of("tiny")])))

rng = np.random.default_rng(0)
for split, count in (("train", 8), ("validation", 2)):
    (folder / split).mkdir()
    with tf.io.TFRecordWriter(str(folder / split / "part-00000-of-00001.tfrecord")) as writer:
        for number in range(count):
            mel_db = rng.uniform(-70, -50, (config.audio.n_mels, config.audio.frames))
            mel_db[5 * (number % 2)] += 40
            clip = Clip(
                track_id=str(number), artist_id="", genre="ab"[number % 2], label=number % 2,
                clip_index=0, clip_start_s=0.0, mel_db=to_stored(mel_db),
            )
            writer.write(serialize(clip, config.audio))
task = TrainingTask(
    architecture="tiny", model=config.models["tiny"], training=config.training,
    audio=config.audio, genres=("a", "b"), code_digest="0" * 16, weights_digest="",
)
run_fn.run_fn(types.SimpleNamespace(
    train_files=[f"{folder}/train/*"], eval_files=[f"{folder}/validation/*"],
    serving_model_dir=str(folder / "model"), model_run_dir=str(folder / "run"),
    custom_config=json.loads(json.dumps(task.to_json())), hyperparameters=None,
))
found["history"] = json.loads((folder / "run" / "history.json").read_text())
model = tf.saved_model.load(str(folder / "model"))
clip = tf.zeros((1, config.audio.clip_samples))
found["served"] = model.signatures["serving_default"](waveform=clip)["probabilities"].shape[1]
print(json.dumps(found))
"""


def test_a_module_and_an_entry_are_all_that_a_network_needs(tmp_path: pathlib.Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    for package in ("components", "pipeline"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    models = tmp_path / "components" / "models"
    (models / "tiny.py").write_text(MODULE)
    table = (models / "architectures.py").read_text()
    before, brace, after = table.partition("] = {\n")
    (models / "architectures.py").write_text(before + brace + ENTRY + after)
    (tmp_path / "tiny.toml").write_text(CONFIG)

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["modules"] == [str(models / "architectures.py")]
    # The configuration knows it, and helps with a misspelt name.
    assert found["problem"].startswith("models.tinny: unknown network; did you mean models.tiny?")
    assert "model_tiny" in found["inputs"]
    assert found["inputs"].count("run_tiny") == 2
    assert "components.models.tiny" in found["rerun by"]
    assert "components.models.vgg16" not in found["rerun by"]
    history = found["history"]
    assert history["architecture"] == "tiny"
    assert history["settings"]["learning_rate"] == 0.02  # the module's own
    assert len(history["epochs"]) == 2
    assert history["parameters"] == 2 * (16 * 16 + 1)
    assert found["estimate"] == 8 * 16 * 16
    assert found["served"] == 2
