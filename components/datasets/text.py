"""Validation, normalisation and escaping of text from untrusted metadata.

Genres, track ids and artist ids go into file names, terminals, CSV files, protos and label
lists. So they may hold no control characters (newlines, terminal escapes), no bidirectional
overrides and no bytes that are not UTF-8. Paths may hold any of these; escape them with
`printable` before printing.
"""

from __future__ import annotations

import unicodedata

# Control characters, halves of surrogate pairs (which stand for bytes of a file name that are
# not UTF-8), line and paragraph separators.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Embeddings, overrides and isolates of the Unicode bidirectional algorithm (UAX #9), which make
# a terminal show a different text.
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def problem(text: str, max_characters: int) -> str | None:
    """Return why `text` cannot be a genre or an id ("holds ..."), or None if it can."""
    if len(text) > max_characters:
        return f"is longer than {max_characters} characters"
    for character in text:
        if _refused(character):
            return f"holds the control character {character!a}"
    return None


def normalise(text: str) -> str:
    """Strip surrounding blanks and compose accents (NFC), so that equal names compare equal.

    macOS returns decomposed file names; most editors write composed text.
    """
    return unicodedata.normalize("NFC", text.strip())


def artist_key(artist_id: str) -> str:
    """Return a key that is the same for spellings that differ in case, blanks or width.

    Manual metadata has "Björk", "björk " and the same letters decomposed. Merging two artists
    only constrains a split, but splitting one artist into two leaks. The key is Unicode's
    compatibility caseless matching (Unicode Standard 3.13, D146) with single blanks.
    """
    folded = unicodedata.normalize("NFD", artist_id)
    for _ in range(2):
        folded = unicodedata.normalize("NFKD", folded.casefold())
    return " ".join(folded.split())


def letters(name: str) -> str:
    """Return the letters and digits of a name, without case, width, marks or punctuation."""
    folded = unicodedata.normalize("NFKD", name.casefold()).casefold()
    kept = "".join(c for c in folded if unicodedata.category(c)[0] in "LN")
    return kept or folded


def encodable(text: str, max_characters: int = 1000) -> str:
    """Cut `text` to `max_characters` and escape what cannot be encoded as UTF-8."""
    if len(text) > max_characters:
        text = text[: max_characters - 1] + "…"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: str, max_characters: int = 200) -> str:
    r"""Cut `text` and escape its control characters (\x1b, \n), for a terminal or a log."""
    text = encodable(text, max_characters)
    return "".join(ascii(c)[1:-1] if _refused(c) else c for c in text)


def _refused(character: str) -> bool:
    return unicodedata.category(character) in _REFUSED_CATEGORIES or character in _BIDIRECTIONAL
