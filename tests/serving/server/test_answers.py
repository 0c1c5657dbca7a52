"""Tests of the counts of what a server answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from serving.server import answers
from serving.server.answers import Answers

GENRES = ("Folk", 'Rock "n" Roll\n')
PREFIX = ":genreflow:serving:"


def _samples(found: Answers, name: str, **labels: str) -> list[Any]:
    """Return the samples of a metric, as Prometheus reads them, that have these labels."""
    registry = CollectorRegistry()
    registry.register(found)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return [
        sample
        for family in families
        for sample in family.samples
        if sample.name == PREFIX + name and sample.labels.items() >= labels.items()
    ]


def _value(found: Answers, name: str, **labels: str) -> float:
    (sample,) = _samples(found, name, **labels)
    return float(sample.value)


def _rows(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_genres_confidence_and_silence_are_counted_by_version() -> None:
    found = Answers()
    found.record("m", 7, GENRES, _rows((0.3, 0.7), (0, 0), (0.55, 0.45)))
    found.record("m", 7, GENRES, _rows((1.0, 0.0)))
    found.record("m", 8, GENRES, _rows((0.2, 0.8)))
    assert _value(found, "predicted_genre_total", version="7", genre="Folk") == 2
    assert _value(found, "predicted_genre_total", version="7", genre=GENRES[1]) == 1
    assert _value(found, "near_silent_rows_total", version="7") == 1
    assert _value(found, "near_silent_rows_total", version="8") == 0
    assert _value(found, "confidence_count", version="7") == 3
    assert _value(found, "confidence_sum", version="7") == pytest.approx(0.7 + 0.55 + 1.0)
    # A probability of exactly an edge is in its bucket.
    for edge, count in {"0.5": 0, "0.6": 1, "0.7": 2, "0.9": 2, "+Inf": 3}.items():
        assert _value(found, "confidence_bucket", version="7", le=edge) == count


def test_what_is_no_table_of_probabilities_is_not_counted() -> None:
    found = Answers()
    found.record("m", 7, (), _rows((0.3, 0.7)))
    found.record("m", 7, GENRES, _rows((0.3, 0.3, 0.4)))
    found.record("m", 7, GENRES, np.zeros(2, np.float32))
    assert _samples(found, "near_silent_rows_total") == []


def test_the_number_of_series_is_bounded() -> None:
    found = Answers()
    many = tuple(f"genre {number}" for number in range(answers.MAX_GENRES + 5))
    probabilities = np.eye(len(many), dtype=np.float32)
    for version in range(answers.MAX_VERSIONS + 3):
        found.record("m", version, many, probabilities)
    found.record("m", 3, many, probabilities)
    versions = {one.labels["version"] for one in _samples(found, "near_silent_rows_total")}
    assert versions == {str(number) for number in range(3, answers.MAX_VERSIONS + 3)}
    genres = _samples(found, "predicted_genre_total", version="10")
    assert len(genres) == answers.MAX_GENRES + 1
    assert _value(found, "predicted_genre_total", version="10", genre=answers.OTHER) == 5
