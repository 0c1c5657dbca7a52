"""Generated parts of the documentation: complete, and in Markdown that shows them as they are."""

from __future__ import annotations

import dataclasses
import json
import re
import typing

import pytest
import typer.main

import genreflow
from docs.generators import benchmark_scripts, commands, pages, python_api, settings
from genreflow.cli.app import app
from pipeline.config import messages
from pipeline.config.schema import Config
from tests.support import ROOT
from tests.support.documents import PAGES

TABLES = {table.path: table for table in settings.tables()}


def _known() -> set[tuple[str, ...]]:
    """Return all keys that are no tables, from the messages' own walk through the types."""
    names = {"NAME": "*", "STEP": "*"}
    tables = {tuple(names.get(part, part) for part in path) for path in TABLES}
    return {path for path in messages._known_keys() if path not in tables and path[-1] != "*"}


def test_every_setting_is_listed_once_with_a_meaning() -> None:
    names = {"NAME": "*", "STEP": "*"}
    listed = [
        (*(names.get(part, part) for part in path), one.name)
        for path, table in TABLES.items()
        for one in table.settings
    ]
    containers = {("models",), ("kubeflow", "resources")}
    assert sorted(listed) == sorted(_known() - containers)
    for table in TABLES.values():
        assert table.about, table.path
        for one in table.settings:
            assert one.meaning, (table.path, one.name)
            assert one.kind, (table.path, one.name)


def test_defaults_are_those_of_a_configuration_without_them() -> None:
    for path, table in TABLES.items():
        if path[0] == "models" or "STEP" in path:
            continue
        kind: typing.Any = Config
        for part in path:
            kind = typing.get_type_hints(kind)[part]
        instance = kind()
        for one in table.settings:
            value = getattr(instance, one.name)
            shown = json.loads(one.default) if one.default else None
            expected = None if value == {} else value
            assert (tuple(shown) if isinstance(value, tuple) else shown) == expected, (path, one)


def test_the_page_of_settings_says_what_a_value_may_be() -> None:
    text = settings.settings_page()
    row = (
        "| `epochs` | a whole number from 1 to 10000 | `20` | epochs of the first phase at most. |"
    )
    assert row in text
    assert text.index("## `[models.NAME]`") < text.index("## `[training]`")
    assert "## `[training.augmentation]`" in text


def test_a_field_without_a_docstring_is_an_error() -> None:
    @dataclasses.dataclass(frozen=True)
    class Bare:
        """Settings of nothing."""

        width: int = 3

    with pytest.raises(KeyError, match="width"):
        list(settings._tables(Bare, ("bare",)))


def test_every_command_is_listed_with_every_option() -> None:
    text = commands.commands_page()
    tree: typing.Any = typer.main.get_command(app)
    found = 0

    def check(words: list[str], command: typing.Any) -> None:
        nonlocal found
        if hasattr(command, "commands"):
            for name, one in command.commands.items():
                if not one.hidden:
                    check([*words, name], one)
            return
        found += 1
        section = text.split(f"## {' '.join(words)}\n", 1)[1].split("\n## ", 1)[0]
        for parameter in command.params:
            for name in parameter.opts if parameter.param_type_name == "option" else ():
                assert parameter.hidden or name == "--help" or name == "-h" or name in section, (
                    words,
                    name,
                )

    check(["genreflow"], tree)
    assert found == text.count("\n## ") + 1
    assert found > 15


def test_help_texts_are_shown_as_they_are() -> None:
    assert commands._prose("Use `x` <y> [z].\n\n\b\n  one\n  two") == (
        "Use \\`x\\` \\<y> \\[z\\].\n\n```text\n  one\n  two\n```"
    )


def test_every_public_name_of_python_is_in_one_group() -> None:
    listed = [name for names in python_api.groups().values() for name in names]
    assert sorted([*listed, "__version__"]) == sorted(genreflow.__all__)
    text = python_api.python_page()
    assert ".. autoclass:: genreflow.LocalModel\n   :members:" in text
    assert ".. autofunction:: genreflow.load_config\n```" in text


def test_every_benchmark_is_listed_with_what_it_measures() -> None:
    table = benchmark_scripts.scripts_table()
    names = [path.stem for path in (ROOT / "benchmarks").glob("*.py") if path.stem != "__init__"]
    assert sorted(re.findall(r"^\| `python -m benchmarks\.(\w+)` \| \S", table, re.M)) == sorted(
        names
    )


def test_each_generator_has_one_place() -> None:
    places = [
        name for page in PAGES for name in pages.PLACE.findall(page.read_text(encoding="utf-8"))
    ]
    assert sorted(places) == sorted(pages.GENERATORS)


def test_a_place_is_filled_and_an_unknown_one_is_an_error() -> None:
    assert pages.filled("a\n<!-- generated: settings -->\nb").startswith("a\n## `[models.NAME]`")
    with pytest.raises(KeyError, match="nothing"):
        pages.filled("<!-- generated: nothing -->")


def test_the_guide_to_networks_and_the_configurations_are_complete() -> None:
    from components.models.architectures import NETWORKS

    guide = (ROOT / "docs" / "guides" / "networks.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", guide, re.MULTILINE)) == set(NETWORKS)
    page = (ROOT / "docs" / "tutorial" / "own-music.md").read_text("utf-8")
    table = page.split("| configuration | for |")[1].split("\n\n")[0]
    shipped = {path.stem for path in (ROOT / "configs").glob("*.toml")}
    assert set(re.findall(r"`(\w+)`", re.sub(r"\|[^|\n]*\|$", "", table, flags=re.M))) == shipped
