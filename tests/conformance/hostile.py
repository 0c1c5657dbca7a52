"""Hostile requests, and checks of the errors that they must get."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence

import grpc

from tests.support import ROOT

# Codes for bad requests; the server must not report an error of its own.
CODES = frozenset(
    {
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
# TensorFlow Serving cuts longer ones off after 1024.
MAX_MESSAGE = 1024 + len("...TRUNCATED")

# Parts of errors of TensorFlow, Python and this machine that must not be passed on.
CLUTTER = (
    "Graph execution error",
    "Detected at node",
    "Traceback",
    "Original stack trace",
    "{{node",
    "{{function_node",
    "[[{{",
    "[Op:",
    "assertion failed",
    "site-packages",
    "object at 0x",
    "Exception",
    "Error(",
    ".py",
    str(ROOT),
    sys.prefix,
    "/tmp/",
    "/home/",
)


def assert_clear(message: str, *more_clutter: str, sent: str = "") -> None:
    """Check that a message is present, short, printable, and reveals nothing of this machine.

    It may quote the request.
    """
    assert message.strip()
    assert len(message) <= MAX_MESSAGE, message
    assert message.isprintable(), message
    for part in (*CLUTTER, *more_clutter):
        assert part not in message or part in sent, message


INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x12)


def mutated(seed: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """Return `seed` after one to four random changes of bits, bytes, lengths, parts and order."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        # Names, shapes and lengths are near the start; later there are only samples.
        end = min(len(data), 200) if chance.random() < 0.8 else len(data)
        at = chance.randrange(end) if end else 0
        kind = chance.randrange(9)
        if kind == 0 and data:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and data:
            data[at] = chance.choice(INTERESTING)
        elif kind == 2:
            data[at:at] = chance.randbytes(chance.randint(1, 8))
        elif kind == 3:
            del data[at : at + chance.randint(1, 16)]
        elif kind == 4:
            del data[at:]
        elif kind == 5:
            piece = data[at : at + chance.randint(1, 64)]
            data[at:at] = piece * chance.randint(1, 4)
        elif kind == 6:  # the largest number that a varint can be
            data[at:at] = b"\xff" * 9 + b"\x01"
        elif kind == 7:
            other = chance.choice(others)
            start = chance.randrange(len(other) + 1)
            data[at:at] = other[start : start + chance.randint(1, 256)]
        else:
            data = bytearray(chance.randbytes(chance.randint(0, 256)))
    return bytes(data)
