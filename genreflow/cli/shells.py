"""Completion of words such as KEY=VALUE, which typer's own leaves out. Stays instant.

Bash breaks words at "=": of `--set split.policy=by_` it passes three, and it replaces only what
follows the "=". Zsh and fish replace the whole of `--config=dem`. Bash and zsh put a space after a
word that they complete, also after `training.epochs=`.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from collections.abc import Callable, Sequence

VARIABLE = "_GENREFLOW_COMPLETE"
_BASH = """\
_genreflow_completion() {
    local IFS=$'\\n'
    COMPREPLY=( $( env COMP_WORDS="${COMP_WORDS[*]}" \\
                   COMP_CWORD=$COMP_CWORD \\
                   _GENREFLOW_COMPLETE=complete_bash $1 ) )
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2> /dev/null
    return 0
}

complete -o default -F _genreflow_completion genreflow"""
_FISH_ACTION = "_TYPER_COMPLETE_FISH_ACTION"
_OPTION = re.compile(r"(?:^|\s)(--[\w-]+=)\S*$")
_ZSH_ITEM = re.compile(r'"([^"]*)"')


def run(program: Callable[[], None]) -> None:
    """Run the program, which completes a word if a shell asks for that.

    Args:
      program: typer's application; it prints completions where VARIABLE is set.
    """
    instruction = os.environ.get(VARIABLE, "")
    if instruction == "source_bash":
        print(_BASH)
    elif instruction == "complete_bash":
        words, at, broken = joined(
            os.environ.get("COMP_WORDS", "").split("\n"), int(os.environ.get("COMP_CWORD", "0"))
        )
        os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = "\n".join(words), str(at)
        for line in _printed(program).splitlines():
            print(line.removeprefix(broken))
    elif instruction == "complete_zsh":
        begin = option_before_value(os.environ.get("_TYPER_COMPLETE_ARGS", ""))
        print(for_zsh(_printed(program), begin), end="")
    elif instruction == "complete_fish" and os.environ.get(_FISH_ACTION) == "get-args":
        begin = option_before_value(os.environ.get("_TYPER_COMPLETE_ARGS", ""))
        for line in filter(None, _printed(program).splitlines()):
            print(f"{begin}{line}")
    else:
        program()


def joined(words: Sequence[str], at: int) -> tuple[list[str], int, str]:
    """Return bash's words as they were typed.

    Args:
      words: as bash breaks them, "=" being a word.
      at: index of the word that is completed.

    Returns:
      The words, the index of the one that is completed, and its part that bash keeps: up to the
      last "=", without an option's name, as completions have it; "" if it was not broken.
    """
    found: list[str] = []
    at_found, follows = 0, False
    for index, word in enumerate(words[: at + 1]):
        if found and (word == "=" or follows) and index > 1:
            found[-1] += word
        else:
            found.append(word)
        follows, at_found = word == "=", len(found) - 1
    typed = found[at_found] if found else ""
    value = typed.partition("=")[2] if typed.startswith("--") else typed
    is_broken = bool(words[at:]) and (words[at] == "=" or (at > 0 and words[at - 1] == "="))
    return found, at_found, value[: value.rfind("=") + 1] if is_broken else ""


def option_before_value(line: str) -> str:
    """Return what precedes the value in the last word of a line: --config= of --config=dem."""
    found = _OPTION.search(line)
    return found.group(1) if found else ""


def for_zsh(script: str, begin: str) -> str:
    """Return zsh's script with whole words, and no space after words that all end in "=".

    Args:
      script: typer's, with the words in double quotes.
      begin: what each word begins with and the script lacks (option_before_value).
    """
    script = _ZSH_ITEM.sub(lambda item: f'"{begin}{item.group(1)}"', script) if begin else script
    items = _ZSH_ITEM.findall(script)
    if items and all(item.endswith("=") for item in items):
        return f"compadd -S '' -- {shlex.join(items)}\n"
    return script


def _printed(program: Callable[[], None]) -> str:
    """Return what the program prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        program()
    return out.getvalue()
