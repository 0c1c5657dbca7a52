"""Loading a run's corpus, for the local run, Kubeflow's first step and Vertex AI's compiler."""

from __future__ import annotations

from components.datasets.corpus import Corpus, load_corpus
from components.spectrogram_gen.rejects import check_fraction
from pipeline.config.schema import Config
from pipeline.graph.inputs import DataFacts
from pipeline.prepare import preflight


def load_checked_corpus(config: Config) -> Corpus:
    """Load the corpus and check the batch sizes against it.

    Args:
      config: the configuration, with `dataset.data_dir` set.

    Raises:
      GenreflowError: the data cannot be used, or a batch is larger than the train split.
    """
    corpus = load_corpus(config.dataset, config.split)
    preflight.check_batches(config, corpus)
    return corpus


def checked_facts(config: Config, corpus: Corpus) -> DataFacts:
    """Return the graph's facts of a corpus.

    Raises:
      DataError: more tracks were rejected than `dataset.max_reject_fraction` allows.
    """
    check_fraction(corpus.rejects, corpus.tracks_listed, config.dataset.max_reject_fraction)
    return DataFacts.of(corpus)
