"""The picture of a search: the validation loss over each parameter that was tuned."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.tuner.space import LOGARITHMIC, Space
from components.tuner.trials import Trial, best_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS = {
    "learning_rate": "learning rate",
    "batch_size": "batch size",
    "dropout": "dropout",
    "l2": "L2",
}
_PANEL_INCHES = (4.2, 3.4)
_DOTS_PER_INCH = 110
# Losses above so many times that of guessing are drawn at the upper edge: one training
# that ran away would press all others together.
_SHOWN_OF_GUESSING = 1.5
# Beside the range, as a share of it.
_ROOM = 0.06


def plot_trials(
    trials: Sequence[Trial], space: Space, *, title: str, guessing_loss: float
) -> bytes:
    """A PNG, with a panel for each parameter of the space; the same trials give the same bytes.

    Each trial is a point, darker the earlier; the best is a star; trials that failed, and
    losses far above guessing's, lie at the upper edge. A dashed line is guessing's loss.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = space.names
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    size = (columns * _PANEL_INCHES[0], rows * _PANEL_INCHES[1] + 0.8)
    # A figure of its own, not pyplot's: no state that other drawing shares.
    figure = Figure(figsize=size, dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    losses = [trial.val_loss for trial in trials if trial.val_loss is not None]
    top = min(max([*losses, guessing_loss]), _SHOWN_OF_GUESSING * guessing_loss)
    bottom = min([*losses, guessing_loss])
    margin = max(0.08 * (top - bottom), 0.02)
    for panel, name in zip(panels.flat, names, strict=False):
        _draw(panel, name, space, trials, edge=top + margin / 2)
        panel.axhline(guessing_loss, color="0.6", ls="--", lw=1, zorder=0, label="guessing")
        panel.set_xlabel(LABELS[name])
        panel.set_ylim(bottom - margin, top + margin)
    for row in panels:
        row[0].set_ylabel("validation loss")
    for panel in panels.flat[len(names) :]:
        panel.set_visible(False)
    handles = panels.flat[0].get_legend_handles_labels()
    figure.legend(
        *handles, loc="outside lower center", ncols=2 * columns + 1, frameon=False, fontsize=9
    )
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()


def _draw(panel: Axes, name: str, space: Space, trials: Sequence[Trial], *, edge: float) -> None:
    place: Any = float
    if name in space.choices:
        sizes = space.choices[name]
        panel.set_xticks(range(len(sizes)), [str(size) for size in sizes])
        panel.set_xlim(-0.5, len(sizes) - 0.5)
        place = sizes.index
    else:
        lowest, highest = space.ranges[name]
        if name in LOGARITHMIC:
            panel.set_xscale("log")
            room = (highest / lowest) ** _ROOM
            panel.set_xlim(lowest / room, highest * room)
        else:
            room = (highest - lowest) * _ROOM
            panel.set_xlim(lowest - room, highest + room)
    losses = {trial.number: trial.val_loss for trial in trials if trial.val_loss is not None}
    measured = [trial for trial in trials if losses.get(trial.number, edge + 1) <= edge]
    above = [trial for trial in trials if losses.get(trial.number, edge) > edge]
    failed = [trial for trial in trials if trial.number not in losses]
    panel.scatter(
        [place(trial.settings[name]) for trial in measured],
        [losses[trial.number] for trial in measured],
        c=[trial.number for trial in measured],
        vmin=1,
        vmax=1.25 * len(trials),  # without viridis' yellow, which is hard to see
        s=34,
        label="trial (dark: early)",
    )
    marks = ((above, "^", "tab:orange", "loss above"), (failed, "x", "tab:red", "failed"))
    for group, marker, colour, label in marks:
        if group:
            panel.scatter(
                [place(trial.settings[name]) for trial in group],
                [edge] * len(group),
                marker=marker,
                color=colour,
                s=34,
                label=label,
            )
    best = best_of(trials)
    if best is not None and best in measured:
        panel.scatter(
            [place(best.settings[name])],
            [losses[best.number]],
            marker="*",
            s=230,
            facecolor="none",
            edgecolor="tab:red",
            linewidth=1.6,
            label=f"best (trial {best.number})",
        )
