"""Names in the examples of commands: what a line uses, a reader has by then."""

from __future__ import annotations

import pathlib
import re

import pytest

from tests.support import ROOT
from tests.support.documents import ALL_BLOCKS, DOCUMENTS, Block

TUTORIAL = tuple(
    ROOT / "docs" / "tutorial" / f"{name}.md" for name in ("first-run", "own-music", "serving")
)
# Commands that make a work folder, and options that name one, or the models in it.
MAKES = re.compile(r"genreflow (?:run|demo)\b[^\n]*?--work-dir (\S+)")
USES = re.compile(r"--work-dir (\S+)|(?:--model-dir|--model-config-file|-m) (\S+?)/serving_models")
CONFIGS = re.compile(r"(?:--config|-c) (\S+\.toml)")


def _shell(path: pathlib.Path) -> list[Block]:
    return [one for one in ALL_BLOCKS if one.path == path and one.language in ("sh", "bash")]


def _name(folder: str) -> str:
    return folder.removeprefix("./")


def _made(path: pathlib.Path) -> set[str]:
    """Return the work folders that a page's commands make."""
    text = "\n".join(one.text.replace("\\\n", " ") for one in _shell(path))
    return {_name(one) for one in MAKES.findall(text)}


# `make demo`, with which the tutorial begins.
OF_THE_TUTORIAL = {"genreflow-demo"}.union(*map(_made, TUTORIAL))


def test_the_tutorial_makes_one_folder_for_each_kind_of_data() -> None:
    assert sorted(OF_THE_TUTORIAL) == ["fma-work", "genreflow-demo", "music-work"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_work_folder_is_that_of_the_tutorial_or_of_the_page(path: pathlib.Path) -> None:
    known = OF_THE_TUTORIAL | _made(path)
    for block in _shell(path):
        for found in USES.findall(block.text):
            name = _name("".join(found)).strip("\"'")
            if re.search(r"[/$<~]|^[A-Z_]+$", name) is None:  # absolute, a variable, a placeholder
                assert name in known, f"{block}: no line has made {name}"


@pytest.mark.parametrize("path", [ROOT / "README.md", *TUTORIAL], ids=lambda path: path.name)
def test_a_configuration_is_there_before_a_command_takes_it(path: pathlib.Path) -> None:
    text = "\n".join(one.text for one in _shell(path))
    for found in CONFIGS.finditer(text):
        before, name = text[: found.start()], re.escape(found[1])
        made = re.search(rf"(> |--output |-o ){name}\b", before)
        assert made or (ROOT / found[1]).is_file(), f"{path}: {found[1]} is not there yet"


@pytest.mark.parametrize("path", [ROOT / "README.md", *TUTORIAL], ids=lambda path: path.name)
def test_lines_of_the_first_pages_are_not_too_long(path: pathlib.Path) -> None:
    """Prose is wrapped; tables, blocks of code and long links are not."""
    prose = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.M | re.S)
    for line in prose.splitlines():
        if not line.startswith("|"):
            assert len(line) <= 110, line
