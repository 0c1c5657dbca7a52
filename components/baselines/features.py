"""Principal components of spectrograms, fitted on a stream of the training clips.

25,600 clips of 128 x 87 values take 1.1 GB in float32, and their covariance as much in float64.
Neither is ever in memory. The top components come from a randomised subspace iteration with
Rayleigh-Ritz (Halko, Martinsson, Tropp 2011, "Finding structure with randomness", algorithms 4.4
and 5.3). It needs one block of clips at a time and a few passes over all of them. It ends when
the residuals show that the components are exact to float32's digits, so the result is that of a
full decomposition.
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

# Each call iterates over all clips, in the same order and the same blocks: mel_db float32
# [clips, n_mels, frames] in dB. A block of a few hundred clips takes a few megabytes.
Blocks = Callable[[], Iterable[Floats]]

# Additional dimensions of the subspace, with which it converges faster.
OVERSAMPLING = 35
MAX_PASSES = 40
# Largest norm of C v - lambda v, relative to lambda. The eigenvalue's error is about its square.
MAX_RESIDUAL = 1e-3
# A component of less variance than this, relative to the first one, is rounding.
MIN_VARIANCE = 1e-6


def fit_features(blocks: Blocks, components: int, seed: int) -> Pipeline:
    """Fit PCA, then scale each component to deviation 1; `transform` applies the result.

    Args:
      blocks: the training clips alone.
      components: number of components to keep. Fewer are kept if the clips vary in fewer
        directions.
      seed: seed of the first, random subspace.

    Returns:
      A fitted scikit-learn Pipeline (`pca`, `scale`) from float `[clips, values]` to
      `[clips, kept]`. Its PCA has the explained variance as usual.

    Raises:
      DataError: there are fewer than two clips, all are the same, or a value is not finite.
    """
    mean, total, clips = _moments(blocks)
    values = len(mean)
    if not total > 0:
        raise DataError(
            f"the train split's {clips} clips are all the same picture, so no features can be "
            "found; check the recordings"
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
    # The values that fitting would give: the components have mean 0 and these variances.
    scale.mean_ = np.zeros(kept)
    scale.var_ = variances * (clips - 1) / clips
    scale.scale_ = np.sqrt(scale.var_)
    scale.n_samples_seen_, scale.n_features_in_ = clips, kept
    return Pipeline([("pca", pca), ("scale", scale)])


def transform(features: Pipeline, blocks: Iterable[Floats]) -> Floats:
    """Return the features of clips, float32 `[clips, kept]`, computed block by block.

    Args:
      features: fit_features' result.
      blocks: mel_db, float32 `[clips, n_mels, frames]` each.

    Raises:
      DataError: a value is not finite, or the pictures differ in size from those that the
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
    """Return the mean of each value, the sum of their variances (n - 1), and the clips' number."""
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
    """Return the covariance's top eigenvectors `[kept, values]` and eigenvalues `[kept]`."""
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
        if (residual <= MAX_RESIDUAL * np.maximum(variances, MIN_VARIANCE * variances[0])).all():
            break
        basis = np.linalg.qr(image)[0]
    # An eigenvector's sign is arbitrary. Make its largest entry positive.
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
