"""The model card's words: where the data comes from, what it may be used for, what it cannot."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

# By dataset.kind. FMA: Defferrard et al. 2017, section 2; GTZAN: Sturm 2013.
_LICENCES = {
    "fma": (
        "Tracks of the Free Music Archive stand each under a licence of its own, most of them "
        "kinds of Creative Commons, many of which forbid commercial use (NC) or changed copies "
        "(ND). Column ('track', 'license') of tracks.csv has them. Whether a model that was "
        "trained on such tracks may be used commercially is for you to find out."
    ),
    "gtzan": (
        "GTZAN's recordings have no clear licence: they were collected for research without "
        "asking the owners. Share none of them, and ask a lawyer before anything but research."
    ),
    "synthetic": (
        "The corpus is synthesised by this program and belongs to nobody else. A model that was "
        "trained on it is of no use for real music."
    ),
}
_OWN = (
    "The audio is yours: this program does not know under which licence. Make sure that you may "
    "train on it, and say so where you publish the model."
)

_NAMES = {
    "fma": "Free Music Archive (FMA)",
    "gtzan": "GTZAN",
    "folder": "Folders of your own, one for each genre",
    "manifest": "A manifest of your own",
    "synthetic": "Synthetic corpus",
}

INTENDED_USE = (
    "Suggesting a genre for a song, for people who look at the suggestion: sorting a collection, "
    "finding songs, showing how a song's character changes over time."
)
NOT_INTENDED = (
    "Deciding alone about artists or their pay, finding out who made a song or whether it is "
    "allowed to be played, and genres that are not in its list: it always names one of them."
)


@dataclasses.dataclass(frozen=True)
class Card:
    """What the report says of the candidate. `rows` are (name, value) in order; `settings`
    likewise, sorted by name; `limits` are sentences."""

    rows: list[tuple[str, str]]
    settings: list[tuple[str, str]]
    licence: str
    limits: list[str]


def dataset_name(data: Mapping[str, Any]) -> str:
    """The data in words, with the subset where there are several."""
    dataset = data.get("dataset", {})
    kind = str(dataset.get("kind", ""))
    name = _NAMES.get(kind, kind or "Unknown data")
    if kind == "fma" and dataset.get("fma_subset"):
        name += f", subset {dataset['fma_subset']}"
    return name


def licence(data: Mapping[str, Any]) -> str:
    """What is known of the data's licence."""
    return _LICENCES.get(str(data.get("dataset", {}).get("kind", "")), _OWN)


def make(
    card: Mapping[str, Any],
    data: Mapping[str, Any],
    *,
    candidate: str,
    members: list[str],
    parameters: int | None,
    clip_seconds: float,
    leaky: bool,
) -> Card:
    """The card's content.

    Args:
      card: the candidate's model_card.json; an average's has its members' as `members`.
      data: the settings that decided what was learned from.
      candidate: its name.
      members: of what it is the average; [] for a single network.
      parameters: how many weights it has, None where that is not known.
      clip_seconds: what it hears at once.
      leaky: clips of a track lie in several splits.
    """
    split = data.get("split", {})
    rows = [("Model", candidate)]
    if members:
        rows.append(("Average of", ", ".join(members)))
    if parameters is not None:
        rows.append(("Weights", f"{parameters:,}"))
    rows.append(("Data", dataset_name(data)))
    if split.get("policy"):
        rows.append(("Split", str(split["policy"])))
    for key, name in (
        ("audio_hash", "Audio parameters"), ("code_digest", "Code"), ("model_digest", "Digest"),
    ):  # fmt: skip
        if card.get(key):
            rows.append((name, str(card[key])))
    cards: Mapping[str, Any] = card.get("members") or {"": card}
    versions = {
        (name, str(version))
        for one in cards.values()
        for name, version in dict(one.get("versions") or {}).items()
    }
    rows += [(f"Version of {name}", version) for name, version in sorted(versions)]
    return Card(
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
        f"It hears {clip_seconds:g} seconds at a time and averages: what only shows over longer "
        "stretches (form, a story) is beyond it.",
        "Each song has exactly one genre here. Real songs have several, people disagree about "
        "them, and the labels' own errors bound what any model can reach.",
        "It was measured on tracks of the same collection. On others (another decade, country or "
        "loudness, live recordings) expect less.",
        "Probabilities are as good as the calibration plot shows, no better.",
    ]
    counts = dict(card.get("train_clips_per_genre") or {})
    if counts and min(counts.values()) * 2 < max(counts.values()):
        least = min(counts, key=lambda genre: (counts[genre], genre))
        limits.append(
            f"Genres were not equally frequent in training: {least} had {counts[least]} clips, the "
            f"most frequent {max(counts.values())}."
        )
    if leaky:
        limits.append(
            "Clips of one track lie in training and in test: every number here is too good."
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
