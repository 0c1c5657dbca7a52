"""All baselines, from spectrograms and labels to what predicts. Arrays in, arrays out."""

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
    """Fitted baselines: `features` (see features.fit_features), and each model by name.

    `train_seconds` of each model, without the features' `feature_seconds`.
    """

    genres: tuple[str, ...]
    features: Any
    models: dict[BaselineName, Model]
    settings: BaselineSettings
    train_seconds: dict[BaselineName, float]
    feature_seconds: float

    def transform(self, blocks: Iterable[Floats]) -> Floats:
        """Spectrograms, mel_db float32 `[clips, n_mels, frames]` a block, to features."""
        return transform(self.features, blocks)

    def predict_proba(self, name: BaselineName, features: Floats) -> Floats:
        """One model's answers for what `transform` gave: float32 `[clips, genres]` in label
        order, each row adding up to 1.

        Raises:
          DataError: a feature is not finite, or the model is for other genres.
        """
        _check_finite(features)
        return probabilities(self.models[name], features, len(self.genres))

    def explained_variance(self) -> dict[str, Any]:
        """The share of the training clips' variance in each component, and in all of them."""
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
    """Fits the features and every model of the settings.

    Args:
      blocks: the training clips, and none but these; see features.Blocks.
      labels: theirs, int64 `[clips]`.
      genres: in label order.
      settings: the [baselines] table.
      report: told what begins, how many steps are done, and of how many.

    Raises:
      DataError: a genre has no clips, a label fits no genre, or clips that no features can
        be made of.
      UsageError: the SVM may not take one clip of each genre.
    """
    _check(labels, genres, settings)
    total = len(settings.models) + 1
    report("principal components", 0, total)
    begun = time.monotonic()
    features = fit_features(blocks, settings.pca_components, settings.seed)
    table = transform(features, blocks())
    feature_seconds = time.monotonic() - begun
    if len(table) != len(labels):
        raise DataError(f"{len(table)} clips, but {len(labels)} labels")
    models: dict[BaselineName, Model] = {}
    seconds: dict[BaselineName, float] = {}
    for done, name in enumerate(settings.models, start=1):
        report(name, done, total)
        begun = time.monotonic()
        models[name] = fit_model(name, table, labels, len(genres), settings)
        seconds[name] = time.monotonic() - begun
    report("predictions", total, total)
    return Baselines(tuple(genres), features, models, settings, seconds, feature_seconds)


def array_blocks(mel_db: npt.NDArray[np.floating[Any]], clips: int = 512) -> Blocks:
    """`[clips, n_mels, frames]` in memory as Blocks."""

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
            "cannot learn a genre that it never hears; add tracks, or take the genre out of "
            "dataset.genres"
        )
    limit = settings.svm.max_train_clips
    if "svm" in settings.models and 0 < limit < len(genres):
        raise UsageError(
            f"baselines.svm.max_train_clips = {limit}: fewer than the {len(genres)} genres; "
            "give it some clips of each"
        )


def _check_finite(features: Floats) -> None:
    if not np.isfinite(features).all():
        raise DataError("features that are not finite (NaN or infinite): write the examples again")
