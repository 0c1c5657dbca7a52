"""Tests of the memory that a training leaves behind."""

from __future__ import annotations

import gc
import sys

import keras
import numpy as np
import pytest

from components.trainer import step_graphs, training
from tests.components.trainer import toys


def _step_graphs() -> int:
    from tensorflow.python.framework import func_graph

    gc.collect()
    return sum(type(found) is func_graph.FuncGraph for found in gc.get_objects())


def test_a_finished_training_leaves_no_graph() -> None:
    before = _step_graphs()
    for _ in range(2):
        network = toys.with_base()
        training.train(network, toys.clips(24, 1), toys.clips(6, 2), toys.settings())
        del network
    assert _step_graphs() == before


def test_a_failed_training_leaves_no_graph() -> None:
    before = _step_graphs()

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(
            toys.cnn(), toys.clips(24, 1), toys.clips(6, 2), toys.settings(), on_epoch=fail
        )
    assert _step_graphs() == before


def test_a_trained_network_can_be_trained_again() -> None:
    network = toys.plain()
    for _ in range(2):
        training.train(network, toys.clips(24, 1), toys.clips(6, 2), toys.settings())
    predicted = np.asarray(network.model(toys.clips(6, 3).inputs.astype(np.float32)))
    assert np.isfinite(predicted).all()


def test_gradients_registered_before_the_training_stay() -> None:
    import tensorflow as tf

    @tf.custom_gradient
    def doubled(x: tf.Tensor) -> tuple[tf.Tensor, object]:
        return 2.0 * x, lambda upstream: 5.0 * upstream

    traced = tf.function(doubled, input_signature=[tf.TensorSpec([], tf.float32)])
    traced.get_concrete_function()
    with step_graphs.released():
        pass
    x = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        y = traced(x)
    assert float(tape.gradient(y, x)) == 5.0


def test_without_tensorflow_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tensorflow.python.framework.ops")
    with step_graphs.released():
        keras.ops.zeros(1)
    assert "tensorflow.python.framework.ops" not in sys.modules
