"""JSON files with a typed content: a dataclass says what a file holds, pydantic checks it."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, TypeVar

from components.artifacts import files
from components.common.errors import DataError

if TYPE_CHECKING:
    import pydantic

T = TypeVar("T")


def read(kind: type[T], folder: str, name: str) -> T:
    """Return the content of a JSON file in an artifact's folder.

    Raises:
      DataError: the file is missing, is not JSON, or does not hold such values.
    """
    values = files.read_json(folder, name)
    try:
        return parse(kind, values)
    except ValueError as error:
        path = os.path.join(folder, name)
        problem = f"damaged, or of another version ({error})"
        raise DataError(f"{path}: {problem}; rerun the pipeline") from error


def parse(kind: type[T], values: Any) -> T:
    """Return JSON values as a dataclass; keys that it does not know are ignored.

    Raises:
      ValueError: a value is missing or wrong; the message names the first one.
    """
    import pydantic

    try:
        return adapter(kind).validate_python(values)  # type: ignore[arg-type]  # hashable
    except pydantic.ValidationError as failure:
        error = failure.errors(include_url=False)[0]
        if error["type"] == "value_error":  # a dataclass's own check, which is a sentence
            raise ValueError(str(error["ctx"]["error"])) from failure
        place = ".".join(map(str, error["loc"])) or "its top level"
        raise ValueError(f"{place}: {error['msg']}") from failure


@functools.cache
def adapter(kind: type[T]) -> pydantic.TypeAdapter[T]:
    """Return pydantic's adapter of a dataclass; importing pydantic takes half a second."""
    import pydantic

    return pydantic.TypeAdapter(kind)
