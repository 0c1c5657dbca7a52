"""Which data a run reads, and what the graph needs to know of it before it runs."""

from __future__ import annotations

import dataclasses
import pathlib

from components.datasets.corpus import Corpus
from components.storage.uri import is_remote, place
from pipeline.config import Config


def with_data_dir(config: Config, data_dir: str) -> Config:
    """The configuration with --data-dir in place of its own: an absolute path, or an s3:// URI.

    Raises:
      UriError: a URI of another scheme, or a bad one.
    """
    chosen = place(data_dir or config.dataset.data_dir, "the data folder")
    if chosen and not is_remote(chosen):
        chosen = str(pathlib.Path(chosen).expanduser().absolute())
    return dataclasses.replace(config, dataset=dataclasses.replace(config.dataset, data_dir=chosen))


def facts_of(corpus: Corpus) -> dict[str, object]:
    """What the graph needs to know of the data (pipeline.graph.DataFacts), as JSON values."""
    return {
        "genres": list(corpus.genres),
        "manifest_digest": corpus.digest,
        "tracks": len(corpus.tracks),
        "leaky": corpus.leaky,
    }
