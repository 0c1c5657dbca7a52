"""Tests of the console: names and messages are printed as they are, whatever is in them."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from rich.live import Live
from rich.progress import Progress
from rich.table import Table

from components.artifacts import typed_json
from components.tuner.trials import TrialsFile
from pipeline.display import comparison, progress, results, tuning
from pipeline.display.console import PlainConsole, TextColumn, line
from pipeline.results.comparison import compare
from pipeline.results.finished_runs import read_runs
from tests.pipeline.finished import predicted_tracks, write_run
from tests.pipeline.plain_results import PASSED, plain_results, results_of
from tests.support.plain_text import ACTIVE, NASTY, kept_console, printed


def _table(console: PlainConsole) -> None:
    table = Table(title=NASTY, caption=NASTY)
    table.add_column(NASTY, footer=NASTY)
    table.show_footer = True
    table.add_row(NASTY)
    console.print(table)


def _bar(console: PlainConsole) -> None:
    with Progress(TextColumn("name"), console=console) as bars:
        bars.add_task("", name=NASTY)


def _spinner(console: PlainConsole) -> None:
    with console.status(NASTY):
        pass


def _live(console: PlainConsole) -> None:
    with Live(line(NASTY, (NASTY, "red")), console=console):
        pass


@pytest.mark.parametrize(
    ("show", "times"),
    [
        (lambda console: console.print(NASTY), 1),
        (lambda console: console.print(NASTY, style="dim", markup=True, emoji=True), 1),
        (lambda console: console.say(NASTY, (NASTY, "green"), line((NASTY, "bold"))), 3),
        (_table, 5),
        (_bar, 1),
        (_spinner, 1),
        (_live, 2),
    ],
)
def test_text_is_text_wherever_a_console_shows_it(
    show: Callable[[PlainConsole], None], times: int
) -> None:
    console = kept_console(terminal=True)
    show(console)
    assert printed(console).count(NASTY) >= times


@pytest.mark.parametrize("terminal", [True, False])
def test_no_control_character_of_a_text_reaches_the_terminal(terminal: bool) -> None:
    console = kept_console(terminal=terminal)
    table = Table(title=ACTIVE)
    table.add_row(ACTIVE)
    console.print(ACTIVE)
    console.say(ACTIVE, (f"two\nlines{ACTIVE}", "red"))
    console.print(table)
    assert printed(console).count("\\x1b[31mred\\x07") == 5
    assert "two\\x0alines" in printed(console)


def test_a_line_keeps_the_styles_of_its_pieces() -> None:
    console = kept_console(terminal=True)
    console.say("[red]plain[/] ", ("green", "green"), " plain")
    assert "[red]plain[/] \x1b[32mgreen\x1b[0m plain\n" in console.file.getvalue()  # type: ignore[attr-defined]


# Displays of a run


def _nasty_results() -> Any:
    values = plain_results()
    model = values["models"].pop("cnn_small")
    confusion = {"recall": {NASTY: None, "Rock": 0.5}, "confusion": [[0, 0], [1, 1]]}
    for split in ("validation", "test"):
        for one in (model, *values["models"].values()):
            one[split] = {**one[split], **confusion}
    rule = {**values["gate"]["rules"][0], "id": NASTY, "text": NASTY}
    return results_of(
        genres=[NASTY, "Rock"],
        models={**values["models"], NASTY: model},
        candidate=NASTY,
        gate={"blessed": True, "rules": [rule]},
        serving_check={**PASSED, "text": NASTY},
    )


def test_the_end_of_a_run_prints_names_and_reasons_as_they_are() -> None:
    console = kept_console()
    found = _nasty_results()
    for table in results.results_tables(found):
        console.print(table)
    models, genres = printed(console).split(f"{NASTY} on the test tracks, by genre")
    assert f"{NASTY} *" in models
    assert genres.count(NASTY) == 2  # as a genre, and as what was predicted
    console = kept_console()
    for text in results.verdict(found):
        console.say(text)
    for sentence in results.caveats(found):
        console.say((sentence, "yellow"))
    assert f"✓ {NASTY}: {NASTY}\n" in printed(console)
    assert f"ServingCheck: {NASTY}\n" in printed(console)
    assert printed(console).count(f"no track of {NASTY};") == 2


def test_a_comparison_prints_genres_models_and_folders_as_they_are(tmp_path: pathlib.Path) -> None:
    genres = [NASTY.replace("/", "|"), "Rock"]
    folders = []
    for name in ("[a]", "[b]"):
        rows = predicted_tracks(genres, {"crnn": [1, 0] * 20})
        folders.append(write_run(tmp_path / name, genres, rows))
    console = kept_console()
    comparison.print_comparison(console, compare(read_runs([str(f) for f in folders]), ""))
    text = printed(console)
    assert f"A  {tmp_path}/[a]\n" in text
    assert f"B  {tmp_path}/[b]\n" in text
    assert genres[0] in text
    assert "*50.0 [" in text
    assert "in brackets: 95 % intervals" in text


def test_a_table_of_trials_prints_its_names_as_they_are() -> None:
    trial = {
        "number": 1, "values": {}, "settings": {"learning_rate": 0.1, "batch_size": 1, "dropout": 0,
        "l2": 0}, "outcome": "done", "epochs": 1, "val_loss": 1.0, "val_accuracy": 0.5,
        "seconds": 1.0,
    }  # fmt: skip
    found = {
        "schema_version": 1, "architecture": NASTY, "objective": "", "algorithm": "random",
        "seed": 0, "epochs": 1, "space": {}, "clips": {"train": 1, "validation": 1}, "seconds": 1.0,
        "versions": {}, "audio_hash": "", "code_digest": "", "values": {}, "best": 1,
        "trials": [trial],
    }  # fmt: skip
    console = kept_console()
    console.print(tuning.trials_table(typed_json.parse(TrialsFile, found)))
    assert f"{NASTY}: 1 trials" in " ".join(printed(console).split())  # the title is wrapped


@pytest.mark.parametrize("terminal", [True, False])
def test_the_progress_of_a_run_prints_nodes_and_notes_as_they_are(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", -1.0)
    console = kept_console(terminal=terminal)
    node = {"node": NASTY, "index": 0, "total": 9}
    with progress.RunDisplay(console) as shown:
        for event in (
            {"event": "checking", "detail": NASTY},
            {"event": "tick"},
            {"event": "node_started", **node},
            {"event": "progress", "stage": "audio", "done": 1, "total": 2, "detail": "of " + NASTY},
            {"event": "node_finished", "outcome": "cached", "seconds": 1.0, **node},
            {"event": "node_failed", "seconds": 1.0, **node},
            {"event": "tuning", "architecture": NASTY, "note": "said " + NASTY},
        ):
            shown(event)
            if terminal:
                shown._progress.refresh()
    text = printed(console)
    assert f"[1/9] {NASTY}" in text
    assert f"of {NASTY}" in text
    assert f"✓ {NASTY}" in text
    assert "s  cached\n" in text
    assert f"✗ {NASTY}" in text
    assert f"{NASTY}: said {NASTY}\n" in text
