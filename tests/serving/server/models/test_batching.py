"""Tests of batching: each request gets its own rows, and none fails because of another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.server.config.settings import Batching
from serving.server.errors import ServingError, invalid
from serving.server.models.batching import Arrays, Batcher, Outputs

SOON_S = 30.0  # far longer than any test takes; only a hang reaches it


class Doubling:
    """Model that doubles its input, records each run, and can be blocked."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.begun = threading.Semaphore(0)
        self.may_go = threading.Event()
        self.may_go.set()

    def __call__(self, signature: str, inputs: Arrays) -> Outputs:
        (values,) = inputs.values()
        self.runs.append(len(values))
        self.begun.release()
        assert self.may_go.wait(SOON_S)
        if values.dtype.kind != "O" and (values < 0).any():
            raise invalid("negative")
        return {"twice": values * 2, "name": np.array([signature] * len(values), object)}

    def wait_begun(self) -> None:
        assert self.begun.acquire(timeout=SOON_S)


def row(value: float, rows: int = 1, width: int = 2) -> dict[str, npt.NDArray[Any]]:
    return {"x": np.full((rows, width), value, np.float32)}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.001)


class Busy:
    """A batcher with one run, which is busy until `go`; requests queue meanwhile."""

    def __init__(self, settings: Batching, run: Doubling | None = None) -> None:
        self.run = run or Doubling()
        self.run.may_go.clear()
        self.batcher = Batcher(self.run, settings, max_runs=1)
        self.pool = ThreadPoolExecutor(40)
        self.first = self.pool.submit(self.batcher.predict, "s", row(1))
        self.run.wait_begun()

    def queue(
        self,
        inputs: dict[str, npt.NDArray[Any]],
        signature: str = "s",
        deadline: float | None = None,
    ) -> Future[Outputs]:
        waiting = self.batcher.waiting
        future = self.pool.submit(self.batcher.predict, signature, inputs, deadline)
        wait_for(lambda: self.batcher.waiting > waiting or future.done())
        return future

    def go(self) -> None:
        self.run.may_go.set()


def busy(**settings: Any) -> Busy:
    return Busy(Batching(**{"batch_timeout_s": 0.0, **settings}))


def test_a_lone_request_runs_at_once_in_its_own_thread() -> None:
    threads = []

    def run(signature: str, inputs: Arrays) -> Outputs:
        threads.append(threading.current_thread())
        return {"x": inputs["x"]}

    # If it waited for other requests, it would wait for an hour.
    batcher = Batcher(run, Batching(batch_timeout_s=3600.0))
    for _ in range(3):
        assert batcher.predict("s", row(3))["x"].tolist() == [[3, 3]]
    assert threads == [threading.current_thread()] * 3


def test_what_queued_meanwhile_is_run_as_one_and_everyone_gets_his_own_rows() -> None:
    server = busy()
    futures = [server.queue(row(value, rows)) for value, rows in [(2, 1), (3, 4), (4, 2), (5, 0)]]
    server.go()
    assert [f.result(SOON_S)["twice"].tolist() for f in futures] == [
        [[4, 4]], [[6, 6]] * 4, [[8, 8]] * 2, [],
    ]  # fmt: skip
    assert server.first.result(SOON_S)["twice"].tolist() == [[2, 2]]
    assert server.run.runs == [1, 7]


def test_requests_of_other_shapes_types_or_signatures_are_not_mixed() -> None:
    server = busy()
    futures = [
        server.queue(row(2)),
        server.queue(row(3, width=3)),
        server.queue({"x": np.full((1, 2), 4, np.float64)}),
        server.queue(row(5), signature="t"),
        server.queue(row(6)),
    ]
    server.go()
    results = [future.result(SOON_S) for future in futures]
    assert [r["twice"].ravel()[0] for r in results] == [4, 6, 8, 10, 12]
    assert [r["twice"].shape for r in results] == [(1, 2), (1, 3), (1, 2), (1, 2), (1, 2)]
    assert [r["name"][0] for r in results] == ["s", "s", "s", "t", "s"]
    assert server.run.runs == [1, 2, 1, 1, 1]  # the last one joined the first


def test_strings_of_any_length_are_joined() -> None:
    server = busy()
    futures = [
        server.queue({"x": np.array([text], object)}, signature="w") for text in (b"a", b"bcd")
    ]
    server.go()
    assert [future.result(SOON_S)["twice"].tolist() for future in futures] == [[b"aa"], [b"bcdbcd"]]
    assert server.run.runs == [1, 2]


def test_no_run_is_larger_than_the_batch_size_but_a_request_that_is_runs_alone() -> None:
    server = busy(max_batch_size=4)
    futures = [server.queue(row(2, rows)) for rows in (3, 2, 9, 1, 1)]
    server.go()
    assert [len(future.result(SOON_S)["twice"]) for future in futures] == [3, 2, 9, 1, 1]
    # A later request that fits joins the first; none joins the large one.
    assert server.run.runs == [1, 4, 3, 9]


def test_recordings_that_are_large_together_are_not_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serving.server.models.batching.MAX_BATCH_BYTES", 20)
    server = busy()
    futures = [server.queue(row(2)) for _ in range(4)]  # 8 bytes each
    server.go()
    assert all(len(future.result(SOON_S)["twice"]) == 1 for future in futures)
    assert server.run.runs == [1, 2, 2]


def test_a_request_that_fails_leaves_its_neighbours_alone() -> None:
    server = busy()
    futures = [server.queue(row(value)) for value in (1, 2, -3, 4, 5, 6)]
    server.go()
    for value, future in zip((1, 2, None, 4, 5, 6), futures, strict=True):
        if value is None:
            with pytest.raises(ServingError, match="negative") as caught:
                future.result(SOON_S)
            assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
        else:
            assert future.result(SOON_S)["twice"].tolist() == [[2 * value] * 2]
    # The halves run, then the halves of the half that fails.
    assert server.run.runs == [1, 6, 3, 1, 2, 1, 1, 3]


def test_a_model_that_loses_rows_is_run_request_by_request() -> None:
    class Losing(Doubling):
        def __call__(self, signature: str, inputs: Arrays) -> Outputs:
            return {"twice": super().__call__(signature, inputs)["twice"][:1]}

    server = Busy(Batching(batch_timeout_s=0.0), Losing())
    futures = [server.queue(row(value)) for value in (2, 3)]
    server.go()
    assert [future.result(SOON_S)["twice"].tolist() for future in futures] == [[[4, 4]], [[6, 6]]]


def test_a_full_queue_refuses_and_takes_again_later() -> None:
    server = busy(max_batch_size=2, max_enqueued_batches=2)
    futures = [server.queue(row(2)) for _ in range(4)]
    with pytest.raises(
        ServingError, match="queue is full: 4 of at most 4 rows are waiting"
    ) as caught:
        server.batcher.predict("s", row(2))
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    server.go()
    assert all(len(future.result(SOON_S)["twice"]) == 1 for future in futures)
    assert len(server.batcher.predict("s", row(2))["twice"]) == 1


def test_a_request_larger_than_the_whole_queue_may_wait_in_an_empty_one() -> None:
    server = busy(max_batch_size=2, max_enqueued_batches=1)
    future = server.queue(row(2, rows=50))
    server.go()
    assert len(future.result(SOON_S)["twice"]) == 50


def test_a_deadline_ends_the_waiting_and_leaves_the_queue() -> None:
    server = busy()
    late = server.queue(row(7), deadline=time.monotonic() + 0.05)
    with pytest.raises(ServingError, match="deadline passed while") as caught:
        late.result(SOON_S)
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.batcher.waiting == 0
    server.go()
    server.first.result(SOON_S)
    assert server.run.runs == [1]  # the late request did not run


def test_a_deadline_that_is_over_runs_nothing() -> None:
    run = Doubling()
    batcher = Batcher(run, Batching())
    with pytest.raises(ServingError) as caught:
        batcher.predict("s", row(1), deadline=time.monotonic() - 1)
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert run.runs == []
    assert len(batcher.predict("s", row(1))["twice"]) == 1


def test_a_program_error_reaches_everybody_and_frees_the_place() -> None:
    class Broken(Doubling):
        def __call__(self, signature: str, inputs: Arrays) -> Outputs:
            outputs = super().__call__(signature, inputs)
            if len(self.runs) == 2:
                raise ZeroDivisionError
            return outputs

    server = Busy(Batching(batch_timeout_s=0.0), Broken())
    futures = [server.queue(row(value)) for value in (2, 3)]
    server.go()
    with pytest.raises(ZeroDivisionError):
        futures[0].result(SOON_S)
    with pytest.raises(ServingError) as caught:
        futures[1].result(SOON_S)
    assert caught.value.code is grpc.StatusCode.INTERNAL
    assert server.batcher.predict("s", row(4))["twice"].tolist() == [[8, 8]]


def test_after_a_shared_run_the_next_one_waits_for_the_same_callers() -> None:
    server = busy(batch_timeout_s=SOON_S)
    futures = [server.queue(row(value)) for value in (2, 3, 4)]
    server.go()
    for future in futures:
        future.result(SOON_S)
    # The three return one after the other: the batch runs once all are there.
    again = [server.pool.submit(server.batcher.predict, "s", row(value)) for value in (5, 6, 7)]
    assert [future.result(SOON_S)["twice"][0, 0] for future in again] == [10, 12, 14]
    assert server.run.runs == [1, 3, 3]


def test_who_stays_away_is_waited_for_no_longer_than_the_timeout() -> None:
    server = busy(batch_timeout_s=0.01)
    futures = [server.queue(row(value)) for value in (2, 3, 4)]
    server.go()
    for future in futures:
        future.result(SOON_S)
    assert server.batcher.predict("s", row(5))["twice"].tolist() == [[10, 10]]
    assert server.run.runs == [1, 3, 1]


@given(
    requests=st.lists(
        st.tuples(st.integers(0, 5), st.integers(1, 3), st.sampled_from("st"), st.booleans()),
        min_size=1,
        max_size=24,
    ),
    size=st.integers(1, 8),
    at_once=st.integers(1, 3),
    timeout_s=st.sampled_from([0.0, 0.001]),
)
def test_any_mixture_of_requests_gets_what_each_would_get_alone(
    requests: list[tuple[int, int, str, bool]], size: int, at_once: int, timeout_s: float
) -> None:
    run = Doubling()
    batcher = Batcher(run, Batching(size, timeout_s, 1000), at_once)

    def ask(number: int) -> Outputs | str:
        rows, width, signature, is_bad = requests[number]
        values = np.arange(number, number + rows * width, dtype=np.float32).reshape(rows, width)
        try:
            return batcher.predict(signature, {"x": -1 - values if is_bad else values})
        except ServingError as error:
            return error.message

    with ThreadPoolExecutor(len(requests)) as pool:
        results = list(pool.map(ask, range(len(requests)), timeout=SOON_S))
    for number, (rows, width, signature, is_bad) in enumerate(requests):
        result = results[number]
        if is_bad and rows:
            assert result == "negative"
            continue
        assert not isinstance(result, str)
        expected = 2 * np.arange(number, number + rows * width).reshape(rows, width)
        if is_bad:
            expected = expected[:0]
        np.testing.assert_array_equal(result["twice"], expected)
        assert result["name"].tolist() == [signature] * rows
    large = [rows for rows, *_ in requests if rows > size]
    assert all(rows <= size or rows in large for rows in run.runs)
    assert batcher.waiting == 0
