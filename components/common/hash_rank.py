"""Hash ranks: an order that looks random, is the same everywhere, and ignores input order."""

from __future__ import annotations

import hashlib


def rank(*key: object) -> bytes:
    """The rank of a key: 32 bytes to compare; a pure function of the parts' text."""
    parts = [str(part) for part in key]
    # Lengths first, so that ("a", "bc") and ("ab", "c") differ whatever the parts hold.
    text = ",".join(str(len(part)) for part in parts) + ":" + "".join(parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def unit_fraction(*key: object) -> float:
    """The rank as a number in [0, 1)."""
    return (int.from_bytes(rank(*key)[:8], "big") >> 11) / (1 << 53)
