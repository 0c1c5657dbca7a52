"""Rows of the ensembles in the predictions table, computed from their members' rows."""

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
    """Rows and composition of all ensembles.

    Attributes:
      rows: rows of the predictions table.
      members: names of the models of each ensemble.
      weights: weights of the members of ensemble_weighted; {} without it.
    """

    rows: pd.DataFrame
    members: Mapping[str, tuple[str, ...]]
    weights: Mapping[str, float]


def check_same_clips(rows: pd.DataFrame) -> None:
    """Check that all models have predicted the same clips of each split.

    Args:
      rows: the predictions table of all single models.

    Raises:
      DataError: two models have predicted different clips.
    """
    first, expected = "", pd.DataFrame()
    for name, found in rows.groupby("model", sort=True):
        clips = found.sort_values(ORDER, kind="stable")[["split", *CLIP_KEYS]]
        clips = clips.reset_index(drop=True)
        if not first:
            first, expected = str(name), clips
        elif not clips.equals(expected):
            raise DataError(
                f"models {first} and {name} predicted different clips ({len(expected)} and "
                f"{len(clips)}): their predictions are from different runs; rerun the pipeline"
            )


def make_ensembles(
    rows: pd.DataFrame, genres: Sequence[str], networks: Sequence[str], baselines: Sequence[str]
) -> Ensembles:
    """Average the networks, the baselines, all models, and all models with weights.

    Args:
      rows: the predictions table of all single models, both splits.
      genres: in label order.
      networks, baselines: names of the single models.

    Raises:
      DataError: models predicted different clips, or one of them has no rows.
    """
    missing = sorted({*networks, *baselines} - set(rows["model"]))
    if missing:
        raise DataError(f"the predictions have no rows of {', '.join(missing)}; rerun the pipeline")
    check_same_clips(rows)
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
