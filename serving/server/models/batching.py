"""Requests of equal shapes run as one.

There are no threads here: whoever asks runs. Up to RUNS_AT_ONCE callers run at a time, so on
an idle server a request starts at once, in its own thread, and nobody hands anything over.
Meanwhile others queue; when a run ends, the longest waiting caller takes its place together
with every waiting request that can be joined to its own. So the busier it is, the larger the
batches. After a run that served several callers, they are likely to ask again soon: the next
one waits for them, until as many are back or `batch_timeout_s` is over.
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

from serving.server.config.errors import ServingError, deadline_exceeded, unavailable
from serving.server.config.settings import Batching

Arrays = Mapping[str, npt.NDArray[Any]]
Outputs = dict[str, npt.NDArray[Any]]

# A second run at the same time fills the gaps in which the first uses one core alone; on two
# cores a third adds nothing.
RUNS_AT_ONCE = 2
# Inputs joined in one run, so that thirty-two long recordings do not take the memory of all.
MAX_BATCH_BYTES = 64 << 20


@dataclasses.dataclass(eq=False)
class _Request:
    """One caller's inputs, and what came of them."""

    key: Hashable
    inputs: Arrays
    rows: int
    size: int
    until: float | None
    # Set once there is an answer, or once it is this caller's turn to run.
    woken: threading.Event = dataclasses.field(default_factory=threading.Event)
    is_leader: bool = False
    outputs: Outputs | None = None
    error: ServingError | None = None

    @property
    def is_late(self) -> bool:
        return self.until is not None and time.monotonic() >= self.until


@dataclasses.dataclass(eq=False)
class _Gathering:
    """A batch whose leader waits for others."""

    requests: list[_Request]
    wanted: int
    changed: threading.Condition


class Batcher:
    """Joins requests along the first axis; one for each loaded version."""

    def __init__(
        self,
        run: Callable[[str, Arrays], Outputs],
        settings: Batching,
        runs_at_once: int = RUNS_AT_ONCE,
    ) -> None:
        """Initializes the batcher.

        Args:
          run: signature and inputs to outputs; all have the rows as their first axis.
            Raises ServingError.
          settings: sizes and times.
          runs_at_once: how many callers run at a time.
        """
        self._run, self._settings, self._runs_at_once = run, settings, runs_at_once
        self._lock = threading.Lock()
        self._queue: deque[_Request] = deque()
        self._queued_rows = 0
        self._running = 0
        self._gathering: list[_Gathering] = []
        # The last run that ended: how many callers are likely to be back soon, with what.
        self._last_callers: tuple[Hashable, int] = (None, 1)

    def predict(self, signature: str, inputs: Arrays, until: float | None = None) -> Outputs:
        """Runs `inputs` (at least one), maybe together with others'; returns its own outputs.

        Args:
          signature: which function.
          inputs: arrays with the same size of the first axis.
          until: `time.monotonic()` after which the caller no longer wants an answer.

        Raises:
          ServingError: UNAVAILABLE if too much is waiting, DEADLINE_EXCEEDED, or what the
            run of these inputs raised.
        """
        request = _make_request(signature, inputs, until)
        gathering = self._enter(request)
        if gathering is None and not request.is_leader:
            self._wait(request)
        if request.is_leader:
            self._lead(request, gathering)
        if request.error is not None:
            raise request.error
        assert request.outputs is not None
        return request.outputs

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def _enter(self, request: _Request) -> _Gathering | None:
        """Joins a batch that waits, or starts one where a place is free, or queues."""
        with self._lock:
            for gathering in self._gathering:
                if self._fits(request, gathering.requests):
                    gathering.requests.append(request)
                    gathering.changed.notify()
                    return None
            if self._running < self._runs_at_once:
                self._running += 1
                request.is_leader = True
                return self._gather(request)
            most = self._settings.max_enqueued_batches * self._settings.max_batch_size
            if self._queued_rows + request.rows > most and self._queue:
                raise unavailable(
                    f"the queue is full: {self._queued_rows} rows are waiting, at most {most} "
                    "may; try again later"
                )
            self._queue.append(request)
            self._queued_rows += request.rows
            return None

    def _wait(self, request: _Request) -> None:
        timeout_s = None if request.until is None else max(0.0, request.until - time.monotonic())
        if request.woken.wait(timeout_s):
            return
        with self._lock:
            if request.woken.is_set():  # just now: go on as if in time
                return
            if request in self._queue:
                self._queue.remove(request)
                self._queued_rows -= request.rows
            # Else it is in a run, whose result for this caller nobody will read.
            raise deadline_exceeded("the deadline passed while the request waited for its turn")

    def _gather(self, leader: _Request) -> _Gathering:
        """The leader's batch with what is waiting already. The lock is held."""
        key, callers = self._last_callers
        wanted = callers if key == leader.key else 1
        gathering = _Gathering([leader], wanted, threading.Condition(self._lock))
        for request in list(self._queue):
            if self._fits(request, gathering.requests):
                self._queue.remove(request)
                self._queued_rows -= request.rows
                gathering.requests.append(request)
        return gathering

    def _fits(self, request: _Request, others: Sequence[_Request]) -> bool:
        rows = sum(other.rows for other in others) + request.rows
        size = sum(other.size for other in others) + request.size
        return (
            request.key == others[0].key
            and rows <= self._settings.max_batch_size
            and size <= MAX_BATCH_BYTES
        )

    def _lead(self, leader: _Request, gathering: _Gathering | None) -> None:
        """Runs a batch, hands out the results, and gives the place to the next in line."""
        batch = [leader]
        try:
            batch = self._fill(leader, gathering)
            self._answer(batch)
        finally:
            with self._lock:
                self._last_callers = (leader.key, len(batch))
                if self._queue:
                    following = self._queue.popleft()
                    self._queued_rows -= following.rows
                    following.is_leader = True
                    following.woken.set()
                else:
                    self._running -= 1
            for request in batch:
                if request.outputs is None and request.error is None:  # the run was cut off
                    request.error = ServingError(grpc.StatusCode.INTERNAL, "the run was cut off")
                request.woken.set()

    def _fill(self, leader: _Request, gathering: _Gathering | None) -> list[_Request]:
        """Waits for those who are likely to ask soon, at most `batch_timeout_s`."""
        with self._lock:
            if gathering is None:
                gathering = self._gather(leader)
            until = time.monotonic() + self._settings.batch_timeout_s
            self._gathering.append(gathering)
            while True:
                rows = sum(request.rows for request in gathering.requests)
                left_s = until - time.monotonic()
                enough = len(gathering.requests) >= gathering.wanted
                if enough or rows >= self._settings.max_batch_size or left_s <= 0:
                    break
                gathering.changed.wait(left_s)
            self._gathering.remove(gathering)
            return gathering.requests

    def _answer(self, batch: Sequence[_Request]) -> None:
        """Runs requests as one. If that fails, halves are tried, so that a request that
        cannot be answered fails alone, and its neighbours run together still."""
        batch = [request for request in batch if not _has_failed_late(request)]
        if not batch:
            return
        try:
            joined = self._run(_signature(batch[0]), _join(batch))
            _split(batch, joined)
        except ServingError as error:
            if len(batch) == 1:
                batch[0].error = error
                return
            middle = len(batch) // 2
            self._answer(batch[:middle])
            self._answer(batch[middle:])


def _make_request(signature: str, inputs: Arrays, until: float | None) -> _Request:
    shapes = tuple(
        (name, values.dtype.str, values.shape[1:]) for name, values in sorted(inputs.items())
    )
    sizes = {len(values) for values in inputs.values()}
    size = sum(_bytes(values) for values in inputs.values())
    # Inputs of unequal lengths are joined to nothing: only the model knows what they mean.
    key: Hashable = (signature, shapes) if len(sizes) == 1 else (signature, object())
    return _Request(key, inputs, max(sizes), size, until)


def _bytes(values: npt.NDArray[Any]) -> int:
    if values.dtype.kind == "O":
        return sum(len(value) for value in values.ravel().tolist())
    return values.nbytes


def _signature(request: _Request) -> str:
    assert isinstance(request.key, tuple)
    return str(request.key[0])


def _has_failed_late(request: _Request) -> bool:
    if request.is_late:
        request.error = deadline_exceeded("the deadline passed before the request was run")
    return request.error is not None


def _join(batch: Sequence[_Request]) -> Arrays:
    if len(batch) == 1:
        return batch[0].inputs
    return {
        name: np.concatenate([request.inputs[name] for request in batch])
        for name in batch[0].inputs
    }


def _split(batch: Sequence[_Request], outputs: Outputs) -> None:
    """Each request's rows of the outputs, in its `outputs`.

    Raises:
      ServingError: INTERNAL, an output has other rows than the inputs; run alone it may.
    """
    if len(batch) == 1:
        batch[0].outputs = outputs
        return
    total = sum(request.rows for request in batch)
    for name, values in outputs.items():
        if len(values) != total:
            raise ServingError(
                grpc.StatusCode.INTERNAL, f"output {name}: {len(values)} rows for {total} inputs"
            )
    start = 0
    for request in batch:
        end = start + request.rows
        request.outputs = {name: values[start:end] for name, values in outputs.items()}
        start = end
