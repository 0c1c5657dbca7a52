"""Tests of training on several devices, on a processor that is split into two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from components.trainer.batches import (
    NO_AUGMENTATION,
    Clips,
    Padding,
    padded,
    unpadded_accuracy,
    varied_batch,
)
from tests.support import ROOT


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Return the output of two_devices.py, a process that splits its processor."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.components.trainer.two_devices"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            results.update(json.loads(line))
    return results


@pytest.mark.slow
@pytest.mark.parametrize("case", ["clipped and weighted", "soft targets", "two phases"])
def test_two_devices_train_what_one_does(found: dict[str, Any], case: str) -> None:
    result = found[case]
    # Sums in another order, and nothing else: ragged batches and cut gradients included.
    assert result["distance"] < 1e-5
    assert len(result["together"]) == len(result["alone"])
    for together, alone in zip(result["together"], result["alone"], strict=True):
        assert together["phase"] == alone["phase"]
        for name in ("val_loss", "val_accuracy", "accuracy"):
            assert together[name] == pytest.approx(alone[name], abs=1e-5), name
        # The clips of a ragged batch count as many as it was filled up to.
        assert together["loss"] == pytest.approx(alone["loss"], rel=0.03)


@pytest.mark.slow
def test_a_killed_training_on_two_devices_ends_as_an_unbroken_one(found: dict[str, Any]) -> None:
    result = found["float16"]
    assert result["resumed_epochs"] == 3
    assert result["losses"] == result["expected"]
    assert result["same"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["memory", "stream"])
def test_the_trainer_exports_what_two_devices_learned(found: dict[str, Any], kind: str) -> None:
    result = found[kind]
    assert result["devices"] == {"gpus": [], "replicas": 2, "jit_compile": False}
    assert result["input"] == kind
    assert result["accuracy"] == pytest.approx(result["recorded"], abs=1e-6)


@pytest.mark.parametrize("clips", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("replicas", [2, 3, 4])
def test_the_mean_of_the_replicas_means_is_the_mean_over_the_clips(
    clips: int, replicas: int
) -> None:
    rng = np.random.default_rng(clips)
    losses, weights = rng.random(clips), rng.random(clips).astype(np.float32)
    inputs, targets, raised = padded(
        losses[:, np.newaxis].astype(np.float32),
        np.arange(clips),
        weights,
        Padding(replicas, np.ones(3, np.float32)),
    )
    assert len(inputs) % replicas == 0
    assert len(inputs) - clips < replicas
    np.testing.assert_array_equal(targets[:clips], np.arange(clips))
    assert not raised[clips:].any()
    parts = np.split(inputs[:, 0] * raised, replicas)
    found = np.mean([part.mean() for part in parts])
    assert found == pytest.approx((losses * weights).mean(), rel=1e-5)


@pytest.mark.parametrize(("clips", "batch_size"), [(9, 8), (8, 8), (10, 3), (1, 8)])
def test_a_whole_epochs_mean_counts_every_clip_alike(clips: int, batch_size: int) -> None:
    losses = np.random.default_rng(1).random(clips).astype(np.float32)
    source = Clips(losses[:, np.newaxis, np.newaxis], np.arange(clips) % 3)
    padding = Padding.of_epoch(2, clips, batch_size, 3)
    batches = source.batches(batch_size, padding=padding)
    every = [batches[index] for index in range(len(batches))]
    total = sum(float((inputs[:, 0, 0] * weights).sum()) for inputs, _, weights in every)
    assert total / sum(len(inputs) for inputs, *_ in every) == pytest.approx(losses.mean())


def test_genres_weigh_what_they_are_said_to() -> None:
    inputs, labels = np.zeros((3, 2, 2), np.float32), np.array([2, 0, 2])
    padding = Padding(1, np.array([1.0, 5.0, 0.25], np.float32))
    *_, weights = varied_batch(inputs, labels, 0, (0, 0), NO_AUGMENTATION, 0, padding)
    np.testing.assert_array_equal(weights, np.array([0.25, 1.0, 0.25], np.float32))


@pytest.mark.parametrize("targets", [False, True])
def test_accuracy_counts_clips_and_no_repeats(targets: bool) -> None:
    metric = unpadded_accuracy(targets)
    labels = np.array([0, 1, 1, 0])
    answers = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
    truth = np.eye(2, dtype=np.float32)[labels] if targets else labels
    metric.update_state(truth, answers, sample_weight=np.array([5.0, 0.1, 2.0, 0.0]))
    assert float(metric.result()) == pytest.approx(2 / 3)
