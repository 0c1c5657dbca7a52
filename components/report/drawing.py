"""Style of the report's plots, and their drawing as PNG: the same bytes every time."""

from __future__ import annotations

import dataclasses
import functools
import io
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from components.common.escape import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Width of a plot. On a phone of 360 pixels its text is still four fifths as large.
WIDTH_INCHES = 4.6
_PIXELS_PER_INCH = 100  # of the page
_SHARPNESS = 2  # pixels of the file per pixel of the page, for phones and printers
_FONT_POINTS = 8.5

# Okabe & Ito 2008: people with any kind of colour vision can tell them apart.
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#5f6368"
KIND_COLOURS = {"network": BLUE, "ensemble": ORANGE, "baseline": GREEN}
KIND_MARKERS = {"network": "o", "ensemble": "D", "baseline": "s"}
SPLIT_COLOURS = {"train": BLUE, "validation": "#e69f00", "test": "#56b4e9"}

_MAX_NAME_LENGTH = 16


@dataclasses.dataclass(frozen=True)
class Picture:
    """A plot.

    Attributes:
      name: Name of its file, without .png.
      png: The PNG file's bytes.
      alt: Text for readers who cannot see it.
    """

    name: str
    png: bytes
    alt: str

    @property
    def width(self) -> int:
        """Width in pixels of the page."""
        return struct.unpack(">I", self.png[16:20])[0] // _SHARPNESS

    @property
    def height(self) -> int:
        """Height in pixels of the page."""
        return struct.unpack(">I", self.png[20:24])[0] // _SHARPNESS


def draw(
    paint: Callable[[Figure], None],
    *,
    width: float = WIDTH_INCHES,
    height: float,
    layout: Literal["constrained"] | None = "constrained",
    cropped: bool = False,
) -> bytes:
    """Return a PNG of what `paint` draws.

    The user's matplotlibrc, pyplot's state and the machine have no influence on it. A dollar
    sign in a name stays a dollar sign and does not start a formula.

    Args:
      paint: draws into a figure.
      width, height: in inches.
      layout: engine of matplotlib, or None.
      cropped: whether to cut off empty edges.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "font.size": _FONT_POINTS,
                "text.parse_math": False,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.axisbelow": True,
                "grid.alpha": 0.35,
                "legend.frameon": False,
            }
        )
        dots = _PIXELS_PER_INCH * _SHARPNESS
        figure = Figure(figsize=(width, height), dpi=dots, layout=layout)
        FigureCanvasAgg(figure)
        paint(figure)
        png = io.BytesIO()
        box: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.03} if cropped else {}
        figure.savefig(png, format="png", metadata={"Software": None}, **box)
    return png.getvalue()


def plot_names(names: Sequence[str], max_length: int = _MAX_NAME_LENGTH) -> list[str]:
    """Return names as plots show them: printable, short, and still different from each other.

    A name with letters that the plots' font lacks is replaced by its number ("no. 3"), which
    the page explains.
    """
    short = [_short(name, number, max_length) for number, name in enumerate(names, start=1)]
    return [
        name if short.count(name) == 1 else _cut(f"{number}: {name}", max_length)
        for number, name in enumerate(short, start=1)
    ]


def _short(name: str, number: int, max_length: int) -> str:
    shown = printable(name)
    drawable = _drawable()
    if not shown.strip() or any(ord(character) not in drawable for character in shown):
        return f"no. {number}"
    return _cut(shown, max_length)


def _cut(text: str, max_length: int) -> str:
    return text if len(text) <= max_length else text[: max_length - 1].rstrip() + "…"


@functools.cache
def _drawable() -> frozenset[int]:
    """Return the code points that matplotlib's own font can draw."""
    from matplotlib import font_manager, ft2font

    path = font_manager.findfont("DejaVu Sans", fallback_to_default=True)
    return frozenset(ft2font.FT2Font(path).get_charmap())
