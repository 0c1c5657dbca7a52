"""Tables and sentences of `genreflow compare`."""

from __future__ import annotations

from collections.abc import Container, Iterator

from rich.table import Table

from components.predictions.interval import Interval
from pipeline.display.console import PlainConsole
from pipeline.display.results import KINDS
from pipeline.display.tables import titled
from pipeline.display.text import LETTERS
from pipeline.results.comparison import Difference, Measure, Pair, RunComparison, measured
from pipeline.results.schema import Results

TITLES: dict[Measure, str] = {
    "track_accuracy": "Track accuracy on the test split, %",
    "macro_f1": "Macro F1 on the test split, %",
}


def print_comparison(out: PlainConsole, found: RunComparison) -> None:
    """Print the runs' folders, all tables, the notes, and how each run compares with the first."""
    for number, run in enumerate(found.runs):
        out.say(f"{LETTERS[number]}  {run.folder}")
    for table in tables(found):
        out.print(table)
    out.print(LEGEND, style="dim")
    for note in notes(found):
        out.print(note, style="yellow")
    for sentence in conclusions(found):
        out.print(sentence)


LEGEND = (
    "* the compared model: the candidate, or --model; in brackets: 95 % intervals, by tracks or "
    "whole artists; B - A: points by which B is better than A"
)


def tables(found: RunComparison) -> Iterator[Table]:
    """Yield the runs' facts, each measure of all models, the genres, and the spread over runs."""
    yield _facts(found)
    for measure in TITLES:
        yield from _measure_tables(found, measure)
    if found.genres:
        yield from _genre_tables(found)
    if found.spread:
        yield _spread_table(found)


def _facts(found: RunComparison) -> Table:
    columns = ("", *LETTERS[: len(found.runs)])
    table = titled("Runs", *columns, left=columns)
    runs: list[Results] = [run.results for run in found.runs]
    rows = {
        "data set": [results.dataset for results in runs],
        "caveats": [", ".join(results.caveats) or "-" for results in runs],
        "genres": [str(len(results.genres)) for results in runs],
        "tracks: train": [str(results.counts.tracks.train) for results in runs],
        "validation": [str(results.counts.tracks.validation) for results in runs],
        "test": [str(len(run.test_tracks)) for run in found.runs],
        "candidate": [results.candidate for results in runs],
        "gate": ["blessed" if results.gate.blessed else "not blessed" for results in runs],
        "test split uses": [str(results.test_split_uses) for results in runs],
        "pushed": [results.pushed_version or _not_pushed(results) for results in runs],
        "configuration": [results.config_digest for results in runs],
    }
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def _not_pushed(results: Results) -> str:
    """Return the cell that stands for a version, with who refused a blessed candidate."""
    if results.push_refused:
        return "nothing (rolled back)"
    return "nothing (ServingCheck)" if results.failed_serving_check else "nothing"


def _measure_tables(found: RunComparison, measure: Measure) -> Iterator[Table]:
    kinds = {
        name: model.kind
        for run in reversed(found.runs)
        for name, model in run.results.models.items()
    }
    names = sorted(found.models, key=lambda name: KINDS.index(kinds[name]))
    values = {}
    for number, run in enumerate(found.runs):
        cells = []
        for name in names:
            model = run.results.models.get(name)
            mark = "*" if name == found.chosen[number] else ""
            cells.append(mark + _interval(measured(model, measure)) if model else "-")
        values[LETTERS[number]] = cells
    differences = {
        f"{LETTERS[pair.run]} - A": [
            signed(pair.models[name].of(measure)) if name in pair.models else "-" for name in names
        ]
        for pair in found.pairs
    }
    ends = {row for row in range(len(names) - 1) if kinds[names[row]] != kinds[names[row + 1]]}
    yield from _side_by_side(TITLES[measure], {"model": names}, values, differences, ends)


def _genre_tables(found: RunComparison) -> Iterator[Table]:
    values = {}
    for number, run in enumerate(found.runs):
        test = run.results.models[found.chosen[number]].test
        cells = []
        for genre in found.genres:
            recall, total = test.recall[genre], sum(test.confusion[run.genres.index(genre)])
            cells.append("no track" if recall is None else f"{recall:.0%} of {total}")
        values[LETTERS[number]] = cells
    differences = {
        f"{LETTERS[pair.run]} - A": [
            signed(pair.recall[genre]) if genre in pair.recall else "-" for genre in found.genres
        ]
        for pair in found.pairs
    }
    which = ", ".join(f"{LETTERS[n]} {name}" for n, name in enumerate(found.chosen))
    title = f"Recall of each genre on the test split ({which})"
    yield from _side_by_side(title, {"genre": list(found.genres)}, values, differences)


def _side_by_side(
    title: str,
    names: dict[str, list[str]],
    values: dict[str, list[str]],
    differences: dict[str, list[str]],
    ends: Container[int] = (),
) -> Iterator[Table]:
    """Yield one table of values and differences for two runs, two tables for more.

    Args:
      title: of the table.
      names: the first column, by its header.
      values: a column per run.
      differences: a column per run but the first.
      ends: indices of the rows that end a section.
    """
    if len(values) == 2:
        yield _columns(title, {**names, **values, **differences}, ends)
    else:
        yield _columns(title, {**names, **values}, ends)
        yield _columns(f"{title}: differences from A", {**names, **differences}, ends)


def _columns(title: str, columns: dict[str, list[str]], ends: Container[int]) -> Table:
    table = titled(title, *columns, left=tuple(columns)[:1])
    for number, row in enumerate(zip(*columns.values(), strict=True)):
        table.add_row(*row, end_section=number in ends)
    return table


def _spread_table(found: RunComparison) -> Table:
    assert found.spread is not None
    count = len(found.runs)
    columns = ("model", "accuracy", "SD", "range", "F1", "SD", "range")
    table = titled(f"Over the {count} runs, %", *columns, left=("model",))
    for name, measures in found.spread.items():
        cells = []
        for measure in TITLES:
            spread = measures[measure]
            cells += [
                f"{100 * spread.mean:.1f}",
                f"{100 * spread.deviation:.1f}",
                f"{100 * spread.low:.0f} to {100 * spread.high:.0f}",
            ]
        table.add_row(name, *cells)
    return table


def notes(found: RunComparison) -> Iterator[str]:
    """Yield sentences on why not to trust these numbers, or how they can mislead."""
    for word, meaning in (
        ("synthetic", "synthetic data, the numbers say nothing about real music"),
        ("leaky", "leaky split, clips of one track are on both sides: the numbers are too good"),
    ):
        marked = [LETTERS[n] for n, run in enumerate(found.runs) if word in run.results.caveats]
        if marked:
            yield f"{', '.join(marked)}: {meaning}"
    ids = [run.results.run_id for run in found.runs]
    for run_id in sorted({one for one in ids if ids.count(one) > 1}):
        same = [LETTERS[number] for number, one in enumerate(ids) if one == run_id]
        yield f"{', '.join(same)}: the same run, {run_id}, in several folders"
    if any(found.other_genres):
        only = [
            f"{LETTERS[number]} also has {', '.join(others)}"
            for number, others in enumerate(found.other_genres)
            if others
        ]
        common = (
            f"{len(found.genres)} genres are in every run"
            if found.genres
            else "no genre is in every run"
        )
        yield (
            f"genres differ: {common}; {'; '.join(only)}: accuracies over different genres are "
            "not comparable"
        )
    if len({run.results.audio_hash for run in found.runs}) > 1:
        yield "audio parameters differ: the models were trained on different spectrograms"
    for pair in found.pairs:
        if pair.conflicting:
            yield (
                f"{LETTERS[pair.run]} and A: {pair.conflicting} track ids have different genres; "
                "they count as different tracks"
            )


def conclusions(found: RunComparison) -> Iterator[str]:
    """Yield for each run how it was compared with the first, and the result."""
    for pair in found.pairs:
        yield f"{LETTERS[pair.run]} - A: {_how(pair)}"
        yield f"  {_outcome(pair.chosen, same_genres=not any(found.other_genres))}"


def _how(pair: Pair) -> str:
    this, first = pair.tested
    artists = f", {pair.groups[0]} artists" if pair.by == "artist" else ""
    if pair.paired and pair.common == this == first:
        return f"paired by {pair.by}, the same {pair.common} test tracks{artists}"
    if pair.paired:
        return (
            f"paired by {pair.by}, over the {pair.common} test tracks in common{artists} "
            f"(of {this} in {LETTERS[pair.run]} and {first} in A)"
        )
    few = f"only {pair.common} test tracks in common" if pair.common else "no test track in common"
    if pair.by == "artist":
        artists = f" ({pair.groups[0]} and {pair.groups[1]} artists)"
    return f"{few}, so two independent samples of {this} and {first} tracks{artists}"


def _outcome(difference: Difference, *, same_genres: bool) -> str:
    this, first = difference.models
    names = this if this == first else f"{this} against {first}"
    accuracy = difference.track_accuracy
    if not same_genres:
        verdict = "different genres, a different task"
    elif accuracy.low > 0:
        verdict = "better"
    elif accuracy.high < 0:
        verdict = "worse"
    else:
        verdict = "no clear difference"
    return (
        f"{names}: {signed(accuracy)} points of track accuracy, {signed(difference.macro_f1)} of "
        f"macro F1: {verdict}"
    )


def _interval(share: Interval) -> str:
    """Return a share and its interval in percent: 67.5 [61, 73]."""
    return f"{100 * share.value:.1f} [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def signed(difference: Interval) -> str:
    """Return a difference in points: +3.1 [-2.0, +8.2]."""
    ends = (difference.value, difference.low, difference.high)
    value, low, high = (round(100 * end, 1) + 0.0 for end in ends)  # + 0.0 turns -0.0 into 0.0
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
