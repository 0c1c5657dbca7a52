"""What TensorFlow says when a run fails, as a message for whoever sent the request.

Its text is wrapped in a report for programmers: "Graph execution error", the node's name and
stack, "[[{{node ...}}]]", "[Op:...]", and for several failing nodes a numbered list. Only the
sentence in the middle is about the request.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import grpc

from serving.server.config.errors import ServingError

_CODES = {code.value[0]: code for code in grpc.StatusCode}
# `(0) INVALID_ARGUMENT: ...`, the first of several root errors.
_NUMBERED = re.compile(r"\(\d+\) +[A-Z_]+: *")
_FURNITURE = re.compile(
    r"Graph execution error|Detected at node |<stack traces unavailable>|Stack trace for op "
    r"|\d+ root error\(s\) found|\d+ successful operations|\d+ derived errors ignored"
    r"|\[\[|Function call stack|\[Op:|File \"|Hint: "
)
_NODE_BEFORE = re.compile(r"^(\{\{[^{}]*\}\}\s*)+")
_NODES_AFTER = re.compile(r"\s*(\[\[.*|\{\{.*|\[Op:.*)$", re.DOTALL)
_ASSERTION = re.compile(r"assertion failed: *")
_LONGEST = 500


def to_serving_error(code: int, text: str) -> ServingError:
    """The error to answer with.

    Args:
      code: TensorFlow's `error_code`, which is the canonical code's number.
      text: TensorFlow's message.
    """
    status = _CODES.get(code, grpc.StatusCode.INTERNAL)
    return ServingError(status, sentence(text) or "the model cannot answer this request")


def sentence(text: str) -> str:
    """The sentence of TensorFlow's report that says what was wrong; "" if there is none. It
    may quote bytes of the request, line ends among them."""
    lines = text.split("\n")
    for index, line in enumerate(lines):
        first = _NODE_BEFORE.sub("", _NUMBERED.sub("", line.strip(), count=1))
        if first and not _FURNITURE.match(first):
            more = itertools.takewhile(_goes_on, lines[index + 1 :])
            whole = "\n".join([first, *more]).strip()
            return _printable(_assertion(_NODES_AFTER.sub("", whole)))
    return ""


def _goes_on(line: str) -> bool:
    return not _FURNITURE.match(line.strip()) and not _NUMBERED.match(line.strip())


def _assertion(line: str) -> str:
    """An assertion's own words, with the values that it was given."""
    if not _ASSERTION.match(line):
        return line
    rest = _ASSERTION.sub("", line, count=1)
    return " ".join(_bracketed(rest)) or rest


def _bracketed(text: str) -> Iterator[str]:
    """What an Assert was given, which TensorFlow prints as `[text] [5]`; a text may have
    brackets of its own."""
    depth = start = 0
    for index, letter in enumerate(text):
        if letter == "[":
            depth += 1
            start = index + 1 if depth == 1 else start
        elif letter == "]" and depth:
            depth -= 1
            if not depth:
                yield text[start:index]


def _printable(text: str) -> str:
    """It may quote bytes of the request, which are anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:_LONGEST]
