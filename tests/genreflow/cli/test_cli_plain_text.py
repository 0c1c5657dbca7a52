"""Tests that commands print names, messages and help as they are, with all their brackets."""

from __future__ import annotations

import datetime
import pathlib
import types
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from components.datasets.settings import DatasetSettings
from components.datasets.track import Reject
from genreflow.cli import data_screen, devices
from genreflow.cli.app import app
from genreflow.cli.conclusion import Conclusion
from genreflow.cli.kubeflow import runs, screen
from genreflow.cli.kubeflow.app import app as kubeflow_app
from genreflow.cli.predict import output, progress
from kubeflow.client.run_state import Run, RunStep
from pipeline.prepare.cost import Cost
from pipeline.process import cuda
from pipeline.work_dir import WorkDir
from serving.model.prediction import Prediction
from tests.pipeline.plain_results import plain_results, results_of
from tests.support.plain_text import ACTIVE, NASTY, kept_console, printed

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
STEP = RunStep(NASTY, "failed", NOW, NOW, attempts=2, message=NASTY, pod=NASTY)
RUN = Run(NASTY, NASTY, "failed", NOW, NOW, (STEP,), message=NASTY)


def test_a_run_that_pushes_nothing_names_the_table_to_relax(tmp_path: pathlib.Path) -> None:
    work = WorkDir.at(tmp_path / "[w]" / NASTY.replace("/", "|"))
    refused = results_of(gate={**plain_results()["gate"], "blessed": False}, pushed_version=None)
    places: Any = types.SimpleNamespace(models=str(tmp_path / "models"))
    console = kept_console()
    Conclusion(refused, work, places, None, 60.0).show(console)  # type: ignore[arg-type]
    assert "or relax [gate] if this model is good enough\n" in printed(console)
    assert f"logs       {work.logs}\n" in printed(console)


def test_a_prediction_shows_its_file_and_genres_as_they_are() -> None:
    rows = np.asarray([[0.75, 0.25], [0.25, 0.75]], np.float32)
    shares = {NASTY: 0.5, "[b]": 0.5}
    console = kept_console()
    found = Prediction(NASTY + ACTIVE, 6.0, 2, 3.0, (NASTY, "[b]"), shares, rows, ("", ""))
    output.show(console, found, 0, timeline=True, synthetic=False)
    text = printed(console)
    assert text.startswith(f"{NASTY}\\x1b[31mred\\x07  6.0 s, 2 windows\n")
    assert text.count(NASTY) == 3
    assert text.count("  [b]  ") == 2


def test_a_bar_shows_the_name_of_its_file_as_it_is() -> None:
    bars = progress.ProgressBars(1)
    console = kept_console(terminal=True)
    with bars.recording("/music/[bold]1[red] :smile:.wav") as move:
        move(1.0, 2.0)
        console.print(bars._progress.get_renderable())
    bars.close()
    assert "[bold]1[red] :smile:.wav " in printed(console)


def test_tracks_left_out_are_listed_as_they_are() -> None:
    console = kept_console()
    reject = Reject(NASTY, "/music/" + NASTY, "Rock", "undecodable", NASTY)
    listing: Any = types.SimpleNamespace(genres=[NASTY], tracks=[])
    cost = Cost(0, 0, 0, 1, None, None)
    report = data_screen.DataReport(DatasetSettings(), listing, None, (), [reject], cost, True)
    report._show_rejects(console)
    assert printed(console).endswith(f"    {NASTY}  /music/{NASTY} ({NASTY})\n")
    console.print(report._table())
    assert printed(console).count(NASTY) == 4


def test_runs_on_kubeflow_are_shown_as_they_are() -> None:
    console = kept_console()
    console.print(screen.steps_table(RUN, NOW))
    assert f"{NASTY}: failed  0:00" in printed(console)
    assert "failed (attempt 2)" in printed(console)
    assert printed(console).count(NASTY) == 2
    console = kept_console()
    console.print(runs._table([RUN]))
    assert printed(console).count(NASTY) == 2
    console = kept_console()
    lines = screen._ChangeLines(console)
    lines.show(None, RUN)
    lines.warn(NASTY)
    assert printed(console).count(NASTY) >= 2
    console = kept_console()
    access = types.SimpleNamespace(run_page=lambda run_id: f"http://h/{run_id}")
    client: Any = types.SimpleNamespace(access=access, pods_namespace="n")
    screen._print_result(console, client, RUN)
    text = printed(console)
    assert f"\n  {NASTY}\n" in text
    assert f"✗ {NASTY} " in text
    assert f": {NASTY}\n" in text
    assert f"page       http://h/{NASTY}\n" in text


def test_devices_are_named_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    console = kept_console()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", NASTY)
    card: Any = types.SimpleNamespace(name=NASTY, memory_mib="1", capability="9.0", driver="[d]")
    missing = min(cuda.libraries())
    devices._print_cards(console, [card])
    devices._print_libraries(console, {missing: {"error": NASTY}, "b": {"path": NASTY}})
    facts = {"gpus": [], "precision": "float32", "compiles": False}
    devices._print_plan(console, facts, [card], {})
    text = printed(console)
    assert f"  {NASTY}, 1 MiB, compute capability 9.0, driver [d]\n" in text
    assert f"✗ {missing}  cannot be loaded: {NASTY}\n" in text
    assert f"✓ b  {NASTY}\n" in text
    assert '"tensorflow[and-cuda]==' in text
    assert f"CUDA_VISIBLE_DEVICES={NASTY!r}" in text


def _commands(whole: typer.Typer, *before: str) -> list[list[str]]:
    group: Any = typer.main.get_command(whole)
    return [[*before, name] for name in group.commands]


@pytest.mark.parametrize(
    "words", [[], *_commands(app), *_commands(kubeflow_app, "kubeflow")], ids=" ".join
)
def test_help_is_plain_text_with_all_its_brackets(words: list[str]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200", "FORCE_COLOR": "1"})
    assert result.exit_code == 0
    command: Any = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    texts = [one.help or "" for one in command.params if not getattr(one, "hidden", False)]
    shown = " ".join(result.output.split())
    for text in [command.help or "", *texts]:
        for word in text.split():
            assert word in shown, word
    assert "╭" not in result.output  # rich's panels, which take markup


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "-c", "demo", "--set", "[gate] :smile:"], "[gate] :smile:"),
        (["run", "-c", "[gate].toml"], "[gate].toml"),
        (["[bold]x[/]"], "'[bold]x[/]'"),
        (["check-data", "--[bold]x[/]"], "--[bold]x[/]"),
        (["predict", __file__, "-m", "/nowhere/[b]m[/b]"], "/nowhere/[b]m[/b]"),
    ],
)
def test_errors_quote_what_was_typed_as_it_is(words: list[str], told: str) -> None:
    result = CliRunner().invoke(app, words, env={"COLUMNS": "200", "FORCE_COLOR": "1"})
    assert result.exit_code == 2
    assert told in result.stderr
    assert "╭" not in result.stderr
