"""Checks of settings and data before a run, for the local run, Kubeflow and Vertex AI."""

from __future__ import annotations

import shutil
from collections.abc import Collection

from components.common.errors import UsageError
from components.datasets.corpus import Corpus, load_corpus
from components.models import architectures
from components.spectrogram_gen.rejects import check_fraction
from pipeline.config.schema import Config
from pipeline.graph.inputs import DataFacts

TENSORFLOW_SERVING = "tensorflow_model_server"


def check_weights(config: Config) -> None:
    """Raise UsageError if a file of starting weights does not exist."""
    for name, model in config.models.items():
        problem = architectures.of_name(name).missing_weights(model.weights)
        if problem:
            raise UsageError(f"models.{name}.weights = {model.weights!r}: {problem}")


def weights_to_download(config: Config) -> list[str]:
    """Return the networks whose published weights a run would have to download first."""
    return [
        name
        for name, model in config.models.items()
        if architectures.of_name(name).awaits_download(model.weights)
    ]


def check_engine(config: Config) -> None:
    """Raise UsageError if ServingCheck needs TensorFlow Serving and it is not installed."""
    serving = config.serving
    needed = serving.check and serving.engine == "tensorflow-serving"
    if needed and shutil.which(TENSORFLOW_SERVING) is None:
        raise UsageError(
            f'serving.engine = "tensorflow-serving": {TENSORFLOW_SERVING} is not on the PATH; '
            'install it, or set serving.engine = "auto", which falls back to the local server'
        )


def check_batches(config: Config, corpus: Corpus, left_out: Collection[str] = ()) -> None:
    """Raise UsageError if a network's batch size exceeds its number of training clips.

    Decoding may reject further tracks; the Trainer repeats this check with the remaining ones.

    Args:
      config: the configuration.
      corpus: its corpus.
      left_out: ids of tracks of the corpus that cannot be used.
    """
    clips = sum(
        corpus.split_of_clip(track.track_id, index) == "train"
        for track in corpus.tracks
        if track.track_id not in left_out
        for index in range(config.audio.clips_per_track)
    )
    for name, model in config.models.items():
        own = f"models.{name}.batch_size"
        key, size = own, model.batch_size
        if size is None:
            key, size = "training.batch_size", config.training.batch_size
        limits = {f"models.{name}.max_train_clips": model.max_train_clips}
        tuning = config.tuning
        if name in config.tuned_networks and tuning.batch_size:
            own = key = "tuning.batch_size"  # the tuned value replaces the others
            size = max(tuning.batch_size)
            limits["tuning.max_train_clips"] = tuning.max_train_clips
        usable, why = clips, "the whole train split"
        for limit, max_clips in limits.items():
            if 0 < max_clips < usable:
                usable, why = max_clips, limit
        if size > usable:
            raise UsageError(
                f"{key} = {size}: {name} has only {usable} training clips ({why}); set "
                f"{key if usable == clips else own} to {usable} or less (a quarter of that makes "
                "four steps per epoch), or add tracks"
            )


def load_checked_corpus(config: Config) -> Corpus:
    """Load the corpus and check the batch sizes against it.

    Args:
      config: the configuration, with `dataset.data_dir` set.

    Raises:
      GenreflowError: the data cannot be used, or a batch is larger than the train split.
    """
    corpus = load_corpus(config.dataset, config.split)
    check_batches(config, corpus)
    return corpus


def checked_facts(config: Config, corpus: Corpus) -> DataFacts:
    """Return the graph's facts of a corpus.

    Raises:
      DataError: more tracks were rejected than `dataset.max_reject_fraction` allows.
    """
    check_fraction(corpus.rejects, corpus.tracks_listed, config.dataset.max_reject_fraction)
    return DataFacts.of(corpus)
