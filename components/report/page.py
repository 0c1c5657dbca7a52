"""The page: one self-contained HTML file without scripts.

Every value goes through `printable` and then through Jinja's autoescape, so that no name of a
genre or file can act. Filters of the templates:

foreign     text from outside; spreadsheets do not take it for a formula either
percent     a share as 61.2%; None as a dash
points      a difference of shares as +6.3 points; None as a dash
interval    an Interval as 61.2% with its ends; None as a dash
amount      a whole number with commas; None as a dash
duration    seconds as 1 min 05 s; None as a dash
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
from components.data_check.outcome import DriftResult
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

# Headings of the gate's rules, by id (components/gate).
RULES = {
    "absolute_floor": "Reaches the floor, and is better than guessing",
    "beats_baseline": "Beats the best baseline",
    "holds_ensemble": "Holds against the average of all models",
    "holds_serving": "Holds against the deployed model",
    "genre_recall": "Finds tracks of every genre",
    "audio_hash": "All parts used the same audio parameters",
    "already_serving": "Is not the deployed model itself",
}
# Rules whose value is a difference of two accuracies.
DIFFERENCES = frozenset({"beats_baseline", "holds_ensemble", "holds_serving"})

_STYLE = "style.css"
# Parts that only the runner can fill, between comments. Escaped text cannot hold a comment.
_RUN_PARTS = ("pushed", "timings")


class NodeRun(Protocol):
    """Execution of a node of the graph, as results.json holds it."""

    @property
    def outcome(self) -> str: ...

    @property
    def seconds(self) -> float: ...


@dataclasses.dataclass(frozen=True)
class Page:
    """Content of the page.

    Attributes:
      genres: In label order.
      plot_key: Names in plots that stand for a genre, each with the genre.
      notes: Warnings that come before all numbers.
      dataset: Name of the data set in words.
      decision, selection, summary, drift, rejects, histories, baselines: As in Sources.
      models: Measures of all models, the best on validation first.
      candidate: Measures of the candidate.
      scores: Scores of each genre on the test split, by model.
      pairs: Genres that the candidate confuses.
      hard: The candidate's hardest test tracks.
      gallery: Tracks to show, by label.
      classes: Numbers of tracks and clips, by label.
      calibration_errors: Expected calibration error, by model.
      card: Model card of the candidate.
      audio: Audio parameters of the examples.
      windows: The most windows of a track to evaluate on; 0 if there are random clips too.
      pictures: Plots by name; the gallery's are `gallery_<label>_<n>`, the hardest tracks'
        `hard_<n>`, from 1.
    """

    genres: Sequence[str]
    plot_key: Sequence[tuple[str, str]]
    notes: Sequence[str]
    dataset: str
    decision: Decision
    selection: Selection
    summary: DataSummary
    drift: DriftResult
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
    card: card.ModelCard
    audio: AudioParams
    windows: int
    pictures: Mapping[str, Picture]


def render(page: Page) -> str:
    """Return the page as HTML; `with_run` fills the parts that only the runner knows."""
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
    push_refused: str | None = None,
) -> str:
    """Fill the parts of the page that are known only after the graph.

    Args:
      html: result of `render` or of this function.
      nodes: executions of the graph's nodes, by id.
      pushed_version: the version that the run pushed, or None.
      serving_check: result of the candidate's test on a server; None where it is unknown.
      push_refused: why Pusher refused a blessed candidate; None if it did not.

    Returns:
      The page.

    Raises:
      ValueError: `html` is not a report.
    """
    known = {
        "nodes": nodes,
        "pushed_version": pushed_version,
        "served": serving_check,
        "push_refused": push_refused,
        "known": True,
    }
    for part in _RUN_PARTS:
        begin, end = f"<!--run:{part}-->", f"<!--/run:{part}-->"
        before, found, rest = html.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"the page has no part {part}: it is not a report")
        filled = _environment().get_template(f"{part}.html").render(known)
        html = f"{before}{begin}{filled}{end}{after}"
    return html


def templates_digest() -> str:
    """Return 16 hex digits over the templates, which `code_digest` leaves out."""
    folder = importlib.resources.files("components.report") / "templates"
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.name}\0{content}\n".encode())
    return digest.hexdigest()[:16]


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share as percent; a dash for None."""
    return DASH if share is None else f"{share:.{digits}%}"


def points(difference: float | None) -> str:
    """Return a difference of shares in percentage points, with its sign; a dash for None."""
    return DASH if difference is None else f"{100 * difference:+.1f} points"


def amount(number: float | None) -> str:
    """Return a whole number with commas; a dash for None."""
    return DASH if number is None else f"{number:,.0f}"


def duration(seconds: float | None) -> str:
    """Return seconds in the units that people use; a dash for None."""
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
        """Return a value that a template outputs, printable unless it is a template's HTML."""
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
        pretrained=card.pretrained,
        data_uri=data_uri,
        css=Markup,  # our own file; its line ends must stay
    )
    return environment


def _read(name: str) -> str:
    return (importlib.resources.files("components.report") / "templates" / name).read_text("utf-8")
