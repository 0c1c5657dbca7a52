"""Tests of principal components from a stream, against a full decomposition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from components.baselines import features
from components.baselines.train import array_blocks
from components.common.errors import DataError


def _pictures(seed: int, clips: int, bands: int, frames: int) -> npt.NDArray[np.float32]:
    """Return decibels with a few strong directions and noise, like spectrograms."""
    rng = np.random.default_rng(seed)
    strengths = 30.0 / (1 + np.arange(6))
    directions = rng.normal(size=(6, bands * frames)) / np.sqrt(bands * frames)
    flat = rng.normal(size=(clips, 6)) * strengths @ directions - 50
    return (flat + rng.normal(size=flat.shape)).reshape(clips, bands, frames).astype(np.float32)


def _full(mel_db: npt.NDArray[np.float32], components: int) -> Any:
    flat = mel_db.reshape(len(mel_db), -1).astype(np.float64)
    return PCA(components, svd_solver="full").fit(flat)


def test_the_components_are_those_of_a_full_decomposition() -> None:
    mel_db = _pictures(1, 700, 16, 30)
    found = features.fit_features(array_blocks(mel_db, 64), 15, seed=0)["pca"]
    full = _full(mel_db, 15)
    np.testing.assert_allclose(found.mean_, full.mean_, rtol=1e-5)
    np.testing.assert_allclose(found.explained_variance_, full.explained_variance_, rtol=1e-4)
    np.testing.assert_allclose(
        found.explained_variance_ratio_, full.explained_variance_ratio_, rtol=1e-4
    )
    # The same plane: the cosines of the angles between the two.
    cosines = np.linalg.svd(found.components_ @ full.components_.T, compute_uv=False)
    assert cosines.min() > 1 - 1e-4
    # And where a component stands apart from the next, the same direction.
    same = np.abs((found.components_[:5] * full.components_[:5]).sum(axis=1))
    assert same.min() > 1 - 1e-5
    np.testing.assert_allclose(found.noise_variance_, full.noise_variance_, rtol=1e-3)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    clips=st.integers(2, 60),
    bands=st.integers(1, 6),
    frames=st.integers(1, 6),
    components=st.integers(1, 20),
    block=st.integers(1, 61),
)
def test_they_are_so_for_any_number_of_clips_values_and_blocks(
    seed: int, clips: int, bands: int, frames: int, components: int, block: int
) -> None:
    mel_db = _pictures(seed, clips, bands, frames)
    found = features.fit_features(array_blocks(mel_db, block), components, seed)
    pca = found["pca"]
    kept = pca.n_components_
    # More components than clips (less the mean) or values are not there to be found.
    assert kept <= min(components, clips - 1, bands * frames)
    full = _full(mel_db, min(components, clips - 1, bands * frames))
    np.testing.assert_allclose(pca.explained_variance_, full.explained_variance_[:kept], rtol=1e-3)
    assert (full.explained_variance_[kept:] < 1e-5 * full.explained_variance_[0]).all()
    np.testing.assert_allclose(pca.components_ @ pca.components_.T, np.eye(kept), atol=1e-6)
    # Of the training clips each feature has mean 0 and deviation 1.
    table = features.transform(found, array_blocks(mel_db, block)())
    assert table.shape == (clips, kept)
    assert table.dtype == np.float32
    np.testing.assert_allclose(table.std(axis=0), 1, rtol=2e-2)
    np.testing.assert_allclose(table.mean(axis=0), 0, atol=2e-2)


def test_more_components_than_clips_are_as_many_as_there_are() -> None:
    mel_db = _pictures(2, 4, 8, 8)
    assert features.fit_features(array_blocks(mel_db), 15, 0)["pca"].n_components_ == 3


def test_directions_in_which_nothing_varies_are_no_components() -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(50, 2)) @ rng.normal(size=(2, 48)) * 10 - 40
    mel_db = flat.reshape(50, 6, 8).astype(np.float32)
    pca = features.fit_features(array_blocks(mel_db), 15, 0)["pca"]
    assert pca.n_components_ == 2
    assert pca.explained_variance_ratio_.sum() == pytest.approx(1, abs=1e-5)


def test_a_component_s_sign_does_not_depend_on_the_seed() -> None:
    mel_db = _pictures(3, 300, 8, 8)
    one, other = (
        features.fit_features(array_blocks(mel_db), 4, seed)["pca"].components_ for seed in (0, 9)
    )
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_the_same_clips_and_seed_give_the_same_bytes() -> None:
    mel_db = _pictures(4, 300, 8, 8)
    tables = [
        features.transform(
            features.fit_features(array_blocks(mel_db), 5, 1), array_blocks(mel_db)()
        ).tobytes()
        for _ in range(2)
    ]
    assert tables[0] == tables[1]


def test_a_clip_s_features_do_not_depend_on_who_else_is_asked_for() -> None:
    mel_db = _pictures(5, 200, 8, 8)
    found = features.fit_features(array_blocks(mel_db), 5, 0)
    all_at_once = features.transform(found, [mel_db])
    one_by_one = features.transform(found, (clip[None] for clip in mel_db))
    np.testing.assert_allclose(all_at_once, one_by_one, rtol=1e-4, atol=1e-5)
    assert features.transform(found, []).shape == (0, 5)


def test_no_more_than_a_block_is_held_and_the_passes_are_few() -> None:
    mel_db = _pictures(6, 640, 8, 8)
    passes = []

    def blocks() -> Iterator[npt.NDArray[np.float32]]:
        passes.append(1)
        yield from array_blocks(mel_db, 64)()

    features.fit_features(blocks, 5, 0)
    assert 2 <= len(passes) < features.MAX_PASSES


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    mel_db = _pictures(7, 40, 4, 4)
    found = features.fit_features(array_blocks(mel_db), 3, 0)
    mel_db[17, 2, 3] = value
    with pytest.raises(DataError, match="not finite"):
        features.fit_features(array_blocks(mel_db), 3, 0)
    with pytest.raises(DataError, match="not finite"):
        features.transform(found, [mel_db])


def test_clips_that_are_all_the_same_and_a_single_clip_are_refused() -> None:
    same = np.full((10, 4, 4), -80, np.float32)
    with pytest.raises(DataError, match="all the same picture"):
        features.fit_features(array_blocks(same), 3, 0)
    with pytest.raises(DataError, match="1 clip: "):
        features.fit_features(array_blocks(same[:1]), 3, 0)
    with pytest.raises(DataError, match="0 clips"):
        features.fit_features(array_blocks(same[:0]), 3, 0)


def test_pictures_of_another_size_are_refused() -> None:
    mel_db = _pictures(8, 40, 4, 4)
    found = features.fit_features(array_blocks(mel_db), 3, 0)
    with pytest.raises(DataError, match=r"12 values a picture.*fitted on 16"):
        features.transform(found, [mel_db[:, :3]])
