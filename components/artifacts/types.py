"""The pipeline's own artifact types (imports TFX)."""

from __future__ import annotations

from tfx.types import artifact


class Rejects(artifact.Artifact):  # type: ignore[misc]
    """`rejects.csv` (track_id, uri, genre, reason, detail) and `summary.json` (counts)."""

    TYPE_NAME = "GenreflowRejects"


class Predictions(artifact.Artifact):  # type: ignore[misc]
    """`predictions.parquet`: model, split, track_id, clip_index, label, p_<genre>..."""

    TYPE_NAME = "GenreflowPredictions"


class DataCheckResult(artifact.Artifact):  # type: ignore[misc]
    """`check.json`: what DataCheck looked at and found in order."""

    TYPE_NAME = "GenreflowDataCheck"


class TuningResults(artifact.Artifact):  # type: ignore[misc]
    """A search's `trials.json` (see components/tuner/outcome.py), `trials.csv`, `trials.png`."""

    TYPE_NAME = "GenreflowTuningResults"


class BaselineModels(artifact.Artifact):  # type: ignore[misc]
    """The classical models and their `features.skops`, described by `baselines.json`
    (see components/baselines/store.py)."""

    TYPE_NAME = "GenreflowBaselineModels"


class Report(artifact.Artifact):  # type: ignore[misc]
    """`index.html`, which needs no other file, and its plots in `plots/`."""

    TYPE_NAME = "GenreflowReport"
