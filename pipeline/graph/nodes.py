"""Ids of the graph's nodes. Imports no TFX.

TFX names a node after its component's class unless the graph gives it another id.
"""

from __future__ import annotations

from pipeline.config.schema import Config

SPECTROGRAM_GEN = "SpectrogramGen"
IMPORT_SCHEMA_GEN = "ImportSchemaGen"
STATISTICS_GEN = "StatisticsGen"
EXAMPLE_VALIDATOR = "ExampleValidator"
DATA_CHECK = "DataCheck"
BASELINE_TRAINER = "BaselineTrainer"
ENSEMBLER = "Ensembler"
EVALUATOR = "Evaluator"
SERVING_MODEL = "ServingModel"
GENRE_GATE = "GenreGate"
SERVING_CHECK = "ServingCheck"
PUSHER = "Pusher"
REPORT = "Report"

# The gate has decided already, and a version that someone deleted must be pushed again; and
# ServingCheck tests the server that is installed, whose last failure must not stay.
NEVER_CACHED = (SERVING_CHECK, PUSHER)


def tuner(architecture: str) -> str:
    """Return the id of a network's Tuner."""
    return f"Tuner.{architecture}"


def trainer(architecture: str) -> str:
    """Return the id of a network's Trainer."""
    return f"Trainer.{architecture}"


def node_ids(config: Config, *, resolves_serving: bool = True) -> list[str]:
    """Return the ids of the nodes that create_pipeline makes, in its order.

    Args:
      config: the whole configuration.
      resolves_serving: as create_pipeline takes it.
    """
    return [
        SPECTROGRAM_GEN,
        IMPORT_SCHEMA_GEN,
        STATISTICS_GEN,
        EXAMPLE_VALIDATOR,
        *([SERVING_MODEL] if resolves_serving else []),
        DATA_CHECK,
        *([BASELINE_TRAINER] if config.baselines.models else []),
        *map(tuner, config.tuned_networks),
        *map(trainer, config.models),
        ENSEMBLER,
        EVALUATOR,
        GENRE_GATE,
        *([SERVING_CHECK] if config.serving.check else []),
        PUSHER,
        REPORT,
    ]
