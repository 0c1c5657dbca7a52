"""The model card: the candidate's data, settings, intended use and limits, in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

# By dataset.kind. FMA: Defferrard et al. 2017, section 2; GTZAN: Sturm 2013.
_LICENCES = {
    "fma": (
        "Each track of the Free Music Archive has its own licence. Most are Creative Commons "
        "licences, many of which forbid commercial use (NC) or modified copies (ND). They are in "
        "column ('track', 'license') of tracks.csv. Find out whether you may use a model that was "
        "trained on such tracks commercially."
    ),
    "gtzan": (
        "GTZAN's recordings have no clear licence: they were collected for research without "
        "their owners' permission. Do not share them, and ask a lawyer before any other use."
    ),
    "synthetic": (
        "The corpus is synthesised by this program, so nobody else holds rights in it. A model "
        "that was trained on it is of no use for real music."
    ),
}
_OWN = (
    "The audio is yours, and this program does not know its licence. Make sure that you may "
    "train on it, and state the licence where you publish the model."
)

_NAMES = {
    "fma": "Free Music Archive (FMA)",
    "gtzan": "GTZAN",
    "folder": "Your own folders, one per genre",
    "split_folders": "Your own folders, one per split and genre",
    "manifest": "Your own manifest",
    "synthetic": "Synthetic corpus",
}

INTENDED_USE = (
    "Suggesting a song's genre to people who review the suggestion: sorting a collection, finding "
    "songs, showing how a song's character changes over time."
)
NOT_INTENDED = (
    "Decisions about artists or their pay without human review, identifying a song's author or "
    "its rights, and genres that are not in its list: it always predicts one of the list."
)


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """Model card of the candidate.

    Attributes:
      rows: Facts as (name, value), in order.
      settings: Training settings as (name, value), sorted by name.
      licence: Text on the data's licence.
      limits: Sentences.
    """

    rows: list[tuple[str, str]]
    settings: list[tuple[str, str]]
    licence: str
    limits: list[str]


def dataset_name(data: Mapping[str, Any]) -> str:
    """Return the data set's name in words, with the subset of FMA."""
    dataset = data.get("dataset", {})
    kind = str(dataset.get("kind", ""))
    name = _NAMES.get(kind, kind or "Unknown data")
    if kind == "fma" and dataset.get("fma_subset"):
        name += f", subset {dataset['fma_subset']}"
    return name


def licence(data: Mapping[str, Any]) -> str:
    """Return what is known of the data's licence."""
    return _LICENCES.get(str(data.get("dataset", {}).get("kind", "")), _OWN)


def pretrained(origin: Mapping[str, str]) -> str:
    """Return what is known of the weights that a network starts from, in words."""
    if "trained_on" not in origin:
        return f"{origin['weights']}, of unknown origin"
    return (
        f"{origin['weights']}, {origin['trained_on']} (licence {origin['licence']}, "
        f"{origin['paper']})"
    )


def make(
    card: Mapping[str, Any],
    data: Mapping[str, Any],
    *,
    candidate: str,
    members: list[str],
    parameters: int | None,
    clip_seconds: float,
    leaky: bool,
) -> ModelCard:
    """Return the card of the candidate.

    Args:
      card: the candidate's model_card.json; an average's holds its members' cards as `members`.
      data: the settings that decide what was learned from.
      candidate: its name.
      members: the networks that it averages; [] for a single network.
      parameters: number of weights; None where it is unknown.
      clip_seconds: length of the clips that it classifies.
      leaky: whether clips of a track lie in several splits.
    """
    split = data.get("split", {})
    rows = [("Model", candidate)]
    if members:
        rows.append(("Average of", ", ".join(members)))
    if parameters is not None:
        rows.append(("Weights", f"{parameters:,}"))
    cards: Mapping[str, Any] = card.get("members") or {"": card}
    for member, one in sorted(cards.items()):
        if one.get("pretrained"):
            text = f"{member} starts from" if member else "Starts from"
            rows.append((text, pretrained(one["pretrained"])))
    rows.append(("Data", dataset_name(data)))
    if split.get("policy"):
        rows.append(("Split", str(split["policy"])))
    for key, name in (
        ("audio_hash", "Audio parameters"), ("code_digest", "Code"), ("model_digest", "Digest"),
    ):  # fmt: skip
        if card.get(key):
            rows.append((name, str(card[key])))
    versions = {
        (name, str(version))
        for one in cards.values()
        for name, version in dict(one.get("versions") or {}).items()
    }
    rows += [(f"Version of {name}", version) for name, version in sorted(versions)]
    return ModelCard(
        rows=rows,
        settings=[
            (f"{member}: {name}" if member else name, value)
            for member, one in sorted(cards.items())
            for name, value in sorted(_flat(one.get("settings") or {}))
        ],
        licence=licence(data),
        limits=_limits(next(iter(cards.values())), clip_seconds, leaky),
    )


def _limits(card: Mapping[str, Any], clip_seconds: float, leaky: bool) -> list[str]:
    limits = [
        f"The model classifies clips of {clip_seconds:g} seconds and averages them: it cannot see "
        "structure over longer times, such as a song's form.",
        "Each song has exactly one genre here. Real songs have several, people disagree about "
        "them, and errors in the labels limit what any model can reach.",
        "It was evaluated on tracks of the same collection. Expect lower accuracy on others "
        "(another decade, country or loudness, live recordings).",
        "Probabilities are only as reliable as the calibration plot shows.",
    ]
    counts = dict(card.get("train_clips_per_genre") or {})
    if counts and min(counts.values()) * 2 < max(counts.values()):
        rarest = min(counts, key=lambda genre: (counts[genre], genre))
        limits.append(
            f"Genres were not equally frequent in training: {rarest} had {counts[rarest]} clips, "
            f"the most frequent genre {max(counts.values())}."
        )
    if leaky:
        limits.append(
            "Clips of one track lie in training and in test: all numbers here are too good."
        )
    return limits


def _flat(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            rows += [(f"{key}.{name}", text) for name, text in _flat(value)]
        else:
            rows.append((str(key), "" if value is None else str(value)))
    return rows
