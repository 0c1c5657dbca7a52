"""Reference of the public Python API: each name of `genreflow`, by what it is for."""

from __future__ import annotations

import genreflow

GROUPS: dict[str, tuple[str, ...]] = {
    "Predict": (
        "LocalModel", "GenreClient", "local_server", "GenreModel", "Prediction", "TimelineSegment",
    ),
    "Run and label": ("load_config", "Config", "run_pipeline", "label_catalogue", "load_beam"),
    "Results": ("read_results", "Results", "ModelResults", "SplitMetrics", "Interval"),
    "Audio": ("read_sound", "Sound"),
    "Errors": (
        "GenreflowError", "UsageError", "DataError", "ConfigError", "DecodeError",
        "ModelFolderError", "ClientError",
    ),
}  # fmt: skip


def python_page() -> str:
    """Return the API as Markdown with directives of Sphinx's autodoc, by groups."""
    return "\n\n".join(
        "\n\n".join([f"## {title}", *(_directive(name) for name in names)])
        for title, names in groups().items()
    )


def groups() -> dict[str, tuple[str, ...]]:
    """Return all public names by group; those that no group has are in a last one."""
    named = {name for names in GROUPS.values() for name in names}
    others = tuple(sorted(set(genreflow.__all__) - named - {"__version__"}))
    return {**GROUPS, **({"Others": others} if others else {})}


def _directive(name: str) -> str:
    if isinstance(getattr(genreflow, name), type):
        members = "   :members:\n   :inherited-members: tuple, object, Exception, ABC\n"
        return f"```{{eval-rst}}\n.. autoclass:: genreflow.{name}\n{members}```"
    return f"```{{eval-rst}}\n.. autofunction:: genreflow.{name}\n```"
