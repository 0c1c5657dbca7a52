"""Reading of the files that the report is made of, on a disk or in an object store."""

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
from components.artifacts import typed_json
from components.artifacts.names import (
    BASELINES_JSON,
    DATA_CHECK_JSON,
    DECISION_JSON,
    HISTORY_JSON,
    REJECT_SUMMARY_JSON,
    REJECTS_CSV,
)
from components.common.errors import DataError
from components.data_check.outcome import CheckedData, DriftResult
from components.export.assets import read_card
from components.gate.outcome import Decision, RecordedDecision
from components.predictions import table
from components.predictions.selection import Selection, read_selection
from components.spectrogram_gen.summary import DataSummary

MAX_REJECTS = 50
_MODEL_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"


@dataclasses.dataclass(frozen=True)
class Sources:
    """Content of the files that the parts of a run wrote.

    Attributes:
      genres: In label order.
      predictions: The predictions table of all models.
      selection: The Ensembler's choices.
      decision: The gate's decision.
      summary: Counts of the data.
      drift: Comparison of the training songs with those of the serving model.
      rejects: The first MAX_REJECTS rows of rejects.csv, by column.
      histories: history.json by network.
      baselines: baselines.json; None without baselines.
      card: The candidate's model_card.json.
      data: {"dataset", "split"}: the settings that decide what was learned from.
    """

    genres: tuple[str, ...]
    predictions: pd.DataFrame
    selection: Selection
    decision: Decision
    summary: DataSummary
    drift: DriftResult
    rejects: tuple[Mapping[str, str], ...]
    histories: Mapping[str, Mapping[str, Any]]
    baselines: Mapping[str, Any] | None
    card: Mapping[str, Any]
    data: Mapping[str, Any]

    @property
    def candidate(self) -> str:
        return self.selection.candidate


def read(
    *,
    genres: tuple[str, ...],
    data: Mapping[str, Any],
    predictions: str,
    runs: Mapping[str, str],
    baselines: str | None,
    rejects: str,
    data_check: str,
    blessing: str,
    saved_model: str,
) -> Sources:
    """Read everything but the spectrograms.

    Args:
      genres: in label order.
      data: as in Sources.
      predictions, rejects, data_check, blessing: uris of the artifacts.
      runs: uris of the Trainers' ModelRuns, by network.
      baselines: uri of the BaselineModels, or None.
      saved_model: folder of the candidate's SavedModel.

    Raises:
      DataError: a file is damaged, the predictions are of other genres, or a model in them has
        an invalid name or is not in selection.json.
    """
    selection = read_selection(predictions)
    rows = table.read_table(predictions)
    expected = table.probability_columns(genres)
    columns = [column for column in rows.columns if column not in table.KEYS]
    if columns != expected:
        raise DataError(
            f"{predictions}: the predictions have the columns {columns} and not {expected}: they "
            "are another run's; run again"
        )
    for name in sorted(rows["model"].unique()):
        if not re.fullmatch(_MODEL_NAME, name):  # they name the plots' files
            raise DataError(f"{predictions}: {name!r} is not a valid name of a model")
        if name not in selection.kinds:
            raise DataError(
                f"{predictions}: selection.json does not list the model {name}; run again"
            )
    return Sources(
        genres=genres,
        predictions=rows,
        selection=selection,
        decision=typed_json.read(RecordedDecision, blessing, DECISION_JSON),
        summary=typed_json.read(DataSummary, rejects, REJECT_SUMMARY_JSON),
        drift=typed_json.read(CheckedData, data_check, DATA_CHECK_JSON).drift,
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
