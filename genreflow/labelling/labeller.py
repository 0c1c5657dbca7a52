"""Predictions for the files of a catalogue, by one model in each process.

Files are decoded in isolated processes, and predicted by `GenreModel.predict_file`, as
`genreflow predict` does: the numbers are the same. Threads share the model, each with a decoder of
its own, so that one file is decoded while another one is predicted.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from components.audio.decoding.limits import DecodeLimits
from components.common.errors import DataError
from components.common.resources import usable_cores
from components.storage.uri import is_remote
from genreflow.labelling.model import ModelFacts, load_model
from genreflow.labelling.parts import Listed, Stamp, reject
from genreflow.labelling.table import Row

if TYPE_CHECKING:
    from components.audio.decoding.decoder import Decoder
    from components.audio.decoding.isolation import IsolatedDecoder
    from components.datasets.files.fetching import Fetcher
    from serving.model.local import LocalModel
    from serving.model.prediction import Prediction


class Labeller:
    """Labeller with a model and decoders, which it starts when the first file comes."""

    def __init__(self, facts: ModelFacts, jobs: int, limits: DecodeLimits | None = None) -> None:
        """Initialize the labeller.

        Args:
          facts: the model.
          jobs: number of files in progress at once, each with a decoder; 0 for one
            more than this machine has cores, since a file that is predicted is not decoded.
          limits: limits of decoding; None for the defaults.
        """
        self._facts, self._jobs = facts, jobs or usable_cores() + 1
        self._limits = limits or DecodeLimits()
        self._model: LocalModel | None = None
        self._starting = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._decoders: queue.SimpleQueue[IsolatedDecoder] = queue.SimpleQueue()

    def label(self, files: Sequence[Listed], stamp: Stamp) -> Iterator[Row]:
        """Yield the row of each file, in the given order.

        Raises:
          GenreflowError: the model or the decoder cannot be used, or the store is unreachable.
        """
        if not files:
            return
        model = self._started()
        with self._fetcher(files) as fetcher:
            coming = iter(files)
            running = collections.deque(
                self._pool.submit(self._row, file, stamp, model, fetcher)
                for file in itertools.islice(coming, 2 * self._jobs)
            )
            try:
                while running:
                    yield running.popleft().result()
                    for file in itertools.islice(coming, 1):
                        running.append(self._pool.submit(self._row, file, stamp, model, fetcher))
            finally:
                for one in running:
                    one.cancel()
                concurrent.futures.wait(running)

    def close(self) -> None:
        """End the decoders, and forget the model."""
        self._stack.close()
        self._model = None

    def _started(self) -> LocalModel:
        with self._starting:  # threads of a worker share this object
            if self._model is None:
                self._start()
            assert self._model is not None
            return self._model

    def _start(self) -> None:
        from components.audio.decoding.isolation import IsolatedDecoder
        from components.storage.copies import local_copies

        for _ in range(self._jobs):
            decoder = self._stack.enter_context(IsolatedDecoder(self._limits))
            decoder.start()
            self._decoders.put(decoder)
        copies = self._stack.enter_context(local_copies())
        model = load_model(self._facts, copies)
        self._pool = self._stack.enter_context(concurrent.futures.ThreadPoolExecutor(self._jobs))
        self._model = model

    @contextlib.contextmanager
    def _fetcher(self, files: Sequence[Listed]) -> Iterator[Fetcher | None]:
        if not any(is_remote(file.uri) for file in files):
            yield None
            return
        from components.datasets.files.fetching import Fetcher
        from components.datasets.track import Track
        from components.storage.client import CONNECTIONS
        from components.storage.objects import ObjectState

        tracks = [
            Track(
                file.track_id,
                file.uri,
                "",
                state=ObjectState(file.size_bytes or 0, file.file_version),
            )
            for file in files
            if is_remote(file.uri)
        ]
        with Fetcher(tracks, ahead=CONNECTIONS) as fetcher:
            yield fetcher

    def _row(self, file: Listed, stamp: Stamp, model: LocalModel, fetcher: Fetcher | None) -> Row:
        from components.audio.decoding.decode import DecodeError
        from components.datasets.files.fetching import FetchingDecoder

        isolated = self._decoders.get()
        try:
            decoder: Decoder = FetchingDecoder(isolated, fetcher) if fetcher else isolated
            return labelled(file, stamp, model.predict_file(file.uri, decoder=decoder))
        except DecodeError as error:
            return reject(file, stamp, error.reason, error.detail)
        except DataError as error:  # an object that changed since it was listed
            return reject(file, stamp, "unreadable", str(error))
        finally:
            self._decoders.put(isolated)


def labelled(file: Listed, stamp: Stamp, prediction: Prediction) -> Row:
    """Return the row of a prediction."""
    from components.audio.levels import NEAR_SILENT

    genre, probability = next(iter(prediction.probabilities.items()))
    return dataclasses.replace(
        reject(file, stamp, "", ""),
        genre=genre,
        probability=probability,
        probabilities=tuple(prediction.probabilities[name] for name in stamp.genres),
        seconds=prediction.seconds,
        windows=prediction.windows,
        silent_share=prediction.left_out.count(NEAR_SILENT) / prediction.windows,
        warnings="; ".join(prediction.warnings),
    )
