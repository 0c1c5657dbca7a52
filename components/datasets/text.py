"""Text from strangers' metadata: what is refused, what is normalised, how it is shown.

Genres, track ids and artist ids travel into file names, terminals, CSV files, protos
and label lists, so those that hold control characters (newlines, terminal escapes),
bidirectional overrides or bytes that are no UTF-8 are refused. Paths are kept as they
are, newlines included; whoever prints one passes it through `printable`.
"""

from __future__ import annotations

import unicodedata

# Categories: control characters, halves of surrogate pairs (how Python shows bytes of a
# file name that are no UTF-8), line and paragraph separators.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Embeddings, overrides and isolates of the Unicode bidirectional algorithm (UAX #9):
# they make a terminal show other text than there is.
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def problem(text: str, max_characters: int) -> str | None:
    """Says why `text` cannot be a genre or an id ("holds ..."), or None where it can."""
    if len(text) > max_characters:
        return f"is longer than {max_characters} characters"
    for character in text:
        if _refused(character):
            return f"holds the control character {character!a}"
    return None


def normalise(text: str) -> str:
    """Strips surrounding blanks and composes accents (NFC), so that equal names compare equal.

    File systems differ: macOS hands out decomposed names, most editors write composed ones.
    """
    return unicodedata.normalize("NFC", text.strip())


def artist_key(artist_id: str) -> str:
    """What tells artists apart: the same for spellings that differ in case, blanks or width.

    Metadata by hand has "Björk", "björk " and, from another system, the same letters
    decomposed. Two artists taken for one cost a split some choice; one taken for two
    leaks. Compatibility caseless matching (Unicode Standard 3.13, D146), blanks made one.
    """
    folded = unicodedata.normalize("NFD", artist_id)
    for _ in range(2):
        folded = unicodedata.normalize("NFKD", folded.casefold())
    return " ".join(folded.split())


def encodable(text: str, max_characters: int = 1000) -> str:
    """`text` cut to `max_characters`, with what is no UTF-8 escaped: it can be written."""
    if len(text) > max_characters:
        text = text[: max_characters - 1] + "…"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: str, max_characters: int = 200) -> str:
    r"""`text` for a terminal or a log: control characters escaped (\x1b, \n), long text cut."""
    text = encodable(text, max_characters)
    return "".join(ascii(c)[1:-1] if _refused(c) else c for c in text)


def _refused(character: str) -> bool:
    return unicodedata.category(character) in _REFUSED_CATEGORIES or character in _BIDIRECTIONAL
