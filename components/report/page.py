"""The page: one HTML file that needs nothing else, and runs nothing.

Every value goes through Jinja's autoescape, and before it through `printable`: what a genre or a
file is called is shown and never acted on. Filters of the templates:

foreign     text from outside, which is no formula for a spreadsheet either
percent     a share as 61.2%; None as a dash
interval    an Interval as 61.2% with its ends
amount      a whole number with commas; None as a dash
duration    seconds for people; None as a dash
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import importlib.resources
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from components.audio.params import AudioParams
from components.common.escape import printable, printable_cell
from components.datasets.track import REJECT_REASONS, SPLITS
from components.gate.outcome import Decision
from components.predictions.interval import Interval
from components.predictions.selection import Selection
from components.report import card, study
from components.report.drawing import Picture
from components.report.gallery import ClassCount, StoredTrack
from components.report.measures import GenreScores, ModelMeasures
from components.report.mistakes import ConfusedPair, HardTrack
from components.serving_check.outcome import ServingCheckResult
from components.spectrogram_gen.summary import DataSummary

if TYPE_CHECKING:
    from jinja2 import Environment

DASH = "\u2013"

# What the rules ask, by id (components/gate), and which of them compare two accuracies.
RULES = {
    "absolute_floor": "Reaches the floor, and more than guessing",
    "beats_baseline": "Beats the best baseline",
    "holds_ensemble": "Holds against the average of all models",
    "holds_serving": "Holds against the model that serves",
    "genre_recall": "Finds tracks of every genre",
    "audio_hash": "All parts worked with the same audio parameters",
    "already_serving": "Is not the very model that serves",
}
DIFFERENCES = frozenset({"beats_baseline", "holds_ensemble", "holds_serving"})

_STYLE = "style.css"
# Comments around what only the runner knows. Escaped text can hold none of them.
_RUN_PARTS = ("pushed", "timings")


class NodeRun(Protocol):
    """Execution of a node of the graph, as results.json holds it."""

    @property
    def outcome(self) -> str: ...

    @property
    def seconds(self) -> float: ...


@dataclasses.dataclass(frozen=True)
class Page:
    """What the page shows.

    `notes`: warnings before all numbers; `plot_key`: names in plots that stand for a genre;
    `decision`, `selection`, `summary`, `histories`, `baselines`: as in Sources; `models`: best
    on validation first; `scores`: by model; `pictures`: by their own names, the gallery's
    `gallery_<label>_<n>` and the hardest tracks' `hard_<n>` from 1.
    """

    genres: Sequence[str]
    plot_key: Sequence[tuple[str, str]]
    notes: Sequence[str]
    dataset: str
    decision: Decision
    selection: Selection
    summary: DataSummary
    models: Sequence[ModelMeasures]
    candidate: ModelMeasures
    scores: Mapping[str, Sequence[GenreScores]]
    pairs: Sequence[ConfusedPair]
    hard: Sequence[HardTrack]
    gallery: Sequence[Sequence[StoredTrack]]
    classes: Sequence[ClassCount]
    rejects: Sequence[Mapping[str, str]]
    histories: Mapping[str, Mapping[str, Any]]
    baselines: Mapping[str, Any] | None
    calibration_errors: Mapping[str, float]
    card: card.Card
    audio: AudioParams
    pictures: Mapping[str, Picture]


def render(page: Page) -> str:
    """The page as HTML. What only the runner knows is left to `with_run`."""
    style = _read(_STYLE)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template("report.html")
        .render(
            page=page,
            style=style,
            style_digest=digest,
            study=study,
            splits=SPLITS,
            rules=RULES,
            differences=DIFFERENCES,
            reject_reasons=REJECT_REASONS,
            intended_use=card.INTENDED_USE,
            not_intended=card.NOT_INTENDED,
        )
    )


def with_run(
    html: str,
    *,
    nodes: Mapping[str, NodeRun],
    pushed_version: str | None,
    serving_check: ServingCheckResult | None = None,
) -> str:
    """The page with what is known after the graph alone.

    Args:
      html: what `render` or this function returned.
      nodes: for each node `{"outcome": "done" | "cached", "seconds": float}`, as in
        results.json.
      pushed_version: the version that the run pushed, or None.
      serving_check: how the candidate did on a server, as in results.json; None where that is
        not known.

    Raises:
      ValueError: `html` is no report.
    """
    known = {
        "nodes": nodes,
        "pushed_version": pushed_version,
        "served": serving_check,
        "known": True,
    }
    for part in _RUN_PARTS:
        begin, end = f"<!--run:{part}-->", f"<!--/run:{part}-->"
        before, found, rest = html.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"no place for {part} in the page: it is no report")
        filled = _environment().get_template(f"{part}.html").render(known)
        html = f"{before}{begin}{filled}{end}{after}"
    return html


def templates_digest() -> str:
    """16 hex digits over the templates, which `code_digest` does not see."""
    folder = importlib.resources.files("components.report") / "templates"
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.name}\0{content}\n".encode())
    return digest.hexdigest()[:16]


def percent(share: float | None, digits: int = 1) -> str:
    """A share as percent; a dash for None."""
    return DASH if share is None else f"{share:.{digits}%}"


def points(difference: float | None) -> str:
    """A difference of shares in percentage points, with its sign; a dash for None."""
    return DASH if difference is None else f"{100 * difference:+.1f} points"


def amount(number: float | None) -> str:
    """A whole number with commas; a dash for None."""
    return DASH if number is None else f"{number:,.0f}"


def duration(seconds: float | None) -> str:
    """Seconds as a person says them; a dash for None."""
    if seconds is None:
        return DASH
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@functools.cache
def _environment() -> Environment:
    import jinja2
    from markupsafe import Markup

    def shown(value: object) -> object:
        """Every string that a template puts out, but for HTML that a template made."""
        return (
            printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
        )

    def interval(found: Interval | None) -> Markup:
        if found is None:
            return Markup(DASH)
        low, high = f"{100 * found.low:.1f}", f"{100 * found.high:.1f}"
        return Markup('<b>{}</b> <span class="ends">({}{}{})</span>').format(
            percent(found.value), low, DASH, high
        )

    def data_uri(picture: Picture) -> Markup:
        return Markup("data:image/png;base64," + base64.b64encode(picture.png).decode())

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("components.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
    )
    environment.filters.update(
        foreign=printable_cell,
        percent=percent,
        points=points,
        interval=interval,
        amount=amount,
        duration=duration,
        data_uri=data_uri,
        css=Markup,  # our own file, whose line ends stay
    )
    return environment


def _read(name: str) -> str:
    return (importlib.resources.files("components.report") / "templates" / name).read_text("utf-8")
