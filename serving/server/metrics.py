"""Metrics for Prometheus, under TensorFlow Serving's names where it has the same metric.

No request can add a series of its own, as labels take few values: models and signatures that
are served (all others count as ""), and closed lists of methods, protocols and status codes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from serving.server.answers import Answers
from serving.server.errors import ServingError

MICROSECONDS = 1e6
_LATENCY_BUCKETS_US = [base * 10**power for power in range(2, 8) for base in (1, 2, 5)]
_ROW_BUCKETS = [2**power for power in range(13)]


@dataclasses.dataclass
class RequestLabels:
    """Labels of a request; each is set once the model or signature is known to exist."""

    model: str = ""
    signature: str = ""
    status: str = "INTERNAL"


class Metrics:
    """Counters and timers of requests, shown in Prometheus' text format."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._lock = threading.Lock()
        self._answered = 0
        self._requests = Counter(
            ":tensorflow:serving:request_count",
            "Requests, by model, method, signature, protocol and status.",
            ["model_name", "API", "signature", "entrypoint", "status"],
            registry=self._registry,
        )
        self._latency = Histogram(
            ":tensorflow:serving:request_latency",
            "Microseconds from a request's arrival to its response.",
            ["model_name", "API", "entrypoint"],
            buckets=_LATENCY_BUCKETS_US,
            registry=self._registry,
        )
        self._rows = Histogram(
            ":genreflow:serving:request_rows",
            "Rows (the first dimension of the inputs) in a Predict request.",
            ["model_name"],
            buckets=_ROW_BUCKETS,
            registry=self._registry,
        )
        self._batches = Histogram(
            ":tensorflow:serving:batching_session:processed_batch_size",
            "Rows in a batch, where requests are batched.",
            ["model_name"],
            buckets=_ROW_BUCKETS,
            registry=self._registry,
        )
        self._working = Gauge(
            ":genreflow:serving:requests_in_work",
            "Predict requests in progress or waiting for a batch.",
            registry=self._registry,
        )
        self._answers = Answers()
        self._registry.register(self._answers)

    @property
    def answered(self) -> int:
        """Return how many requests were answered, errors included."""
        with self._lock:
            return self._answered

    @contextlib.contextmanager
    def request(self, api: str, entrypoint: str) -> Iterator[RequestLabels]:
        """Count and time the request that is handled inside the context, however it ends."""
        labels = RequestLabels()
        start = time.perf_counter()
        try:
            yield labels
            labels.status = "OK"
        except ServingError as error:
            labels.status = error.code.name
            raise
        finally:
            microseconds = (time.perf_counter() - start) * MICROSECONDS
            self._requests.labels(
                labels.model, api, labels.signature, entrypoint, labels.status
            ).inc()
            self._latency.labels(labels.model, api, entrypoint).observe(microseconds)
            with self._lock:
                self._answered += 1

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Count a Predict request as in progress inside the context."""
        with self._working.track_inprogress():
            yield

    def rows(self, model: str, rows: int) -> None:
        """Record the number of rows in a request to a served model."""
        self._rows.labels(model).observe(rows)

    def answer(
        self, model: str, version: int, genres: Sequence[str], probabilities: npt.NDArray[Any]
    ) -> None:
        """Record the rows of an answer; see Answers.record."""
        self._answers.record(model, version, genres, probabilities)

    def batch(self, model: str, rows: int) -> None:
        """Record the number of rows in a batch of a served model."""
        self._batches.labels(model).observe(rows)

    def show_queue(self, depth: Callable[[], int]) -> None:
        """Show the depth of the queue, read anew for each page."""
        gauge = Gauge(
            ":tensorflow:serving:batching_session:queued_requests",
            "Requests that wait for a batch.",
            registry=self._registry,
        )
        gauge.set_function(lambda: float(depth()))

    def show_versions(self, available: Callable[[], Collection[tuple[str, int]]]) -> None:
        """Show the available (model, version) pairs, read anew for each page."""
        self._registry.register(_Versions(available))

    def page(self) -> bytes:
        """Return the metrics in Prometheus' text format, UTF-8."""
        return bytes(generate_latest(self._registry))


class _Versions(Collector):
    """Collector of available versions: unloaded ones disappear from the page."""

    def __init__(self, available: Callable[[], Collection[tuple[str, int]]]) -> None:
        self._available = available

    def describe(self) -> Sequence[GaugeMetricFamily]:
        return [self._family()]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = self._family()
        for model, version in sorted(self._available()):
            family.add_metric([model, str(version)], 1)
        yield family

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(
            ":genreflow:serving:available_version",
            "1 for each version that takes requests.",
            labels=["model_name", "version"],
        )
