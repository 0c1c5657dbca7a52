"""Tests of a training's plot."""

from __future__ import annotations

import io
import pathlib
import warnings
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib import image

from components.trainer import curves


def _epochs(phase: str, count: int, rate: float = 1e-3) -> list[dict[str, Any]]:
    return [
        {
            "phase": phase,
            "epoch": number,
            "loss": 2 / number,
            "accuracy": 1 - 0.9 / number,
            "val_loss": 2.2 / number,
            "val_accuracy": 0.9 - 0.8 / number,
            "learning_rate": rate * (1 - number / count),
            "seconds": 1.0,
        }
        for number in range(1, count + 1)
    ]


def _history(**phases: tuple[int, int]) -> dict[str, Any]:
    """Return a history of phases, each with its number of epochs and its best one."""
    return {
        "architecture": "vgg16",
        "phases": [
            {"phase": name, "epochs": count, "best_epoch": best}
            for name, (count, best) in phases.items()
        ],
        "epochs": [
            epoch
            for index, (name, (count, _)) in enumerate(phases.items())
            for epoch in _epochs(name, count, rate=10.0 ** (-3 - 2 * index))
        ],
    }


TWO = _history(head=(6, 6), fine_tune=(4, 2))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect the figures that are drawn in a test."""
    figures: list[Any] = []
    draw = curves._draw

    def keep(figure: Any, history: Any) -> None:
        figures.append(figure)
        draw(figure, history)

    monkeypatch.setattr(curves, "_draw", keep)
    return figures


@pytest.mark.parametrize(
    ("phases", "kept"),
    [
        ({"train": (5, 3)}, 2),
        ({"head": (6, 6), "fine_tune": (4, 2)}, 7),
        ({"head": (6, 5), "fine_tune": (4, 0)}, 4),  # no epoch of the second phase was better
    ],
)
def test_the_kept_epoch_is_that_of_the_last_phase_with_a_best_one(
    phases: dict[str, tuple[int, int]], kept: int
) -> None:
    assert curves.kept_epoch(_history(**phases)) == kept


def test_the_same_history_gives_the_same_bytes_whatever_the_users_style() -> None:
    first = curves.plot(TWO)
    with matplotlib.rc_context({"lines.linewidth": 9, "savefig.dpi": 30}):
        assert curves.plot(TWO) == first
        assert matplotlib.rcParams["lines.linewidth"] == 9
    assert curves.plot(_history(head=(6, 6), fine_tune=(4, 3))) != first


@pytest.mark.parametrize(
    "history",
    [
        TWO,
        _history(train=(1, 1)),  # its only learning rate is 0
        _history(train=(500, 400)),
        _history(head=(1, 1), fine_tune=(1, 1)),
    ],
)
def test_any_number_of_epochs_makes_a_picture(history: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png = curves.plot(history)
    pixels = image.imread(io.BytesIO(png))
    assert pixels.shape == (850, 800, 4)
    assert np.ptp(pixels[..., :3]) == 1  # something is on it


def test_phases_are_apart_and_named_and_every_value_is_there(drawn: list[Any]) -> None:
    curves.plot(TWO)
    (figure,) = drawn
    loss, accuracy, rate = figure.axes
    assert [text.get_text() for text in loss.texts] == ["head", "fine-tuning"]
    wanted = {
        loss: ("loss", "val_loss"),
        accuracy: ("accuracy", "val_accuracy"),
        rate: ("learning_rate",),
    }
    for axes, names in wanted.items():
        shown = [list(zip(*line.get_data(), strict=True)) for line in axes.get_lines()]
        for name in names:
            points = [(number, epoch[name]) for number, epoch in enumerate(TWO["epochs"], start=1)]
            assert points[:6] in shown
            assert points[6:] in shown
        borders = [line for line in axes.get_lines() if list(line.get_xdata()) == [6.5, 6.5]]
        assert len(borders) == 1
    # The second phase's rate is a hundred times less, and still in the panel.
    assert rate.get_ylim()[0] < TWO["epochs"][-2]["learning_rate"] < rate.get_ylim()[1]


def test_the_kept_epoch_is_marked(drawn: list[Any]) -> None:
    curves.plot(TWO)
    (figure,) = drawn
    for axes, name in zip(figure.axes, ("val_loss", "val_accuracy"), strict=False):
        (mark,) = [line for line in axes.get_lines() if line.get_marker() == "o"]
        assert mark.get_label() == "kept: epoch 8"
        assert list(mark.get_xdata()) == [8]
        assert list(mark.get_ydata()) == [TWO["epochs"][7][name]]
    assert "50.0% of validation clips right after epoch 8 of 10" in figure.get_suptitle()


def test_nothing_is_drawn_on_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "TkAgg")
    monkeypatch.delenv("DISPLAY", raising=False)
    assert curves.plot(TWO).startswith(b"\x89PNG")


def test_the_module_loads_without_matplotlib_and_keras() -> None:
    """Importing it must stay fast, for the command line."""
    source = pathlib.Path(curves.__file__).read_text()
    head = source[: source.index("def ")]
    assert "matplotlib" not in head
    assert "keras" not in head
