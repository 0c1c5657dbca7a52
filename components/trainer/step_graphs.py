"""Release of the graphs that TensorFlow traces for the steps of a training."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

# tensorflow/python/ops/custom_gradient.py, _graph_mode_decorator (2.16).
_NAME_PREFIX = "CustomGradient-"


@contextlib.contextmanager
def released() -> Iterator[None]:
    """Let the step graphs traced inside the context be freed together with their model.

    Keras' optimizers sum the gradients over the replicas, even of one device. TensorFlow gives
    that sum a gradient of its own, and registers it for each trace under a new name, for the
    rest of the process. The registered function keeps the graph of the step, and so the weights
    and the optimizer's state. No step takes the gradient of an update, so these entries
    are removed at the end of the context. Without TensorFlow, as on JAX, nothing is done.
    """
    registered = _registered()
    before = set(registered)
    try:
        yield
    finally:
        # Looked up again, as the training may have been the first use of TensorFlow.
        registered = _registered()
        for name in [name for name in registered if name not in before]:
            if name.startswith(_NAME_PREFIX):
                del registered[name]


def _registered() -> dict[str, Any]:
    """Return TensorFlow's table of gradients by name, or an empty one without TensorFlow."""
    ops: Any = sys.modules.get("tensorflow.python.framework.ops")
    return {} if ops is None else ops.gradient_registry._registry
