"""Plot of a training: loss, accuracy and learning rate by epoch.

It is drawn from the history file's content (history.py). The same history gives the same bytes
on every machine.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

PHASE_NAMES = {"train": "training", "head": "head", "fine_tune": "fine-tuning"}

_SIZE_INCHES = (8.0, 8.5)
_DOTS_PER_INCH = 100
# Size and resolution of the narrow plot, for a phone's screen.
_NARROW_INCHES = (4.6, 5.6)
_NARROW_DOTS_PER_INCH = 200
_NARROW_FONT_POINTS = 8.5
_TRAIN, _VALIDATION, _RATE, _KEPT = "tab:blue", "tab:orange", "tab:green", "tab:red"
# The learning rate's panel ends at the smallest of the phases' highest rates, divided by this.
_SHOWN_DECAY = 100
# Plots of more epochs have no markers, which would overlap.
_MAX_MARKED_EPOCHS = 40


def kept_epoch(history: Mapping[str, Any]) -> int:
    """Return the index in `history["epochs"]` of the epoch whose weights the model has.

    It is the best epoch of the last phase that improved the model.
    """
    phase = [phase for phase in history["phases"] if phase["best_epoch"]][-1]
    wanted = (phase["phase"], phase["best_epoch"])
    return [(epoch["phase"], epoch["epoch"]) for epoch in history["epochs"]].index(wanted)


def plot(history: Mapping[str, Any], *, narrow: bool = False) -> bytes:
    """Return a PNG of three panels over the epochs of all phases: loss, accuracy, learning rate.

    Phases are named and have a line between them. The epoch whose weights were kept is marked.

    Args:
      history: the result of `components.trainer.history.record`. It needs `architecture`,
        `phases` and at least one of `epochs`.
      narrow: whether the plot is for a column of text. It then has no title.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Independent of the user's matplotlibrc and of pyplot's global state.
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        size, dots = _SIZE_INCHES, _DOTS_PER_INCH
        if narrow:
            size, dots = _NARROW_INCHES, _NARROW_DOTS_PER_INCH
            matplotlib.rcParams["font.size"] = _NARROW_FONT_POINTS
        figure = Figure(figsize=size, dpi=dots, layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure, history)
        if narrow:
            for axes in figure.axes:
                axes.minorticks_off()  # they would blur into a line
        else:
            figure.suptitle(_title(history))
        png = io.BytesIO()
        figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()


def _draw(figure: Any, history: Mapping[str, Any]) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    epochs = history["epochs"]
    kept = kept_epoch(history)
    phases = _phases(epochs)
    loss, accuracy, rate = panels = figure.subplots(3, sharex=True, height_ratios=(3, 3, 2))
    marker = "." if len(epochs) <= _MAX_MARKED_EPOCHS else ""

    def lines(axes: Any, key: str, label: str, colour: str) -> None:
        for start, end in phases:  # not joined, as each phase is an optimisation of its own
            axes.plot(
                range(start + 1, end + 1),
                [epoch[key] for epoch in epochs[start:end]],
                color=colour,
                label=label if not start else None,
                marker=marker,
            )

    for axes, key in ((loss, "loss"), (accuracy, "accuracy")):
        lines(axes, key, "train", _TRAIN)
        lines(axes, f"val_{key}", "validation", _VALIDATION)
        axes.plot(
            kept + 1,
            epochs[kept][f"val_{key}"],
            color=_KEPT,
            label=f"kept: epoch {kept + 1}",
            marker="o",
            markersize=9,
            fillstyle="none",
            linestyle="none",
        )
        axes.legend()
        axes.set_ylabel(key)
    accuracy.set_ylim(-0.03, 1.03)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    lines(rate, "learning_rate", "", _RATE)
    rate.set_ylabel("learning rate")
    highest = [max(epoch["learning_rate"] for epoch in epochs[a:b]) for a, b in phases]
    if above := [value for value in highest if value]:
        # Phases differ by orders of magnitude, and a rate may decay to 0.
        rate.set_yscale("log", nonpositive="mask")
        rate.set_ylim(min(above) / _SHOWN_DECAY, max(above) * 2)
    rate.set_xlabel("epoch")
    rate.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    rate.set_xlim(0.5, len(epochs) + 0.5)
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.axvline(kept + 1, color=_KEPT, linestyle=":", linewidth=1)
        for start, _ in phases[1:]:
            axes.axvline(start + 0.5, color="black", linestyle="--", linewidth=1)
    if len(phases) > 1:
        _name_phases(loss, phases, epochs)


def _title(history: Mapping[str, Any]) -> str:
    epochs, kept = history["epochs"], kept_epoch(history)
    return (
        f"{history['architecture']}: {epochs[kept]['val_accuracy']:.1%} of validation clips right "
        f"after epoch {kept + 1} of {len(epochs)}"
    )


def _phases(epochs: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Return each phase's first index and the index after its last, in `epochs`."""
    names = [epoch["phase"] for epoch in epochs]
    starts = [i for i, name in enumerate(names) if i == 0 or names[i - 1] != name]
    return list(zip(starts, [*starts[1:], len(names)], strict=True))


def _name_phases(
    axes: Any, phases: Sequence[tuple[int, int]], epochs: Sequence[Mapping[str, Any]]
) -> None:
    for start, end in phases:
        axes.annotate(
            PHASE_NAMES[epochs[start]["phase"]],
            ((start + end + 1) / 2, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
        )
