"""Accuracy over batches that several replicas share. Keras alone."""

from __future__ import annotations

from typing import Any

import keras


def shared_accuracy(targets: bool) -> keras.metrics.Metric:
    """The share of clips that are right, whatever their weights; those of weight 0, which
    only fill a batch up, are not counted.

    Args:
      targets: whether it is given `[batch, genres]` in place of labels.
    """
    kind = keras.metrics.CategoricalAccuracy if targets else keras.metrics.SparseCategoricalAccuracy

    class SharedAccuracy(kind):  # type: ignore[misc, valid-type]
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            counted = keras.ops.cast(keras.ops.greater(sample_weight, 0), "float32")
            return super().update_state(y_true, y_pred, sample_weight=counted)

    return SharedAccuracy(name="accuracy")
