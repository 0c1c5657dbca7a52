"""The report's plots of numbers: accuracies, calibration, principal components, counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from components.datasets.track import SPLITS
from components.report import drawing, study
from components.report.calibration import Reliability
from components.report.drawing import Picture, draw, plot_names
from components.report.gallery import ClassCount
from components.report.measures import ModelMeasures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW_INCHES = 0.24
_FRAME_INCHES = 0.9  # for title, axis and legend


def accuracies(models: Sequence[ModelMeasures], candidate: str, chance: float) -> Picture:
    """Draw every model's accuracy on test tracks with its interval, and guessing as a line."""
    measured = [model for model in models if "test" in model.splits]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        shown: set[str] = set()
        for row, model in enumerate(measured):
            interval = model.splits["test"].track_accuracy
            axes.errorbar(
                interval.value,
                row,
                xerr=[[interval.value - interval.low], [interval.high - interval.value]],
                fmt=drawing.KIND_MARKERS[model.kind],
                color=drawing.KIND_COLOURS[model.kind],
                markersize=5,
                capsize=2.5,
                label=None if model.kind in shown else model.kind,
            )
            shown.add(model.kind)
        axes.axvline(chance, color=drawing.GREY, linestyle="--", linewidth=1, label="guessing")
        names = plot_names([model.name for model in measured], max_length=20)
        axes.set_yticks(range(len(measured)), names)
        for label, model in zip(axes.get_yticklabels(), measured, strict=True):
            label.set_fontweight("bold" if model.name == candidate else "normal")
        axes.invert_yaxis()
        axes.set_xlim(-0.02, 1.02)
        _percent(axes, "x")
        axes.set_xlabel("test tracks predicted correctly, with 95% interval")
        axes.grid(axis="x")
        figure.legend(loc="outside lower center", ncols=4, columnspacing=1.0, handletextpad=0.3)

    best = "; ".join(
        f"{model.name} {model.splits['test'].track_accuracy.value:.0%}" for model in measured
    )
    return Picture(
        "accuracy",
        draw(paint, height=_FRAME_INCHES + _ROW_INCHES * len(measured)),
        f"Accuracy of all models on test tracks with 95% intervals: {best}; guessing {chance:.0%}",
    )


def calibration(name: str, model: str, found: Reliability, *, large: bool) -> Picture:
    """Draw a reliability diagram: the share of correct predictions over their probability."""
    width, height = (drawing.WIDTH_INCHES, 4.4) if large else (2.6, 2.9)
    edges = {
        "left": 0.6 / width,
        "right": 1 - 0.2 / width,
        "bottom": 0.42 / height,
        "top": 1 - 0.1 / height,
    }

    def paint(figure: Figure) -> None:
        top, bottom = figure.subplots(
            2, sharex=True, height_ratios=(4, 1), gridspec_kw={"hspace": 0.08, **edges}
        )
        top.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1, zorder=3)
        some = found.counts > 0
        left = np.arange(len(found.counts)) / len(found.counts)
        bin_width = 1 / len(found.counts)
        top.bar(
            left[some] + bin_width / 2,
            found.accuracy[some],
            width=bin_width * 0.92,
            color=drawing.BLUE,
            alpha=0.35,
        )
        top.plot(
            found.confidence[some], found.accuracy[some], color=drawing.BLUE, marker="o",
            markersize=4, clip_on=False,
        )  # fmt: skip
        top.set_ylim(0, 1)
        top.set_xlim(0, 1)
        _percent(top, "y")
        top.set_ylabel("share that is correct" if large else "correct")
        top.grid()
        bottom.bar(left + bin_width / 2, found.counts, width=bin_width * 0.92, color=drawing.GREY)
        bottom.set_ylabel("clips")
        bottom.set_xlabel("probability of the predicted genre")
        _percent(bottom, "x")
        if not large:
            bottom.set_xlabel("probability")

    points = ", ".join(
        f"at {confidence:.0%} {accuracy:.0%} correct"
        for confidence, accuracy, count in zip(
            found.confidence, found.accuracy, found.counts, strict=True
        )
        if count
    )
    return Picture(
        name,
        # The labels' sizes are known, so no layout needs to be solved.
        draw(paint, width=width, height=height, layout=None),
        f"Reliability diagram of {model}, expected calibration error {found.ece:.1%}: {points}",
    )


def scree(ratios: Sequence[float]) -> Picture:
    """Draw the variance that each principal component explains, and the cumulative variance."""
    total = float(sum(ratios))

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        numbers = range(1, len(ratios) + 1)
        axes.bar(numbers, ratios, color=drawing.BLUE, label="each")
        axes.plot(
            numbers, np.cumsum(ratios), color=drawing.ORANGE, marker="o", markersize=4,
            label="cumulative",
        )  # fmt: skip
        axes.axhline(
            study.PCA_EXPLAINED,
            color=drawing.GREY,
            linestyle="--",
            linewidth=1,
            label=f"the study's {study.PCA_COMPONENTS}: {study.PCA_EXPLAINED:.0%}",
        )
        axes.set_ylim(0, 1)
        axes.set_xlim(0.3, len(ratios) + 0.7)
        _percent(axes, "y")
        _whole_numbers(axes, "x")
        axes.set_xlabel("principal component")
        axes.set_ylabel("variance explained")
        axes.grid(axis="y")
        figure.legend(loc="outside lower center", ncols=3, columnspacing=1.0)

    return Picture(
        "pca",
        draw(paint, height=3.3),
        f"Scree plot: {len(ratios)} principal components explain {total:.1%} of the variance, "
        f"the first alone {ratios[0]:.1%}",
    )


def counts(classes: Sequence[ClassCount]) -> Picture:
    """Draw the number of tracks of each genre, by split."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        left = np.zeros(len(classes))
        for split in SPLITS:
            numbers = np.array([found.tracks[split] for found in classes])
            axes.barh(
                range(len(classes)), numbers, left=left, color=drawing.SPLIT_COLOURS[split],
                label=split, height=0.7,
            )  # fmt: skip
            left += numbers
        axes.set_yticks(range(len(classes)), plot_names([found.genre for found in classes]))
        axes.invert_yaxis()
        _whole_numbers(axes, "x")
        axes.set_xlabel("tracks")
        axes.grid(axis="x")
        figure.legend(loc="outside lower center", ncols=3, columnspacing=1.0)

    return Picture(
        "class_counts",
        draw(paint, height=_FRAME_INCHES + _ROW_INCHES * len(classes)),
        "Tracks of each genre in the train, validation and test split; the table has the numbers",
    )


def learning_curves(name: str, history: Mapping[str, Any]) -> Picture:
    """Draw the Trainer's own picture of a training, narrow enough for a phone."""
    from components.trainer import curves

    last = history["epochs"][curves.kept_epoch(history)]
    return Picture(
        f"curves_{name}",
        curves.plot(history, narrow=True),
        f"Loss, accuracy and learning rate of {name} over {len(history['epochs'])} epochs; the "
        f"weights that were kept predict {last['val_accuracy']:.1%} of validation clips correctly",
    )


def _percent(axes: Axes, which: str) -> None:
    from matplotlib.ticker import PercentFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _whole_numbers(axes: Axes, which: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
