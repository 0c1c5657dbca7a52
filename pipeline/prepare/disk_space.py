"""Estimates of the disk space that a run needs."""

from __future__ import annotations

from components.audio.params import AudioParams
from components.models.architectures import NETWORKS
from components.models.settings import ModelSettings

# Serialized tf.Example of one clip beside its spectrogram: ids, label, framing.
EXAMPLE_OVERHEAD_BYTES = 256


WEIGHT_BYTES = 4


# The graphs of a SavedModel's signatures, its card and curves beside the weights.
GRAPH_BYTES = 3e6


# How many more copies of the candidate a run keeps: the Ensembler's, the pushed one and its
# archive.
CANDIDATE_COPIES = 3


# The state of a training: weights, Adam's two moments, the best weights; and the state of the
# epoch before stays until the new one is whole.
STATE_COPIES = 8


BASE_BYTES = 50e6


def examples_bytes(tracks: int, params: AudioParams) -> int:
    """Size on disk of the examples of so many tracks."""
    return tracks * params.clips_per_track * (params.mel_bytes + EXAMPLE_OVERHEAD_BYTES)


def run_bytes(tracks: int, params: AudioParams, models: dict[str, ModelSettings]) -> int:
    """About what a first run puts on the disk, so that it can stop before it begins."""
    weights = [
        WEIGHT_BYTES * parameters(name, settings, params) for name, settings in models.items()
    ]
    # Bases are kept twice: in the model, and as weights that another one may start from.
    sizes = [
        GRAPH_BYTES + size * (2 if NETWORKS[name].has_base else 1)
        for name, size in zip(models, weights, strict=True)
    ]
    # The mean of the networks holds the weights of all, and may be the candidate.
    average = GRAPH_BYTES * len(sizes) + sum(weights) if len(sizes) > 1 else 0.0
    largest = max([*sizes, average])
    # Checkpoints are gone before the candidate is copied.
    kept = (
        sum(sizes)
        + average
        + max(CANDIDATE_COPIES * largest, STATE_COPIES * max(weights, default=0))
    )
    # Twice: as examples, and in the clip store.
    return int(BASE_BYTES + 2 * examples_bytes(tracks, params) + kept)


def parameters(name: str, settings: ModelSettings, params: AudioParams) -> float:
    """Return about how many weights a network has."""
    side = settings.image_size
    height, width = (side, side) if side else (params.n_mels, params.frames)
    return NETWORKS[name].estimated_parameters(height, width)
