"""Tables and sentences that end a run."""

from __future__ import annotations

from collections.abc import Collection

from rich.table import Table
from rich.text import Text

from components.common.escape import printable
from components.predictions.selection import ModelKind
from pipeline.display.console import Piece, line
from pipeline.display.tables import titled
from pipeline.results.schema import Results, SplitName

# In the order of the table.
KINDS: tuple[ModelKind, ...] = ("network", "ensemble", "baseline")
SPLITS: tuple[SplitName, ...] = ("validation", "test")
LEGEND = (
    "* the candidate: the best on validation of the networks and their mean; + the baseline that "
    "it has to beat; valid., test: track accuracy on the split; 95 %: interval of test, by artist "
    "where known; F1: mean over genres, on test tracks; size: number of weights; train: seconds "
    "of training"
)
PRETRAINED_LEGEND = "°: starts from weights that were trained on other data"

# Marks of a rule of the gate, and of the test on a server, by outcome.
_MARKS: dict[str, Piece] = {
    "pass": ("✓", "green"),
    "passed": ("✓", "green"),
    "fail": ("✗", "yellow"),
    "failed": ("✗", "yellow"),
    "off": "-",
    "same": ("✓", "green"),
    "drifted": ("!", "yellow"),
    "unknown": "-",
}
# Number of confused genres that a row of the table shows.
_MAX_SHOWN_GENRES = 3


def caveats(results: Results) -> list[str]:
    """Return sentences on why not to trust a run's numbers; [] where nothing is wrong."""
    sentences = []
    if results.synthetic:
        sentences.append("synthetic data: the numbers say nothing about real music")
    for split in SPLITS:
        recall = results.models[results.candidate].on(split).recall
        missing = [genre for genre, value in recall.items() if value is None]
        if missing:
            sentences.append(
                f"{split}: no track of {', '.join(map(printable, missing))}; nothing is known of "
                "the model there"
            )
    if results.leaky:
        sentences.append(
            "leaky split: clips of one track are on both sides, so the numbers are too good"
        )
    return sentences


def verdict(results: Results) -> list[Text]:
    """Return lines that say whether the candidate is blessed, and why.

    There is a line for each rule of the gate, one for ServingCheck if it ran or is off, and one
    for the drift of the songs unless that is off; and one for Pusher if it refused the candidate.
    """
    served = results.serving_check
    if results.failed_serving_check:
        lines = [line(("blessed by the gate, refused by ServingCheck", "yellow"))]
    elif results.push_refused:
        lines = [line(("blessed by the gate, not pushed", "yellow"))]
    else:
        lines = [line(("blessed", "green") if results.gate.blessed else ("not blessed", "yellow"))]
    for rule in results.gate.rules:
        lines.append(line("  ", _MARKS[rule.outcome], f" {rule.id}: {rule.text}"))
    if served and served.outcome != "skipped":
        lines.append(line("  ", _MARKS[served.outcome], f" ServingCheck: {served.text}"))
    if results.push_refused:
        lines.append(line("  ", _MARKS["fail"], f" Pusher: {results.push_refused}"))
    if results.drift and results.drift.outcome != "off":
        drift = results.drift
        said = "the songs drifted: " if drift.outcome == "drifted" else "drift: "
        lines.append(line("  ", _MARKS[drift.outcome], f" {said}{drift.text}"))
    return lines


def results_tables(results: Results) -> list[Table]:
    """Return the tables that end a run: the data, the models, the candidate by genre."""
    return [_data_table(results), _models_table(results), _genre_table(results)]


def short_count(number: int) -> str:
    """Return a count in at most six characters: 987, 100.8k, 33.6M."""
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)


def _table(text: str, results: Results, *columns: str, left: Collection[str]) -> Table:
    """Return an empty table whose title names the results' caveats, in a word each."""
    title = f"{text} ({', '.join(results.caveats)})" if results.caveats else text
    return titled(title, *columns, left=left)


def _data_table(results: Results) -> Table:
    counts = results.counts
    table = _table("Data", results, "split", "tracks", "clips", left=("split",))
    for split in ("train", "validation", "test"):
        table.add_row(split, str(getattr(counts.tracks, split)), str(getattr(counts.clips, split)))
    # A track may be left out, or some clips of a track that is used.
    reasons = {**counts.rejects, **counts.clips_left_out}
    if reasons:
        table.add_section()
        for reason in reasons:
            found = (counts.rejects.get(reason), counts.clips_left_out.get(reason))
            table.add_row(f"left out: {reason}", *(str(number or "") for number in found))
    return table


def _shown_name(model: str) -> str:
    if model == "ensemble_weighted":
        return "weighted mean"
    return model.replace("ensemble_", "mean of ")


def _models_table(results: Results) -> Table:
    columns = ("model", "valid.", "test", "95 %", "F1", "size", "train")
    table = _table("Models, track accuracy", results, *columns, left=("model",))
    for column in table.columns:
        column.no_wrap = True
    marks = {results.candidate: " *", results.best_baseline: " +"}
    for kind in KINDS:
        for name, model in results.models.items():
            if model.kind != kind:
                continue
            accuracy, seconds = model.test.track_accuracy, model.train_seconds
            pretrained = "°" if model.pretrained else ""
            table.add_row(
                _shown_name(name) + pretrained + marks.get(name, ""),
                f"{model.validation.track_accuracy.value:.1%}",
                f"{accuracy.value:.1%}",
                f"{100 * accuracy.low:.0f} to {100 * accuracy.high:.0f}",
                f"{model.test.macro_f1.value:.2f}",
                "" if model.parameters is None else short_count(model.parameters),
                "" if seconds is None else f"{seconds:.0f} s",
            )
        table.add_section()
    return table


def _genre_table(results: Results) -> Table:
    test = results.models[results.candidate].test
    title = f"{results.candidate} on the test tracks, by genre"
    text = ("genre", "predicted as")
    table = _table(title, results, "genre", "tracks", "recall", "predicted as", left=text)
    for genre, row in zip(results.genres, test.confusion, strict=True):
        recall = test.recall[genre]
        wrong = sorted(
            (
                (count, other)
                for other, count in zip(results.genres, row, strict=True)
                if count and other != genre
            ),
            key=lambda pair: (-pair[0], pair[1]),
        )
        table.add_row(
            genre,
            str(sum(row)),
            "-" if recall is None else f"{recall:.0%}",
            ", ".join(f"{other} {count}" for count, other in wrong[:_MAX_SHOWN_GENRES]),
        )
    return table
