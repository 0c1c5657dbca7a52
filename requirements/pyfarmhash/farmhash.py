"""FarmHash's portable fingerprints of 32 and 64 bits, in Python alone.

TensorFlow Data Validation imports `farmhash`, which is published only as C++ source. This module
has the two functions that it calls, and gives the same numbers. The names follow the published
algorithm (FarmHash 1.1: `farmhashmk::Hash32`, `farmhashna::Hash64`).
"""

from __future__ import annotations

from typing import NamedTuple

MASK32 = 2**32 - 1
MASK64 = 2**64 - 1

# Odd constants of MurmurHash3's 32-bit variant.
C1 = 0xCC9E2D51
C2 = 0x1B873593

# Primes between 2**63 and 2**64.
K0 = 0xC3A5C85C97CB3127
K1 = 0xB492B66FBE98F273
K2 = 0x9AE16A3B2F90404F


def fingerprint32(text: str) -> int:
    """Return the 32-bit fingerprint of a text's UTF-8 bytes."""
    s = str.encode(text)
    if len(s) <= 4:
        return _hash32_0_to_4(s)
    if len(s) <= 12:
        return _hash32_5_to_12(s)
    if len(s) <= 24:
        return _hash32_13_to_24(s)
    return _hash32_long(s)


def fingerprint64(text: str) -> int:
    """Return the 64-bit fingerprint of a text's UTF-8 bytes."""
    s = str.encode(text)
    if len(s) <= 16:
        return _hash64_0_to_16(s)
    if len(s) <= 32:
        return _hash64_17_to_32(s)
    if len(s) <= 64:
        return _hash64_33_to_64(s)
    return _hash64_long(s)


def _word32(s: bytes, at: int) -> int:
    return int.from_bytes(s[at : at + 4], "little")


def _word64(s: bytes, at: int) -> int:
    return int.from_bytes(s[at : at + 8], "little")


def _rotate32(value: int, by: int) -> int:
    """Rotate to the right; bits above the 32nd are dropped."""
    value &= MASK32
    return (value >> by | value << (32 - by)) & MASK32


def _rotate64(value: int, by: int) -> int:
    """Rotate to the right; bits above the 64th are dropped."""
    value &= MASK64
    return (value >> by | value << (64 - by)) & MASK64


def _mur(a: int, h: int) -> int:
    """Mix a word into a 32-bit hash, as MurmurHash3 does."""
    a = _rotate32(a * C1, 17) * C2
    return (_rotate32(h ^ a, 19) * 5 + 0xE6546B64) & MASK32


def _finish32(h: int) -> int:
    h &= MASK32
    h = (h ^ h >> 16) * 0x85EBCA6B & MASK32
    h = (h ^ h >> 13) * 0xC2B2AE35 & MASK32
    return h ^ h >> 16


def _hash32_0_to_4(s: bytes) -> int:
    b, c = 0, 9
    for byte in s:
        signed = byte - 256 if byte > 127 else byte
        b = (b * C1 + signed) & MASK32
        c ^= b
    return _finish32(_mur(b, _mur(len(s), c)))


def _hash32_5_to_12(s: bytes) -> int:
    n = len(s)
    a = n + _word32(s, 0)
    b = 5 * n + _word32(s, n - 4)
    c = 9 + _word32(s, n >> 1 & 4)
    return _finish32(_mur(c, _mur(b, _mur(a, 5 * n))))


def _hash32_13_to_24(s: bytes) -> int:
    n = len(s)
    a, b, c = _word32(s, (n >> 1) - 4), _word32(s, 4), _word32(s, n - 8)
    d, e, f = _word32(s, n >> 1), _word32(s, 0), _word32(s, n - 4)
    h = d * C1 + n
    a = _rotate32(a, 12) + f
    h = _mur(c, h) + a
    a = _rotate32(a, 3) + c
    h = _mur(e, h) + a
    a = _rotate32(a + f, 12) + d
    return _finish32(_mur(b, h) + a)


def _hash32_long(s: bytes) -> int:
    n = len(s)
    h, g, f = n, C1 * n & MASK32, C1 * n & MASK32
    last = [_rotate32(_word32(s, n - back) * C1, 17) * C2 for back in (4, 8, 12, 16, 20)]
    for word in (last[0], last[3]):
        h = (_rotate32(h ^ word, 19) * 5 + 0xE6546B64) & MASK32
    for word in (last[1], last[2]):
        g = (_rotate32(g ^ word, 19) * 5 + 0xE6546B64) & MASK32
    f = _rotate32(f + last[4], 19) + 113
    for at in range(0, (n - 1) // 20 * 20, 20):
        a, b, c, d, e = (_word32(s, at + offset) for offset in (0, 4, 8, 12, 16))
        h, g, f = h + a, g + b, f + c
        h = _mur(d, h) + e
        g = _mur(c, g) + a
        f = _mur(b + e * C1, f) + d
        f += g
        g += f
    g = _rotate32(_rotate32(g, 11) * C1, 17) * C1
    f = _rotate32(_rotate32(f, 11) * C1, 17) * C1
    for word in (g, f):
        h = _rotate32(h + word, 19) * 5 + 0xE6546B64
        h = _rotate32(h, 17) * C1
    return h & MASK32


class _Pair(NamedTuple):
    """Two 64-bit words of the state."""

    first: int
    second: int


def _shift_mix(value: int) -> int:
    value &= MASK64
    return value ^ value >> 47


def _hash_16(u: int, v: int, multiplier: int) -> int:
    """Return a 64-bit hash of two 64-bit words."""
    a = _shift_mix(((u ^ v) & MASK64) * multiplier)
    b = _shift_mix(((v ^ a) & MASK64) * multiplier)
    return b * multiplier & MASK64


def _hash64_0_to_16(s: bytes) -> int:
    n = len(s)
    multiplier = K2 + 2 * n
    if n >= 8:
        a = _word64(s, 0) + K2
        b = _word64(s, n - 8)
        c = _rotate64(b, 37) * multiplier + a
        d = (_rotate64(a, 25) + b) * multiplier
        return _hash_16(c, d, multiplier)
    if n >= 4:
        return _hash_16(n + (_word32(s, 0) << 3), _word32(s, n - 4), multiplier)
    if n > 0:
        y = s[0] + (s[n >> 1] << 8)
        z = n + (s[n - 1] << 2)
        return _shift_mix(y * K2 ^ z * K0) * K2 & MASK64
    return K2


def _hash64_17_to_32(s: bytes) -> int:
    n = len(s)
    multiplier = K2 + 2 * n
    a, b = _word64(s, 0) * K1, _word64(s, 8)
    c, d = _word64(s, n - 8) * multiplier, _word64(s, n - 16) * K2
    return _hash_16(
        _rotate64(a + b, 43) + _rotate64(c, 30) + d, a + _rotate64(b + K2, 18) + c, multiplier
    )


def _hash64_33_to_64(s: bytes) -> int:
    n = len(s)
    multiplier = K2 + 2 * n
    a, b = _word64(s, 0) * K2, _word64(s, 8)
    c, d = _word64(s, n - 8) * multiplier, _word64(s, n - 16) * K2
    y = _rotate64(a + b, 43) + _rotate64(c, 30) + d
    z = _hash_16(y, a + _rotate64(b + K2, 18) + c, multiplier)
    e, f = _word64(s, 16) * multiplier, _word64(s, 24)
    g = (y + _word64(s, n - 32)) * multiplier
    h = (z + _word64(s, n - 24)) * multiplier
    return _hash_16(
        _rotate64(e + f, 43) + _rotate64(g, 30) + h, e + _rotate64(f + a, 18) + g, multiplier
    )


def _weak_hash_32(s: bytes, at: int, a: int, b: int) -> _Pair:
    """Return a quick hash of 32 bytes and two seeds."""
    w, x, y, z = (_word64(s, at + offset) for offset in (0, 8, 16, 24))
    a += w
    b = _rotate64(b + a + z, 21)
    c = a
    a += x + y
    b += _rotate64(a, 44)
    return _Pair(a + z & MASK64, b + c & MASK64)


def _hash64_long(s: bytes) -> int:
    n, seed = len(s), 81
    y = seed * K1 + 113 & MASK64
    z = _shift_mix(y * K2 + 113) * K2
    x = seed * K2 + _word64(s, 0)
    v = w = _Pair(0, 0)
    last = n - 64
    # All whole blocks of 64 bytes but the last; then the last 64 bytes, with other multipliers.
    for at in [*range(0, (n - 1) // 64 * 64, 64), last]:
        multiplier, weight = K1, 1
        if at == last:
            multiplier, weight = K1 + ((z & 0xFF) << 1), 9
            w = _Pair(w.first + ((n - 1) & 63), w.second)
            v = _Pair(v.first + w.first, v.second)
            w = _Pair(w.first + v.first, w.second)
        x = _rotate64(x + y + v.first + _word64(s, at + 8), 37) * multiplier
        y = _rotate64(y + v.second + _word64(s, at + 48), 42) * multiplier
        x ^= w.second * weight
        y += v.first * weight + _word64(s, at + 40)
        z = _rotate64(z + w.first, 33) * multiplier
        v = _weak_hash_32(s, at, v.second * multiplier, x + w.first)
        w = _weak_hash_32(s, at + 32, z + w.second, y + _word64(s, at + 16))
        x, z = z, x
    return _hash_16(
        _hash_16(v.first, w.first, multiplier) + _shift_mix(y) * K0 + z,
        _hash_16(v.second, w.second, multiplier) + x,
        multiplier,
    )
