"""Small, plausible artifacts of a run, made without a run."""

from __future__ import annotations

import csv
import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from components.audio.params import AudioParams
from components.audio.spectrogram.stored import to_stored
from components.datasets.track import SPLITS
from components.examples.writer import Clip, serialize
from components.predictions import metrics, table
from components.report import sources
from components.report.sources import Sources
from components.spectrogram_gen.rejects import COLUMNS

GENRES = (
    "Blues", "Classical", "Country", "Disco", "Experimental Electronic Improvisation", "Hip-Hop",
    "International", "Jazz", "Metal", "Reggae",
)  # fmt: skip
# Each tries something: an element, an attribute, an entity, a formula of a spreadsheet, a
# formula of matplotlib, a terminal's escapes, text that runs backwards, letters that no plot
# has, a name that fills the page, and the name of a template's expression.
HOSTILE = (
    "<script>document.title='pwned'</script>",
    '"><img src=x onerror="document.title=\'pwned\'">',
    "&lt;b&gt;</style></table>",
    '=HYPERLINK("http://example.org";"click")',
    "$\\frac{1}{$ $\\undefined$",
    "\x1b[2J\x1b]0;pwned\x07\n<!--/run:timings-->",
    "\u202erock\u202c",
    "日本の音楽",
    "W" * 100,
    "{{ page }}{% raw %}",
)
HOSTILE_SUFFIX = "\"><svg/onload=document.title='pwned'>{{1}}$\x1b[31m"
HOSTILE_REJECTS = tuple(
    {
        "track_id": f"{start}{number}<iframe src=x>",
        "genre": "<h1>Folk",
        "reason": "undecodable",
        "detail": "@SUM(1)\x07</td></tr></table><form action=x>",
        "uri": "javascript:document.title='pwned'",
    }
    for number, start in enumerate("=+-@")
)
NETWORKS = ("cnn_small", "crnn", "ffnn", "resnet34", "resnet50", "vgg16")
BASELINES = (
    "dummy", "gradient_boosting", "knn", "logistic", "random_forest", "svm", "xgboost",
)  # fmt: skip
ENSEMBLES = ("ensemble_all", "ensemble_networks", "ensemble_weighted")

# How far each model's scores lie from noise.
_SKILL = {"dummy": 0.0, "resnet50": 0.4, "knn": 1.2, "logistic": 1.0, "crnn": 3.0}

DRIFT = {
    "outcome": "drifted",
    "text": "high differs by 0.312 bits (limit 0.100) (50 songs against 60 of version 1700000000)",
    "version": "1700000000",
    "songs": 50,
    "songs_before": 60,
    "measurements": [
        {"feature": "genre", "value": 0.021, "threshold": 0.05, "drifted": False},
        {"feature": "high_db", "value": 0.312, "threshold": 0.1, "drifted": True},
    ],
}

PARAMS = AudioParams(clip_seconds=1.0, n_mels=64, clips_per_track=2)


@dataclasses.dataclass(frozen=True)
class Artifacts:
    """Artifacts of a run, in folders below `root`."""

    root: pathlib.Path
    genres: tuple[str, ...]
    params: AudioParams
    networks: tuple[str, ...]
    has_baselines: bool

    def folder(self, name: str) -> str:
        return str(self.root / name)

    @property
    def saved_model(self) -> str:
        return str(self.root / "model" / "Format-Serving")

    @property
    def runs(self) -> dict[str, str]:
        return {name: self.folder(f"run_{name}") for name in self.networks}

    @property
    def baselines(self) -> str | None:
        return self.folder("baselines") if self.has_baselines else None

    @property
    def data(self) -> dict[str, Any]:
        return {
            "dataset": {"kind": "gtzan", "fma_subset": "small", "max_tracks": 0},
            "split": {"policy": "by_track", "seed": 1},
        }


@dataclasses.dataclass(frozen=True)
class Rendered:
    """Report, and the artifacts that it was made from."""

    made: Artifacts
    html: str
    plots: Mapping[str, bytes]


def render(made: Artifacts, *, data: Mapping[str, Any] | None = None) -> Rendered:
    """Build the report of these artifacts."""
    from components.report import build, stored_clips

    report = build.build(
        read(made, data=data),
        stored_clips.survey(made.folder("examples")),
        lambda wanted: stored_clips.read_mels(wanted, made.params),
        made.params,
    )
    return Rendered(made, report.html, report.plots)


def read(made: Artifacts, *, data: Mapping[str, Any] | None = None) -> Sources:
    """Read the artifacts as the report does."""
    return sources.read(
        genres=made.genres,
        data=data or made.data,
        predictions=made.folder("predictions"),
        runs=made.runs,
        baselines=made.baselines,
        rejects=made.folder("rejects"),
        data_check=made.folder("data_check"),
        blessing=made.folder("blessing"),
        saved_model=made.saved_model,
    )


def write(
    root: pathlib.Path,
    *,
    genres: Sequence[str] = GENRES,
    networks: Sequence[str] = NETWORKS,
    baselines: Sequence[str] = BASELINES,
    ensembles: Sequence[str] = ENSEMBLES,
    candidate: str = "crnn",
    tracks: Mapping[str, int] | None = None,
    suffix: str = "",
    rejects: Sequence[Mapping[str, str]] = (),
    blessed: bool = True,
    leaky: bool = False,
    params: AudioParams | None = None,
) -> Artifacts:
    """Write all artifacts.

    Args:
      genres: in label order.
      networks, baselines, ensembles: the models.
      candidate: one of them.
      tracks: per genre, by split.
      suffix: appended to every track's and artist's id.
      rejects: rows of rejects.csv.
      blessed: the gate's decision.
      leaky: whether the split leaks.
      params: audio parameters of the examples.
    """
    params = params or PARAMS
    counts = dict(tracks or {"train": 5, "validation": 3, "test": 8})
    listed = _tracks(genres, counts, suffix)
    _examples(root / "examples", listed, genres, params)
    kinds = {
        **dict.fromkeys(networks, "network"),
        **dict.fromkeys(baselines, "baseline"),
        **dict.fromkeys(ensembles, "ensemble"),
    }
    _predictions(root / "predictions", listed, genres, kinds, candidate, networks, params)
    for name in networks:
        _dump(root / f"run_{name}" / "history.json", _history(name, genres, params))
    if baselines:
        _dump(root / "baselines" / "baselines.json", _baselines(genres, baselines, params))
    _rejects(root / "rejects", counts, genres, rejects, params, leaky)
    _dump(root / "data_check" / "check.json", {"clips": {}, "tracks": {}, "drift": DRIFT})
    _dump(root / "blessing" / "decision.json", _decision(candidate, blessed, genres))
    _dump(
        root / "model" / "Format-Serving" / "assets" / "model_card.json",
        {
            "architecture": candidate,
            "parameters": 123456,
            "settings": {"epochs": 30, "learning_rate": 1e-3, "weights": f"none{suffix}"},
            "audio_hash": params.digest(),
            "versions": {"keras": "3.12.4"},
            "train_clips_per_genre": {genre: 80 for genre in genres},
            "model_digest": "0" * 64,
        },
    )
    return Artifacts(root, tuple(genres), params, tuple(networks), bool(baselines))


def _tracks(
    genres: Sequence[str], counts: Mapping[str, int], suffix: str
) -> list[tuple[str, str, str, int]]:
    """Return (split, track id, artist id, label), with two tracks an artist."""
    return [
        (
            split,
            f"{split}/{label}.{number:05d}{suffix}",
            f"artist {split} {label} {number // 2}{suffix}",
            label,
        )
        for split in SPLITS
        for label in range(len(genres))
        for number in range(counts[split])
    ]


def _examples(
    folder: pathlib.Path,
    tracks: Sequence[tuple[str, str, str, int]],
    genres: Sequence[str],
    params: AudioParams,
) -> None:
    import tensorflow as tf

    for split in SPLITS:
        (folder / f"Split-{split}").mkdir(parents=True)
        own = [track for track in tracks if track[0] == split]
        for shard in range(2):
            path = folder / f"Split-{split}" / f"data-{shard:05d}-of-00002"
            with tf.io.TFRecordWriter(str(path)) as out:
                for _, track_id, artist_id, label in own[shard::2]:
                    for clip in range(params.clips_per_track):
                        mel = mel_of(track_id, clip, label, params)
                        example = Clip(
                            track_id, artist_id, genres[label], label, clip, 0.5 * clip,
                            to_stored(mel),
                        )  # fmt: skip
                        out.write(serialize(example, params))


def mel_of(track_id: str, clip: int, label: int, params: AudioParams) -> Any:
    """Return harmonics that fall with frequency, in beats: float32 `[n_mels, frames]` dB."""
    rng = np.random.default_rng([*track_id.encode(), clip])
    bands = np.arange(params.n_mels)[:, np.newaxis]
    times = np.arange(params.frames)[np.newaxis]
    mel = -bands * 0.6 + 14 * np.cos(bands / (2 + label)) + 8 * np.cos(times / (2 + label / 3))
    mel = mel + rng.normal(0, 4, mel.shape)
    return np.clip(mel - mel.max(), -80, 0).astype(np.float32)


def _predictions(
    folder: pathlib.Path,
    tracks: Sequence[tuple[str, str, str, int]],
    genres: Sequence[str],
    kinds: Mapping[str, str],
    candidate: str,
    networks: Sequence[str],
    params: AudioParams,
) -> None:
    folder.mkdir(parents=True)
    tables = []
    for name in kinds:
        for split in ("validation", "test"):
            own = [track for track in tracks if track[0] == split]
            clips = pd.DataFrame(
                [
                    (track_id, artist_id, clip, label)
                    for _, track_id, artist_id, label in own
                    for clip in range(params.clips_per_track)
                ],
                columns=["track_id", "artist_id", "clip_index", "label"],
            )
            p = _probabilities(name, split, clips, len(genres))
            tables.append(table.make_table(name, split, clips, p, genres))
    rows = pd.concat(tables, ignore_index=True)
    table.write_table(rows, str(folder))
    validation = {
        name: metrics.evaluate(part, genres, resamples=1).track_accuracy.value
        for name, part in rows[rows["split"] == "validation"].groupby("model")
    }
    of_kind = {
        kind: [name for name in kinds if kinds[name] == kind]
        for kind in ("network", "baseline", "ensemble")
    }
    _dump(
        folder / "selection.json",
        {
            "candidate": candidate,
            "candidate_digest": "0" * 64,
            "best_baseline": max(of_kind["baseline"], key=validation.__getitem__, default=None),
            "kinds": dict(kinds),
            "validation_track_accuracy": validation,
            "parameters": {
                name: 10_000 * (1 + index) if name in networks else None
                for index, name in enumerate(kinds)
            },
            "train_seconds": {
                name: None if name in of_kind["ensemble"] else 7.5 * (1 + index)
                for index, name in enumerate(kinds)
            },
            "members": {name: list(networks) for name in of_kind["ensemble"]},
            "weights": {name: 1 / len(networks) for name in networks},
            "genres": list(genres),
            "audio_hash": params.digest(),
            # The first network starts from weights whose file has a name that attacks.
            "pretrained": {
                name: {"weights": f"{genres[0]}.h5"} for name in networks[:1] if len(networks) > 1
            },
        },
    )


def _probabilities(name: str, split: str, clips: pd.DataFrame, genres: int) -> Any:
    rng = np.random.default_rng([*name.encode(), *split.encode()])
    labels = clips["label"].to_numpy()
    scores = rng.normal(0, 1, (len(clips), genres))
    skill = _SKILL.get(name, 2.0)
    scores[np.arange(len(clips)), labels] += skill
    scores[np.arange(len(clips)), (labels + 1) % genres] += skill * 0.6  # its neighbour is like it
    p = np.exp(scores)
    return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)


def _history(name: str, genres: Sequence[str], params: AudioParams) -> dict[str, Any]:
    phases = [("train", 12)] if name in ("ffnn", "cnn_small", "crnn") else [
        ("head", 5), ("fine_tune", 9),
    ]  # fmt: skip
    epochs = []
    for phase, number in phases:
        for epoch in range(1, number + 1):
            done = len(epochs) + 1
            epochs.append(
                {
                    "phase": phase,
                    "epoch": epoch,
                    "loss": 2.2 / done**0.5,
                    "accuracy": 1 - 0.9 / done**0.4,
                    "val_loss": 2.3 / done**0.3,
                    "val_accuracy": 1 - 0.9 / done**0.25,
                    "learning_rate": 1e-3 if phase != "fine_tune" else 1e-5 / epoch,
                    "seconds": 3.0,
                }
            )
    return {
        "schema_version": 1,
        "architecture": name,
        "parameters": 123456,
        "train_seconds": 3.0 * len(epochs),
        "resumed_epochs": 0,
        "settings": {},
        "tuned": {},
        "genres": list(genres),
        "phases": [
            {"phase": phase, "epochs": number, "best_epoch": number} for phase, number in phases
        ],
        "epochs": epochs,
        "audio_hash": params.digest(),
    }


def _baselines(genres: Sequence[str], names: Sequence[str], params: AudioParams) -> dict[str, Any]:
    ratios = [0.45 * 0.5**index for index in range(15)]
    return {
        "schema_version": 1,
        "genres": list(genres),
        "audio_hash": params.digest(),
        "clips": {"train": 100},
        "pca": {"components": 15, "explained_variance_ratio": ratios, "total": sum(ratios)},
        "models": {name: {"train_seconds": 1.0, "settings": {}} for name in names},
        "versions": {},
        "code_digest": "",
    }


def _rejects(
    folder: pathlib.Path,
    counts: Mapping[str, int],
    genres: Sequence[str],
    rows: Sequence[Mapping[str, str]],
    params: AudioParams,
    leaky: bool,
) -> None:
    tracks = {split: number * len(genres) for split, number in counts.items()}
    reasons = [row["reason"] for row in rows]
    _dump(
        folder / "summary.json",
        {
            "tracks_listed": sum(tracks.values()) + len(rows),
            "tracks_read": sum(tracks.values()),
            "tracks": tracks,
            "clips": {split: n * params.clips_per_track for split, n in tracks.items()},
            "rejects": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
            "genres": list(genres),
            "leaky": leaky,
            "tracks_decoded": 0,
        },
    )
    with (folder / "rejects.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def _decision(candidate: str, blessed: bool, genres: Sequence[str]) -> dict[str, Any]:
    def rule(name: str, outcome: str, value: Any, interval: Any, text: str) -> dict[str, Any]:
        return {"id": name, "outcome": outcome, "value": value, "interval": interval, "text": text}

    return {
        "candidate": candidate,
        "blessed": blessed,
        "rules": [
            rule(
                "absolute_floor", "pass", 0.725, [0.61, 0.82],
                "72.5% of test tracks are right, the floor is 25.0%",
            ),
            rule(
                "beats_baseline", "pass" if blessed else "fail", 0.0625, [0.012, 0.113],
                "svm is right on 66.3% of test tracks; the difference is +6.3 points",
            ),
            rule("holds_ensemble", "off", None, None, "switched off: gate.holds_ensemble = false"),
            rule("holds_serving", "pass", None, None, "no model has been pushed yet"),
            rule(
                "genre_recall", "pass", 0.375, None,
                f"the least recall is that of {genres[-1]}: 37.5%",
            ),
            rule("audio_hash", "pass", None, None, "all artifacts have the same audio parameters"),
            rule("already_serving", "pass", None, None, "no model has been pushed yet"),
        ],
        "test_digest": "0123456789abcdef",
        "candidate_digest": "0" * 64,
    }  # fmt: skip


def _dump(path: pathlib.Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")
