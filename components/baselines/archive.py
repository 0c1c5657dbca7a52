"""skops archives of scikit-learn objects, with the same bytes for the same object.

skops names an archive's members by memory addresses and stores the time of day. Here they are
renumbered in the order of the schema. The nodes of scikit-learn's trees have gaps with arbitrary
bytes, which are set to zero.
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

# Types that the baselines need beyond those that skops trusts. The list is constant, because a
# file's own list (skops.io.get_untrusted_types) would let the file decide.
TRUSTED_TYPES = ("sklearn.tree._tree.Tree",)

_SCHEMA = "schema.json"
# The earliest time that a zip file can store.
_NO_TIME = (1980, 1, 1, 0, 0, 0)

# Errors of reading a damaged archive: those of zip files, of arrays' headers and of a schema with
# arbitrary content.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, tokenize.TokenError, struct.error, EOFError, SyntaxError,
    LookupError, ValueError, TypeError, AttributeError, ArithmeticError, MemoryError,
    RuntimeError,  # nested too deeply, encrypted, or compressed by an unknown method
)  # fmt: skip


def dumps(thing: Any) -> bytes:
    """Return a skops archive of a fitted scikit-learn object."""
    import skops.io

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(thing))) as made:
        schema = json.loads(made.read(_SCHEMA))
        numbers: dict[Any, int] = {}
        names: dict[str, str] = {}
        for node in _nodes(schema):
            if node.get("__loader__") == "JsonNode":
                # It is arbitrary whether two equal numbers or texts are one object.
                node.pop("__id__", None)
            elif "__id__" in node:
                node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
            if "file" in node:
                suffix = node["file"].rpartition(".")[2]
                node["file"] = names.setdefault(node["file"], f"{len(names)}.{suffix}")
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for old, new in names.items():
                archive.writestr(
                    zipfile.ZipInfo(new, _NO_TIME), _without_arbitrary_bytes(made.read(old))
                )
            archive.writestr(zipfile.ZipInfo(_SCHEMA, _NO_TIME), json.dumps(schema))
    return out.getvalue()


def loads(content: bytes, path: str) -> Any:
    """Return the object in an archive, without executing anything in it.

    Args:
      content: the archive.
      path: the archive's path, for messages.

    Raises:
      DataError: the archive is damaged, is not one of skops, or holds objects of types other
        than scikit-learn's public ones and TRUSTED_TYPES.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.loads(content, trusted=list(TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        raise DataError(
            f"{path}: rejected, because it holds objects of types that no baseline has ({error}); "
            "this program did not write it, so train the baselines again"
        ) from error
    except _DAMAGE as error:
        raise DataError(
            f"{path}: damaged, or not a model ({error!r}); train the baselines again"
        ) from error


def _without_arbitrary_bytes(content: bytes) -> bytes:
    """Return an array's file, with unused bytes of a tree's nodes set to zero.

    These are the gaps between a record's fields, and the direction that a leaf would send missing
    values in.
    """
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
    """Yield the objects in a schema, each before those inside it."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)
