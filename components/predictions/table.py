"""The predictions table: the probabilities of every model for every clip of a split.

Columns: `model`, `split`, `track_id`, `artist_id` (strings), `clip_index`, `label` (int64), and
`p_<genre>` (float32) in label order. All metrics are computed from it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.artifacts import files as artifact_files
from components.artifacts.names import PREDICTIONS_PARQUET
from components.common.errors import DataError
from components.common.escape import printable
from components.common.probabilities import are_probabilities

CLIP_KEYS = ("track_id", "artist_id", "clip_index", "label")
KEYS = ("model", "split", *CLIP_KEYS)
VALIDATION, TEST = "validation", "test"
PREDICTED_SPLITS = (VALIDATION, TEST)
_PREFIX = "p_"


def probability_columns(genres: Sequence[str]) -> list[str]:
    """Return the names of the probability columns, in label order."""
    return [f"{_PREFIX}{genre}" for genre in genres]


def genres_of(table: pd.DataFrame) -> list[str]:
    """Return the genres of a table's probability columns, in label order."""
    names = map(str, table.columns)
    return [name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)]


def make_table(
    model: str,
    split: str,
    clips: pd.DataFrame,
    probabilities: npt.NDArray[np.float32],
    genres: Sequence[str],
) -> pd.DataFrame:
    """Return one model's rows for one split, sorted by track and clip.

    Args:
      model: the model's name.
      split: the split's name.
      clips: `track_id`, `artist_id`, `clip_index`, `label`, one row per clip.
      probabilities: `[clips, genres]`, in the same order.
      genres: in label order.

    Raises:
      DataError: the numbers have another shape or are not probabilities.
    """
    if probabilities.shape != (len(clips), len(genres)):
        raise DataError(
            f"model {model}, split {split}: probabilities are {probabilities.shape}, "
            f"not {(len(clips), len(genres))}"
        )
    if not are_probabilities(probabilities).all():
        raise DataError(
            f"model {model}, split {split}: its outputs are not probabilities "
            "(not finite, negative, or not adding up to 1)"
        )
    table = pd.DataFrame({"model": model, "split": split}, index=range(len(clips)))
    for column in CLIP_KEYS:
        table[column] = clips[column].to_numpy()
    for index, column in enumerate(probability_columns(genres)):
        table[column] = probabilities[:, index].astype(np.float32)
    return table.sort_values(["track_id", "clip_index"], kind="stable", ignore_index=True)


def check_probabilities(table: pd.DataFrame, genres: Sequence[str]) -> None:
    """Check that every row has probabilities of exactly the given genres.

    Args:
      table: rows of any models and splits.
      genres: in label order.

    Raises:
      DataError: a genre is missing, additional or in another place, or a row's numbers are
        not probabilities.
    """
    columns, found = probability_columns(genres), genres_of(table)
    if found != list(genres):
        raise DataError(
            f"the predictions are for the genres {_listed(found)}, but this run's genres are "
            f"{_listed(genres)}: the predictions are from another run; rerun the pipeline"
        )
    sound = are_probabilities(table[columns].to_numpy(dtype=float))
    if not sound.all():
        first = table.iloc[int(np.argmin(sound))]
        raise DataError(
            f"{int((~sound).sum())} predictions are not probabilities (not finite, negative, or "
            f"not adding up to 1); the first is of model {printable(str(first['model']))}, split "
            f"{printable(str(first['split']))}, track {printable(str(first['track_id']))}"
        )


def write_table(table: pd.DataFrame, directory: str) -> str:
    """Write the table into a folder, completely or not at all; return its path."""
    path = os.path.join(directory, PREDICTIONS_PARQUET)
    with artifact_files.written_file(path) as temporary:
        table.to_parquet(temporary, index=False)
    return path


def read_table(directory: str) -> pd.DataFrame:
    """Read the table from the folder that write_table wrote."""
    import pyarrow_hotfix  # noqa: F401  pyarrow 10 would run code from a file

    content = artifact_files.read_bytes(os.path.join(directory, PREDICTIONS_PARQUET))
    return pd.read_parquet(io.BytesIO(content))


def by_track(table: pd.DataFrame, genres: Sequence[str]) -> pd.DataFrame:
    """Average each track's probabilities over its clips.

    Args:
      table: rows of one model and one split.
      genres: in label order.

    Returns:
      `track_id`, `artist_id`, `label`, `p_<genre>...`, sorted by track id.
    """
    grouped = table.groupby("track_id", sort=True)
    tracks = grouped[["artist_id", "label"]].first()
    tracks[probability_columns(genres)] = grouped[probability_columns(genres)].mean()
    return tracks.reset_index()


def _listed(genres: Iterable[str]) -> str:
    return ", ".join(map(printable, genres))
