"""Facts and files that the graph is built from. Imports no TFX."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence

from components.artifacts import files as artifact_files
from components.datasets.corpus import Corpus
from components.examples import schema
from components.storage.uri import join
from pipeline.config.schema import Config


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """What the graph needs to know of the data before it runs.

    `genres` in label order; `manifest_digest` as the corpus gives it; `tracks` counts
    what will be decoded; `leaky` where clips of a track may lie in several splits.
    """

    genres: tuple[str, ...]
    manifest_digest: str
    tracks: int
    leaky: bool


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


def facts_of(corpus: Corpus) -> dict[str, object]:
    """Return the DataFacts of a corpus as JSON values."""
    return {
        "genres": list(corpus.genres),
        "manifest_digest": corpus.digest,
        "tracks": len(corpus.tracks),
        "leaky": corpus.leaky,
    }
