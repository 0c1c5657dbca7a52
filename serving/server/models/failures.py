"""TensorFlow's errors as messages for the client.

TensorFlow wraps its message in a report for programmers: "Graph execution error", the node's
name and stack, "[[{{node ...}}]]", "[Op:...]", and a numbered list if several nodes fail. Only
the sentence in the middle is about the request.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import grpc

from serving.server.errors import ServingError

_CODES = {code.value[0]: code for code in grpc.StatusCode}
# "(0) INVALID_ARGUMENT: ...", the first of several root errors.
_NUMBERED = re.compile(r"\(\d+\) +[A-Z_]+: *")
_BOILERPLATE = re.compile(
    r"Graph execution error|Detected at node |<stack traces unavailable>|Stack trace for op "
    r"|\d+ root error\(s\) found|\d+ successful operations|\d+ derived errors ignored"
    r"|\[\[|Function call stack|\[Op:|File \"|Hint: "
)
_NODE_BEFORE = re.compile(r"^(\{\{[^{}]*\}\}\s*)+")
_NODES_AFTER = re.compile(r"\s*(\[\[.*|\{\{.*|\[Op:.*)$", re.DOTALL)
_ASSERTION = re.compile(r"assertion failed: *")
_MAX_CHARACTERS = 500


def to_serving_error(code: int, text: str) -> ServingError:
    """Return the error to answer a request with.

    Args:
      code: TensorFlow's `error_code`, the number of a canonical code.
      text: TensorFlow's message.
    """
    status = _CODES.get(code, grpc.StatusCode.INTERNAL)
    return ServingError(
        status, sentence(text) or "the model failed on this request, without a message"
    )


def sentence(text: str) -> str:
    """Return the sentence of TensorFlow's report that says what was wrong, or "".

    The sentence may quote bytes of the request, and these may include line ends.
    """
    lines = text.split("\n")
    for index, line in enumerate(lines):
        first = _NODE_BEFORE.sub("", _NUMBERED.sub("", line.strip(), count=1))
        if first and not _BOILERPLATE.match(first):
            more = itertools.takewhile(_is_continuation, lines[index + 1 :])
            whole = "\n".join([first, *more]).strip()
            return _printable(_assertion(_NODES_AFTER.sub("", whole)))
    return ""


def _is_continuation(line: str) -> bool:
    return not _BOILERPLATE.match(line.strip()) and not _NUMBERED.match(line.strip())


def _assertion(line: str) -> str:
    """Return an assertion's own message, with the values that it prints."""
    if not _ASSERTION.match(line):
        return line
    rest = _ASSERTION.sub("", line, count=1)
    return " ".join(_bracketed(rest)) or rest


def _bracketed(text: str) -> Iterator[str]:
    """Yield the values of an Assert, which TensorFlow prints as "[text] [5]".

    A text may contain brackets itself.
    """
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
    """Return the text with unprintable characters, quoted from the request, as "?"."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:_MAX_CHARACTERS]
