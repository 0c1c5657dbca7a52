"""Inputs of the graph: facts of the data, places and files. Imports no TFX."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from components.artifacts.files import write_text
from components.datasets.corpus import Corpus
from components.examples import schema
from components.models import architectures
from components.storage.uri import join
from pipeline.config.schema import Config


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """Facts of the data that the graph depends on.

    Attributes:
      genres: names in label order.
      manifest_digest: identifies the files, their labels and their splits.
      tracks: number of tracks that will be decoded.
      leaky: whether clips of one track may lie in several splits.
    """

    genres: tuple[str, ...]
    manifest_digest: str
    tracks: int
    leaky: bool

    @classmethod
    def of(cls, corpus: Corpus) -> DataFacts:
        """Return the facts of a corpus."""
        return cls(corpus.genres, corpus.digest, len(corpus.tracks), corpus.leaky)

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON values."""
        return {**dataclasses.asdict(self), "genres": list(self.genres)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DataFacts:
        """Return the facts that `to_json` wrote."""
        return cls(**{**values, "genres": tuple(values["genres"])})


@dataclasses.dataclass(frozen=True)
class GraphPlaces:
    """Places that the graph's nodes read and write: local paths or URIs.

    Attributes:
      pipeline_root: TFX's artifacts.
      models: folder of the pushed versions.
      clip_store: decoded clips kept between runs, as Beam's workers see it; "" keeps none.
      window_store: folder of what serving models heard, kept between runs; "" keeps none.
      schema_file: the examples' schema, named by its digest.
    """

    pipeline_root: str
    models: str
    clip_store: str
    window_store: str
    schema_file: str


def weights_digest(architecture: str, weights: str) -> str:
    """Return the digest of local starting weights, so that the cache notices changed files.

    Args:
      architecture: the network's name.
      weights: its `weights` setting.

    Returns:
      16 hex digits; "" for "none", for published weights, whose digest is checked, and for a
      missing file, which the Trainer reports.
    """
    files = architectures.of_name(architecture).weights_files(weights)
    if not files or not all(path.is_file() for path in files):
        return ""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def write_schema(config: Config, genres: Sequence[str], directory: str) -> str:
    """Write the examples' schema and return its path.

    The file is named by its digest, so that the cache notices a change.

    Args:
      config: the configuration.
      genres: the genres in label order.
      directory: a local path or a URI.
    """
    text = schema.tfmd_schema_text(genres, config.audio)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = join(directory, f"schema-{digest}.pbtxt")
    write_text(path, text)
    return path
