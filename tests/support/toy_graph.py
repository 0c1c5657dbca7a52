"""Graph of two nodes that write small files, in TFX's own terms. Imports TFX."""

# No `from __future__ import annotations`: TFX needs the components' annotations as objects.
import pathlib
from typing import Any

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration import pipeline as tfx_pipeline
from tfx.types.standard_artifacts import Model

NODES = ("Source", "Follower")


@component
def Source(made: OutputArtifact[Model], text: Parameter[str]) -> None:  # noqa: N802  as TFX names it
    pathlib.Path(made.uri, "text").write_text(text, encoding="utf-8")


@component
def Follower(given: InputArtifact[Model], made: OutputArtifact[Model]) -> None:  # noqa: N802
    text = pathlib.Path(given.uri, "text").read_text(encoding="utf-8")
    pathlib.Path(made.uri, "text").write_text(text * 2, encoding="utf-8")


def compile_ir(root: pathlib.Path, text: str) -> Any:
    """Return the graph as TFX's intermediate representation."""
    from pipeline.graph import build

    source = Source(text=text)
    return build.compile_ir(
        tfx_pipeline.Pipeline(
            pipeline_name="toy",
            pipeline_root=str(root),
            components=[source, Follower(given=source.outputs["made"])],
            enable_cache=True,
        )
    )
