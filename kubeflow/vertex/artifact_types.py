"""Names of the project's artifact types on Vertex AI.

Vertex AI accepts a type's name only as `namespace.Title`, which TFX's entry point would import as a
module and a class. So the pipeline names a type `genreflow.Report`, and each step tells the entry
point the class of that name.
"""

from __future__ import annotations

import inspect
from typing import Any

NAMESPACE = "genreflow"


def own_types() -> dict[str, Any]:
    """Return the classes of components.artifacts.types by title. Imports TFX."""
    from tfx.types.artifact import Artifact

    from components.artifacts import types as artifacts

    return {
        f"{NAMESPACE}.{name}": kind
        for name, kind in sorted(vars(artifacts).items())
        if inspect.isclass(kind) and issubclass(kind, Artifact)
    }


def titled(kind: Any) -> Any:
    """Return an artifact type with the name that Vertex AI accepts; others unchanged."""
    for title, own in own_types().items():
        if kind is own:
            return type(own.__name__, (own,), {"TYPE_NAME": title})
    return kind


def register() -> None:
    """Register the titles, so that TFX's entry point finds the classes."""
    from tfx.orchestration.kubeflow.v2 import compiler_utils

    for title, own in own_types().items():
        compiler_utils.TITLE_TO_CLASS_PATH[title] = f"{own.__module__}.{own.__qualname__}"
