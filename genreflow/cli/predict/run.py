"""Work of `genreflow predict`: decode files, predict their genres, print the results."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import pathlib
import queue
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from components.common.errors import GenreflowError
from components.common.escape import printable
from components.storage.uri import is_remote
from genreflow.cli.messages import complain, print_json, warn
from genreflow.cli.predict.inputs import collect, skipped_lines
from genreflow.cli.predict.model import (
    ConnectionOptions,
    check_local_model,
    open_client,
    open_local_model,
)
from genreflow.cli.predict.output import show
from genreflow.cli.quiet import quiet_stderr

if TYPE_CHECKING:
    from components.audio.decoding.decoder import Decoder
    from genreflow.cli.predict.progress import ProgressBars
    from serving.model.prediction import GenreModel, Prediction

# Files in progress at once. A model in this process uses all cores for one already.
SERVER_JOBS, LOCAL_JOBS = 4, 1


def predict(
    inputs: Sequence[str],
    *,
    model_dir: str,
    connection: ConnectionOptions,
    top: int,
    json_output: bool,
    timeline: bool,
    jobs: int,
) -> int:
    """Print the genres of each file, and return the exit status.

    It is 1 if a file failed, a folder could not be read, or audio in a folder was skipped because
    its format is not read; else 0. Exactly one of `model_dir` and `connection.server` must be set.

    Args:
      inputs: audio files, local or in an object store, local folders, pipes, and "-" for
        standard input.
      model_dir: one version or a folder of versions, local or in an object store.
      connection: options of the connection to a server.
      top: number of genres to show; 0 for all.
      json_output: whether to print one JSON list instead of tables.
      timeline: whether to print the genre over time too.
      jobs: number of files in progress at once; 0 for the default.

    Raises:
      UsageError: not exactly one model is given, it cannot be used, or a folder has no audio.
      StorageError: an object store cannot be read.
      GenreflowError: the server cannot be used.
    """
    from genreflow.cli.predict.progress import ProgressBars

    connection.check("predict", model_dir)
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="genreflow-predict-"))
        found = collect(inputs, pathlib.Path(scratch))
        for path, problem in found.problems:
            complain(printable(f"{path}: {problem}"))
        if found.problems and model_dir:
            check_local_model(model_dir)  # told at once with what is wrong with the files
        status = 1 if found.problems or found.skipped else 0
        files = found.files
        if files:
            jobs = min(len(files), jobs or (LOCAL_JOBS if model_dir else SERVER_JOBS))
            decoders = stack.enter_context(_decoders(files, jobs))
            model = stack.enter_context(
                open_local_model(model_dir) if model_dir else open_client(connection)
            )
            workers = stack.enter_context(
                _Workers(model, decoders, ProgressBars(len(files)), found.copies)
            )
            failed = _print_all(
                workers, model, files, top=top, json_output=json_output, timeline=timeline
            )
            status = max(status, failed)
        elif json_output:
            print_json([])
        for line in skipped_lines(found.skipped):
            complain(printable(line))
    return status


@contextlib.contextmanager
def _decoders(files: Sequence[str], count: int) -> Iterator[list[Decoder]]:
    """Make decoders, which read local files and, if there are any, files in object stores."""
    from components.audio.decoding.isolation import IsolatedDecoder
    from components.audio.decoding.limits import DecodeLimits

    with contextlib.ExitStack() as stack:
        isolated = [stack.enter_context(IsolatedDecoder(DecodeLimits())) for _ in range(count)]
        decoders: list[Decoder] = list(isolated)
        if any(is_remote(path) for path in files):
            from components.datasets.files.fetching import Fetcher, FetchingDecoder
            from components.datasets.track import Track
            from components.storage.client import CONNECTIONS

            tracks = [Track(uri, uri, "") for uri in files]
            fetcher = stack.enter_context(Fetcher(tracks, ahead=CONNECTIONS))
            decoders = [FetchingDecoder(one, fetcher) for one in isolated]
        with quiet_stderr():
            for one in isolated:
                one.start()
        yield decoders


class _Workers:
    """Threads that predict files, each with a decoder of its own meanwhile."""

    def __init__(
        self,
        model: GenreModel,
        decoders: Sequence[Decoder],
        bars: ProgressBars,
        copies: Mapping[str, str],
    ) -> None:
        self._model, self._bars, self._copies = model, bars, copies
        self._free: queue.SimpleQueue[Decoder] = queue.SimpleQueue()
        for decoder in decoders:
            self._free.put(decoder)
        self._stopping = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(len(decoders))

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self._stopping.set()  # stops a local model at its next part
            self._model.close()  # fails requests in progress at a server
        self._pool.shutdown(cancel_futures=True)
        self._bars.close()

    def results(self, files: Sequence[str]) -> Iterator[tuple[str, Prediction | str]]:
        """Yield each file with its prediction or an error message, in the given order."""
        # Each result is dropped here once it is yielded, so memory does not grow.
        waiting = collections.deque(self._pool.submit(self._predict, path) for path in files)
        for path in files:
            with self._bars.visible():
                result = waiting.popleft().result()
            yield path, result

    def _predict(self, path: str) -> Prediction | str:
        from components.audio.decoding.decode import DecodeError
        from serving.client.errors import RequestError

        decoder = self._free.get()
        try:
            with self._bars.recording(path) as move:

                def on_progress(done_s: float, total_s: float | None) -> None:
                    if self._stopping.is_set():
                        raise concurrent.futures.CancelledError
                    move(done_s, total_s)

                prediction = self._model.predict_file(
                    self._copies.get(path, path), decoder=decoder, on_progress=on_progress
                )
                return dataclasses.replace(prediction, path=path)
        except DecodeError as error:
            return f"{error.detail} ({error.reason})"
        except RequestError as error:
            return str(error)
        finally:
            self._free.put(decoder)


def _print_all(
    workers: _Workers,
    model: GenreModel,
    files: Sequence[str],
    *,
    top: int,
    json_output: bool,
    timeline: bool,
) -> int:
    """Print the results as they come, and return the exit status."""
    from pipeline.display.console import PlainConsole
    from serving.client.errors import ClientError
    from serving.model.prediction_json import as_json

    out = PlainConsole()
    elements = []
    done = failed = 0
    try:
        for path, result in workers.results(files):
            synthetic = bool(model.model_card.get("synthetic"))
            if isinstance(result, str):
                failed += 1
                complain(printable(f"{path}: {result}"))
                continue
            done += 1
            for warning in result.warnings:
                warn(f"{path}: {warning}")
            if json_output:
                elements.append(as_json(result, top, timeline=timeline, synthetic=synthetic))
            else:
                show(out, result, top, timeline=timeline, synthetic=synthetic)
    except ClientError as error:
        before = f"; {done} of {len(files)} files were predicted before" if len(files) > 1 else ""
        raise GenreflowError(f"{error}{before}") from error
    finally:
        if json_output:
            print_json(elements)  # the results so far, even if the server fails
    if failed and len(files) > 1:
        complain(f"{done} of {len(files)} files predicted, {failed} failed")
    return 1 if failed else 0
