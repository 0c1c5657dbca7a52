"""Tests of a search's plot."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from matplotlib import image

from components.tuner.plot import plot_trials
from components.tuner.settings import TuningSettings
from components.tuner.space import Space
from components.tuner.trials import Trial

SETTINGS = TuningSettings(
    networks=("ffnn",),
    learning_rate=(1e-4, 1e-1),
    batch_size=(16, 32),
    dropout=(0.0, 0.5),
    l2=(1e-6, 1e-3),
)


def _trials(*losses: float | None) -> list[Trial]:
    rng = np.random.default_rng(0)
    trials = []
    for number, loss in enumerate(losses, start=1):
        values = {
            "learning_rate": 10 ** rng.uniform(-4, -1),
            "batch_size": int(rng.choice([16, 32])),
            "dropout": rng.uniform(0, 0.5),
            "l2": 10 ** rng.uniform(-6, -3),
        }
        outcome = "failed" if loss is None else "done"
        trials.append(Trial(number, values, values, outcome, 2, loss, loss and 0.5, 1.0))  # type: ignore[arg-type]
    return trials


def _plot(trials: list[Trial], settings: TuningSettings = SETTINGS) -> bytes:
    return plot_trials(trials, Space.of(settings), title="ffnn", guessing_loss=math.log(8))


def _pixels(png: bytes) -> np.ndarray:
    return image.imread(io.BytesIO(png))


def test_the_same_trials_give_the_same_bytes_and_others_another_picture() -> None:
    trials = _trials(1.5, 0.9, None, 40.0, 2.0)
    first = _plot(trials)
    assert first.startswith(b"\x89PNG")
    assert _plot(trials) == first
    assert (_pixels(_plot(_trials(1.5, 0.9, None, 40.0, 1.0))) != _pixels(first)).any()


def test_there_is_a_panel_for_each_parameter_that_was_tuned() -> None:
    trials = _trials(1.5, 0.9)
    one = TuningSettings(networks=("ffnn",), dropout=(0.0, 0.5))
    two = TuningSettings(networks=("ffnn",), dropout=(0.0, 0.5), l2=(1e-6, 1e-3))
    sizes = [_pixels(_plot(trials, settings)).shape[:2] for settings in (one, two, SETTINGS)]
    assert sizes[0][0] == sizes[1][0] < sizes[2][0]
    assert sizes[0][1] < sizes[1][1] == sizes[2][1]


@pytest.mark.parametrize("others", [(), (1.0,), (None, None), (1e6,)])
def test_the_best_is_marked_and_a_loss_that_ran_away_presses_nothing_together(
    others: tuple[float | None, ...],
) -> None:
    pixels = _pixels(_plot(_trials(0.5, 1.9, *others)))
    red = (pixels[..., 0] > 0.8) & (pixels[..., 1] < 0.25) & (pixels[..., 2] < 0.25)
    assert red.sum() > 50  # the star's edge
    # The two trials' points lie far apart: the panels are as high as their losses differ.
    rows = np.flatnonzero((pixels[..., 2] > pixels[..., 0] + 0.1).any(axis=1))
    assert rows.max() - rows.min() > 100


def test_a_best_that_is_worse_than_guessing_by_far_is_drawn_too() -> None:
    assert _plot(_trials(50.0, 60.0)).startswith(b"\x89PNG")
