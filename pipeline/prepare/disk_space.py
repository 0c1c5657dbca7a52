"""Estimates of the disk space that a run needs."""

from __future__ import annotations

from components.audio.params import AudioParams
from components.models.architectures import NETWORKS
from components.models.settings import ModelSettings

# Size of a clip's serialized tf.Example without its spectrogram: ids, label, framing.
EXAMPLE_OVERHEAD_BYTES = 256
WEIGHT_BYTES = 4
# A SavedModel without its weights: graphs, card and curves.
GRAPH_BYTES = 3e6
# Further copies of the candidate that a run keeps: the Ensembler's, the pushed one, its archive.
CANDIDATE_COPIES = 3
# Copies of the weights in checkpoints: the weights, Adam's two moments and the best weights; twice,
# as the previous epoch's checkpoint stays until the next is complete.
STATE_COPIES = 8
BASE_BYTES = 50e6


def examples_bytes(clips: int, params: AudioParams) -> int:
    """Return the size on disk of the examples of some clips (pipeline.prepare.clip_counts)."""
    return clips * (params.mel_bytes + EXAMPLE_OVERHEAD_BYTES)


def run_bytes(clips: int, params: AudioParams, models: dict[str, ModelSettings]) -> int:
    """Estimate the disk space of a first run, so that it can be refused before it starts."""
    weights = [
        WEIGHT_BYTES * parameters(name, settings, params) for name, settings in models.items()
    ]
    # Bases are kept twice: in the model, and as starting weights for other networks.
    sizes = [
        GRAPH_BYTES + size * (2 if NETWORKS[name].has_base else 1)
        for name, size in zip(models, weights, strict=True)
    ]
    # The average of the networks contains the weights of all, and may be the candidate.
    average = GRAPH_BYTES * len(sizes) + sum(weights) if len(sizes) > 1 else 0.0
    largest = max([*sizes, average])
    # Checkpoints are deleted before the candidate is copied.
    kept = (
        sum(sizes)
        + average
        + max(CANDIDATE_COPIES * largest, STATE_COPIES * max(weights, default=0))
    )
    # Twice: as examples, and in the clip store.
    return int(BASE_BYTES + 2 * examples_bytes(clips, params) + kept)


def parameters(name: str, settings: ModelSettings, params: AudioParams) -> float:
    """Estimate the number of a network's weights."""
    made = NETWORKS[name]
    side = settings.image_size_or(made.image_size)
    height, width = (side, side) if side else (params.n_mels, params.frames)
    return made.estimated_parameters(height, width, settings.head_units)
