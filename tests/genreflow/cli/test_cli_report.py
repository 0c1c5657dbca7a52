"""Tests of `genreflow report`: the page's path, and a browser if there is a display."""

from __future__ import annotations

import pathlib
import sys
import webbrowser

import pytest
from typer.testing import CliRunner, Result

from genreflow.cli import browser
from genreflow.cli import report as cli_report
from genreflow.cli.app import app


def _report(*arguments: str | pathlib.Path) -> Result:
    return CliRunner().invoke(app, ["report", *(str(argument) for argument in arguments)])


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of pages that a browser was told to open."""
    asked: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: asked.append(url) or True)
    return asked


@pytest.fixture
def work(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "a run's folder"
    (folder / "report").mkdir(parents=True)
    (folder / "report" / "index.html").write_text("<p>")
    return folder


def test_it_prints_the_path_alone_and_opens_nothing_where_nobody_sits(
    work: pathlib.Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")  # a script's: its output is no terminal
    result = _report("--work-dir", work)
    assert result.exit_code == 0, result.output
    assert result.output == f"{work / 'report' / 'index.html'}\n"
    assert opened == []


def test_it_opens_the_page_when_asked(work: pathlib.Path, opened: list[str]) -> None:
    result = _report("--work-dir", work, "--open")
    assert result.exit_code == 0, result.output
    assert opened == [(work / "report" / "index.html").as_uri()]
    assert "%20" in opened[0]


@pytest.mark.parametrize(
    ("variables", "terminal", "arguments", "opens"),
    [
        ({"DISPLAY": ":0"}, True, [], True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True, [], True),
        ({}, True, [], False),
        ({"DISPLAY": ""}, True, [], False),
        ({"DISPLAY": ":0"}, False, [], False),
        ({"DISPLAY": ":0"}, True, ["--no-open"], False),
    ],
)
def test_without_being_asked_it_opens_at_a_terminal_with_a_display(
    work: pathlib.Path,
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    terminal: bool,
    arguments: list[str],
    opens: bool,
) -> None:
    for name in browser.DISPLAY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", "linux")
    wanted = False if arguments else None
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    assert cli_report.report.__wrapped__(str(work), wanted) == 0
    assert bool(opened) == opens
    assert _report("--work-dir", work, *arguments).exit_code == 0


def test_a_browser_that_does_not_start_is_an_error_only_where_it_was_asked_for(
    work: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    result = _report("--work-dir", work, "--open")
    assert result.exit_code == 1
    assert "no browser could be started" in result.output
    assert str(work / "report" / "index.html") in result.output
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    assert cli_report.report.__wrapped__(str(work)) == 0


def test_a_folder_without_a_finished_run_is_told_what_to_do(
    tmp_path: pathlib.Path, opened: list[str]
) -> None:
    started = tmp_path / "started"
    (started / "logs").mkdir(parents=True)
    for folder, words in ((started, "no run has finished"), (tmp_path / "none", "no such folder")):
        result = _report("--work-dir", folder, "--open")
        assert result.exit_code == 2
        assert words in result.output
        assert "Traceback" not in result.output
    assert not (tmp_path / "none").exists()  # looking makes nothing
    assert opened == []
