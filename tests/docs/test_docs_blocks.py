"""Code in the README and the documentation: every command, program and file in it is valid.

What is cheap to run is run by the tests of its page; here each block is parsed by what reads it.
"""

from __future__ import annotations

import ast
import importlib
import json
import pathlib
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tomli
import typer.main
import yaml

from genreflow.cli.app import app
from pipeline.config.load import load, shipped_config
from tests.support import ROOT
from tests.support.documents import ALL_BLOCKS, DOCUMENTS, Block

SHELL = ("sh", "bash")
# Output, pictures, and what only a reader's own cluster, store or other program can check.
OTHERS = ("text", "mermaid", "proto", "sql", "dockerfile", "js", "go")
DIRECTIVES = re.compile(r"\{[\w-]+\}")
# At the start of a command, not as an argument such as a namespace.
CALL = re.compile(r"(?:^\s*|[;&|(]\s*|\bexec )(?:\.venv/bin/)?genreflow(?=\s)")


def of(*languages: str) -> list[Block]:
    return [block for block in ALL_BLOCKS if block.language in languages]


def lines(block: Block) -> Iterator[str]:
    """Yield a block's command lines, joined where they continue, without comments."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if not line.lstrip().startswith("#"):
            yield re.split(r"\s#\s", line)[0]


def words_of(line: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of `genreflow` in a line of shell."""
    for found in CALL.finditer(line):
        rest = line[found.end() :]
        lexer = shlex.shlex(rest, posix=True, punctuation_chars="|;&<>()")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if word and set(word) <= set("|;&<>()"):
                break
            if word != "$@":
                words.append(word)
        yield words


def parsed(words: list[str]) -> Any:
    """Parse a command line as `genreflow` does, without running it."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("genreflow", ["--help"], resilient_parsing=True)
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, f"there is no command {name!r}"
        command = command.commands[name]
    if words in (["--help"], ["-h"]):
        return None
    return command.make_context(command.name, words, parent=context)


COMMANDS = [
    pytest.param(words, id=f"{block}: {' '.join(words)[:60]}")
    for block in of(*SHELL)
    for line in lines(block)
    for words in words_of(line)
]


@pytest.mark.parametrize("block", of(""), ids=str)
def test_a_block_without_a_language_has_no_commands(block: Block) -> None:
    """Commands are in blocks `sh`, where the tests below find them."""
    starts = r"^(genreflow|make|curl|docker|kubectl|aws|python|export|\. \.venv|\.venv/bin/)\b"
    assert not re.search(starts, block.text, re.MULTILINE), block.text


@pytest.mark.parametrize("words", COMMANDS)
def test_the_command_line_takes_the_command(words: list[str]) -> None:
    if words and not words[0].startswith("-"):
        parsed([re.sub(r"^\$\{?\w+\}?$", "value", word) for word in words])


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 40


@pytest.mark.parametrize("block", of(*SHELL), ids=str)
def test_the_shell_can_parse_the_block(block: Block) -> None:
    text = re.sub(r"<(\w+)>", r"\1", block.text) if "<(" not in block.text else block.text
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_make_has_the_targets() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {
        (str(block), target)
        for block in of(*SHELL)
        for line in lines(block)
        for target in re.findall(r"(?:^|&&\s*)make(?:\s+[A-Z]+=\S+)*\s+([a-z-]+)", line)
    }
    assert len(named) > 3
    assert [one for one in named if one[1] not in targets] == []


def test_shipped_configurations_and_modules_exist() -> None:
    for block in of(*SHELL):
        for name in re.findall(r"genreflow .*?(?:--config|-c) ([a-z_]+)(?=\s|$)", block.text):
            assert shipped_config(name).is_file(), block
        for module in re.findall(r"python -m ([\w.]+)", block.text):
            assert importlib.util.find_spec(module), f"{block}: {module}"


@pytest.mark.parametrize("block", of("toml"), ids=str)
def test_the_configuration_loads(block: Block, tmp_path: pathlib.Path) -> None:
    text = block.text
    tables = tomli.loads(text)
    if "models" not in tables:
        names = tables.get("tuning", {}).get("networks", ["cnn_small"])
        text += "".join(f"\n[models.{name}]\n" for name in names)
    file = tmp_path / "block.toml"
    file.write_text(text, encoding="utf-8")
    load(file)


def _names(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of each import, and of each attribute of an imported module."""
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id)
            if module is not None:
                yield module, node.attr


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_the_program_imports_names_that_exist(block: Block) -> None:
    for module, name in _names(ast.parse(block.text)):
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


@pytest.mark.parametrize("block", of("json", "yaml"), ids=str)
def test_the_document_parses(block: Block) -> None:
    if block.language == "json":
        json.loads(block.text)
    else:
        assert list(yaml.safe_load_all(block.text))


def test_there_is_no_language_that_nothing_checks() -> None:
    checked = {"", *SHELL, "toml", "python", "json", "yaml", *OTHERS}
    unknown = {
        str(block): block.language
        for block in ALL_BLOCKS
        if block.language not in checked and not DIRECTIVES.match(block.language)
    }
    assert unknown == {}


def test_go_programs_compile_and_are_formatted(
    requires_program: Callable[[str, str], str],
) -> None:
    gofmt = requires_program("gofmt", "golang-go")
    for block in of("go"):
        done = subprocess.run([gofmt], input=block.text, capture_output=True, text=True, check=True)
        assert done.stdout == block.text, block


def test_a_page_of_the_documentation_that_is_named_exists() -> None:
    """In the sources' comments and messages, and in the pages."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split("\0")
    missing = [
        f"{name}: {page}"
        for name in listed
        if name.endswith((".py", ".toml", ".md", ".yaml", ".yml", ".sh", ".html"))
        for page in re.findall(
            r"(?<![\w./-])docs/[\w/-]+\.md", (ROOT / name).read_text(encoding="utf-8")
        )
        if not (ROOT / page).is_file()
    ]
    assert missing == []


def test_documents_are_read() -> None:
    assert len(DOCUMENTS) > 30
    assert len(ALL_BLOCKS) > 100
