"""Reads the files that the report is made of, wherever their artifacts lie."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from components.artifacts import files as artifact_files
from components.artifacts.names import (
    BASELINES_JSON,
    DECISION_JSON,
    HISTORY_JSON,
    REJECT_SUMMARY_JSON,
    REJECTS_CSV,
    SELECTION_JSON,
)
from components.common.errors import DataError
from components.export.assets import read_card
from components.predictions import table

MAX_REJECTS = 50
_MODEL_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"


@dataclasses.dataclass(frozen=True)
class Sources:
    """What the parts of a run said, as they wrote it.

    `predictions`: the table of all models; `selection`: selection.json; `decision`:
    decision.json; `summary`: the examples' summary.json; `rejects`: the first MAX_REJECTS
    rows of rejects.csv; `histories`: history.json by network; `baselines`: baselines.json,
    None without them; `card`: the candidate's model_card.json; `data`: {"dataset", "split"},
    the settings that decided what was learned from. `genres` in label order.
    """

    genres: tuple[str, ...]
    predictions: pd.DataFrame
    selection: Mapping[str, Any]
    decision: Mapping[str, Any]
    summary: Mapping[str, Any]
    rejects: tuple[Mapping[str, str], ...]
    histories: Mapping[str, Mapping[str, Any]]
    baselines: Mapping[str, Any] | None
    card: Mapping[str, Any]
    data: Mapping[str, Any]

    @property
    def candidate(self) -> str:
        return str(self.selection["candidate"])


def read(
    *,
    genres: tuple[str, ...],
    data: Mapping[str, Any],
    predictions: str,
    runs: Mapping[str, str],
    baselines: str | None,
    rejects: str,
    blessing: str,
    saved_model: str,
) -> Sources:
    """Reads everything but the spectrograms.

    Args:
      genres: in label order.
      data: see Sources.
      predictions, rejects, blessing: the artifacts' uris.
      runs: the Trainers' ModelRun uris by network.
      baselines: uri of the BaselineModels, or None.
      saved_model: folder of the candidate's SavedModel.

    Raises:
      DataError: the predictions are of other genres, or a model in them has no kind or no
        proper name.
    """
    selection = artifact_files.read_json(predictions, SELECTION_JSON)
    rows = table.read_table(predictions)
    expected = table.probability_columns(genres)
    columns = [column for column in rows.columns if column not in table.KEYS]
    if columns != expected:
        raise DataError(
            f"{predictions}: the predictions' genres are {columns}, not {expected}: they are of "
            "another run"
        )
    for name in sorted(rows["model"].unique()):
        if not re.fullmatch(_MODEL_NAME, name):  # they name the plots' files
            raise DataError(f"{predictions}: {name!r} is no name of a model")
        if name not in selection["kinds"]:
            raise DataError(f"{predictions}: selection.json does not say what {name} is")
    return Sources(
        genres=genres,
        predictions=rows,
        selection=selection,
        decision=artifact_files.read_json(blessing, DECISION_JSON),
        summary=artifact_files.read_json(rejects, REJECT_SUMMARY_JSON),
        rejects=_first_rejects(artifact_files.read_text(os.path.join(rejects, REJECTS_CSV))),
        histories={
            name: artifact_files.read_json(uri, HISTORY_JSON) for name, uri in sorted(runs.items())
        },
        baselines=None
        if baselines is None
        else artifact_files.read_json(baselines, BASELINES_JSON),
        card=read_card(saved_model),
        data=data,
    )


def _first_rejects(text: str) -> tuple[Mapping[str, str], ...]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return tuple(dict(row) for row, _ in zip(rows, range(MAX_REJECTS), strict=False))
