"""Short names of hyperparameters."""

from __future__ import annotations

# What may be tuned, as narrow columns name it.
SHORT_NAMES = {"learning_rate": "rate", "batch_size": "batch", "dropout": "dropout", "l2": "L2"}
