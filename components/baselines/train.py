"""Training of all baselines on spectrograms and labels. Arrays in, arrays out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.baselines.features import Blocks, Floats, fit_features, transform
from components.baselines.models import Labels, Model, fit_model, probabilities
from components.baselines.settings import BaselineName, BaselineSettings
from components.common.errors import DataError, UsageError


@dataclasses.dataclass(frozen=True, eq=False)
class Baselines:
    """Fitted baselines.

    Attributes:
      genres: names in label order.
      features: result of features.fit_features.
      models: the models by name.
      settings: the [baselines] table.
      train_seconds: duration of each model's training, without the features'.
      feature_seconds: duration of fitting and applying the features.
    """

    genres: tuple[str, ...]
    features: Any
    models: dict[BaselineName, Model]
    settings: BaselineSettings
    train_seconds: dict[BaselineName, float]
    feature_seconds: float

    def transform(self, blocks: Iterable[Floats]) -> Floats:
        """Return the features of blocks of spectrograms, float32 `[clips, n_mels, frames]`."""
        return transform(self.features, blocks)

    def predict_proba(self, name: BaselineName, features: Floats) -> Floats:
        """Return one model's probabilities for features that `transform` returned.

        Returns:
          float32 `[clips, genres]` in label order; each row sums to 1.

        Raises:
          DataError: a feature is not finite, or the model was trained for other genres.
        """
        _check_finite(features)
        return probabilities(self.models[name], features, len(self.genres))

    def explained_variance(self) -> dict[str, Any]:
        """Return the share of the training clips' variance in each component and in all."""
        ratios = [float(ratio) for ratio in self.features["pca"].explained_variance_ratio_]
        return {
            "components": len(ratios),
            "explained_variance_ratio": ratios,
            "total": float(sum(ratios)),
        }


def fit(
    blocks: Blocks,
    labels: Labels,
    genres: Sequence[str],
    settings: BaselineSettings,
    report: Callable[[str, int, int], None] = lambda detail, done, total: None,
) -> Baselines:
    """Fit the features and every model of the settings.

    Args:
      blocks: the training clips alone; see features.Blocks.
      labels: their labels, int64 `[clips]`.
      genres: in label order.
      settings: the [baselines] table.
      report: receives the name of the step that starts, the steps done and their total.

    Raises:
      DataError: a genre has no clips, a label fits no genre, or the clips give no features.
      UsageError: the SVM's limit is below one clip of each genre.
    """
    _check(labels, genres, settings)
    total = len(settings.models) + 1
    report("principal components", 0, total)
    started = time.monotonic()
    features = fit_features(blocks, settings.pca_components, settings.seed)
    table = transform(features, blocks())
    feature_seconds = time.monotonic() - started
    if len(table) != len(labels):
        raise DataError(f"{len(table)} clips, but {len(labels)} labels")
    models: dict[BaselineName, Model] = {}
    seconds: dict[BaselineName, float] = {}
    for done, name in enumerate(settings.models, start=1):
        report(name, done, total)
        started = time.monotonic()
        models[name] = fit_model(name, table, labels, len(genres), settings)
        seconds[name] = time.monotonic() - started
    report("predictions", total, total)
    return Baselines(tuple(genres), features, models, settings, seconds, feature_seconds)


def array_blocks(mel_db: npt.NDArray[np.floating[Any]], clips: int = 512) -> Blocks:
    """Return spectrograms `[clips, n_mels, frames]` in memory as Blocks."""

    def blocks() -> Iterable[Floats]:
        for start in range(0, len(mel_db), clips):
            yield mel_db[start : start + clips].astype(np.float32)

    return blocks


def _check(labels: Labels, genres: Sequence[str], settings: BaselineSettings) -> None:
    wrong = labels[(labels < 0) | (labels >= len(genres))]
    if len(wrong):
        raise DataError(
            f"the train split holds label {wrong[0]}, but there are {len(genres)} genres: the "
            "examples were written with another list of genres"
        )
    absent = [name for label, name in enumerate(genres) if label not in labels]
    if absent:
        raise DataError(
            f"the train split has no clip of {', '.join(map(repr, absent))}: a baseline "
            "cannot learn a genre without examples; add tracks, or remove the genre from "
            "dataset.genres"
        )
    limit = settings.svm.max_train_clips
    if "svm" in settings.models and 0 < limit < len(genres):
        raise UsageError(
            f"baselines.svm.max_train_clips = {limit}: fewer than the {len(genres)} genres; "
            "raise it, so that there are clips of each"
        )


def _check_finite(features: Floats) -> None:
    if not np.isfinite(features).all():
        raise DataError("features are not finite (NaN or infinite): write the examples again")
