"""Metrics of what a server answers: genres, confidence and near-silent rows, by version.

A change in what people send, or of the model, shows here before anyone complains. A row is one row
of a Predict request: a window of a song from Genreflow's clients, or a whole recording.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

# Versions whose numbers are shown, over all models; those that answered longest ago are dropped.
MAX_VERSIONS = 32
# Genres beyond this number are counted together, as OTHER.
MAX_GENRES = 200
OTHER = "(other)"
_EDGES = np.linspace(0.1, 1.0, 10)


class _Numbers:
    """Numbers of one version."""

    def __init__(self, genres: Sequence[str]) -> None:
        self.genres = (*genres[:MAX_GENRES], *([OTHER] if len(genres) > MAX_GENRES else ()))
        self.predicted = np.zeros(len(self.genres), np.int64)
        self.confidence = np.zeros(len(_EDGES), np.int64)
        self.confidence_sum = 0.0
        self.silent = 0


class Answers(Collector):
    """Collector of the predictions' numbers. Thread-safe; no request can add a series."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: collections.OrderedDict[tuple[str, int], _Numbers] = (
            collections.OrderedDict()
        )

    def record(
        self, model: str, version: int, genres: Sequence[str], probabilities: npt.NDArray[Any]
    ) -> None:
        """Count the rows of one answer.

        Args:
          model: the model's name.
          version: its version.
          genres: the version's genres in label order; () if it is no Genreflow model.
          probabilities: `[rows, genres]`; near-silent rows have only zeros.
        """
        if probabilities.ndim != 2 or probabilities.shape[1] != len(genres) or not genres:
            return
        highest = probabilities.max(axis=1)
        heard = highest > 0
        labels = probabilities[heard].argmax(axis=1)
        sure = highest[heard].astype(np.float64)
        buckets = np.minimum(np.searchsorted(_EDGES, sure - 1e-6), len(_EDGES) - 1)
        with self._lock:
            key = (model, version)
            found = self._numbers.get(key)
            if found is None:
                found = self._numbers[key] = _Numbers(genres)
                while len(self._numbers) > MAX_VERSIONS:
                    self._numbers.popitem(last=False)
            self._numbers.move_to_end(key)
            size = len(found.genres)
            found.predicted += np.bincount(np.minimum(labels, size - 1), minlength=size)
            found.confidence += np.bincount(buckets, minlength=len(_EDGES))
            found.confidence_sum += float(sure.sum())
            found.silent += int(len(highest) - heard.sum())

    def describe(self) -> list[Any]:
        return list(self._families())

    def collect(self) -> Iterator[Any]:
        predicted, confidence, silent = self._families()
        with self._lock:
            for (model, number), found in sorted(self._numbers.items()):
                version = str(number)
                for genre, count in zip(found.genres, found.predicted, strict=True):
                    predicted.add_metric([model, version, genre], int(count))
                totals = [int(total) for total in np.cumsum(found.confidence)]
                edges = [f"{edge:.1f}" for edge in _EDGES[:-1]]
                confidence.add_metric(
                    [model, version],
                    [*zip(edges, totals[:-1], strict=True), ("+Inf", totals[-1])],
                    found.confidence_sum,
                )
                silent.add_metric([model, version], found.silent)
        yield from (predicted, confidence, silent)

    def _families(self) -> tuple[Any, Any, Any]:
        return (
            CounterMetricFamily(
                ":genreflow:serving:predicted_genre",
                "Rows by the genre with the highest probability.",
                labels=["model_name", "version", "genre"],
            ),
            HistogramMetricFamily(
                ":genreflow:serving:confidence",
                "Highest probability of a row.",
                labels=["model_name", "version"],
            ),
            CounterMetricFamily(
                ":genreflow:serving:near_silent_rows",
                "Rows that were near silent, and so have no genre.",
                labels=["model_name", "version"],
            ),
        )
