"""Tables of a run's results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from components.common.escape import printable
from pipeline.display.text import escaped


def worth(results: Mapping[str, Any]) -> list[str]:
    """What must not be missed about a run's numbers, in sentences; mostly nothing."""
    notes = []
    if results["synthetic"]:
        notes.append("synthetic data: the numbers say nothing about real music")
    for split in ("validation", "test"):
        recall = results["models"][results["candidate"]][split]["recall"]
        unheard = [genre for genre, value in recall.items() if value is None]
        if unheard:
            notes.append(
                f"{split}: no track of {', '.join(map(printable, unheard))}; nothing is known of "
                "the model there"
            )
    if results["leaky"]:
        notes.append("leaky split: clips of one track are on both sides, the numbers are too good")
    return notes


# How a rule of the gate, or the server's trial, came out.
_MARKS = {
    "pass": "[green]✓[/]",
    "passed": "[green]✓[/]",
    "fail": "[yellow]✗[/]",
    "failed": "[yellow]✗[/]",
    "off": "-",
}


def verdict(results: Mapping[str, Any]) -> list[str]:
    """Whether the candidate is blessed and why, in rich's markup: a line for each rule of the
    gate, and one for its trial on a server if there was one."""
    gate, served = results["gate"], results["serving_check"]
    if served["outcome"] == "failed":
        lines = ["[yellow]blessed by the gate, refused by ServingCheck[/]"]
    else:
        lines = ["[green]blessed[/]" if gate["blessed"] else "[yellow]not blessed[/]"]
    for rule in gate["rules"]:
        lines.append(f"  {_MARKS[rule['outcome']]} {rule['id']}: {escaped(rule['text'])}")
    if served["outcome"] != "skipped":
        lines.append(f"  {_MARKS[served['outcome']]} ServingCheck: {escaped(served['text'])}")
    return lines


def _table(text: str, results: Mapping[str, Any]) -> Table:
    """An empty table whose title says what its numbers are worth, in a word each."""
    words = [word for word in ("synthetic", "leaky") if results[word]]
    title = f"{text} ({', '.join(words)})" if words else text
    return Table(title=title, title_justify="left")


def results_tables(results: Mapping[str, Any]) -> list[Table]:
    """The tables that end a run: the data, the models, the candidate by genre."""
    counts = results["counts"]
    data = _table("Data", results)
    for column in ("split", "tracks", "clips"):
        data.add_column(column, justify="left" if column == "split" else "right")
    for split in ("train", "validation", "test"):
        data.add_row(split, str(counts["tracks"][split]), str(counts["clips"][split]))
    if counts["rejects"]:
        data.add_section()
        for reason, number in counts["rejects"].items():
            data.add_row(f"left out: {reason}", str(number), "")

    return [data, _models_table(results), _genre_table(results)]


# In the order of the table.
KINDS = ("network", "ensemble", "baseline")


def _shown_name(model: str) -> str:
    if model == "ensemble_weighted":
        return "weighted mean"
    return model.replace("ensemble_", "mean of ")


def _models_table(results: Mapping[str, Any]) -> Table:
    table = _table("Models, accuracy by track", results)
    for column in ("model", "valid.", "test", "95 %", "F1", "size", "train"):
        table.add_column(column, justify="left" if column == "model" else "right", no_wrap=True)
    marks = {results["candidate"]: " *", results["best_baseline"]: " +"}
    for kind in KINDS:
        of_kind = {k: v for k, v in results["models"].items() if v["kind"] == kind}
        for name, model in of_kind.items():
            test = model["test"]
            accuracy = test["track_accuracy"]
            seconds = model["train_seconds"]
            table.add_row(
                _shown_name(name) + marks.get(name, ""),
                f"{model['validation']['track_accuracy']['value']:.1%}",
                f"{accuracy['value']:.1%}",
                f"{100 * accuracy['low']:.0f} to {100 * accuracy['high']:.0f}",
                f"{test['macro_f1']['value']:.2f}",
                "" if model["parameters"] is None else short_count(model["parameters"]),
                "" if seconds is None else f"{seconds:.0f} s",
            )
        table.add_section()
    return table


LEGEND = (
    "* the candidate: best on validation of the networks and their mean; + the baseline that it "
    "has to beat; valid., test: share of tracks that are right; 95 %: interval of test, by "
    "track; F1: mean over genres, test tracks; size: parameters; train: seconds of training"
)


def short_count(number: int) -> str:
    """A count in at most six characters: 987, 100.8k, 33.6M."""
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)


def _genre_table(results: Mapping[str, Any]) -> Table:
    name = results["candidate"]
    test = results["models"][name]["test"]
    table = _table(f"{name} on the test tracks, by genre", results)
    table.add_column("genre")
    table.add_column("tracks", justify="right")
    table.add_column("found", justify="right")
    table.add_column("taken for")
    for index, genre in enumerate(results["genres"]):
        row = test["confusion"][index]
        recall = test["recall"][genre]
        wrong = sorted(
            (
                (n, other)
                for other, n in zip(results["genres"], row, strict=True)
                if n and other != genre
            ),
            key=lambda pair: (-pair[0], pair[1]),
        )
        table.add_row(
            escaped(genre),
            str(sum(row)),
            "-" if recall is None else f"{recall:.0%}",
            ", ".join(f"{escaped(other)} {n}" for n, other in wrong[:3]),
        )
    return table
