"""The project's own artifact types as Vertex AI names them.

Vertex AI takes a type's name as `namespace.Title` alone, and TFX's entry point would import that
as a module and a class. So the pipeline says `genreflow.Report`, and a step tells the entry
point which class that is.
"""

from __future__ import annotations

import inspect
from typing import Any

NAMESPACE = "genreflow"


def own_types() -> dict[str, Any]:
    """Title to class, of components.artifacts.types. Imports TFX."""
    from tfx.types.artifact import Artifact

    from components.artifacts import types as artifacts

    return {
        f"{NAMESPACE}.{name}": kind
        for name, kind in sorted(vars(artifacts).items())
        if inspect.isclass(kind) and issubclass(kind, Artifact)
    }


def titled(kind: Any) -> Any:
    """An artifact type under the name that Vertex AI takes; others are as they were."""
    for title, own in own_types().items():
        if kind is own:
            return type(own.__name__, (own,), {"TYPE_NAME": title})
    return kind


def register() -> None:
    """Lets TFX's entry point find the classes."""
    from tfx.orchestration.kubeflow.v2 import compiler_utils

    for title, own in own_types().items():
        compiler_utils.TITLE_TO_CLASS_PATH[title] = f"{own.__module__}.{own.__qualname__}"
