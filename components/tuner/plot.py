"""Plot of a search: the validation loss over each setting that was tuned."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.trainer.tuned import TUNABLE
from components.tuner.space import Space
from components.tuner.trials import Trial, best_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL_INCHES = (4.2, 3.4)
_DOTS_PER_INCH = 110
# Losses above this multiple of guessing's are drawn at the upper edge: one diverged training
# would otherwise squeeze all others together.
_MAX_SHOWN_OF_GUESSING = 1.5
# Margin on each side of a range, as a share of it.
_MARGIN = 0.06


def plot_trials(
    trials: Sequence[Trial], space: Space, *, title: str, guessing_loss: float
) -> bytes:
    """Return a PNG with one panel for each setting of the space.

    Each trial is a point; earlier ones are darker, and the best is a star. Failed trials and
    losses far above guessing's lie at the upper edge. A dashed line marks guessing's loss. The
    same trials give the same bytes.

    Args:
      trials: all trials of the search.
      space: the settings that were tuned.
      title: text above the panels.
      guessing_loss: loss of a network that learned nothing.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = space.names
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    size = (columns * _PANEL_INCHES[0], rows * _PANEL_INCHES[1] + 0.8)
    # Not pyplot's figure, which shares state with other plots.
    figure = Figure(figsize=size, dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    losses = [trial.val_loss for trial in trials if trial.val_loss is not None]
    top = min(max([*losses, guessing_loss]), _MAX_SHOWN_OF_GUESSING * guessing_loss)
    bottom = min([*losses, guessing_loss])
    margin = max(0.08 * (top - bottom), 0.02)
    for panel, name in zip(panels.flat, names, strict=False):
        _draw(panel, name, space, trials, edge=top + margin / 2)
        panel.axhline(guessing_loss, color="0.6", ls="--", lw=1, zorder=0, label="guessing")
        panel.set_xlabel(TUNABLE[name].label)
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
    position: Any = float
    if name in space.choices:
        sizes = space.choices[name]
        panel.set_xticks(range(len(sizes)), [str(size) for size in sizes])
        panel.set_xlim(-0.5, len(sizes) - 0.5)
        position = sizes.index
    else:
        lowest, highest = space.ranges[name]
        if TUNABLE[name].logarithmic:
            panel.set_xscale("log")
            factor = (highest / lowest) ** _MARGIN
            panel.set_xlim(lowest / factor, highest * factor)
        else:
            margin = (highest - lowest) * _MARGIN
            panel.set_xlim(lowest - margin, highest + margin)
    losses = {trial.number: trial.val_loss for trial in trials if trial.val_loss is not None}
    shown = [trial for trial in trials if losses.get(trial.number, edge + 1) <= edge]
    above = [trial for trial in trials if losses.get(trial.number, edge) > edge]
    failed = [trial for trial in trials if trial.number not in losses]
    panel.scatter(
        [position(trial.settings[name]) for trial in shown],
        [losses[trial.number] for trial in shown],
        c=[trial.number for trial in shown],
        vmin=1,
        vmax=1.25 * len(trials),  # without viridis's yellow, which is hard to see
        s=34,
        label="trial (dark: early)",
    )
    marks = ((above, "^", "tab:orange", "loss above"), (failed, "x", "tab:red", "failed"))
    for group, marker, colour, label in marks:
        if group:
            panel.scatter(
                [position(trial.settings[name]) for trial in group],
                [edge] * len(group),
                marker=marker,
                color=colour,
                s=34,
                label=label,
            )
    best = best_of(trials)
    if best is not None and best in shown:
        panel.scatter(
            [position(best.settings[name])],
            [losses[best.number]],
            marker="*",
            s=230,
            facecolor="none",
            edgecolor="tab:red",
            linewidth=1.6,
            label=f"best (trial {best.number})",
        )
