"""What Prometheus is told. Names are TensorFlow Serving's where it has the same thing.

Labels take few values: models and signatures that are served (others count as ""), and the
closed lists of methods, protocols and status codes. So no request can add a series of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from serving.server.config.errors import ServingError

PATH = "/monitoring/prometheus/metrics"
MICROSECONDS = 1e6
_LATENCY_BUCKETS_US = [base * 10**power for power in range(2, 8) for base in (1, 2, 5)]
_ROW_BUCKETS = [2**power for power in range(13)]


@dataclasses.dataclass
class Seen:
    """What is known of a request so far; set as its parts are found to exist."""

    model: str = ""
    signature: str = ""
    status: str = "INTERNAL"


class Metrics:
    """Counts and times requests, and shows them in Prometheus' text format."""

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
            "Microseconds from a request's arrival to its answer.",
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
            "Rows that ran together, where requests are batched.",
            ["model_name"],
            buckets=_ROW_BUCKETS,
            registry=self._registry,
        )
        self._working = Gauge(
            ":genreflow:serving:requests_in_work",
            "Predict requests in work or waiting for a batch.",
            registry=self._registry,
        )

    @property
    def answered(self) -> int:
        """How many requests were answered, errors included."""
        with self._lock:
            return self._answered

    @contextlib.contextmanager
    def request(self, api: str, entrypoint: str) -> Iterator[Seen]:
        """Counts and times what happens inside, whatever way it ends."""
        seen = Seen()
        start = time.perf_counter()
        try:
            yield seen
            seen.status = "OK"
        except ServingError as error:
            seen.status = error.code.name
            raise
        finally:
            microseconds = (time.perf_counter() - start) * MICROSECONDS
            self._requests.labels(seen.model, api, seen.signature, entrypoint, seen.status).inc()
            self._latency.labels(seen.model, api, entrypoint).observe(microseconds)
            with self._lock:
                self._answered += 1

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """One Predict request is in work."""
        with self._working.track_inprogress():
            yield

    def rows(self, model: str, rows: int) -> None:
        """A request of a served model has this many rows."""
        self._rows.labels(model).observe(rows)

    def batch(self, model: str, rows: int) -> None:
        """So many rows of a served model ran together."""
        self._batches.labels(model).observe(rows)

    def show_queue(self, depth: Callable[[], int]) -> None:
        """From now on shows what `depth` says, at the time of asking."""
        gauge = Gauge(
            ":tensorflow:serving:batching_session:queued_requests",
            "Requests that wait for a batch.",
            registry=self._registry,
        )
        gauge.set_function(lambda: float(depth()))

    def show_versions(self, available: Callable[[], Collection[tuple[str, int]]]) -> None:
        """From now on shows the (model, version) pairs that `available` says."""
        self._registry.register(_Versions(available))

    def page(self) -> bytes:
        """The text format, UTF-8."""
        return bytes(generate_latest(self._registry))


class _Versions(Collector):
    """Asked anew for each page, so versions that were let go are no longer shown."""

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
