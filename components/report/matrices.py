"""Confusion matrices as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from components.report.drawing import WIDTH_INCHES, Picture, draw, plot_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# With more genres the cells have no room for digits.
_MAX_NUMBERED_GENRES = 16
_DARK_SHARE = 0.55  # cells above have white digits
_SMALL_INCHES = 3.1


def confusion(
    name: str, model: str, counts: Sequence[Sequence[int]], genres: Sequence[str], *, large: bool
) -> Picture:
    """Draw a confusion matrix: true genres in rows, predicted genres in columns.

    Colours are shares of the row, so that large genres do not outshine small ones. Digits count
    tracks.

    Args:
      name: of the picture's file.
      model: name of the model.
      counts: `[true][predicted]`.
      genres: in label order.
      large: whether it is the candidate's; the others are small.
    """
    table = np.array(counts)
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    numbered = len(genres) <= _MAX_NUMBERED_GENRES
    names = plot_names(genres, max_length=14 if large else 10)
    size = 7.5 if large else 6.5
    if len(genres) > 12:
        size *= 12 / len(genres)

    def paint(figure: Figure) -> None:
        # The picture is cropped afterwards: solving a layout would double the time.
        axes = figure.add_axes((0.3, 0.3, 0.7, 0.7) if not large else (0.25, 0.22, 0.75, 0.64))
        image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="equal")
        axes.set_xticks(range(len(genres)), names, rotation=90, fontsize=size)
        axes.set_yticks(range(len(genres)), names, fontsize=size)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        # Lines between the cells, so that empty cells can be told apart.
        edges = np.arange(1, len(genres)) - 0.5
        ends = (-0.5, len(genres) - 0.5)
        axes.hlines(edges, *ends, color="white", linewidth=1)
        axes.vlines(edges, *ends, color="white", linewidth=1)
        axes.set(xlim=ends, ylim=ends[::-1])
        axes.tick_params(length=0)
        if large:
            axes.set_xlabel("predicted genre")
            axes.set_ylabel("true genre")
            bar = figure.colorbar(image, ax=axes, location="top", fraction=0.03, pad=0.02)
            bar.set_ticks([0, 0.5, 1], labels=["0%", "50%", "100%"])
            bar.set_label("share of the genre's tracks")
            outline: Any = bar.outline  # its type stub lacks set_visible
            outline.set_visible(False)
        if numbered:
            for true, row in enumerate(table):
                for predicted, count in enumerate(row):
                    if count:
                        axes.text(
                            predicted,
                            true,
                            str(count),
                            ha="center",
                            va="center",
                            fontsize=size,
                            color="white" if share[true, predicted] > _DARK_SHARE else "black",
                        )

    inches = WIDTH_INCHES if large else _SMALL_INCHES
    right, total = int(np.trace(table)), int(table.sum())
    return Picture(
        name,
        draw(paint, width=inches, height=inches * 1.25, layout=None, cropped=True),
        f"Confusion matrix of {model} on the test split: {right} of {total} tracks lie on the "
        "diagonal",
    )
