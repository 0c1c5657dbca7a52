"""Facts and files that the graph is built from. Imports no TFX."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from components.artifacts import files as artifact_files
from components.datasets.corpus import Corpus
from components.examples import schema
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
class Places:
    """Where a run puts things; local paths or URIs. `models` holds the pushed versions;
    `schema_file` is named by its digest."""

    pipeline_root: str
    models: str
    clip_store: str
    schema_file: str


def weights_digest(weights: str) -> str:
    """Digest of a local weights file, so that the cache sees another file of that name.

    "" for "none" and "imagenet" (Keras checks the latter's own digest), and for a file
    that is not there, which the Trainer reports.
    """
    path = pathlib.Path(weights)
    if weights in ("none", "imagenet") or not path.is_file():
        return ""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


def write_schema(config: Config, genres: Sequence[str], directory: str) -> str:
    """Writes the examples' schema, named by its digest, so that the cache sees a change.

    `directory` is a local path or a URI."""
    text = schema.tfmd_schema_text(genres, config.audio)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = join(directory, f"schema-{digest}.pbtxt")
    artifact_files.write_text(path, text)
    return path
