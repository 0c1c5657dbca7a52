"""What TensorFlow says when a run fails, as a message for whoever sent the request.

Its text is wrapped in a report for programmers: "Graph execution error", the node's name and
stack, "[[{{node ...}}]]", "[Op:...]", and for several failing nodes a numbered list. Only the
sentence in the middle is about the request.
"""

from __future__ import annotations

import re

import grpc

from serving.server.errors import ServingError

_CODES = {code.value[0]: code for code in grpc.StatusCode}
# `(0) INVALID_ARGUMENT: ...`, the first of several root errors.
_NUMBERED = re.compile(r"\(\d+\) +[A-Z_]+: *")
_FURNITURE = re.compile(
    r"Graph execution error|Detected at node |<stack traces unavailable>|Stack trace for op "
    r"|\d+ root error\(s\) found|\d+ successful operations|\d+ derived errors ignored"
    r"|\[\[|Function call stack|\[Op:|File \""
)
_NODES = re.compile(r"\s*(\[\[.*|\{\{.*|\[Op:.*)$", re.DOTALL)
_ASSERTION = re.compile(r"assertion failed: *")
# TensorFlow prints what an Assert was given as `[text] [5]`.
_PRINTED = re.compile(r"\[([^\[\]]*)\]")
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
    """The line of TensorFlow's report that says what was wrong; "" if there is none."""
    for line in text.splitlines():
        stripped = _NUMBERED.sub("", line.strip(), count=1)
        if stripped and not _FURNITURE.match(stripped):
            return _printable(_assertion(_NODES.sub("", stripped)))
    return ""


def _assertion(line: str) -> str:
    """An assertion's own words, with the values that it was given."""
    if not _ASSERTION.match(line):
        return line
    rest = _ASSERTION.sub("", line, count=1)
    return " ".join(_PRINTED.findall(rest)) or rest


def _printable(text: str) -> str:
    """It may quote bytes of the request, which are anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:_LONGEST]
