"""Spectrograms to a few principal components, fitted on a stream of the training clips.

25,600 clips of 128 x 87 values are 1.1 GB in float32, and their covariance is as much in
float64. Neither is ever in memory: the top components come from a randomised subspace
iteration with Rayleigh-Ritz (Halko, Martinsson, Tropp 2011, "Finding structure with
randomness", algorithms 4.4 and 5.3), which needs one block of clips at a time and a few
passes over all of them. It ends when the components are exact to float32's digits, which
the residuals tell, so the result is that of a full decomposition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from components.common.errors import DataError

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

# Each call gives all clips once more, in the same order and the same blocks: mel_db float32
# [clips, n_mels, frames] in dB. A few hundred clips a block are a few megabytes.
Blocks = Callable[[], Iterable[Floats]]

# The subspace is larger than what is wanted of it: it converges the faster.
OVERSAMPLING = 35
MAX_PASSES = 40
# Of C v - lambda v, relative to lambda: the eigenvalue's own error is about its square.
RESIDUAL_TOLERANCE = 1e-3
# A component of less variance than that, relative to the first, is rounding.
MIN_VARIANCE = 1e-6


def fit_features(blocks: Blocks, components: int, seed: int) -> Pipeline:
    """Fits what `transform` uses: PCA, then each component scaled to deviation 1.

    Args:
      blocks: the training clips, and none but these.
      components: how many components to keep; fewer where the clips do not vary in as many
        directions.
      seed: of the first, random subspace.

    Returns:
      A fitted scikit-learn Pipeline (`pca`, `scale`), float `[clips, values]` to
      `[clips, kept]`; its PCA knows the explained variance as usual.

    Raises:
      DataError: there are fewer than two clips, all are the same, or a value is not finite.
    """
    mean, total, clips = _moments(blocks)
    values = len(mean)
    if not total > 0:
        raise DataError(
            f"the train split's {clips} clips are all the same picture: there is nothing to "
            "tell apart; look at the recordings"
        )
    kept = min(components, clips - 1, values)
    width = min(kept + OVERSAMPLING, clips, values)
    vectors, variances = _top(blocks, mean, clips, kept, width, seed)
    kept = int((variances > MIN_VARIANCE * variances[0]).sum())
    vectors, variances = vectors[:kept], variances[:kept]

    pca = PCA(n_components=kept)
    pca.mean_ = mean
    pca.components_ = vectors
    pca.explained_variance_ = variances
    pca.explained_variance_ratio_ = variances / total
    pca.singular_values_ = np.sqrt(variances * (clips - 1))
    rest = min(clips, values) - kept
    pca.noise_variance_ = max(0.0, total - variances.sum()) / rest if rest else 0.0
    pca.n_components_, pca.n_samples_, pca.n_features_in_ = kept, clips, values
    pca._fit_svd_solver = "randomized"

    scale = StandardScaler()
    # As fitting it on the components would give: they have mean 0, and these variances.
    scale.mean_ = np.zeros(kept)
    scale.var_ = variances * (clips - 1) / clips
    scale.scale_ = np.sqrt(scale.var_)
    scale.n_samples_seen_, scale.n_features_in_ = clips, kept
    return Pipeline([("pca", pca), ("scale", scale)])


def transform(features: Pipeline, blocks: Iterable[Floats]) -> Floats:
    """The features of clips, float32 `[clips, kept]`, a block at a time.

    Args:
      features: fit_features' result.
      blocks: mel_db, float32 `[clips, n_mels, frames]` each.

    Raises:
      DataError: a value is not finite, or the pictures have another size than those that the
        features were fitted on.
    """
    kept = features["pca"].n_components_
    found = [np.empty((0, kept), np.float32)]
    for block in blocks:
        flat = _flat(block)
        if flat.shape[1] != features["pca"].n_features_in_:
            raise DataError(
                f"clips of {flat.shape[1]} values a picture, where the baselines were fitted on "
                f"{features['pca'].n_features_in_}: the audio parameters differ"
            )
        found.append(features.transform(flat).astype(np.float32))
    return np.concatenate(found)


def _moments(blocks: Blocks) -> tuple[Doubles, float, int]:
    """Mean of each value, the sum of their variances (n - 1), and the number of clips."""
    scaler = StandardScaler()
    clips = 0
    for block in blocks():
        scaler.partial_fit(_flat(block))
        clips += len(block)
    if clips < 2:
        raise DataError(
            f"the train split has {clips} clip{'s' * (clips != 1)}: principal components need "
            "at least two; add tracks"
        )
    return scaler.mean_, float(scaler.var_.sum() * clips / (clips - 1)), clips


def _top(
    blocks: Blocks, mean: Doubles, clips: int, kept: int, width: int, seed: int
) -> tuple[Doubles, Doubles]:
    """The covariance's top eigenvectors `[kept, values]` and eigenvalues `[kept]`."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((len(mean), width)))[0]
    centre = mean.astype(np.float32)
    for _ in range(MAX_PASSES):
        narrow = basis.astype(np.float32)
        image = np.zeros_like(basis)  # covariance times basis
        for block in blocks():
            centred = _flat(block) - centre
            image += centred.T @ (centred @ narrow)
        image /= clips - 1
        small = basis.T @ image
        variances, turn = np.linalg.eigh((small + small.T) / 2)
        order = np.argsort(variances)[::-1][:kept]
        variances, turn = np.maximum(variances[order], 0.0), turn[:, order]
        vectors = basis @ turn
        residual = np.linalg.norm(image @ turn - vectors * variances, axis=0)
        if (
            residual <= RESIDUAL_TOLERANCE * np.maximum(variances, MIN_VARIANCE * variances[0])
        ).all():
            break
        basis = np.linalg.qr(image)[0]
    # An eigenvector's sign is free: the largest entry shall be positive.
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(kept)])
    return np.ascontiguousarray(vectors.T), variances


def _flat(block: Floats) -> Floats:
    flat = block.reshape(len(block), -1)
    if not np.isfinite(flat).all():
        raise DataError(
            "a spectrogram holds values that are not finite (NaN or infinite): write the "
            "examples again"
        )
    return flat
