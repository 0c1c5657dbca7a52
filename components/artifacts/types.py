"""Artifact types of the pipeline. Imports TFX."""

from __future__ import annotations

from tfx.types import artifact


class Rejects(artifact.Artifact):  # type: ignore[misc]
    """Rejected tracks (`rejects.csv`: track_id, uri, genre, ...) and counts (`summary.json`)."""

    TYPE_NAME = "GenreflowRejects"


class Predictions(artifact.Artifact):  # type: ignore[misc]
    """Predictions (`predictions.parquet`: model, split, track_id, clip_index, label, p_<genre>)."""

    TYPE_NAME = "GenreflowPredictions"


class DataCheckResult(artifact.Artifact):  # type: ignore[misc]
    """Result of DataCheck: counts and drift in `check.json`, and the songs' statistics."""

    TYPE_NAME = "GenreflowDataCheck"


class TuningResults(artifact.Artifact):  # type: ignore[misc]
    """Results of a tuning (`trials.json`, see components/tuner/outcome.py; trials.csv, .png)."""

    TYPE_NAME = "GenreflowTuningResults"


class BaselineModels(artifact.Artifact):  # type: ignore[misc]
    """Classical models and their `features.skops`, with `baselines.json`.

    components/baselines/store.py describes the files.
    """

    TYPE_NAME = "GenreflowBaselineModels"


class Report(artifact.Artifact):  # type: ignore[misc]
    """Report: `index.html`, which needs no other file, and its plots in `plots/`."""

    TYPE_NAME = "GenreflowReport"
