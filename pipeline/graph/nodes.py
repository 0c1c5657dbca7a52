"""Ids of the graph's nodes. Imports no TFX."""

from __future__ import annotations

PUSHER = "Pusher"


SERVING_CHECK = "ServingCheck"


SERVING_MODEL = "ServingModel"
