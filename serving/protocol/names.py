"""Names that servers and clients share. It imports nothing, so that neither loads the other."""

from __future__ import annotations

# A gRPC metadata key; HTTP headers are the same word, in any case.
API_KEY_HEADER = "x-api-key"
API_KEY_VARIABLE = "GENREFLOW_API_KEY"
# TensorFlow Serving's own path.
METRICS_PATH = "/monitoring/prometheus/metrics"
