"""Batching: requests of equal shapes run as one.

The batcher has no threads of its own: callers run the batches. Up to MAX_RUNS batches run at a
time, so on an idle server a request starts at once, in its caller's thread. Other requests
queue. When a run ends, the caller that has waited longest takes its place, with every queued
request that fits its batch; so the busier the server, the larger the batches. After a run for
several callers, the same number are likely to send their next requests soon. The next batch
waits for them, until as many are back or `batch_timeout_s` is over.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from serving.server.config.settings import Batching
from serving.server.errors import ServingError, deadline_exceeded, unavailable

Arrays = Mapping[str, npt.NDArray[Any]]
Outputs = dict[str, npt.NDArray[Any]]

# A second run at the same time fills the gaps in which the first uses only one core. On two
# cores a third adds nothing.
MAX_RUNS = 2
# Size of the inputs in one batch, so that a batch of long recordings does not exhaust memory.
MAX_BATCH_BYTES = 64 << 20


@dataclasses.dataclass(eq=False)
class _Request:
    """One caller's inputs, and their outputs or error.

    Attributes:
      key: equal for requests that can share a batch.
      rows, size: rows and bytes of the inputs.
      deadline: `time.monotonic()` after which the caller no longer wants outputs, or None.
      woken: set once the request is finished, or once it is its caller's turn to run a batch.
    """

    key: Hashable
    inputs: Arrays
    rows: int
    size: int
    deadline: float | None
    woken: threading.Event = dataclasses.field(default_factory=threading.Event)
    is_leader: bool = False
    outputs: Outputs | None = None
    error: ServingError | None = None

    @property
    def is_late(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline


@dataclasses.dataclass(eq=False)
class _OpenBatch:
    """A batch whose leader still waits for other requests.

    Attributes:
      requests: the leader's first.
      expected: number of requests to wait for.
      changed: notified when a request joins.
    """

    requests: list[_Request]
    expected: int
    changed: threading.Condition


class Batcher:
    """Batcher for one loaded version: it joins requests along the first axis."""

    def __init__(
        self,
        run: Callable[[str, Arrays], Outputs],
        settings: Batching,
        max_runs: int = MAX_RUNS,
    ) -> None:
        """Initialize the batcher.

        Args:
          run: maps a signature's name and inputs to outputs. All arrays have rows as their
            first axis. Raises ServingError.
          settings: sizes and times.
          max_runs: number of batches that run at a time.
        """
        self._run, self._settings, self._max_runs = run, settings, max_runs
        self._lock = threading.Lock()
        self._queue: deque[_Request] = deque()
        self._queued_rows = 0
        self._running = 0
        self._open: list[_OpenBatch] = []
        # Key and number of callers of the last run: as many are likely to be back soon.
        self._last_callers: tuple[Hashable, int] = (None, 1)

    def predict(self, signature: str, inputs: Arrays, deadline: float | None = None) -> Outputs:
        """Run a request, alone or in a batch with others, and return its own outputs.

        Args:
          signature: name of the signature to run.
          inputs: arrays with the same size of the first axis; at least one.
          deadline: `time.monotonic()` after which the caller no longer wants outputs.

        Raises:
          ServingError: UNAVAILABLE if the queue is full, DEADLINE_EXCEEDED, or the error that
            these inputs cause.
        """
        request = _make_request(signature, inputs, deadline)
        batch = self._enter(request)
        if batch is None and not request.is_leader:
            self._wait(request)
        if request.is_leader:
            self._lead(request, batch)
        if request.error is not None:
            raise request.error
        assert request.outputs is not None
        return request.outputs

    @property
    def waiting(self) -> int:
        """Return the number of queued requests."""
        return len(self._queue)

    def _enter(self, request: _Request) -> _OpenBatch | None:
        """Join an open batch, open a batch if a run is free (and return it), or queue."""
        with self._lock:
            for batch in self._open:
                if self._fits(request, batch.requests):
                    batch.requests.append(request)
                    batch.changed.notify()
                    return None
            if self._running < self._max_runs:
                self._running += 1
                request.is_leader = True
                return self._make_batch(request)
            max_rows = self._settings.max_enqueued_batches * self._settings.max_batch_size
            if self._queued_rows + request.rows > max_rows and self._queue:
                raise unavailable(
                    f"the queue is full: {self._queued_rows} of at most {max_rows} rows are "
                    "waiting; retry later"
                )
            self._queue.append(request)
            self._queued_rows += request.rows
            return None

    def _wait(self, request: _Request) -> None:
        timeout_s = None
        if request.deadline is not None:
            timeout_s = max(0.0, request.deadline - time.monotonic())
        if request.woken.wait(timeout_s):
            return
        with self._lock:
            if request.woken.is_set():  # at the last moment: treat it as in time
                return
            if request in self._queue:
                self._queue.remove(request)
                self._queued_rows -= request.rows
            # Otherwise it is being run, and its outputs are discarded.
            raise deadline_exceeded("the deadline passed while the request waited for its turn")

    def _make_batch(self, leader: _Request) -> _OpenBatch:
        """Return the leader's batch with the queued requests that fit. The lock is held."""
        key, callers = self._last_callers
        expected = callers if key == leader.key else 1
        batch = _OpenBatch([leader], expected, threading.Condition(self._lock))
        for request in list(self._queue):
            if self._fits(request, batch.requests):
                self._queue.remove(request)
                self._queued_rows -= request.rows
                batch.requests.append(request)
        return batch

    def _fits(self, request: _Request, others: Sequence[_Request]) -> bool:
        rows = sum(other.rows for other in others) + request.rows
        size = sum(other.size for other in others) + request.size
        return (
            request.key == others[0].key
            and rows <= self._settings.max_batch_size
            and size <= MAX_BATCH_BYTES
        )

    def _lead(self, leader: _Request, batch: _OpenBatch | None) -> None:
        """Run a batch, distribute its outputs, and let the next caller in the queue run."""
        requests = [leader]
        try:
            requests = self._fill(leader, batch)
            self._run_requests(requests)
        finally:
            with self._lock:
                self._last_callers = (leader.key, len(requests))
                if self._queue:
                    following = self._queue.popleft()
                    self._queued_rows -= following.rows
                    following.is_leader = True
                    following.woken.set()
                else:
                    self._running -= 1
            for request in requests:
                if request.outputs is None and request.error is None:
                    request.error = ServingError(
                        grpc.StatusCode.INTERNAL, "the run was interrupted; retry"
                    )
                request.woken.set()

    def _fill(self, leader: _Request, batch: _OpenBatch | None) -> list[_Request]:
        """Wait, for `batch_timeout_s` at most, for requests that are likely to come soon."""
        with self._lock:
            if batch is None:
                batch = self._make_batch(leader)
            end = time.monotonic() + self._settings.batch_timeout_s
            self._open.append(batch)
            while True:
                rows = sum(request.rows for request in batch.requests)
                left_s = end - time.monotonic()
                is_complete = len(batch.requests) >= batch.expected
                if is_complete or rows >= self._settings.max_batch_size or left_s <= 0:
                    break
                batch.changed.wait(left_s)
            self._open.remove(batch)
            return batch.requests

    def _run_requests(self, requests: Sequence[_Request]) -> None:
        """Run requests as one, and set the outputs or the error of each.

        If the run fails, its halves are run: so a bad request fails alone, and the others
        still share batches.
        """
        requests = [request for request in requests if not _has_expired(request)]
        if not requests:
            return
        try:
            outputs = self._run(_signature(requests[0]), _join(requests))
            _split(requests, outputs)
        except ServingError as error:
            if len(requests) == 1:
                requests[0].error = error
                return
            middle = len(requests) // 2
            self._run_requests(requests[:middle])
            self._run_requests(requests[middle:])


def _make_request(signature: str, inputs: Arrays, deadline: float | None) -> _Request:
    shapes = tuple(
        (name, values.dtype.str, values.shape[1:]) for name, values in sorted(inputs.items())
    )
    sizes = {len(values) for values in inputs.values()}
    size = sum(_bytes(values) for values in inputs.values())
    # Inputs of unequal lengths share no batch: only the model knows what they mean.
    key: Hashable = (signature, shapes) if len(sizes) == 1 else (signature, object())
    return _Request(key, inputs, max(sizes), size, deadline)


def _bytes(values: npt.NDArray[Any]) -> int:
    if values.dtype.kind == "O":
        return sum(len(value) for value in values.ravel().tolist())
    return values.nbytes


def _signature(request: _Request) -> str:
    assert isinstance(request.key, tuple)
    return str(request.key[0])


def _has_expired(request: _Request) -> bool:
    if request.is_late:
        request.error = deadline_exceeded("the deadline passed before the request ran")
    return request.error is not None


def _join(requests: Sequence[_Request]) -> Arrays:
    if len(requests) == 1:
        return requests[0].inputs
    return {
        name: np.concatenate([request.inputs[name] for request in requests])
        for name in requests[0].inputs
    }


def _split(requests: Sequence[_Request], outputs: Outputs) -> None:
    """Set each request's rows of the outputs as its `outputs`.

    A request that ran alone gets all outputs, whatever their number of rows.

    Raises:
      ServingError: INTERNAL if an output of a batch has not as many rows as its inputs.
    """
    if len(requests) == 1:
        requests[0].outputs = outputs
        return
    total = sum(request.rows for request in requests)
    for name, values in outputs.items():
        if len(values) != total:
            raise ServingError(
                grpc.StatusCode.INTERNAL,
                f"output {name} has {len(values)} rows for {total} rows of inputs",
            )
    start = 0
    for request in requests:
        end = start + request.rows
        request.outputs = {name: values[start:end] for name, values in outputs.items()}
        start = end
