"""How every plot of the report looks, and how it becomes a file: the same bytes every time."""

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

# Text is sized for a column of so many inches at 100 pixels each: on a phone of 360 pixels
# it is still four fifths of that.
WIDTH_INCHES = 4.6
_PIXELS_PER_INCH = 100  # of the page
_SHARPNESS = 2  # pixels of the file to one of the page: phones and printers have them
_FONT_POINTS = 8.5

# Okabe & Ito 2008: told apart by people with any kind of colour vision.
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#5f6368"
KIND_COLOURS = {"network": BLUE, "ensemble": ORANGE, "baseline": GREEN}
KIND_MARKERS = {"network": "o", "ensemble": "D", "baseline": "s"}
SPLIT_COLOURS = {"train": BLUE, "validation": "#e69f00", "test": "#56b4e9"}

_MAX_NAME = 16


@dataclasses.dataclass(frozen=True)
class Picture:
    """A plot: `name` (of its file, without .png), the PNG's bytes, and what it shows in
    words, for those who cannot see it."""

    name: str
    png: bytes
    alt: str

    @property
    def width(self) -> int:
        """Pixels of the page."""
        return struct.unpack(">I", self.png[16:20])[0] // _SHARPNESS

    @property
    def height(self) -> int:
        """Pixels of the page."""
        return struct.unpack(">I", self.png[20:24])[0] // _SHARPNESS


def draw(
    paint: Callable[[Figure], None],
    *,
    width: float = WIDTH_INCHES,
    height: float,
    layout: Literal["constrained"] | None = "constrained",
    cropped: bool = False,
) -> bytes:
    """A PNG of what `paint` draws; sizes in inches, less the empty edges if `cropped`.

    Nothing of the user's matplotlibrc, of pyplot's state and of this machine gets into it,
    and a dollar sign in a name is a dollar sign, not the start of a formula.
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


def plot_names(names: Sequence[str], longest: int = _MAX_NAME) -> list[str]:
    """Names as plots show them: inert, short, and still different from each other.

    A name with letters that the plots' font lacks becomes its number ("no. 3"), which the
    page explains.
    """
    short = [_short(name, number, longest) for number, name in enumerate(names, start=1)]
    return [
        name if short.count(name) == 1 else _cut(f"{number}: {name}", longest)
        for number, name in enumerate(short, start=1)
    ]


def _short(name: str, number: int, longest: int) -> str:
    shown = printable(name)
    drawable = _drawable()
    if not shown.strip() or any(ord(character) not in drawable for character in shown):
        return f"no. {number}"
    return _cut(shown, longest)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


@functools.cache
def _drawable() -> frozenset[int]:
    """The code points that matplotlib's own font can draw."""
    from matplotlib import font_manager, ft2font

    path = font_manager.findfont("DejaVu Sans", fallback_to_default=True)
    return frozenset(ft2font.FT2Font(path).get_charmap())
