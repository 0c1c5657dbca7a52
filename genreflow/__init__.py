"""Public Python API of Genreflow.

    import genreflow

    config = genreflow.load_config("demo", ["training.epochs=3"])
    results = genreflow.run_pipeline(config, "genreflow-demo")  # a work folder

    results = genreflow.read_results("genreflow-demo")  # of an earlier run
    accuracy = results.models[results.candidate].test.track_accuracy
    print(results.candidate, accuracy.value, accuracy.low, accuracy.high)

    model = genreflow.LocalModel("genreflow-demo/serving_models/genreflow")  # loads TensorFlow
    print(model.predict_file("song.mp3").probabilities)

    with genreflow.GenreClient("127.0.0.1:8500") as client:  # of `genreflow serve`
        print(client.predict_file("song.mp3").timeline())

    genreflow.label_catalogue("genreflow-demo/serving_models/genreflow", "music", "labels.parquet")

Importing this package loads nothing heavy: each name loads its module at first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.audio.decoding.decode import DecodeError
    from components.common.errors import DataError, GenreflowError, UsageError
    from components.predictions.interval import Interval
    from components.predictions.split_metrics import SplitMetrics
    from genreflow.labelling.catalogue_labels import label_catalogue
    from genreflow.local_server import local_server
    from genreflow.sound import Sound, read_sound
    from genreflow.whole_run import run_pipeline
    from pipeline.config.load import load_beam, load_config
    from pipeline.config.messages import ConfigError
    from pipeline.config.schema import Config
    from pipeline.results.results_file import read_results
    from pipeline.results.schema import ModelResults, Results
    from serving.client.client import GenreClient
    from serving.client.errors import ClientError
    from serving.model.local import LocalModel
    from serving.model.model_files import ModelFolderError
    from serving.model.prediction import GenreModel, Prediction, TimelineSegment

    __version__: str

__all__ = [
    "ClientError",
    "Config",
    "ConfigError",
    "DataError",
    "DecodeError",
    "GenreClient",
    "GenreModel",
    "GenreflowError",
    "Interval",
    "LocalModel",
    "ModelFolderError",
    "ModelResults",
    "Prediction",
    "Results",
    "Sound",
    "SplitMetrics",
    "TimelineSegment",
    "UsageError",
    "__version__",
    "label_catalogue",
    "load_beam",
    "load_config",
    "local_server",
    "read_results",
    "read_sound",
    "run_pipeline",
]

_MODULES = {
    "ClientError": "serving.client.errors",
    "Config": "pipeline.config.schema",
    "ConfigError": "pipeline.config.messages",
    "DataError": "components.common.errors",
    "DecodeError": "components.audio.decoding.decode",
    "GenreClient": "serving.client.client",
    "GenreModel": "serving.model.prediction",
    "GenreflowError": "components.common.errors",
    "LocalModel": "serving.model.local",
    "ModelFolderError": "serving.model.model_files",
    "Prediction": "serving.model.prediction",
    "Results": "pipeline.results.schema",
    "ModelResults": "pipeline.results.schema",
    "SplitMetrics": "components.predictions.split_metrics",
    "Interval": "components.predictions.interval",
    "TimelineSegment": "serving.model.prediction",
    "UsageError": "components.common.errors",
    "label_catalogue": "genreflow.labelling.catalogue_labels",
    "load_beam": "pipeline.config.load",
    "load_config": "pipeline.config.load",
    "local_server": "genreflow.local_server",
    "read_results": "pipeline.results.results_file",
    "Sound": "genreflow.sound",
    "read_sound": "genreflow.sound",
    "run_pipeline": "genreflow.whole_run",
}


def __getattr__(name: str) -> Any:
    """Load a public name at its first use (PEP 562)."""
    if name == "__version__":
        from importlib import metadata

        value: Any = metadata.version("genreflow")
    elif name in _MODULES:
        value = getattr(importlib.import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
