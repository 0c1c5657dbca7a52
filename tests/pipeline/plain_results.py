"""Results of a run as JSON values, for tests of what reads and writes them."""

from __future__ import annotations

from typing import Any

from components.artifacts import typed_json
from pipeline.results.schema import SCHEMA_VERSION, Results

GENRES = ["Folk", "Ro\x1b[31mck"]


def _metrics(value: float) -> dict[str, Any]:
    interval = {"value": value, "low": value - 0.1, "high": value + 0.1}
    return {
        "clip_accuracy": interval,
        "track_accuracy": interval,
        "macro_f1": interval,
        "recall": {GENRES[0]: 0.75, GENRES[1]: None},
        "confusion": [[3, 1], [0, 0]],
        "clips": 16,
        "tracks": 4,
    }


def plain_results(**changes: Any) -> dict[str, Any]:
    """Return what results.json holds of a small run."""
    model = {
        "kind": "network",
        "parameters": 1234567,
        "train_seconds": 61.0,
        "validation": _metrics(0.625),
        "test": _metrics(0.5),
    }
    per_split = {"train": 8, "validation": 4, "test": 4}
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": "r1",
        "config_digest": "0" * 16,
        "dataset": "fma",
        "genres": GENRES,
        "synthetic": False,
        "leaky": False,
        "audio_hash": "f" * 16,
        "counts": {
            "tracks_listed": 17,
            "tracks_read": 16,
            "tracks_decoded": 16,
            "tracks": per_split,
            "clips": per_split,
            "rejects": {"too_short": 1},
            "clips_left_out": {"near_silent": 3},
        },
        "models": {
            "ffnn": model,
            "cnn_small": {**model, "parameters": 10},
            "gradient_boosting": {**model, "kind": "baseline", "parameters": None},
            "ensemble_baselines": {
                **model,
                "kind": "ensemble",
                "parameters": None,
                "train_seconds": None,
            },
        },
        "candidate": "cnn_small",
        "best_baseline": "gradient_boosting",
        "ensembles": {"members": {"ensemble_baselines": ["knn", "svm"]}, "weights": {}},
        "test_split_uses": 1,
        "gate": {
            "blessed": True,
            "rules": [
                {"id": "a", "outcome": "pass", "value": 0.5, "interval": [0.4, 0.6], "text": "t"}
            ],
        },
        "pushed_version": "17",
        "nodes": {"Pusher": {"outcome": "done", "seconds": 1.5}},
        **changes,
    }


PASSED: dict[str, Any] = {
    "blessed": True,
    "engine": "genreflow",
    "outcome": "passed",
    "text": "18 requests were answered",
    "checks": [
        {
            "signature": "serving_wav",
            "requests": 3,
            "largest_difference": 3e-7,
            "outcome": "passed",
            "text": "t",
        }
    ],
}


TUNING: dict[str, Any] = {
    "values": {"learning_rate": 0.001, "batch_size": 16},
    "validation_loss": 1.5,
    "validation_clip_accuracy": 0.5,
    "best_trial": 2,
    "trials": 3,
    "failed": 1,
    "algorithm": "random",
    "seconds": 12.5,
}


def tuned_results(**changes: Any) -> dict[str, Any]:
    """Return results whose network ffnn was tuned; `changes` are to its summary."""
    values = plain_results()
    values["models"]["ffnn"] = {**values["models"]["ffnn"], "tuning": {**TUNING, **changes}}
    return values


def results_of(**changes: Any) -> Results:
    """Return the results of plain_results."""
    return typed_json.parse(Results, plain_results(**changes))
