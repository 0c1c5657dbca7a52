"""The ensembles' rows of the predictions table, from those of their members."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from components.common.errors import DataError
from components.ensemble.averages import average, likeliest_weights
from components.ensemble.members import WEIGHTED, members_of
from components.predictions.table import CLIP_KEYS, VALIDATION, by_track, probability_columns

ORDER = ["split", "track_id", "clip_index"]


@dataclasses.dataclass(frozen=True)
class Ensembles:
    """`rows` of all ensembles; `members` of each; `weights` of ensemble_weighted's ({}
    where there is none)."""

    rows: pd.DataFrame
    members: Mapping[str, tuple[str, ...]]
    weights: Mapping[str, float]


def same_clips(rows: pd.DataFrame) -> None:
    """Raises DataError unless every model has predicted the same clips of each split.

    An average over clips that are not the same would be of nothing.
    """
    first, expected = "", pd.DataFrame()
    for name, found in rows.groupby("model", sort=True):
        clips = found.sort_values(ORDER, kind="stable")[["split", *CLIP_KEYS]]
        clips = clips.reset_index(drop=True)
        if not first:
            first, expected = str(name), clips
        elif not clips.equals(expected):
            raise DataError(
                f"models {first} and {name} predicted other clips ({len(expected)} and "
                f"{len(clips)}): the predictions are of different runs"
            )


def make_ensembles(
    rows: pd.DataFrame, genres: Sequence[str], networks: Sequence[str], baselines: Sequence[str]
) -> Ensembles:
    """Averages of the networks, of the baselines, of all, and of all with weights.

    Args:
      rows: the predictions table of all single models, both splits.
      genres: in label order.
      networks, baselines: the names of the single models.

    Raises:
      DataError: the models did not predict the same clips, or one of them has no rows.
    """
    missing = sorted({*networks, *baselines} - set(rows["model"]))
    if missing:
        raise DataError(f"no predictions of {', '.join(missing)}: the predictions are incomplete")
    same_clips(rows)
    ensembles = members_of(networks, baselines)
    columns = probability_columns(genres)
    by_model = {
        str(name): found.sort_values(ORDER, kind="stable").reset_index(drop=True)
        for name, found in rows.groupby("model")
    }
    weights: dict[str, float] = {}
    if WEIGHTED in ensembles:
        weights = _weights(by_model, ensembles[WEIGHTED], genres)
    made = []
    for name, names in ensembles.items():
        shares = [weights[member] for member in names] if name == WEIGHTED else None
        mean = average([by_model[member][columns].to_numpy() for member in names], shares)
        table = by_model[names[0]].copy()
        table["model"] = name
        table[columns] = mean
        made.append(table[rows.columns])
    empty = rows.iloc[:0]
    return Ensembles(pd.concat([empty, *made], ignore_index=True), ensembles, weights)


def _weights(
    by_model: Mapping[str, pd.DataFrame], names: Sequence[str], genres: Sequence[str]
) -> dict[str, float]:
    columns = probability_columns(genres)
    tracks = {}
    for name in names:
        table = by_model[name]
        tracks[name] = by_track(table[table["split"] == VALIDATION], genres)
    labels = tracks[names[0]]["label"].to_numpy(np.int64)
    return likeliest_weights(
        {name: found[columns].to_numpy() for name, found in tracks.items()}, labels
    )
