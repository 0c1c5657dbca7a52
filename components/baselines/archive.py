"""scikit-learn objects as skops archives, the same bytes for the same object, and back.

skops names what is in an archive by addresses in memory and the time of day; here it is
renumbered in the order of its schema. And the nodes of scikit-learn's trees have gaps that
hold whatever was there before.
"""

from __future__ import annotations

import io
import json
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from components.common.errors import DataError

# What skops does not know by itself and the baselines need. A constant: a file's own list of
# what it holds (skops.io.get_untrusted_types) would let the file decide.
TRUSTED_TYPES = ("sklearn.tree._tree.Tree",)

_SCHEMA = "schema.json"
# The earliest time that a zip file can hold.
_NO_TIME = (1980, 1, 1, 0, 0, 0)

# What an archive that is not whole, or not of skops' form, ends in: of zip files, of arrays'
# headers, and of a schema that says anything.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, tokenize.TokenError, struct.error, EOFError, SyntaxError,
    LookupError, ValueError, TypeError, AttributeError, ArithmeticError, MemoryError,
    RuntimeError,  # too deep, encrypted, or compressed in a way that nobody knows
)  # fmt: skip


def dumps(thing: Any) -> bytes:
    """A fitted scikit-learn object as a skops archive."""
    import skops.io

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(thing))) as made:
        schema = json.loads(made.read(_SCHEMA))
        numbers: dict[Any, int] = {}
        names: dict[str, str] = {}
        for node in _nodes(schema):
            if node.get("__loader__") == "JsonNode":
                # Whether two equal numbers or texts are one object is chance.
                node.pop("__id__", None)
            elif "__id__" in node:
                node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
            if "file" in node:
                suffix = node["file"].rpartition(".")[2]
                node["file"] = names.setdefault(node["file"], f"{len(names)}.{suffix}")
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for old, new in names.items():
                archive.writestr(zipfile.ZipInfo(new, _NO_TIME), _without_chance(made.read(old)))
            archive.writestr(zipfile.ZipInfo(_SCHEMA, _NO_TIME), json.dumps(schema))
    return out.getvalue()


def loads(content: bytes, path: str) -> Any:
    """The object in an archive. Nothing in it is executed.

    Args:
      content: the archive.
      path: where it is from, for messages.

    Raises:
      DataError: it is damaged, no archive of skops', or holds objects of other types than
        scikit-learn's public ones and TRUSTED_TYPES.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.loads(content, trusted=list(TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        raise DataError(
            f"{path}: refused, as it holds objects that no baseline is made of ({error}); "
            "it was not written by this program"
        ) from error
    except _DAMAGE as error:
        raise DataError(
            f"{path}: damaged, or no model ({error!r}); train the baselines again"
        ) from error


def _without_chance(content: bytes) -> bytes:
    """An array's file. In one of a tree's nodes, what nobody sets is zero: the bytes between
    a record's fields, and where a leaf, which asks nothing, would send missing values."""
    if not content.startswith(b"\x93NUMPY"):
        return content
    found = np.load(io.BytesIO(content), allow_pickle=False)
    if found.dtype.names is None:
        return content
    clean = np.zeros(found.shape, found.dtype)  # zeros_like would fill the fields alone
    for name in found.dtype.names:
        clean[name] = found[name]
    if "missing_go_to_left" in found.dtype.names:
        clean["missing_go_to_left"][found["left_child"] < 0] = 0
    out = io.BytesIO()
    np.save(out, clean, allow_pickle=False)
    return out.getvalue()


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """The objects in a schema, an outer one before those inside it."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)
