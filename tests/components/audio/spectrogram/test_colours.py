"""Pictures of spectrograms."""

from __future__ import annotations

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest

from components.audio.spectrogram import colours


def test_the_table_is_matplotlibs_viridis() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    expected = matplotlib.colormaps["viridis"](np.arange(256), bytes=True)[:, :3]
    np.testing.assert_array_equal(colours.VIRIDIS, expected)
    assert colours.VIRIDIS.dtype == np.uint8


def test_the_ends_of_the_range_take_the_ends_of_the_table() -> None:
    picture = colours.to_rgb(np.array([[-80.0, 0.0, -1000.0, 5.0]], np.float32))
    assert picture.tolist() == [[[68, 1, 84], [253, 231, 36], [68, 1, 84], [253, 231, 36]]]


def test_the_step_changes_exactly_every_80_256ths_of_a_db() -> None:
    edges_db = -80 + np.arange(256, dtype=np.float32) * np.float32(0.3125)
    below_db = edges_db[1:] - np.float32(0.001)
    np.testing.assert_array_equal(colours.to_rgb(edges_db[None])[0], colours.VIRIDIS)
    np.testing.assert_array_equal(colours.to_rgb(below_db[None])[0], colours.VIRIDIS[:-1])


def test_low_frequencies_are_at_the_bottom_and_time_runs_to_the_right() -> None:
    mel_db = np.full((3, 2), -80.0, np.float32)
    mel_db[0, 1] = 0.0  # lowest band, second frame
    picture = colours.to_rgb(mel_db)
    loud = np.argwhere((picture == colours.VIRIDIS[-1]).all(axis=-1))
    assert loud.tolist() == [[2, 1]]


@hypothesis.given(
    hnp.arrays(
        np.float16,
        st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)),
        elements=st.floats(-80, 0, width=16),
    )
)
def test_a_batch_is_its_spectrograms_one_by_one(batch: np.ndarray) -> None:
    picture = colours.to_rgb(batch)
    assert picture.shape == (*batch.shape, 3)
    for one, expected in zip(batch, picture, strict=True):
        np.testing.assert_array_equal(colours.to_rgb(one), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_levels_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        colours.to_rgb(np.array([[value]], np.float32))


def test_a_single_axis_is_refused() -> None:
    with pytest.raises(ValueError, match="n_mels, frames"):
        colours.to_rgb(np.zeros(3, np.float32))
