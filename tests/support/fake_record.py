"""A run's record whose nodes' artifacts are small files in one folder."""

from __future__ import annotations

import json
import pathlib
import types
from typing import Any

import numpy as np
import pandas as pd

from components.predictions import table

GENRES = ("Folk", "Hip-Hop", "Rock\x07")
SELECTION = {
    "pretrained": {},
    "candidate": "crnn",
    "candidate_digest": "ab" * 8,
    "best_baseline": "svm",
    "parameters": {"crnn": 3, "svm": None},
    "train_seconds": {"crnn": 1.0, "svm": None},
    "members": {},
    "weights": {},
    "genres": GENRES,
    "audio_hash": "",
    "kinds": {"crnn": "network", "svm": "baseline"},
    "validation_track_accuracy": {"crnn": 0.75, "svm": 0.5},
}
DECISION = {
    "candidate": "crnn",
    "candidate_digest": "ab" * 8,
    "test_digest": "",
    "blessed": True,
    "rules": [
        {"id": "floor", "outcome": "pass", "value": 0.5, "interval": [0.4, 0.6], "text": ""},
        {"id": "same_audio", "outcome": "pass", "value": None, "interval": None, "text": ""},
    ],
}
HISTORY = {
    "phases": [{"phase": "train", "best_epoch": 2}],
    "epochs": [
        {"phase": "train", "epoch": 1, "val_loss": 2.0, "val_accuracy": 0.1},
        {"phase": "train", "epoch": 2, "val_loss": 1.0, "val_accuracy": 0.4},
        {"phase": "train", "epoch": 3, "val_loss": 1.5, "val_accuracy": 0.3},
    ],
    "parameters": 1234,
    "train_seconds": 5.5,
}


def predictions() -> pd.DataFrame:
    """Return 24 test and 12 validation tracks of two clips each, by two models."""
    rng = np.random.default_rng(1)
    parts = []
    for model in ("crnn", "svm"):
        for split, tracks in (("validation", 12), ("test", 24)):
            clips = pd.DataFrame(
                {
                    "track_id": [f"{split}{track:02}" for track in range(tracks) for _ in "ab"],
                    "artist_id": "",
                    "clip_index": [0, 1] * tracks,
                    "label": [track % 3 for track in range(tracks) for _ in "ab"],
                }
            )
            drawn = rng.dirichlet(np.ones(3), len(clips)).astype(np.float32)
            parts.append(table.make_table(model, split, clips, drawn, GENRES))
    return pd.concat(parts, ignore_index=True)


class FakeRecord:
    """Record with the artifacts of all nodes in a folder."""

    def __init__(self, folder: pathlib.Path, *, pushed: str = "") -> None:
        (folder / "selection.json").write_text(json.dumps(SELECTION))
        (folder / "decision.json").write_text(json.dumps(DECISION))
        (folder / "history.json").write_text(json.dumps(HISTORY))
        self.rows = predictions()
        table.write_table(self.rows, str(folder))
        version = types.SimpleNamespace(string_value=pushed)
        self._artifact = types.SimpleNamespace(
            uri=str(folder), custom_properties={"pushed_version": version}
        )

    def outputs(self, node: str) -> dict[str, Any]:
        keys = ("predictions", "blessing", "model_run", "pushed_model")
        return dict.fromkeys(keys, self._artifact)
